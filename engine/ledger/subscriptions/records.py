"""Durable subscriptions of a tenant's own programs: leased, acknowledged, and never lost.

A program leases a slot, handles its events in order and acknowledges them; any number of programs
compete for the slots, and each stream belongs to one slot, so its events keep their order. What was
not acknowledged when the lease runs out is sent again: at least once. An event that a program
rejects becomes a dead letter, and the later events of its stream wait behind it until it is
replayed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints

from engine.kernel.contracts import (
    Call,
    Catalogue,
    Command,
    Document,
    Event,
    Query,
    Recorded,
    Versioned,
    View,
)
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, NotFound
from engine.ledger.subscriptions.store import BEGINNING, Checkpoints, DeadLetter, Lag, Stall
from engine.ledger.subscriptions.topics import Patterns, matching, require_known

SubscriptionName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)
]
Consumer = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=100)]
EventId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}-[0-9]{1,18}$")]
Start = Literal["beginning", "now"]

MOST_SLOTS = 64
LONGEST_LEASE_S = 600
REPLAYS_AT_ONCE = 100


class SubscriptionOpened(Event):
    type = "subscription.opened"
    name: str
    types: list[str]
    slots: int
    start: Start


class SubscriptionClosed(Event):
    type = "subscription.closed"


class DeadLettersReplayed(Event):
    """Somebody wanted dead letters to be tried again; `event_id` None means all of them."""

    type = "subscription.replayed"
    event_id: str | None
    count: int


class Subscription(Document):
    """A closed subscription keeps its document, and its name may be opened again."""

    kind = "subscription"
    events = (SubscriptionOpened, SubscriptionClosed, DeadLettersReplayed)

    name: str
    types: list[str]
    slots: int
    open: bool = True

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, SubscriptionOpened):
            return cls(name=event.name, types=event.types, slots=event.slots)
        assert state is not None
        if isinstance(event, SubscriptionClosed):
            return state.model_copy(update={"open": False})
        return state


class OpenSubscription(Command):
    permission: ClassVar[str] = "subscription.write"
    emits: ClassVar[tuple[type[Event], ...]] = (SubscriptionOpened,)

    name: SubscriptionName
    types: Patterns
    slots: int = Field(1, ge=1, le=MOST_SLOTS)
    start: Start = "now"


class CloseSubscription(Command):
    permission: ClassVar[str] = "subscription.write"
    emits: ClassVar[tuple[type[Event], ...]] = (SubscriptionClosed,)

    name: SubscriptionName


class LeaseEvents(Command):
    """Take a slot that has something to do, with its next events."""

    permission: ClassVar[str] = "subscription.consume"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    name: SubscriptionName
    consumer: Consumer
    seconds: int = Field(30, ge=1, le=LONGEST_LEASE_S)
    limit: int = Field(100, ge=1, le=500)


class AcknowledgeEvents(Command):
    """Everything up to the cursor is done; `replayed` names dead letters that were taken."""

    permission: ClassVar[str] = "subscription.consume"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    name: SubscriptionName
    slot: int = Field(ge=0, lt=MOST_SLOTS)
    fence: int = Field(ge=1)
    cursor: Cursor | None = None
    replayed: list[EventId] = Field(default=[], max_length=REPLAYS_AT_ONCE)
    keep: bool = False


class RejectEvent(Command):
    """The consumer can't take this event, which comes next or is being replayed."""

    permission: ClassVar[str] = "subscription.consume"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    name: SubscriptionName
    slot: int = Field(ge=0, lt=MOST_SLOTS)
    fence: int = Field(ge=1)
    event_id: EventId
    error: str = Field(min_length=1, max_length=500)


class ReplayDeadLetters(Command):
    """Try dead letters again: all, or the stream of one."""

    permission: ClassVar[str] = "subscription.write"
    emits: ClassVar[tuple[type[Event], ...]] = (DeadLettersReplayed,)

    name: SubscriptionName
    event_id: EventId | None = None


class ListSubscriptions(Query):
    permission: ClassVar[str] = "subscription.read"

    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class GetSubscription(Query):
    permission: ClassVar[str] = "subscription.read"

    name: str


class ListDeadLetters(Query):
    permission: ClassVar[str] = "subscription.read"

    name: str
    after: EventId | None = None
    limit: int = Field(50, ge=1, le=200)


class SlotView(View):
    """How far a slot is behind: events (at most 10,000 are counted) and the age of the oldest.

    `waiting` counts events that nobody may read yet, because an older transaction is open.
    """

    number: int
    cursor: str
    owner: str | None
    leased_until: datetime | None
    events: int
    waiting: int
    seconds: float


class StallView(View):
    """The transaction that all readers wait for: its server process and how long it is open."""

    pid: int
    application: str
    state: str
    seconds: float


