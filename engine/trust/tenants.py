"""Tenants: who shares an installation without seeing each other.

The register of tenants belongs to the root tenant and is kept there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints

from engine.kernel.clock import system_clock
from engine.kernel.contracts import (
    Call,
    Command,
    Document,
    Event,
    Message,
    Query,
    Versioned,
    View,
)
from engine.kernel.dispatch import ROOT_TENANT, Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, Forbidden, NotFound
from engine.ledger.tenancy.archive import read_lines
from engine.ledger.tenancy.removal import Removals
from engine.ledger.tenancy.restoring import Restorer
from engine.ledger.tenancy.subjects import Subjects
from engine.ledger.tenancy.suspension import Suspension, Suspensions

TenantName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)
]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

now: Callable[[], datetime] = system_clock
QUIET = timedelta(seconds=90)
"""So long a tenant must have been suspended before it can be deleted."""


class TenantCreated(Event):
    type = "tenant.created"
    name: str
    title: str


class TenantSuspended(Event):
    type = "tenant.suspended"
    reason: str
    at: datetime


class TenantResumed(Event):
    type = "tenant.resumed"
    at: datetime


class Imported(Message):
    """Where a tenant came from: the log's name, size and root there, and the file's SHA-256."""

    origin: str
    size: int
    root: str
    sha256: str


class TenantImported(Event):
    type = "tenant.imported"
    name: str
    title: str
    source: Imported
    at: datetime


class Remains(Message):
    """What proves what was deleted: the last checkpoint of its log. `purged_at` is null until
    nothing of the tenant is left."""

    at: datetime
    origin: str
    size: int
    root: str
    purged_at: datetime | None = None


class TenantDeleted(Event):
    type = "tenant.deleted"
    remains: Remains


class Rest(Message):
    """Since when a tenant is suspended, and why."""

    since: datetime
    reason: str


class Tenant(Document):
    kind = "tenant"
    events = (TenantCreated, TenantImported, TenantSuspended, TenantResumed, TenantDeleted)

    name: str
    title: str
    suspended: Rest | None = None
    imported: Imported | None = None
    deleted: Remains | None = None

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, TenantCreated):
            return cls(name=event.name, title=event.title)
        if isinstance(event, TenantImported):
            return cls(name=event.name, title=event.title, imported=event.source)
        assert state is not None
        match event:
            case TenantSuspended():
                rest = Rest(since=event.at, reason=event.reason)
                return state.model_copy(update={"suspended": rest})
            case TenantResumed():
                return state.model_copy(update={"suspended": None})
            case TenantDeleted():
                return state.model_copy(update={"suspended": None, "deleted": event.remains})
        raise AssertionError(f"{event.type} is no event of a tenant")


class TenantView(View):
    """`suspended` is null while the tenant is active, `imported` unless it came from elsewhere,
    `deleted` unless only its name is left."""

    name: str
    title: str
    suspended: Rest | None = None
    imported: Imported | None = None
    deleted: Remains | None = None


class TenantList(View):
    items: list[TenantView]
    next: str | None = Field(None, description="Cursor of the next page, if there is one.")


class CreateTenant(Command):
    """Register a tenant. Only the root tenant can."""

    permission: ClassVar[str] = "tenant.create"
    emits: ClassVar[tuple[type[Event], ...]] = (TenantCreated,)

    name: TenantName
    title: Title


class SuspendTenant(Command):
    """Put a tenant to rest: its tokens are refused, its work is not driven. Only root can.

    Suspending one that is suspended changes nothing, whatever the reason given.
    """

    permission: ClassVar[str] = "tenant.suspend"
    emits: ClassVar[tuple[type[Event], ...]] = (TenantSuspended,)

    name: TenantName
    reason: Reason


class ResumeTenant(Command):
    """End a suspension; everything goes on where it stopped. Only root can."""

    permission: ClassVar[str] = "tenant.suspend"
    emits: ClassVar[tuple[type[Event], ...]] = (TenantResumed,)

    name: TenantName


class ListTenants(Query):
    permission: ClassVar[str] = "tenant.read"

    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class GetTenant(Query):
    permission: ClassVar[str] = "tenant.read"

    name: str


class ImportTenant(Command):
    """Take a tenant over from another installation. Only root can.

    `file` is the path of a copy on this machine that was verified; `source` is what was found.
    """

    permission: ClassVar[str] = "tenant.import"
    emits: ClassVar[tuple[type[Event], ...]] = (TenantImported,)
    transient: ClassVar[frozenset[str]] = frozenset({"file"})

    name: TenantName
    title: Title
    source: Imported
    file: Path


class DeleteTenant(Command):
    """Delete a suspended tenant for ever. Only root can. Its name is never given again.

    The checkpoint is the last one of its log, which remains as proof of what was there.
    """

    permission: ClassVar[str] = "tenant.delete"
    emits: ClassVar[tuple[type[Event], ...]] = (TenantDeleted,)
    transient: ClassVar[frozenset[str]] = frozenset({"origin", "size", "root"})

    name: TenantName
    origin: str
    size: int
    root: str


class ExportTenant(Query):
    """The tenant whose whole content is about to be exported. Only root can."""

    permission: ClassVar[str] = "tenant.export"

    name: str


class RecipientView(View):
    """The public key for which others seal the keys of a tenant's subjects."""

    recipient: str


class GetRecipient(Query):
    permission: ClassVar[str] = "tenant.import"


handlers = Handlers()


