"""Durable subscriptions: nothing is lost, nothing is applied twice, and order is kept."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar

import asyncpg
import pytest

from engine.conductor.catalogue import CATALOGUE
from engine.conductor.platforms import PlatformRequested
from engine.kernel.contracts import Call, Caller, Event, Query
from engine.kernel.dispatch import Dispatcher, Handlers, Transaction
from engine.kernel.errors import Conflict, InvalidInput, LeaseLost, NotFound
from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.subscriptions.projections import (
    MOST_ATTEMPTS,
    Driver,
    Project,
    Projections,
    rest_after,
)
from engine.ledger.subscriptions.records import (
    AcknowledgeEvents,
    CloseSubscription,
    GetSubscription,
    LeasedEvents,
    LeaseEvents,
    ListDeadLetters,
    OpenSubscription,
    RejectEvent,
    ReplayDeadLetters,
    Subscription,
    SubscriptionOpened,
)
from engine.ledger.subscriptions.store import BEGINNING, Checkpoints
from engine.ledger.subscriptions.topics import Delivered, Topic
from engine.trust.tokens import TokenRevoked
from storage.database import Database
from storage.subscriptions import PostgresSlots
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

ORIGIN = Origin(caller="token:owner")
NAME = "copy"
AT = datetime(2030, 1, 1, tzinfo=UTC)


def asked(label: str) -> PlatformRequested:
    return PlatformRequested(name=label, description=None, at=AT)


async def append(installation: Installation, tenant: str, stream: str, *labels: str) -> None:
    events = [NewEvent(asked(label)) for label in labels]
    await installation.streams.append(tenant, [Append("seen", stream, events)], ORIGIN)


async def ask(installation: Installation, tenant: str, query: Query) -> Any:
    return await installation.dispatcher.ask(query, owner(tenant), tenant)


async def lease(installation: Installation, tenant: str, consumer: str = "one") -> LeasedEvents:
    found = await execute(installation, tenant, LeaseEvents(name=NAME, consumer=consumer))
    assert isinstance(found, LeasedEvents)
    return found


async def acknowledge(
    installation: Installation, tenant: str, leased: LeasedEvents, cursor: str | None = None
) -> None:
    assert leased.slot is not None
    command = AcknowledgeEvents(
        name=NAME,
        slot=leased.slot,
        fence=leased.fence,
        cursor=cursor or leased.cursor,
        replayed=[each.event_id for each in leased.items if each.replayed],
    )
    await execute(installation, tenant, command)


def labels(leased: LeasedEvents) -> list[str]:
    return [each.data["name"] for each in leased.items]


async def opened(installation: Installation, tenant: str, slots: int = 1) -> None:
    command = OpenSubscription(name=NAME, types=["platform.*"], slots=slots, start="beginning")
    await execute(installation, tenant, command)


async def test_what_was_not_acknowledged_is_sent_again(
    installation: Installation, tenant: str
) -> None:
    await append(installation, tenant, "a", "1", "2", "3")
    await opened(installation, tenant)
    first = await lease(installation, tenant)
    assert labels(first) == ["1", "2", "3"]
    assert first.items[0].data == {"name": "1", "description": None, "at": "2030-01-01T00:00:00Z"}
    await acknowledge(installation, tenant, first, first.items[1].cursor)
    second = await lease(installation, tenant)
    assert labels(second) == ["3"]
    await acknowledge(installation, tenant, second)
    assert (await lease(installation, tenant)).slot is None
    await append(installation, tenant, "a", "4")
    assert labels(await lease(installation, tenant)) == ["4"]


async def test_a_consumer_that_lost_its_lease_can_change_nothing(
    installation: Installation, tenant: str, app: asyncpg.Connection
) -> None:
    await append(installation, tenant, "a", "1")
    await opened(installation, tenant)
    stale = await lease(installation, tenant)
    await app.execute("UPDATE webnova.subscriptions SET leased_until = now()")
    fresh = await lease(installation, tenant, "two")
    assert labels(fresh) == ["1"]
    with pytest.raises(LeaseLost):
        await acknowledge(installation, tenant, stale)
    with pytest.raises(LeaseLost):
        await execute(
            installation,
            tenant,
            RejectEvent(
                name=NAME, slot=0, fence=stale.fence, event_id=stale.items[0].event_id, error="no"
            ),
        )
    await acknowledge(installation, tenant, fresh)


async def test_consumers_compete_and_each_stream_keeps_its_order(
    installation: Installation, tenant: str
) -> None:
    streams = [f"s{number}" for number in range(12)]
    for number in range(5):
        for stream in streams:
            await append(installation, tenant, stream, f"{stream}.{number}")
    await opened(installation, tenant, slots=4)
    seen: dict[str, list[str]] = defaultdict(list)
    slots: dict[str, set[int]] = defaultdict(set)

    async def consume(consumer: str) -> None:
        while True:
            command = LeaseEvents(name=NAME, consumer=consumer, limit=7)
            leased = await execute(installation, tenant, command)
            if leased.slot is None:
                return
            for item in leased.items:
                seen[item.id].append(item.data["name"])
                slots[item.id].add(leased.slot)
            await acknowledge(installation, tenant, leased)

    await asyncio.gather(*(consume(f"c{number}") for number in range(3)))
    await consume("last")
    expected = {stream: [f"{stream}.{number}" for number in range(5)] for stream in streams}
    assert seen == expected
    assert all(len(each) == 1 for each in slots.values())
    assert len(set.union(*slots.values())) > 1


async def test_dead_letters_hold_their_stream_until_they_are_replayed(
    installation: Installation, tenant: str
) -> None:
    await append(installation, tenant, "bad", "b1", "b2")
    await append(installation, tenant, "good", "g1")
    await opened(installation, tenant)
    leased = await lease(installation, tenant)
    poison = leased.items[0]
    reject = RejectEvent(
        name=NAME, slot=0, fence=leased.fence, event_id=leased.items[1].event_id, error="no"
    )
    with pytest.raises(Conflict):
        await execute(installation, tenant, reject)
    await execute(installation, tenant, reject.model_copy(update={"event_id": poison.event_id}))
    await acknowledge(installation, tenant, leased)
    await append(installation, tenant, "bad", "b3")
    await append(installation, tenant, "good", "g2")
    after = await lease(installation, tenant)
    assert labels(after) == ["g2"]
    await acknowledge(installation, tenant, after)
    letters = await ask(installation, tenant, ListDeadLetters(name=NAME))
    assert [(each.version, each.attempts, each.error) for each in letters.items] == [
        (1, 1, "no"),
        (2, 0, ""),
        (3, 0, ""),
    ]
    replay = ReplayDeadLetters(name=NAME, event_id=letters.items[2].event_id)
    assert (await execute(installation, tenant, replay)).count == 3
    again = await lease(installation, tenant)
    assert labels(again) == ["b1", "b2", "b3"] and all(each.replayed for each in again.items)
    # The first fails again: all of the stream wait on.
    await execute(
        installation,
        tenant,
        RejectEvent(
            name=NAME, slot=0, fence=again.fence, event_id=again.items[0].event_id, error="still"
        ),
    )
    await acknowledge(
        installation, tenant, again.model_copy(update={"items": [], "cursor": after.cursor})
    )
    assert (await lease(installation, tenant)).slot is None
    letters = await ask(installation, tenant, ListDeadLetters(name=NAME))
    assert [(each.attempts, each.error) for each in letters.items] == [
        (2, "still"),
        (0, ""),
        (0, ""),
    ]
    await execute(installation, tenant, ReplayDeadLetters(name=NAME))
    last = await lease(installation, tenant)
    await append(installation, tenant, "bad", "b4")
    await acknowledge(installation, tenant, last)
    final = await lease(installation, tenant)
    assert labels(final) == ["b4"]
    view = await ask(installation, tenant, GetSubscription(name=NAME))
    assert view.dead_letters == 0


async def test_bad_wishes_are_refused_and_change_nothing(
    installation: Installation, tenant: str
) -> None:
    with pytest.raises(InvalidInput, match=r"nothing\.here"):
        await execute(installation, tenant, OpenSubscription(name=NAME, types=["nothing.here"]))
    await opened(installation, tenant)
    with pytest.raises(Conflict):
        await opened(installation, tenant)
    await append(installation, tenant, "a", "1")
    leased = await lease(installation, tenant)
    with pytest.raises(InvalidInput, match="ahead"):
        await acknowledge(installation, tenant, leased, "9999999999999-1")
    with pytest.raises(NotFound):
        await execute(
            installation,
            tenant,
            ReplayDeadLetters(name=NAME, event_id=leased.items[0].event_id),
        )
    await acknowledge(installation, tenant, leased)
    await execute(installation, tenant, CloseSubscription(name=NAME))
    with pytest.raises(NotFound):
        await lease(installation, tenant)
    # The name is free again, and starts anew.
    await opened(installation, tenant)
    assert labels(await lease(installation, tenant)) == ["1"]


async def test_an_idle_writer_that_holds_readers_up_is_named(
    installation: Installation, tenant: str, postgres: TestDatabase
) -> None:
    await opened(installation, tenant)
    idle = await asyncpg.connect(
        postgres.app_url, server_settings={"application_name": "forgotten"}
    )
    transaction = idle.transaction()
    await transaction.start()
    await idle.execute("SELECT pg_current_xact_id()")
    pid = await idle.fetchval("SELECT pg_backend_pid()")
    await append(installation, tenant, "a", "1", "2")
    view = await ask(installation, tenant, GetSubscription(name=NAME))
    assert (view.slots[0].events, view.slots[0].waiting) == (0, 2)
    await asyncio.sleep(1.1)
    view = await ask(installation, tenant, GetSubscription(name=NAME))
    assert view.stalled_by is not None
    assert (view.stalled_by.pid, view.stalled_by.application) == (pid, "forgotten")
    assert view.stalled_by.state == "idle in transaction" and view.stalled_by.seconds > 1
    database = Database(postgres.worker_url, size=1)
    stall = await PostgresSlots(database).stall()
    assert stall is not None and stall.pid == pid
    await database.close()
    await transaction.rollback()
    await idle.close()
    view = await ask(installation, tenant, GetSubscription(name=NAME))
    assert (view.slots[0].events, view.slots[0].waiting) == (2, 0)


class Labels:
    """Appends to a stream of its own whatever was issued: what it has applied is its events."""

    name: ClassVar[str] = "projection:labels"
    topic: ClassVar[Topic[Event]] = Topic((PlatformRequested,))

    def __init__(self) -> None:
        self.poison = ""
        self.applied: list[str] = []

    async def apply(self, delivered: Delivered[Event], tx: Transaction) -> None:
        assert isinstance(delivered.event, PlatformRequested)
        label = delivered.event.name
        digest = await tx.put_blob(label.encode())
        self.applied.append(label)
        if label == self.poison:
            raise ValueError(f"can't take {digest[:4]}")


class Rig:
    """An installation with one projection, and the driver that the executor would run."""

    def __init__(self, installation: Installation, worker: PostgresSlots, tenant: str) -> None:
        self.labels = Labels()
        self.projections = Projections(CATALOGUE, [self.labels])
        handlers = Handlers()
        handlers.include(self.projections.handlers())
        self.dispatcher = Dispatcher(handlers, installation.transactions)
        self.failures: list[Exception] = []
        self.driver = Driver(
            "driver",
            worker,
            self.projections,
            self.dispatcher,
            lambda _, error: self.failures.append(error),
        )
        self.installation = installation
        self.tenant = tenant

    def writing(self) -> AbstractAsyncContextManager[Transaction]:
        call = Call(Project(subscription="x", slot=0, fence=1), owner(self.tenant), self.tenant)
        return self.installation.transactions.writing(call)

    async def open(self, slots: int = 2) -> None:
        async with self.writing() as tx:
            await tx.part(Checkpoints).open(Labels.name, slots, BEGINNING)


@pytest.fixture
async def rig(installation: Installation, tenant: str, postgres: TestDatabase) -> Rig:
    database = Database(postgres.worker_url, size=2)
    return Rig(installation, PostgresSlots(database), tenant)


async def test_a_projection_follows_the_events_of_its_topic(rig: Rig) -> None:
    await rig.open()
    for number in range(4):
        await append(rig.installation, rig.tenant, f"s{number}", f"{number}.a", f"{number}.b")
    revoked = [NewEvent(TokenRevoked())]
    await rig.installation.streams.append(rig.tenant, [Append("seen", "s0", revoked)], ORIGIN)
    await rig.driver.turn()
    assert not rig.failures
    assert sorted(rig.labels.applied) == sorted(f"{n}.{x}" for n in range(4) for x in "ab")
    for number in range(4):
        mine = [each for each in rig.labels.applied if each.startswith(str(number))]
        assert mine == [f"{number}.a", f"{number}.b"]
    await rig.driver.turn()
    assert len(rig.labels.applied) == 8


async def test_what_a_failed_attempt_wrote_is_undone(rig: Rig, app: asyncpg.Connection) -> None:
    await rig.open(slots=1)
    rig.labels.poison = "bad"
    await append(rig.installation, rig.tenant, "a", "fine", "bad", "behind")
    await append(rig.installation, rig.tenant, "b", "other")
    for _ in range(MOST_ATTEMPTS):
        await rig.driver.turn()
        assert not rig.failures
        await app.execute("UPDATE webnova.subscriptions SET leased_until = NULL")
    assert rig.labels.applied == ["fine", *["bad"] * MOST_ATTEMPTS, "other"]
    assert await contents(app) == {b"fine", b"other"}
    rows = await app.fetch("SELECT attempts, error FROM webnova.dead_letters ORDER BY position")
    assert [row["attempts"] for row in rows] == [MOST_ATTEMPTS, 0]
    assert rows[0]["error"].startswith("ValueError: can't take")
    rig.labels.poison = ""
    async with rig.writing() as tx:
        assert await tx.part(Checkpoints).replay(Labels.name, None) == 2
    await rig.driver.turn()
    assert rig.labels.applied[-2:] == ["bad", "behind"]
    assert await app.fetchval("SELECT count(*) FROM webnova.dead_letters") == 0
    assert await contents(app) == {b"fine", b"other", b"bad", b"behind"}


async def contents(app: asyncpg.Connection) -> set[bytes]:
    return {row["content"] for row in await app.fetch("SELECT content FROM webnova.blobs")}


async def test_a_driver_that_was_overtaken_applies_nothing(
    rig: Rig, app: asyncpg.Connection
) -> None:
    await rig.open(slots=1)
    await append(rig.installation, rig.tenant, "a", "1")
    caller = Caller("driver", rig.tenant, frozenset({Project.permission}))
    with pytest.raises(LeaseLost):
        await rig.dispatcher.execute(
            Call(Project(subscription=Labels.name, slot=0, fence=9), caller, rig.tenant)
        )
    assert not rig.labels.applied and not await contents(app)


async def test_drivers_that_die_at_any_point_apply_each_event_once(
    rig: Rig, app: asyncpg.Connection
) -> None:
    """Each of many drivers is cancelled somewhere; the rows say exactly once all the same."""
    await rig.open(slots=2)
    total = 140
    for number in range(0, total, 10):
        await append(
            rig.installation,
            rig.tenant,
            f"s{number % 7}",
            *(f"n{each}" for each in range(number, number + 10)),
        )
    counted = Counted()
    projections = Projections(CATALOGUE, [counted])
    handlers = Handlers()
    handlers.include(projections.handlers())
    dispatcher = Dispatcher(handlers, rig.installation.transactions)
    caller = Caller("driver", rig.tenant, frozenset({Project.permission}))
    for round in range(60):
        slot, fence = round % 2, round // 2 + 1
        await app.execute(
            "UPDATE webnova.subscriptions SET fence = $1, leased_until = now() + interval '1 h'"
            " WHERE slot = $2",
            fence,
            slot,
        )
        call = Call(Project(subscription=Labels.name, slot=slot, fence=fence), caller, rig.tenant)
        task = asyncio.create_task(dispatcher.execute(call))
        if round < 50:
            counted.stop_after = round * 3
            counted.reached.clear()
            waiting = asyncio.create_task(counted.reached.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            task.cancel()
            waiting.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)
        else:
            counted.stop_after = total * 10
            await task
    async with rig.installation.transactions.reading(rig.tenant) as reader:
        found = await reader.history(Subscription, "counted")
    sources = [str(each.data["name"]) for each in found]
    assert len(sources) == total and len(set(sources)) == total
    assert counted.calls > total


class Counted:
    """Writes one event for each that it applies, and says when it has come so far."""

    name = Labels.name
    topic: ClassVar[Topic[Event]] = Topic((PlatformRequested,))

    def __init__(self) -> None:
        self.calls = 0
        self.stop_after = 0
        self.reached = asyncio.Event()
        self._since = 0

    async def apply(self, delivered: Delivered[Event], tx: Transaction) -> None:
        assert isinstance(delivered.event, PlatformRequested)
        self.calls += 1
        self._since += 1
        found = await tx.find(Subscription, "counted")
        event = SubscriptionOpened(name=delivered.event.name, types=[], slots=1, start="now")
        await tx.append(Subscription, "counted", [event], expected=found.version if found else 0)
        if self._since > self.stop_after:
            self._since = 0
            self.reached.set()
            await asyncio.sleep(0.01)


def test_rests_grow_up_to_a_bound() -> None:
    assert [rest_after(each) for each in (1, 2, 3, 50)] == [0.5, 1.0, 2.0, 60.0]
