"""What commands print with `--json`, as models. `webnova shapes` prints their JSON Schemas."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel

from engine.forge.formats.report import Report as FormatReport
from engine.forge.regeneration.outcome import Regeneration
from engine.ledger.archive.archiving import ArchiveFile
from engine.ledger.archive.examination import ArchiveReport
from engine.ledger.archive.retention import DroppedMonth, RestoredMonth
from engine.ledger.documents import Refolded
from engine.ledger.tenancy.archive import Inspected
from engine.ledger.transparency.export import Report
from engine.ledger.transparency.publishing.cosignatures import Cosigned
from webnova.client import models, subjects, tenancy, witnessing
from webnova.client.eventing_models import (
    DeadLetter,
    Delivery,
    Document,
    EventLinks,
    Rebuilt,
    Replayed,
    Requeued,
    SigningSecrets,
    Subscription,
    SubscriptionSummary,
    Webhook,
)
from webnova.client.models import (
    Blame,
    Budget,
    DocumentVersion,
    Event,
    Forecast,
    InclusionProof,
    LedgerEntry,
    Platform,
    PriceBook,
    Problem,
    Rated,
    Reservation,
    Run,
    Statement,
    UnratedUsage,
    UsageRecorded,
    UsageSum,
    VersionList,
)
from webnova.stack.local import StackStatus


class Outcome(Platform):
    """`create`, `build`, `rollback`, `demo`: the platform, and the run that brought it there."""

    outcome: Run = Field(description="The run; with `--detach` as it stands at the start.")


class PlatformRows(RootModel[list[Platform]]):
    """`list`"""


class Failure(BaseModel):
    test: str
    message: str


class TestReport(BaseModel):
    """`test`: the outcome of a generated platform's suites, and under what protection they ran."""

    __test__ = False

    passed: int
    failed: int
    skipped: int
    duration_s: float
    driver: str
    isolated: bool
    failures: list[Failure]


class Generated(Regeneration):
    """`generate`"""

    name: str
    out: str
    files: int
    bytes: int
    written: int = Field(description="Files that were added or have another content.")
    digest: str = Field(description="SHA-256 over all paths and contents that are generated.")
    duration_s: float
    dry_run: bool = Field(description="Whether this only says what would be done.")


class Validity(BaseModel):
    """`blueprint validate`"""

    valid: bool
    name: str | None = None
    digest: str | None = None
    errors: list[Problem] = []
    warnings: list[Problem] = []


class BlueprintChange(BaseModel):
    path: str
    kind: Literal["added", "removed", "changed", "renamed"]
    old: Any = None
    new: Any = None
    breaking: bool
    summary: str


class Differences(BaseModel):
    """`blueprint diff`"""

    breaking: bool
    changes: list[BlueprintChange]


class ImportedSource(FormatReport):
    """`import`: the account of every construct; `blueprint` when it went into no file."""

    name: str
    out: str | None
    blueprint: dict[str, Any] | None


class ExportedText(BaseModel):
    """`export`: `text` when it went into no file."""

    name: str
    format: str
    media_type: str
    out: str | None
    text: str | None


class LogLines(BaseModel):
    """`logs`; with `--follow` each line is `{"line": …}` on a line of its own."""

    lines: list[str]


class Finding(BaseModel):
    """One check of `doctor`. `mend` says what to do about a warning or a problem."""

    name: str
    state: Literal["ok", "warning", "problem"]
    found: str
    mend: str | None = None


class Diagnosis(BaseModel):
    """`doctor`"""

    healthy: bool
    checks: list[Finding]


class TokenPlace(BaseModel):
    """`token`: where the local token is kept; the token itself only with `--show`."""

    file: str
    exists: bool
    token: str | None = None


class KeptCheckpoint(BaseModel):
    """`audit checkpoint`"""

    origin: str
    size: int
    root: str = Field(description="Root hash of the tree, standard base64.")
    note: str = Field(description="The checkpoint as a C2SP signed note.")
    vkey: str
    cosigned_by: list[Cosigned] = Field(description="Of the witnesses that were named.")


class Exported(BaseModel):
    """`audit export`"""

    file: str
    events: int
    bytes: int


class ProvenEvent(InclusionProof):
    """`audit prove`: the proof and the checkpoint that it leads to."""

    checkpoint: str


class Job(BaseModel):
    """`job submit`"""

    submission_id: str
    status: str
    dashboard_url: str


class UsageRows(RootModel[list[UsageSum]]):
    """`usage list`"""