@handlers.command(CreateTenant, TenantView)
async def create_tenant(command: CreateTenant, tx: Transaction, call: Call) -> TenantView:
    _only_root(tx.tenant)
    if await tx.find(Tenant, command.name):
        raise Conflict(f"A tenant called {command.name!r} exists.", mend="Choose another name.")
    created = TenantCreated(name=command.name, title=command.title)
    stored = await tx.append(Tenant, command.name, [created], expected=0)
    return _view(stored.document)


@handlers.command(SuspendTenant, TenantView)
async def suspend_tenant(command: SuspendTenant, tx: Transaction, call: Call) -> TenantView:
    found = await _existing(tx, command.name)
    if command.name == ROOT_TENANT:
        raise Conflict("The root tenant can't be suspended.", mend="Revoke its tokens instead.")
    if found.document.suspended is not None:
        return _view(found.document)
    event = TenantSuspended(reason=command.reason, at=now())
    stored = await tx.append(Tenant, command.name, [event], expected=found.version)
    await tx.part(Suspensions).begin(command.name, Suspension(event.at, event.reason))
    return _view(stored.document)


@handlers.command(ResumeTenant, TenantView)
async def resume_tenant(command: ResumeTenant, tx: Transaction, call: Call) -> TenantView:
    found = await _existing(tx, command.name)
    if found.document.suspended is None:
        return _view(found.document)
    event = TenantResumed(at=now())
    stored = await tx.append(Tenant, command.name, [event], expected=found.version)
    await tx.part(Suspensions).end(command.name)
    return _view(stored.document)


@handlers.command(DeleteTenant, TenantView)
async def delete_tenant(command: DeleteTenant, tx: Transaction, call: Call) -> TenantView:
    found = await _registered(tx, command.name)
    if found.document.deleted is None:
        require_deletable(found.document, now())
        remains = Remains(at=now(), origin=command.origin, size=command.size, root=command.root)
        deleted = TenantDeleted(remains=remains)
        found = await tx.append(Tenant, command.name, [deleted], expected=found.version)
        await tx.part(Removals).begin(command.name)
    return await _view_now(tx, found.document)


def require_deletable(tenant: Tenant | TenantView, at: datetime) -> None:
    """Raise `Conflict` unless the tenant is suspended, and long enough for its work to have ended.

    What began before the suspension may still write: leases end within 15 seconds, transactions
    within 60.
    """
    if tenant.suspended is None:
        raise Conflict(
            f"The tenant {tenant.name!r} is not suspended.",
            mend="Suspend it first; what is deleted can't be brought back.",
        )
    left = QUIET - (at - tenant.suspended.since)
    if left > timedelta():
        raise Conflict(
            f"The tenant {tenant.name!r} was suspended a moment ago; its work may still be ending.",
            mend=f"Try again in {int(left.total_seconds()) + 1} seconds.",
            retry_after=int(left.total_seconds()) + 1,
        )


@handlers.command(ImportTenant, TenantView)
async def import_tenant(command: ImportTenant, tx: Transaction, call: Call) -> TenantView:
    _only_root(tx.tenant)
    found = await tx.find(Tenant, command.name)
    here = found.document if found is not None and found.document.deleted is None else None
    if here is not None and here.imported == command.source:
        return _view(here)
    if found is not None or command.name == ROOT_TENANT:
        raise Conflict(
            f"There is a tenant {command.name!r} already.",
            mend="Its signed events hold its name: import it where the name is free.",
        )
    event = TenantImported(name=command.name, title=command.title, source=command.source, at=now())
    stored = await tx.append(Tenant, command.name, [event], expected=0)
    with command.file.open("rb") as file:
        await tx.part(Restorer).restore(command.name, read_lines(file))
    return _view(stored.document)


@handlers.query(ListTenants, TenantList)
async def list_tenants(query: ListTenants, reader: Reader) -> TenantList:
    _only_root(reader.tenant)
    found = await reader.list(Tenant, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    return TenantList(
        items=[_view(each.document) for each in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


@handlers.query(GetTenant, TenantView)
async def get_tenant(query: GetTenant, reader: Reader) -> TenantView:
    return await _view_now(reader, (await _registered(reader, query.name)).document)


@handlers.query(ExportTenant, TenantView)
async def export_tenant(query: ExportTenant, reader: Reader) -> TenantView:
    return _view((await _existing(reader, query.name)).document)


@handlers.query(GetRecipient, RecipientView)
async def get_recipient(query: GetRecipient, reader: Reader) -> RecipientView:
    _only_root(reader.tenant)
    return RecipientView(recipient=reader.part(Subjects).recipient())


async def _registered(reader: Reader, name: str) -> Versioned[Tenant]:
    _only_root(reader.tenant)
    found = await reader.find(Tenant, name)
    if found is None:
        raise NotFound(f"There is no tenant {name!r}.")
    return found


async def _existing(reader: Reader, name: str) -> Versioned[Tenant]:
    found = await _registered(reader, name)
    if found.document.deleted is not None:
        raise Conflict(f"The tenant {name!r} was deleted.", mend="Only its name is left.")
    return found


async def _view_now(reader: Reader, tenant: Tenant) -> TenantView:
    """The view with how far a deletion has come."""
    view = _view(tenant)
    if view.deleted is None:
        return view
    purged_at = await reader.part(Removals).purged_at(tenant.name)
    remains = view.deleted.model_copy(update={"purged_at": purged_at})
    return view.model_copy(update={"deleted": remains})


def _view(tenant: Tenant) -> TenantView:
    return TenantView.model_validate(tenant.model_dump())


def _only_root(tenant: str) -> None:
    if tenant != ROOT_TENANT:
        raise Forbidden("Tenants are administered from the root tenant only.")
