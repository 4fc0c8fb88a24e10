"""What the API answers, as the client sees it.

Fields that a newer server adds are ignored. A test compares each model with the schema of the same
name in the server's OpenAPI document, which `SCHEMA` names where it differs from the class.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

PlatformState = Literal["building", "running", "starting", "failed"]
RunKind = Literal["create", "build", "rollback"]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
StepState = Literal["pending", "running", "done", "failed"]
Origin = Literal["described", "written", "restored"]

Meter = Literal[
    "compute_seconds",
    "input_tokens",
    "output_tokens",
    "storage_byte_hours",
    "egress_bytes",
    "provider_calls",
    "builds",
]
ReservationState = Literal["held", "settled", "released", "expired"]

ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})
"""The states in which a run stays."""

T = TypeVar("T")


class Answer(BaseModel):
    """Base of everything the API answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(Answer, Generic[T]):
    """Part of a list; `next` is the cursor of the following part, None at the end."""

    items: list[T]
    next: str | None = None


class Health(Answer):
    status: str
    database: str
    version: str


class Release(Answer):
    """One version of a platform that passed its tests and was put into service."""

    version: int
    blueprint_version: int
    bundle: str
    run: str
    at: datetime


class Platform(Answer):
    """`url` and `docs_url` are None until the first release; `run` is the latest run's id."""

    name: str
    title: dict[str, str]
    state: PlatformState
    version: int | None
    url: str | None
    docs_url: str | None
    description: str | None
    run: str | None
    building: bool
    detail: str | None
    requested_at: datetime
    releases: list[Release]


class PlatformAccepted(Answer):
    """The platform and the id of the run that will bring it to the wished state."""

    platform: Platform
    run: str


class Credentials(Answer):
    """The first administrator of a platform."""

    admin_email: str
    admin_password: str


class Step(Answer):
    """`duration_s` is in seconds, None until the step is over."""

    name: str
    state: StepState
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    output: dict[str, Any]


class Run(Answer):
    """`cause` is the problem object of a failure; `log` the digest of its full account."""

    id: str
    platform: str
    kind: RunKind
    state: RunState
    steps: list[Step]
    requested_by: str
    requested_at: datetime
    ended_at: datetime | None
    cause: dict[str, Any] | None
    log: str | None


class Event(Answer):
    """One recorded fact. `cursor` is its place in the tenant's stream, `version` in its own."""

    cursor: str
    event_id: str
    type: str
    kind: str
    id: str
    version: int
    at: datetime
    data: dict[str, Any]
    metadata: dict[str, Any]


class InclusionProof(Answer):
    """Shows that the leaf is number `index` of the tree of `size` leaves with this `root`.

    Hashes are standard base64; `event` is the event's canonical text, None when it is gone.
    """

    index: int
    size: int
    leaf: str
    hashes: list[str]
    root: str
    event: str | None


class Authorship(Answer):
    """The event that made a version, and who caused it by which command."""

    version: int
    type: str
    at: datetime
    caller: str
    command: str
    event_id: str


class VersionList(Answer):
    items: list[Authorship]
    next: int | None = None
    archived: int = 0


class DocumentVersion(Answer):
    kind: str
    id: str
    version: int
    data: dict[str, Any]


