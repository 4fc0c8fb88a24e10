"""Tenants: who shares an installation without seeing each other.

The register of tenants belongs to the root tenant and is kept there.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints

from engine.kernel.contracts import Call, Command, Document, Event, Query, View
from engine.kernel.dispatch import ROOT_TENANT, Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, Forbidden, NotFound

TenantName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)
]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class TenantCreated(Event):
    type = "tenant.created"
    name: str
    title: str


class Tenant(Document):
    kind = "tenant"
    events = (TenantCreated,)

    name: str
    title: str

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert isinstance(event, TenantCreated)
        return cls(name=event.name, title=event.title)


class TenantView(View):
    name: str
    title: str


class TenantList(View):
    items: list[TenantView]
    next: str | None = Field(None, description="Cursor of the next page, if there is one.")


class CreateTenant(Command):
    """Register a tenant. Only the root tenant can."""

    permission: ClassVar[str] = "tenant.create"
    emits: ClassVar[tuple[type[Event], ...]] = (TenantCreated,)

    name: TenantName
    title: Title


class ListTenants(Query):
    permission: ClassVar[str] = "tenant.read"

    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class GetTenant(Query):
    permission: ClassVar[str] = "tenant.read"

    name: str


handlers = Handlers()


@handlers.command(CreateTenant, TenantView)
async def create_tenant(command: CreateTenant, tx: Transaction, call: Call) -> TenantView:
    _only_root(tx.tenant)
    if await tx.find(Tenant, command.name):
        raise Conflict(f"A tenant called {command.name!r} exists.", mend="Choose another name.")
    created = TenantCreated(name=command.name, title=command.title)
    stored = await tx.append(Tenant, command.name, [created], expected=0)
    return TenantView.model_validate(stored.document.model_dump())


@handlers.query(ListTenants, TenantList)
async def list_tenants(query: ListTenants, reader: Reader) -> TenantList:
    _only_root(reader.tenant)
    found = await reader.list(Tenant, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    return TenantList(
        items=[TenantView.model_validate(each.document.model_dump()) for each in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


@handlers.query(GetTenant, TenantView)
async def get_tenant(query: GetTenant, reader: Reader) -> TenantView:
    _only_root(reader.tenant)
    found = await reader.find(Tenant, query.name)
    if found is None:
        raise NotFound(f"There is no tenant {query.name!r}.")
    return TenantView.model_validate(found.document.model_dump())


def _only_root(tenant: str) -> None:
    if tenant != ROOT_TENANT:
        raise Forbidden("Tenants are administered from the root tenant only.")
