"""Tenants: the register that the installation's owner keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from tempfile import NamedTemporaryFile
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from engine.kernel.clock import system_clock
from engine.ledger.tenancy.archive import inspect, read_lines
from engine.ledger.transparency.export import Trust
from engine.ledger.transparency.notes import Verifier, encoded
from engine.trust.tenants import (
    CreateTenant,
    DeleteTenant,
    ExportTenant,
    GetTenant,
    Imported,
    ImportTenant,
    ListTenants,
    Reason,
    ResumeTenant,
    SuspendTenant,
    TenantList,
    TenantName,
    TenantView,
    Title,
    require_deletable,
)
from engine.trust.tokens import PERMISSIONS, IssueToken, TokenView, draw
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import NDJSON, answered, location, message, text_answer
from serve_apps.routes.input import After, Limit, RequestBody, TenantPath
from serve_apps.services import services_of

router = new_router("tenants", "/tenants")
READ = documented(401, 403, 404, 409, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)
Recipient = Annotated[
    str | None,
    Query(
        description="Key of the installation that shall be able to read personal data.",
        pattern=r"^[A-Za-z0-9_-]{43}$",
    ),
]
VKeys = Annotated[
    list[str] | None,
    Query(description="Keys of the file's log that you trust.", max_length=10),
]
FIRST_LABEL = "first token"

_FOR_THE_EXECUTOR = frozenset({"run.drive", "subscription.drive", "webhook.send"})
OWNER_PERMISSIONS = [
    name for name in PERMISSIONS if name not in _FOR_THE_EXECUTOR and not name.startswith("tenant.")
]
"""What the first token of a tenant may do: everything inside it."""


class NewTenant(RequestBody):
    name: TenantName = Field(examples=["ministry-of-health"])
    title: Title = Field(examples=["Ministry of Health"])


class NewSuspension(RequestBody):
    reason: Reason = Field(examples=["The contract ended on 31 March."])


class TenantCreated(TenantView):
    """The tenant and its first API token, which is shown this once: null in a repetition."""

    token: str | None


@router.post(
    "",
    status_code=201,
    response_model=TenantCreated,
    responses={
        201: {"headers": location("The tenant.")},
        **WRITE,
    },
    openapi_extra=message(CreateTenant),
)
async def create_tenant(body: NewTenant, session: Writing) -> Response:
    """Register a tenant and issue its first token. Only the root tenant can."""
    for permission in (CreateTenant.permission, "tenant.administer", IssueToken.permission):
        await session.require(permission)
    caller = await session.caller()
    command = CreateTenant(name=body.name, title=body.title)
    tenant = await session.tell(TenantView, command)
    id, digest, token = draw(tenant.name)
    issue = IssueToken(
        id=id,
        secret_sha256=digest,
        label=FIRST_LABEL,
        permissions=[name for name in OWNER_PERMISSIONS if caller.may(name)],
    )
    issued = await session.tell(TokenView, issue, tenant=tenant.name)
    shown = token.reveal() if issued.id == id else None
    view = TenantCreated(name=tenant.name, title=tenant.title, token=shown)
    headers = {"location": f"/api/v1/tenants/{tenant.name}", "cache-control": "no-store"}
    return answered(view, 201, headers)


@router.get("", response_model=TenantList, responses=READ, openapi_extra=message(ListTenants))
async def list_tenants(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The register, by name."""
    return answered(await session.ask(TenantList, ListTenants(after=after, limit=limit)))


@router.get("/{name}", response_model=TenantView, responses=READ, openapi_extra=message(GetTenant))
async def get_tenant(name: TenantPath, session: Reading) -> Response:
    """One tenant; its own members see it too, in the root tenant only."""
    return answered(await session.ask(TenantView, GetTenant(name=name)))


