"""Readers of the feed miss nothing, see nothing twice and keep each stream's order.

Writers append, roll back, pause, and hold long transactions that begin before others and commit
after them, 200,000 events in all (`tests.integration.scale`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Event, Recorded
from engine.kernel.ids import uuid7
from engine.ledger.streams import Append, NewEvent, Origin
from storage.connections import Connections
from storage.feed import PostgresFeed
from storage.streams import APPEND, LOST_RACES, SCOPE, PostgresEventStore
from tests.conftest import TestDatabase
from tests.integration.scale import sized

ORIGIN = Origin(caller="token:test", command="Test")
WRITERS, READERS, SHARED, OWN = 16, 3, 4, 8


class Counted(Event):
    type = "count.counted"
    number: int


@dataclass
class Sink:
    """What one reader has seen, judged as it comes."""

    seen: Counter[str] = field(default_factory=Counter)
    heads: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    disorder: list[tuple[str, int, int]] = field(default_factory=list)

    def take(self, events: Sequence[Recorded]) -> None:
        for event in events:
            self.seen[event.event_id] += 1
            if event.version != self.heads[event.id] + 1:
                self.disorder.append((event.id, self.heads[event.id], event.version))
            self.heads[event.id] = event.version


@dataclass
class Writer:
    """One writer with connections of its own; `committed` counts what was acknowledged."""

    url: str
    tenant: str
    number: int
    wanted: int
    committed: int = 0
    rolled_back: int = 0

    async def run(self) -> None:
        dice = random.Random(self.number)
        connections = Connections(self.url, size=2, name=f"writer-{self.number}")
        store = PostgresEventStore(connections)
        raw = await asyncpg.connect(self.url)
        try:
            while self.committed < self.wanted:
                count = min(dice.randint(1, 60), self.wanted - self.committed)
                kind = dice.random()
                if kind < 0.5:
                    await self._append(store, dice, count)
                elif kind < 0.7:
                    await self._at_once(store, dice, count)
                else:
                    await self._by_hand(raw, dice, count, commit=kind < 0.9)
                if dice.random() < 0.1:
                    await asyncio.sleep(dice.random() * 0.01)
        finally:
            await raw.close()
            await connections.close()

    def _streams(self, dice: random.Random) -> tuple[str, str]:
        return f"own-{self.number}-{dice.randrange(OWN)}", f"shared-{dice.randrange(SHARED)}"

    async def _append(self, store: PostgresEventStore, dice: random.Random, count: int) -> None:
        own, shared = self._streams(dice)
        events = [NewEvent(Counted(number=number)) for number in range(count)]
        chosen = dice.choice([[own], [shared], [own, shared], [shared, own]])
        cut = count // 2 if len(chosen) > 1 else 0
        parts = [(chosen[0], events[cut:]), (chosen[-1], events[:cut])]
        wish = [Append("count", id, part) for id, part in parts if part]
        await store.append(self.tenant, wish, ORIGIN)
        self.committed += count

    async def _at_once(self, store: PostgresEventStore, dice: random.Random, count: int) -> None:
        """Many calls of one event each, of which the store joins those that wait together."""
        calls = []
        for number in range(count):
            id, event = dice.choice(self._streams(dice)), NewEvent(Counted(number=number))
            origin = Origin(caller="token:test", causation=f"{self.number}-{uuid7()}")
            calls.append(store.append(self.tenant, [Append("count", id, [event])], origin))
        await asyncio.gather(*calls)
        self.committed += count

    async def _by_hand(
        self, raw: asyncpg.Connection, dice: random.Random, count: int, *, commit: bool
    ) -> None:
        """A long transaction: it writes, waits while others commit, writes again and ends."""
        own, shared = self._streams(dice)
        first = count // 2
        transaction = raw.transaction()
        await transaction.start()
        try:
            await raw.execute(SCOPE, self.tenant)
            await self._put(raw, own, first)
            await asyncio.sleep(dice.random() * 0.05)
            await self._put(raw, dice.choice([own, shared]), count - first)
        except asyncpg.PostgresError as error:
            await transaction.rollback()
            assert error.sqlstate in LOST_RACES
            commit = False
        else:
            await (transaction.commit() if commit else transaction.rollback())
        if commit:
            self.committed += count
        else:
            self.rolled_back += 1

    async def _put(self, raw: asyncpg.Connection, id: str, count: int) -> None:
        if count:
            await raw.fetchval(
                APPEND,
                *(self.tenant, "count", id, None, [uuid7() for _ in range(count)]),
                *([Counted.type] * count, [1] * count, ['{"number": 0}'] * count),
                *(json.dumps(ORIGIN.metadata()), system_clock(), None),
            )


async def follow(url: str, tenant: str, sink: Sink, done: Callable[[], bool]) -> None:
    """Read from the start, over a new connection and from the last cursor now and then."""
    cursor, empty = None, 0
    for turn in itertools.count():
        if turn % 50 == 0:
            connections = Connections(url, size=1, name="reader")
            feed = PostgresFeed(connections)
        ended = done()
        found = await feed.read(tenant, after=cursor, limit=1000)
        sink.take(found)
        cursor = found[-1].cursor if found else cursor
        # Read once more after the writers have ended; others' transactions may hold it up.
        empty = empty + 1 if ended and not found else 0
        if empty == 3:
            await connections.close()
            return
        if not found:
            await asyncio.sleep(0.01)
        if turn % 50 == 49:
            await connections.close()


async def test_no_event_is_missed_doubled_or_out_of_order(
    postgres: TestDatabase, tenant: str
) -> None:
    total = sized(200_000)
    share, rest = divmod(total, WRITERS)
    writers = [
        Writer(postgres.app_url, tenant, number, share + (number < rest))
        for number in range(WRITERS)
    ]
    task = asyncio.gather(*(writer.run() for writer in writers))
    sinks = [Sink() for _ in range(READERS)]
    await asyncio.gather(
        task, *(follow(postgres.app_url, tenant, sink, task.done) for sink in sinks)
    )
    assert sum(writer.committed for writer in writers) == total
    assert sum(writer.rolled_back for writer in writers) > 0
    truth = await stored(postgres, tenant)
    assert len(truth) == total
    for sink in sinks:
        assert truth - sink.seen.keys() == set(), "missed"
        assert sink.seen.keys() - truth == set(), "never committed"
        assert [id for id, times in sink.seen.items() if times > 1] == []
        assert sink.disorder == []
        assert sum(sink.heads.values()) == total


async def stored(postgres: TestDatabase, tenant: str) -> set[str]:
    """The ids of all events of the tenant, read without the feed."""
    app = await asyncpg.connect(postgres.app_url)
    try:
        async with app.transaction():
            await app.execute(SCOPE, tenant)
            rows = await app.fetch("SELECT event_id FROM webnova.events")
    finally:
        await app.close()
    return {str(row["event_id"]) for row in rows}


class ByPosition:
    """A reader as it would be without transaction ids: it remembers the last position alone."""

    def __init__(self, connection: asyncpg.Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant
        self._position = 0
        self.seen: Counter[str] = Counter()

    async def read(self) -> None:
        async with self._connection.transaction():
            await self._connection.execute(SCOPE, self._tenant)
            rows = await self._connection.fetch(
                "SELECT event_id, position FROM webnova.events WHERE position > $1"
                " ORDER BY position",
                self._position,
            )
        for row in rows:
            self.seen[str(row["event_id"])] += 1
            self._position = row["position"]


async def test_the_same_judgement_finds_what_a_cursor_by_position_loses(
    postgres: TestDatabase, tenant: str
) -> None:
    """Each late writer takes positions, waits until others have committed and been read."""
    connections = Connections(postgres.app_url)
    store, feed = PostgresEventStore(connections), PostgresFeed(connections)
    late = Writer(postgres.app_url, tenant, 0, 0)
    raw, other = [await asyncpg.connect(postgres.app_url) for _ in range(2)]
    naive, careful = ByPosition(other, tenant), Sink()
    cursor = None
    try:
        for turn in range(20):
            async with raw.transaction():
                await raw.execute(SCOPE, tenant)
                await late._put(raw, f"late-{turn}", 2)
                early = [Append("count", "early", [NewEvent(Counted(number=turn))])]
                await store.append(tenant, early, ORIGIN)
                await naive.read()
                held_up = await feed.read(tenant, after=cursor)
                careful.take(held_up)
                cursor = held_up[-1].cursor if held_up else cursor
            await naive.read()
        careful.take(await feed.read(tenant, after=cursor))
    finally:
        await raw.close()
        await other.close()
        await connections.close()
    truth = await stored(postgres, tenant)
    assert len(truth) == 60
    assert len(truth - naive.seen.keys()) == 40
    assert careful.seen == Counter(truth)
    assert careful.disorder == []


@pytest.mark.parametrize(
    ("versions", "disorder"),
    [((1, 2, 3), 0), ((1, 3), 1), ((2, 1), 2), ((1, 1, 2), 1)],
)
def test_the_judgement_sees_disorder(versions: Sequence[int], disorder: int) -> None:
    sink = Sink()
    for version in versions:
        event = Recorded(
            *("t", 1, version, "count", "a", version, str(version), "count.counted", 1, {}, {}),
            at=system_clock(),
        )
        sink.take([event])
    assert len(sink.disorder) == disorder
