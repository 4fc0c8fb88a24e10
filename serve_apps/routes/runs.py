"""Runs: the durable processes behind every build, and their progress as it happens."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from engine.conductor.requests import CancelRun, GetRun, ListRuns
from engine.conductor.runs import (
    ENDED,
    Run,
    RunCancelled,
    RunFailed,
    RunList,
    RunSucceeded,
    RunView,
)
from engine.kernel.errors import NotFound
from serve_apps.authentication import Reading, Writing
from serve_apps.events import event_stream, recorded_frames
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, message
from serve_apps.routes.events import LastEventId, is_past
from serve_apps.routes.input import NAME, After, Limit, RunPath
from serve_apps.services import services_of

router = new_router("runs", "/runs")
READ = documented(401, 403, 404, 422, 503)
LAST = frozenset({RunSucceeded.type, RunFailed.type, RunCancelled.type})


@router.get("", response_model=RunList, responses=READ, openapi_extra=message(ListRuns))
async def list_runs(
    session: Reading,
    platform: Annotated[
        str | None, Query(pattern=NAME, min_length=2, max_length=40, description="Only of it.")
    ] = None,
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """The tenant's runs, newest first."""
    query = ListRuns(platform=platform, after=after, limit=limit)
    return answered(await session.ask(RunList, query))


@router.get("/{id}", response_model=RunView, responses=READ, openapi_extra=message(GetRun))
async def get_run(id: RunPath, session: Reading) -> Response:
    """One run with its steps, their durations and what they gave."""
    return answered(await session.ask(RunView, GetRun(id=id)))


@router.post(
    "/{id}/cancel",
    response_model=RunView,
    responses=documented(401, 403, 404, 409, 413, 422, 429, 503),
    openapi_extra=message(CancelRun),
)
async def cancel_run(id: RunPath, session: Writing, request: Request) -> Response:
    """Ask a run to stop at its next step. One that is over stays as it is."""
    view = await session.tell(RunView, CancelRun(id=id))
    services_of(request).gateway.nudge()
    return answered(view)


@router.get(
    "/{id}/log",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **READ},
    openapi_extra=message(GetRun),
)
async def get_run_log(id: RunPath, session: Reading, request: Request) -> Response:
    """The full account of a failure, as text."""
    view = await session.ask(RunView, GetRun(id=id))
    if view.log is None:
        raise NotFound("This run kept no log; only one that failed does.")
    async with services_of(request).installation.transactions.reading(session.tenant) as reader:
        content = await reader.blob(view.log)
    return Response(content, media_type="text/plain; charset=utf-8")


@router.get(
    "/{id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events; the stream ends with the run.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The run is over and `Last-Event-ID` is its last event."},
        **READ,
    },
    openapi_extra=message(GetRun),
)
async def stream_run_events(
    id: RunPath, session: Reading, request: Request, last_event_id: LastEventId = None
) -> Response:
    """The run's progress, past and to come. `Last-Event-ID` resumes without loss."""
    services = services_of(request)
    installation = services.installation
    view = await session.ask(RunView, GetRun(id=id))
    await installation.feed.read(session.tenant, after=last_event_id, limit=1)
    if view.state in ENDED and last_event_id is not None:
        async with installation.transactions.reading(session.tenant) as reader:
            history = await reader.history(Run, id)
        # Archived events lie before every cursor that is still good.
        if not history or is_past(last_event_id, history[-1]):
            return Response(status_code=204)
    events = installation.feed.subscribe(session.tenant, after=last_event_id, kind=Run.kind, id=id)
    frames = recorded_frames(events, session.prove_again, lambda event: event.type in LAST)
    return event_stream(frames, services.streams)