class UnratedRows(RootModel[list[UnratedUsage]]):
    """`usage unrated`"""


class PriceBooks(RootModel[list[PriceBook]]):
    """`price list`"""


class BudgetRows(RootModel[list[Budget]]):
    """`budget list`"""


class DocumentRows(RootModel[list[Document]]):
    """`history find`"""


class WebhookRows(RootModel[list[Webhook]]):
    """`webhook list`"""


class DeliveryRows(RootModel[list[Delivery]]):
    """`webhook deliveries`"""


class SubscriptionRows(RootModel[list[SubscriptionSummary]]):
    """`subscription list`"""


class DeadLetterRows(RootModel[list[DeadLetter]]):
    """`subscription dead-letters`"""


class TenantRows(BaseModel):
    """The register of tenants."""

    tenants: list[tenancy.Tenant]


class ArchiveRows(RootModel[list[ArchiveFile]]):
    """What `webnova archive month` prints."""


class WitnessedLogRows(RootModel[list[witnessing.WitnessedLog]]):
    """`audit witness list`"""


class ArchivedMonths(BaseModel):
    """`archive list`"""

    items: list[tenancy.ArchivedMonth]
    retention_days: int


class RefoldedRows(RootModel[list[Refolded]]):
    """`archive refold`"""


class VerifyReport(RootModel[ArchiveReport | Report]):
    """What `webnova audit verify` prints: of an archive, or of an export."""


SHAPES: dict[str, type[BaseModel]] = {
    "up": StackStatus,
    "down": StackStatus,
    "status": StackStatus,
    "create": Outcome,
    "build": Outcome,
    "rollback": Outcome,
    "demo": Outcome,
    "list": PlatformRows,
    "show": Platform,
    "open": Platform,
    "cancel": Run,
    "run": Run,
    "events": Event,
    "logs": LogLines,
    "generate": Generated,
    "undo": Regeneration,
    "test": TestReport,
    "import": ImportedSource,
    "export": ExportedText,
    "blueprint validate": Validity,
    "blueprint diff": Differences,
    "history list": VersionList,
    "history show": DocumentVersion,
    "history diff": models.Differences,
    "history blame": Blame,
    "history restore": DocumentVersion,
    "history causes": EventLinks,
    "history find": DocumentRows,
    "history rebuild": Rebuilt,
    "webhook add": Webhook,
    "webhook list": WebhookRows,
    "webhook show": Webhook,
    "webhook secret": SigningSecrets,
    "webhook switch": Webhook,
    "webhook remove": Webhook,
    "webhook deliveries": DeliveryRows,
    "webhook replay": Requeued,
    "subscription list": SubscriptionRows,
    "subscription show": Subscription,
    "subscription dead-letters": DeadLetterRows,
    "subscription replay": Replayed,
    "usage record": UsageRecorded,
    "usage list": UsageRows,
    "usage unrated": UnratedRows,
    "usage rate": Rated,
    "price publish": PriceBook,
    "price list": PriceBooks,
    "price show": PriceBook,
    "budget set": Budget,
    "budget list": BudgetRows,
    "budget show": Budget,
    "budget reserve": Reservation,
    "budget settle": Reservation,
    "budget release": Reservation,
    "budget reservation": Reservation,
    "statement show": Statement,
    "statement close": Statement,
    "statement correct": LedgerEntry,
    "statement entry": LedgerEntry,
    "forecast": Forecast,
    "doctor": Diagnosis,
    "token": TokenPlace,
    "audit checkpoint": KeptCheckpoint,
    "audit export": Exported,
    "audit verify": VerifyReport,
    "audit prove": ProvenEvent,
    "audit witness show": witnessing.Witness,
    "audit witness list": WitnessedLogRows,
    "audit witness trust": witnessing.WitnessedLog,
    "audit witness remove": witnessing.WitnessedLog,
    "tenant create": tenancy.TenantCreated,
    "tenant list": TenantRows,
    "tenant show": tenancy.Tenant,
    "tenant suspend": tenancy.Tenant,
    "tenant resume": tenancy.Tenant,
    "tenant export": Inspected,
    "tenant verify": Inspected,
    "tenant import": tenancy.Tenant,
    "tenant delete": tenancy.Tenant,
    "tenant recipient": subjects.Recipient,
    "subject show": subjects.Subject,
    "subject erase": subjects.Subject,
    "archive list": ArchivedMonths,
    "archive month": ArchiveRows,
    "archive drop": DroppedMonth,
    "archive restore": RestoredMonth,
    "archive refold": RefoldedRows,
    "job submit": Job,
}