class SubscriptionView(View):
    name: str
    types: list[str]
    slots: list[SlotView]
    dead_letters: int = Field(description="At most 1,000 are counted.")
    stalled_by: StallView | None


class SubscriptionSummary(View):
    name: str
    types: list[str]
    slots: int


class SubscriptionList(View):
    items: list[SubscriptionSummary]
    next: str | None = None


class ConsumedEvent(View):
    """An event with its id, which tells repeated deliveries apart."""

    event_id: str
    cursor: str
    type: str
    schema_version: int
    kind: str
    id: str
    version: int
    at: datetime
    data: dict[str, Any]
    metadata: dict[str, Any]
    replayed: bool


class LeasedEvents(View):
    """A leased slot and its events in order. `slot` is null when there is nothing to do now.

    Acknowledge with `cursor` when all are done, or with that of the last one that is.
    """

    slot: int | None
    fence: int
    cursor: str | None
    items: list[ConsumedEvent]


NOTHING = LeasedEvents(slot=None, fence=0, cursor=None, items=[])


class Acknowledged(View):
    slot: int
    cursor: str


class DeadLetterView(View):
    """`error` is empty for an event that only waits behind another of its stream."""

    event_id: str
    type: str
    kind: str
    id: str
    version: int
    slot: int
    attempts: int
    error: str
    at: datetime
    replay: bool


class DeadLetterList(View):
    items: list[DeadLetterView]
    next: str | None = None


class Replayed(View):
    count: int


