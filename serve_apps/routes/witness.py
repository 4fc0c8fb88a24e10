"""Being a witness of others' logs (c2sp.org/tlog-witness)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import Field
from starlette.responses import Response

from engine.kernel.contracts import View
from engine.kernel.errors import TooLarge
from engine.ledger.transparency.publishing.witnesses import SIZE_TYPE
from engine.ledger.transparency.publishing.witnessing import (
    LARGEST_REQUEST,
    DistrustLog,
    ListWitnessedLogs,
    SeenOtherwise,
    TrustLog,
    Vkey,
    WitnessCheckpoint,
    Witnessed,
    WitnessedLogList,
    WitnessedLogView,
    read_request,
)
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import MEDIA_TYPE, documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, location, message, text_answer
from serve_apps.routes.input import After, Limit, RequestBody
from serve_apps.services import services_of

router = new_router("audit", "/audit/witness")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)
TEXT = "text/plain"

LogPath = Annotated[str, Path(description="Id of the log.", pattern=r"^wlog_[0-9a-f]{32}$")]


class WitnessView(View):
    """The tenant as a witness: its name, and the keys that its cosignatures verify with, the one to
    hand out first."""

    name: str
    vkeys: list[str]


class TrustedLog(RequestBody):
    vkey: Vkey = Field(
        description="The log's verifier key.", examples=["webnova-x/acme+1a2b3c4d+AQ…"]
    )


def _add_checkpoint_responses() -> dict[int | str, dict[str, Any]]:
    responses = {**text_answer(TEXT, "Cosignature lines, to be added to the note."), **WRITE}
    responses |= documented(400)
    seen = {"schema": {"type": "string"}}
    problem = responses[409]["content"][MEDIA_TYPE]
    responses[409] = {
        "description": "The log was seen up to another size, which is answered; or, at the size "
        "that was sent, with another root.",
        "content": {SIZE_TYPE: seen, MEDIA_TYPE: problem},
    }
    return responses


@router.get(
    "", response_model=WitnessView, responses=READ, openapi_extra=message(ListWitnessedLogs)
)
async def get_witness(session: Reading, request: Request) -> Response:
    """The name and the keys under which the tenant cosigns checkpoints of others."""
    await session.require(ListWitnessedLogs.permission)
    keys = [each.key for each in services_of(request).installation.cosigners(session.tenant)]
    return answered(WitnessView(name=keys[0].name, vkeys=[key.vkey for key in keys]))


@router.get(
    "/logs",
    response_model=WitnessedLogList,
    responses=READ,
    openapi_extra=message(ListWitnessedLogs),
)
async def list_witnessed_logs(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The logs that the tenant watches, and the last checkpoint of each that it has cosigned."""
    query = ListWitnessedLogs(after=after, limit=limit)
    return answered(await session.ask(WitnessedLogList, query))


@router.post(
    "/logs",
    status_code=201,
    response_model=WitnessedLogView,
    responses={201: {"headers": location("The witness's logs.")}, **WRITE},
    openapi_extra=message(TrustLog),
)
async def trust_log(body: TrustedLog, session: Writing) -> Response:
    """Cosign the checkpoints of a log from now on."""
    view = await session.tell(WitnessedLogView, TrustLog(vkey=body.vkey))
    return answered(view, 201, {"location": "/api/v1/audit/witness/logs"})


@router.delete(
    "/logs/{id}",
    response_model=WitnessedLogView,
    responses=WRITE,
    openapi_extra=message(DistrustLog),
)
async def distrust_log(id: LogPath, session: Writing) -> Response:
    """Cosign nothing of a log any more. How far it was seen stays known."""
    return answered(await session.tell(WitnessedLogView, DistrustLog(id=id)))


@router.post(
    "/add-checkpoint",
    response_class=Response,
    responses=_add_checkpoint_responses(),
    openapi_extra={
        **message(WitnessCheckpoint),
        "requestBody": {
            "required": True,
            "content": {TEXT: {"schema": {"type": "string"}}},
            "description": "The line `old N`, lines of the consistency proof in base64, an empty "
            "line and the signed checkpoint.",
        },
    },
)
async def add_checkpoint(session: Writing, request: Request) -> Response:
    """Cosign a checkpoint of a trusted log that continues the last one that was cosigned. What was
    cosigned is recorded before it is answered."""
    await session.require(WitnessCheckpoint.permission)
    try:
        seen = await session.tell(Witnessed, read_request(await _body(request)))
    except SeenOtherwise as other:
        return Response(f"{other.fields['size']}\n", 409, {"content-type": SIZE_TYPE})
    cosigners = services_of(request).installation.cosigners(session.tenant)
    lines = "".join(each.line(seen.text, seen.at) for each in cosigners)
    return Response(lines, media_type="text/plain; charset=utf-8")


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_REQUEST:
            raise TooLarge(f"The request is larger than {LARGEST_REQUEST} bytes.")
    return body