@router.post(
    "/import",
    status_code=201,
    response_model=TenantView,
    responses={201: {"headers": location("The tenant.")}, **WRITE},
    openapi_extra={
        **message(ImportTenant),
        "requestBody": {
            "required": True,
            "content": {NDJSON: {"schema": {"type": "string"}}},
            "description": "A file of `GET /tenants/{name}/export`, whole.",
        },
    },
)
async def import_tenant(session: Writing, request: Request, vkey: VKeys = None) -> Response:
    """Take a tenant over from another installation, under the name that it has. Everything is
    verified before anything is written, and all is written or nothing. Give the key of its log
    from a source that you trust; without one, a file forged as a whole would be taken too."""
    await session.require(ImportTenant.permission)
    trust = Trust([Verifier.parse(each) for each in vkey or []])
    home = services_of(request).installation.home
    with NamedTemporaryFile(dir=None if home is None else home.create().cache) as file:
        async for piece in request.stream():
            await asyncio.to_thread(file.write, piece)
        file.flush()
        file.seek(0)
        found = await asyncio.to_thread(lambda: inspect(read_lines(file), trust))
        log = found.log
        source = Imported(origin=log.origin, size=log.size, root=log.root, sha256=found.sha256)
        command = ImportTenant.model_validate(
            {"name": found.tenant, "title": found.title, "source": source, "file": file.name}
        )
        tenant = await session.tell(TenantView, command)
    return answered(tenant, 201, {"location": f"/api/v1/tenants/{tenant.name}"})


@router.post(
    "/{name}/suspension",
    response_model=TenantView,
    responses=WRITE,
    openapi_extra=message(SuspendTenant),
)
async def suspend_tenant(name: TenantPath, body: NewSuspension, session: Writing) -> Response:
    """Suspend a tenant: its tokens are refused, its builds rest and its platforms stop. Nothing
    is lost; resuming restores everything. Suspending it again changes nothing."""
    return answered(await session.tell(TenantView, SuspendTenant(name=name, reason=body.reason)))


@router.delete(
    "/{name}/suspension",
    response_model=TenantView,
    responses=WRITE,
    openapi_extra=message(ResumeTenant),
)
async def resume_tenant(name: TenantPath, session: Writing) -> Response:
    """Resume a suspended tenant. Resuming one that is active changes nothing."""
    return answered(await session.tell(TenantView, ResumeTenant(name=name)))


@router.get(
    "/{name}/export",
    response_class=Response,
    responses={**text_answer(NDJSON, "The file, line by line; it ends with its end."), **READ},
    openapi_extra=message(ExportTenant),
)
async def export_tenant(
    name: TenantPath, session: Reading, request: Request, recipient: Recipient = None
) -> Response:
    """Everything of a tenant in one file that verifies anywhere (`webnova tenant verify`) and can
    be imported elsewhere. It is read from one instant; only a file with its end is whole."""
    tenant = await session.ask(TenantView, ExportTenant(name=name))
    lines = (
        services_of(request).installation.archivist().export(tenant.name, tenant.title, recipient)
    )
    # What can go wrong goes wrong here, while the status can still say so.
    first = await anext(lines)

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(lines) as source:
            yield first
            async for line in source:
                yield line

    disposition = f'attachment; filename="tenant-{name}.jsonl"'
    headers = {"cache-control": "no-store", "content-disposition": disposition}
    return StreamingResponse(body(), media_type=NDJSON, headers=headers)


@router.delete(
    "/{name}",
    status_code=202,
    response_model=TenantView,
    responses=WRITE,
    openapi_extra=message(DeleteTenant),
)
async def delete_tenant(name: TenantPath, session: Writing, request: Request) -> Response:
    """Delete a suspended tenant for ever: its rows, its keys, its files. Its name and the last
    checkpoint of its log remain. `deleted.purged_at` is set once nothing else is left."""
    await session.require(DeleteTenant.permission)
    tenant = await session.ask(TenantView, GetTenant(name=name))
    if tenant.deleted is not None:
        return answered(tenant, 202)
    require_deletable(tenant, system_clock())
    mark = await services_of(request).installation.last_checkpoint(name)
    root = encoded(mark.root)
    command = DeleteTenant(name=name, origin=mark.origin, size=mark.size, root=root)
    return answered(await session.tell(TenantView, command), 202)
