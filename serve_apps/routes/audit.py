"""The tamper-evident log of the tenant's events: checkpoints, proofs and whole exports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response, StreamingResponse

from engine.ledger.transparency.queries import (
    MOST,
    ConsistencyProof,
    GetLogHead,
    InclusionProof,
    LogHead,
    ProveConsistency,
    ProveInclusion,
)
from serve_apps.authentication import Reading
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import NDJSON, answered, message, text_answer
from serve_apps.services import services_of

router = new_router("audit", "/audit")
READ = documented(401, 403, 404, 409, 422, 503)
VKEY = "x-webnova-vkey"
"""The header with the verifier key of the log's current signer."""

SHOWN = {
    VKEY: {
        "description": "The signer's verifier key.",
        "schema": {"type": "string"},
        "required": True,
    }
}

Size = Annotated[
    int | None, Query(ge=1, le=MOST, description="Of the tree; the whole log when left out.")
]


@router.get(
    "/checkpoint",
    response_class=Response,
    responses={
        **text_answer("text/plain", "A C2SP signed note holding a checkpoint.", SHOWN),
        **READ,
    },
    openapi_extra=message(GetLogHead),
)
async def get_checkpoint(session: Reading, request: Request) -> Response:
    """The signed checkpoint of the log as it now is; it is published before it is answered. Keep
    it: nobody can change an event that it covers without contradicting it."""
    await session.ask(LogHead, GetLogHead())
    notary = services_of(request).installation.notary()
    note = await notary.checkpoint(session.tenant)
    return Response(
        note,
        media_type="text/plain; charset=utf-8",
        headers={"cache-control": "no-store", VKEY: notary.verifiers(session.tenant)[0].vkey},
    )


@router.get(
    "/proof/inclusion",
    response_model=InclusionProof,
    responses=READ,
    openapi_extra=message(ProveInclusion),
)
async def prove_inclusion(
    session: Reading,
    event: Annotated[UUID | None, Query(description="The event's id; or give its index.")] = None,
    index: Annotated[int | None, Query(ge=0, lt=MOST, description="Its number, from 0.")] = None,
    size: Size = None,
) -> Response:
    """That an event is in the log, with the content that it has."""
    query = ProveInclusion(event=event, index=index, size=size)
    return answered(await session.ask(InclusionProof, query))


@router.get(
    "/proof/consistency",
    response_model=ConsistencyProof,
    responses=READ,
    openapi_extra=message(ProveConsistency),
)
async def prove_consistency(
    session: Reading,
    old: Annotated[int, Query(alias="from", ge=0, le=MOST, description="Size of the older tree.")],
    new: Annotated[
        int | None, Query(alias="to", ge=0, le=MOST, description="Of the newer; all if left out.")
    ] = None,
) -> Response:
    """That the log of one size is the beginning of the log of a later size."""
    query = ProveConsistency(old_size=old, new_size=new)
    return answered(await session.ask(ConsistencyProof, query))


@router.get(
    "/export",
    response_class=Response,
    responses={**text_answer(NDJSON, "A header, then one event on each line."), **READ},
    openapi_extra=message(GetLogHead),
)
async def export_log(session: Reading, request: Request) -> Response:
    """All logged events with their leaf hashes, the checkpoint and its key: everything that is
    needed to check them without this installation (`webnova audit verify`)."""
    await session.ask(LogHead, GetLogHead())
    lines = services_of(request).installation.auditor().export(session.tenant)
    # What can go wrong goes wrong here, while the status can still say so.
    header = await anext(lines)

    async def body() -> AsyncIterator[bytes]:
        yield header
        async for line in lines:
            yield line

    name = f"audit-{session.tenant}.jsonl"
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body(), media_type=NDJSON, headers=headers)
