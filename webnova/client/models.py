"""What the API answers, as the client sees it.

Fields that a newer server adds are ignored. A test compares each model with the schema of the same
name in the server's OpenAPI document, which `SCHEMA` names where it differs from the class.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

PlatformState = Literal["building", "running", "starting", "failed"]
RunKind = Literal["create", "build", "rollback"]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
StepState = Literal["pending", "running", "done", "failed"]
Origin = Literal["described", "written", "restored"]

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
    kind: Literal["added", "removed", "changed"]
    old: Any = None
    new: Any = None
    breaking: bool
    summary: str


class Changes(Answer):
    changes: list[Change]


class Problem(Answer):
    """A place in a Blueprint; `line` and `column` count from 1 and are None for JSON data."""

    path: str
    line: int | None = None
    column: int | None = None
    message: str
    suggestion: str | None = None


class Validation(Answer):
    """A valid Blueprint in canonical form. An invalid one is answered as an error instead."""

    valid: bool
    warnings: list[Problem]
    blueprint: dict[str, Any]


class Tenant(Answer):
    name: str
    title: str


class TenantCreated(Tenant):
    """`token` is the tenant's first API token, shown once: None when the call was repeated."""

    token: str | None = None


class Token(Answer):
    id: str
    label: str
    permissions: list[str]
    expires_at: datetime | None = None
    revoked: bool = False


class TokenIssued(Token):
    """`token` is shown once: None when the call was repeated."""

    token: str | None = None