class Subscriptions:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def handlers(self) -> Handlers:
        made = Handlers()
        made.command(OpenSubscription, SubscriptionView)(self.open)
        made.command(CloseSubscription, SubscriptionSummary)(self.close)
        made.command(LeaseEvents, LeasedEvents)(self.lease)
        made.command(AcknowledgeEvents, Acknowledged)(self.acknowledge)
        made.command(RejectEvent, Acknowledged)(self.reject)
        made.command(ReplayDeadLetters, Replayed)(self.replay)
        made.query(ListSubscriptions, SubscriptionList)(self.list)
        made.query(GetSubscription, SubscriptionView)(self.get)
        made.query(ListDeadLetters, DeadLetterList)(self.dead_letters)
        return made

    async def open(self, command: OpenSubscription, tx: Transaction, call: Call) -> View:
        require_known(command.types, self._catalogue)
        found = await tx.find(Subscription, command.name)
        if found is not None and found.document.open:
            raise Conflict(
                f"A subscription called {command.name!r} exists.", mend="Choose another name."
            )
        opened = SubscriptionOpened(**command.model_dump())
        stored = await tx.append(
            Subscription, command.name, [opened], expected=found.version if found else 0
        )
        start = BEGINNING if command.start == "beginning" else None
        await tx.part(Checkpoints).open(command.name, command.slots, start)
        return await self._view(stored.document, tx)

    async def close(self, command: CloseSubscription, tx: Transaction, call: Call) -> View:
        found = await self._open(command.name, tx)
        await tx.append(Subscription, command.name, [SubscriptionClosed()], expected=found.version)
        await tx.part(Checkpoints).close(command.name)
        return _summary(found.document)

    async def lease(self, command: LeaseEvents, tx: Transaction, call: Call) -> LeasedEvents:
        found = await self._open(command.name, tx)
        checkpoints = tx.part(Checkpoints)
        slot = await checkpoints.lease(command.name, command.consumer, command.seconds)
        if slot is None:
            return NOTHING
        types = matching(found.document.types, self._catalogue.events)
        waiting = await checkpoints.waiting(slot, REPLAYS_AT_ONCE) if slot.replay else []
        batch = await checkpoints.next(slot, types, command.limit)
        while batch.full and not batch.events:
            # All of these wait behind dead letters.
            await checkpoints.move(slot, batch.cursor, types)
            slot = replace(slot, cursor=batch.cursor)
            batch = await checkpoints.next(slot, types, command.limit)
        items = [self._consumed(each, True) for each in waiting]
        items += [self._consumed(each, False) for each in batch.events]
        if not items:
            await checkpoints.move(slot, batch.cursor, types)
            await checkpoints.release(slot)
            return NOTHING
        return LeasedEvents(slot=slot.number, fence=slot.fence, cursor=batch.cursor, items=items)

    async def acknowledge(
        self, command: AcknowledgeEvents, tx: Transaction, call: Call
    ) -> Acknowledged:
        found = await self._open(command.name, tx)
        checkpoints = tx.part(Checkpoints)
        slot = await checkpoints.hold(command.name, command.slot, command.fence, seconds=30)
        cursor = max(command.cursor or slot.cursor, slot.cursor, key=place)
        # First what comes behind dead letters is put behind them; then some of them are done.
        await checkpoints.move(slot, cursor, matching(found.document.types, self._catalogue.events))
        done = set(command.replayed)
        for recorded in await checkpoints.waiting(slot, REPLAYS_AT_ONCE) if done else ():
            if recorded.event_id in done:
                await checkpoints.revived(slot, recorded)
        if not command.keep:
            await checkpoints.release(slot)
        return Acknowledged(slot=slot.number, cursor=cursor)

    async def reject(self, command: RejectEvent, tx: Transaction, call: Call) -> Acknowledged:
        found = await self._open(command.name, tx)
        checkpoints = tx.part(Checkpoints)
        slot = await checkpoints.hold(command.name, command.slot, command.fence, seconds=30)
        waiting = await checkpoints.waiting(slot, REPLAYS_AT_ONCE) if slot.replay else []
        for recorded in waiting:
            if recorded.event_id == command.event_id:
                await checkpoints.bury(slot, recorded, attempts=1, error=command.error)
                return Acknowledged(slot=slot.number, cursor=slot.cursor)
        types = matching(found.document.types, self._catalogue.events)
        batch = await checkpoints.next(slot, types, 1)
        if not batch.events or batch.events[0].event_id != command.event_id:
            raise Conflict(
                "That event is not the one that comes next.",
                mend="Acknowledge those before it, then reject it.",
            )
        recorded = batch.events[0]
        await checkpoints.bury(slot, recorded, attempts=1, error=command.error)
        await checkpoints.move(slot, recorded.cursor, types)
        return Acknowledged(slot=slot.number, cursor=recorded.cursor)

    async def replay(self, command: ReplayDeadLetters, tx: Transaction, call: Call) -> Replayed:
        found = await self._open(command.name, tx)
        count = await tx.part(Checkpoints).replay(command.name, command.event_id)
        if command.event_id is not None and not count:
            raise NotFound(f"There is no dead letter {command.event_id!r}.")
        if count:
            event = DeadLettersReplayed(event_id=command.event_id, count=count)
            await tx.append(Subscription, command.name, [event], expected=found.version)
        return Replayed(count=count)

    async def list(self, query: ListSubscriptions, reader: Reader) -> SubscriptionList:
        found = await reader.list(Subscription, after=query.after, limit=query.limit + 1)
        page = found[: query.limit]
        return SubscriptionList(
            items=[_summary(each.document) for each in page if each.document.open],
            next=page[-1].id if len(found) > len(page) else None,
        )

    async def get(self, query: GetSubscription, reader: Reader) -> SubscriptionView:
        return await self._view((await self._open(query.name, reader)).document, reader)

    async def dead_letters(self, query: ListDeadLetters, reader: Reader) -> DeadLetterList:
        await self._open(query.name, reader)
        found = await reader.part(Checkpoints).dead_letters(
            query.name, after=query.after, limit=query.limit + 1
        )
        page = found[: query.limit]
        return DeadLetterList(
            items=[_dead_letter(each) for each in page],
            next=page[-1].event_id if len(found) > len(page) else None,
        )

    async def _open(self, name: str, reader: Reader) -> Versioned[Subscription]:
        found = await reader.find(Subscription, name)
        if found is None or not found.document.open:
            raise NotFound(f"There is no subscription {name!r}.")
        return found

    async def _view(self, document: Subscription, reader: Reader) -> SubscriptionView:
        checkpoints = reader.part(Checkpoints)
        types = matching(document.types, self._catalogue.events)
        lags = await checkpoints.lag(document.name, types)
        stall = await checkpoints.stall()
        dead = await checkpoints.dead_letters(document.name, after=None, limit=1000)
        return SubscriptionView(
            name=document.name,
            types=document.types,
            slots=[_slot(each) for each in lags],
            dead_letters=len(dead),
            stalled_by=None if stall is None else _stall(stall),
        )

    def _consumed(self, recorded: Recorded, replayed: bool) -> ConsumedEvent:
        return ConsumedEvent(
            event_id=recorded.event_id,
            cursor=recorded.cursor,
            type=recorded.type,
            schema_version=recorded.schema_version,
            kind=recorded.kind,
            id=recorded.id,
            version=recorded.version,
            at=recorded.at,
            data=self._catalogue.public_data(recorded),
            metadata=dict(recorded.metadata),
            replayed=replayed,
        )


def place(cursor: str) -> tuple[int, int]:
    """The `(xid, position)` of a well-formed cursor."""
    xid, _, position = cursor.partition("-")
    return int(xid), int(position)


def _dead_letter(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(**{name: getattr(letter, name) for name in DeadLetterView.model_fields})


def _slot(lag: Lag) -> SlotView:
    return SlotView(**{name: getattr(lag, name) for name in SlotView.model_fields})


def _stall(stall: Stall) -> StallView:
    return StallView(**{name: getattr(stall, name) for name in StallView.model_fields})


def _summary(document: Subscription) -> SubscriptionSummary:
    return SubscriptionSummary(name=document.name, types=document.types, slots=document.slots)