class Difference(Answer):
    """One value that differs, by its RFC 6901 pointer."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: Any
    after: Any


class Differences(Answer):
    old: int
    new: int
    items: list[Difference]


class Blamed(Answer):
    path: str
    value: Any
    by: Authorship


class Blame(Answer):
    version: int
    items: list[Blamed]


class ConsistencyProof(Answer):
    """Shows that the older tree is the beginning of the newer. Hashes are standard base64."""

    old_size: int
    new_size: int
    hashes: list[str]
    old_root: str
    new_root: str


class SignedCheckpoint(BaseModel):
    """A checkpoint as its log signed it, and the key that the server says to verify it with.

    A key that comes with what it signed proves nothing to whoever mistrusts the server.
    """

    model_config = ConfigDict(frozen=True)

    note: str
    vkey: str


class Logs(Answer):
    lines: list[str]


class Blueprint(Answer):
    """`digest` is what `save_blueprint` expects back as the version last seen."""

    platform: str
    version: int
    digest: str
    content: dict[str, Any]


class BlueprintVersion(Answer):
    version: int
    digest: str
    origin: Origin
    saved_at: datetime
    saved_by: str


class BlueprintHistory(Answer):
    items: list[BlueprintVersion]


class Change(Answer):
    """One difference of two Blueprints; `breaking` ones can hurt stored records or users."""

    path: str
    kind: Literal["added", "removed", "changed", "renamed"]
    old: Any = None
    new: Any = None
    breaking: bool
    summary: str


class Changes(Answer):
    changes: list[Change]


class Problem(Answer):
    """A place in a Blueprint; `line` and `column` count from 1 and are None for JSON data. `rule`
    is the stable name of what was broken, and `mend` what to do about it."""

    path: str
    line: int | None = None
    column: int | None = None
    message: str
    suggestion: str | None = None
    rule: str
    mend: str


class Validation(Answer):
    """A valid Blueprint in canonical form. An invalid one is answered as an error instead."""

    valid: bool
    warnings: list[Problem]
    blueprint: dict[str, Any]


class ImportEntry(Answer):
    """One construct of an imported source; what was changed or dropped has a `reason`."""

    outcome: Literal["carried", "changed", "dropped"]
    kind: str
    source: str
    line: int | None = None
    column: int | None = None
    path: str | None = None
    reason: str | None = None
    mend: str | None = None


class ImportReport(Answer):
    format: str
    carried: int
    changed: int
    dropped: int
    entries: list[ImportEntry]


class ImportedBlueprint(Answer):
    """A Blueprint made from a foreign format, and the account of how it came about."""

    blueprint: dict[str, Any]
    report: ImportReport


class Token(Answer):
    """`subject` is whose personal data the label is."""

    id: str
    subject: str = ""
    label: str
    permissions: list[str]
    expires_at: datetime | None = None
    revoked: bool = False


class TokenIssued(Token):
    """`token` is shown once: None when the call was repeated."""

    token: str | None = None


class UsageRecorded(Answer):
    """How many events were new, and how many had been there before."""

    accepted: int
    duplicates: int


class UsageSum(Answer):
    period: str
    meter: Meter
    platform: str | None
    user: str | None
    quantity: Decimal
    events: int


class UnratedUsage(Answer):
    """Usage that has no charge yet."""

    period: str
    region: str
    meter: Meter
    price_missing: bool
    quantity: Decimal
    events: int


class UnratedList(Answer):
    items: list[UnratedUsage]


class MissingPrice(Answer):
    region: str
    meter: Meter
    events: int


class Rated(Answer):
    """What a batch of rating charged; `more` when another may find something."""

    charged: int
    missing: list[MissingPrice]
    entries: list[str]
    more: bool


class Tier(Answer):
    """Units of a month up to `up_to` at one price each; None: all further ones."""

    up_to: Decimal | None = None
    unit_price: Decimal


class PriceVersion(Answer):
    version: int
    currency: str
    valid_from: datetime
    prices: dict[str, list[Tier]]
    published_by: str
    at: datetime


class PriceBook(Answer):
    region: str
    versions: list[PriceVersion]


class Budget(Answer):
    """A budget as it stands in `period`; `left` is negative after an overrun."""

    name: str
    period: str
    limit: Decimal
    currency: str | None
    meter: Meter | None
    counts: Literal["settlements", "charges"]
    platform: str | None
    user: str | None
    spent: Decimal
    held: Decimal
    left: Decimal
    thresholds: list[int]
    reached: list[int]


class Reservation(Answer):
    """`overrun` is the part of `actual` that nothing was held for."""

    id: str
    budget: str
    period: str
    amount: Decimal
    reserved_by: str
    expires_at: datetime
    state: ReservationState
    actual: Decimal | None
    overrun: Decimal


class StatementLine(Answer):
    platform: str | None
    user: str | None
    meter: Meter
    quantity: Decimal
    amount: Decimal


class CurrencyStatement(Answer):
    """`due` is `total` and `corrected` together."""

    currency: str
    lines: list[StatementLine]
    total: Decimal
    corrections: list[StatementLine]
    corrected: Decimal
    due: Decimal


class Statement(Answer):
    """A month's statement; `entry` closed it, None while it is open."""

    period: str
    state: Literal["open", "closed"]
    closed_at: datetime | None
    entry: str | None
    currencies: list[CurrencyStatement]
    unrated: list[UnratedUsage]
    rounding: str


class Posting(Answer):
    """Debits are positive, credits negative."""

    account: str
    currency: str
    amount: Decimal


class LedgerEntry(Answer):
    """`corrects` is the entry that this one corrects."""

    id: str
    kind: Literal["rating", "correction", "closing"]
    period: str
    corrects: str | None
    reason: str
    postings: list[Posting]
    at: datetime


class CurrencyForecast(Answer):
    """`expected` is None without a full day of history, `high` without enough of them."""

    currency: str
    spent: Decimal
    expected: Decimal | None
    low: Decimal | None
    high: Decimal | None
    basis_days: int


class Forecast(Answer):
    """The interval from `low` to `high` holds the month's cost with `confidence`."""

    period: str
    as_of: datetime
    method: str
    confidence: str
    currencies: list[CurrencyForecast]
