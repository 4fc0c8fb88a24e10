"""Everything that happens in a tenant, as pages or live."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query, Request
from starlette.responses import Response

from engine.kernel.contracts import Recorded, View
from serve_apps.authentication import Reading
from serve_apps.events import Event, event_stream, recorded_frames, shown
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered
from serve_apps.routes.input import EventIdPath
from serve_apps.services import services_of

router = new_router("events", "/events")

PERMISSION = "event.read"
CURSOR = r"^[0-9]{1,19}-[0-9]{1,18}$"
LastEventId = Annotated[
    str | None,
    Header(pattern=CURSOR, description="Id of the last event received; the stream goes on there."),
]


class EventLinks(View):
    """`causes` are what led to the event, the nearest first; `siblings` happened in the same
    transaction; `effects` are what it led to, in order. At most 20 steps are followed each way."""

    event: Event
    causes: list[Event]
    siblings: list[Event]
    effects: list[Event]


class EventPage(View):
    """`next` is null on the last page; go on later with the `cursor` of the last item."""

    items: list[Event]
    next: str | None = None


@router.get(
    "",
    response_model=EventPage,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **documented(401, 403, 404, 422, 503),
    },
    openapi_extra={
        "x-webnova-message": "Feed",
        "x-webnova-permission": PERMISSION,
        "x-webnova-writes": False,
    },
)
async def list_events(
    session: Reading,
    request: Request,
    after: Annotated[str | None, Query(pattern=CURSOR, description="A cursor.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    accept: Annotated[str, Header()] = "application/json",
    last_event_id: LastEventId = None,
) -> Response:
    """The tenant's events, oldest first; with `Accept: text/event-stream` also those to come."""
    services = services_of(request)
    feed = services.installation.feed
    await session.require(PERMISSION)
    if "text/event-stream" not in accept.lower():
        found = await feed.read(session.tenant, after=after, limit=limit + 1)
        page = [shown(each) for each in found[:limit]]
        return answered(EventPage(items=page, next=page[-1].cursor if len(found) > limit else None))
    cursor = last_event_id or after
    await feed.read(session.tenant, after=cursor, limit=1)
    events = feed.subscribe(session.tenant, after=cursor)
    return event_stream(recorded_frames(events, session.prove_again), services.streams)


@router.get(
    "/{event_id}/links",
    response_model=EventLinks,
    responses=documented(401, 403, 404, 422, 503),
    openapi_extra={
        "x-webnova-message": "EventStore",
        "x-webnova-permission": PERMISSION,
        "x-webnova-writes": False,
    },
)
async def get_event_links(event_id: EventIdPath, session: Reading, request: Request) -> Response:
    """Why an event happened, what happened with it, and what came of it."""
    await session.require(PERMISSION)
    found = await services_of(request).installation.streams.links(session.tenant, event_id)
    view = EventLinks(
        event=shown(found.event),
        causes=[shown(each) for each in found.causes],
        siblings=[shown(each) for each in found.siblings],
        effects=[shown(each) for each in found.effects],
    )
    return answered(view)


def is_past(cursor: str, recorded: Recorded) -> bool:
    """Whether a reader who stands at `cursor` has seen the event."""
    xid, _, position = cursor.partition("-")
    return (int(xid), int(position)) >= (recorded.xid, recorded.position)
