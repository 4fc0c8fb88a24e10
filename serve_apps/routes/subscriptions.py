"""Durable subscriptions: events that wait until a program has taken them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import Field
from starlette.responses import Response

from engine.ledger.subscriptions.records import (
    LONGEST_LEASE_S,
    MOST_SLOTS,
    REPLAYS_AT_ONCE,
    Acknowledged,
    AcknowledgeEvents,
    CloseSubscription,
    Consumer,
    Cursor,
    DeadLetterList,
    EventId,
    GetSubscription,
    LeasedEvents,
    LeaseEvents,
    ListDeadLetters,
    ListSubscriptions,
    OpenSubscription,
    RejectEvent,
    ReplayDeadLetters,
    Replayed,
    Start,
    SubscriptionList,
    SubscriptionName,
    SubscriptionSummary,
    SubscriptionView,
)
from engine.ledger.subscriptions.topics import Patterns
from serve_apps.authentication import Reading, Writing
from serve_apps.problems import documented
from serve_apps.routes import new_router
from serve_apps.routes.answers import answered, location, message
from serve_apps.routes.input import NAME, After, AfterEvent, Limit, RequestBody

router = new_router("subscriptions", "/subscriptions")
READ = documented(401, 403, 404, 422, 503)
WRITE = documented(401, 403, 404, 409, 413, 422, 429, 503)

NamePath = Annotated[
    str,
    Path(
        description="Name of the subscription.",
        pattern=NAME,
        min_length=2,
        max_length=40,
        examples=["warehouse"],
    ),
]
SlotPath = Annotated[int, Path(ge=0, lt=MOST_SLOTS, description="Number of the leased slot.")]


class NewSubscription(RequestBody):
    """Each slot can be leased by one consumer at a time; a stream's events stay in one slot."""

    name: SubscriptionName = Field(examples=["warehouse"])
    types: Patterns = Field(examples=[["run.*"]], description="Event types, `area.*` or `*`.")
    slots: int = Field(1, ge=1, le=MOST_SLOTS, description="Fixed for its life.")
    start: Start = "now"


class LeaseWish(RequestBody):
    consumer: Consumer = Field(description="Who asks, for people who look at the lag.")
    seconds: int = Field(30, ge=1, le=LONGEST_LEASE_S)
    limit: int = Field(100, ge=1, le=500)


class Acknowledgement(RequestBody):
    fence: int = Field(ge=1, lt=2**62, description="That of the lease.")
    cursor: Cursor | None = Field(None, description="Everything up to it is done.")
    replayed: list[EventId] = Field([], max_length=REPLAYS_AT_ONCE)
    keep: bool = Field(False, description="Keep the lease for another 30 seconds.")


class Rejection(RequestBody):
    fence: int = Field(ge=1, lt=2**62, description="That of the lease.")
    event_id: EventId
    error: str = Field(min_length=1, max_length=500)


class ReplayWish(RequestBody):
    event_id: EventId | None = Field(None, description="The stream of this one; else all.")


@router.post(
    "",
    status_code=201,
    response_model=SubscriptionView,
    responses={201: {"headers": location("The subscription.")}, **WRITE},
    openapi_extra=message(OpenSubscription),
)
async def open_subscription(body: NewSubscription, session: Writing) -> Response:
    """Keep a place in the tenant's events under a name."""
    view = await session.tell(SubscriptionView, OpenSubscription(**body.model_dump()))
    return answered(view, 201, {"location": f"/api/v1/subscriptions/{view.name}"})


@router.get(
    "", response_model=SubscriptionList, responses=READ, openapi_extra=message(ListSubscriptions)
)
async def list_subscriptions(session: Reading, after: After = None, limit: Limit = 50) -> Response:
    """The tenant's durable subscriptions."""
    query = ListSubscriptions(after=after, limit=limit)
    return answered(await session.ask(SubscriptionList, query))


@router.get(
    "/{name}",
    response_model=SubscriptionView,
    responses=READ,
    openapi_extra=message(GetSubscription),
)
async def get_subscription(name: NamePath, session: Reading) -> Response:
    """How far each slot is behind, and which transaction all readers wait for, if one does."""
    return answered(await session.ask(SubscriptionView, GetSubscription(name=name)))


@router.delete(
    "/{name}",
    response_model=SubscriptionSummary,
    responses=WRITE,
    openapi_extra=message(CloseSubscription),
)
async def close_subscription(name: NamePath, session: Writing) -> Response:
    """Forget the place and the dead letters."""
    return answered(await session.tell(SubscriptionSummary, CloseSubscription(name=name)))


@router.post(
    "/{name}/leases",
    response_model=LeasedEvents,
    responses=WRITE,
    openapi_extra=message(LeaseEvents),
)
async def lease_events(name: NamePath, body: LeaseWish, session: Writing) -> Response:
    """Take a slot with its next events. Unless they are acknowledged in time, another gets them."""
    return answered(await session.tell(LeasedEvents, LeaseEvents(name=name, **body.model_dump())))


@router.post(
    "/{name}/slots/{slot}/acknowledge",
    response_model=Acknowledged,
    responses=WRITE,
    openapi_extra=message(AcknowledgeEvents),
)
async def acknowledge_events(
    name: NamePath, slot: SlotPath, body: Acknowledgement, session: Writing
) -> Response:
    """Everything up to the cursor is done."""
    command = AcknowledgeEvents(name=name, slot=slot, **body.model_dump())
    return answered(await session.tell(Acknowledged, command))


@router.post(
    "/{name}/slots/{slot}/reject",
    response_model=Acknowledged,
    responses=WRITE,
    openapi_extra=message(RejectEvent),
)
async def reject_event(
    name: NamePath, slot: SlotPath, body: Rejection, session: Writing
) -> Response:
    """Make the next event a dead letter; the later ones of its stream wait behind it."""
    command = RejectEvent(name=name, slot=slot, **body.model_dump())
    return answered(await session.tell(Acknowledged, command))


@router.get(
    "/{name}/dead-letters",
    response_model=DeadLetterList,
    responses=READ,
    openapi_extra=message(ListDeadLetters),
)
async def list_dead_letters(
    name: NamePath, session: Reading, after: AfterEvent = None, limit: Limit = 50
) -> Response:
    """Events that could not be taken, and those that wait behind them."""
    query = ListDeadLetters(name=name, after=after, limit=limit)
    return answered(await session.ask(DeadLetterList, query))


@router.post(
    "/{name}/dead-letters/replay",
    response_model=Replayed,
    responses=WRITE,
    openapi_extra=message(ReplayDeadLetters),
)
async def replay_dead_letters(name: NamePath, body: ReplayWish, session: Writing) -> Response:
    """Send dead letters again: all, or the stream of one."""
    command = ReplayDeadLetters(name=name, event_id=body.event_id)
    return answered(await session.tell(Replayed, command))
