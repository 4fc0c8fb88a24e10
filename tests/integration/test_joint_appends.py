"""Appends of many at once: joined in a transaction, and each with the answer that it has alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from engine.kernel.contracts import Event, Recorded
from engine.kernel.errors import Unavailable, VersionConflict
from engine.kernel.ids import uuid7
from engine.ledger.streams import Append, Appended, Expected, NewEvent, Origin
from storage.connections import Connections
from storage.feed import PostgresFeed
from storage.streams import SCOPE, PostgresEventStore
from tests.conftest import TestDatabase


class Noted(Event):
    type = "note.noted"
    value: str


@pytest.fixture
async def connections(postgres: TestDatabase) -> AsyncIterator[Connections]:
    made = Connections(postgres.app_url, size=20, name="joint")
    yield made
    await made.close()


@pytest.fixture
def store(connections: Connections) -> PostgresEventStore:
    return PostgresEventStore(connections)


async def put(
    store: PostgresEventStore,
    tenant: str,
    id: str,
    expected: int = Expected.ANY,
    causation: str | None = None,
) -> Appended:
    """Append one event, as a call of its own unless `causation` says whose it is."""
    origin = Origin(caller="token:test", command="Test", causation=causation or str(uuid7()))
    wish = Append("note", id, [NewEvent(Noted(value=id))], expected)
    return (await store.append(tenant, [wish], origin))[0]


async def stored(connections: Connections, tenant: str) -> Sequence[Recorded]:
    return await PostgresFeed(connections).read(tenant, after=None, limit=1000)


async def test_who_waits_at_the_same_time_shares_a_transaction(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    names = [f"s{number}" for number in range(20)]
    for turn in (1, 2):
        appended = await asyncio.gather(*(put(store, tenant, id, turn - 1) for id in names))
        assert [(each.id, each.version) for each in appended] == [(id, turn) for id in names]
    events = await stored(connections, tenant)
    assert sorted((each.id, each.version) for each in events) == sorted(
        (id, turn) for id in names for turn in (1, 2)
    )
    assert all(each.data == {"value": each.id} for each in events)
    assert len({each.xid for each in events}) == 6, "in each turn two alone and the rest together"
    for event in events:
        links = await store.links(tenant, event.event_id)
        assert links.siblings == [], "they come from calls that know nothing of each other"


async def test_each_is_refused_for_itself(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    await put(store, tenant, "s5")
    wanted = {"s5": Expected.NONE, "s6": 3, "s7": Expected.NONE, "s8": Expected.ANY}
    answers = await asyncio.gather(
        *(put(store, tenant, f"s{number}", wanted.get(f"s{number}", 0)) for number in range(10)),
        return_exceptions=True,
    )
    refused = [number for number, each in enumerate(answers) if isinstance(each, VersionConflict)]
    assert refused == [5, 6]
    assert all(isinstance(each, Appended) for n, each in enumerate(answers) if n not in refused)
    assert len(await stored(connections, tenant)) == 9


async def test_one_stream_takes_all_in_some_order(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    appended = await asyncio.gather(*(put(store, tenant, "shared") for _ in range(30)))
    assert sorted(each.version for each in appended) == [*range(1, 31)]
    assert [each.version for each in await stored(connections, tenant)] == [*range(1, 31)]


async def test_at_one_version_one_of_many_is_taken(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    answers = await asyncio.gather(
        *(put(store, tenant, "shared", Expected.NONE) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(each, Appended) for each in answers) == 1
    assert sum(isinstance(each, VersionConflict) for each in answers) == 19
    assert len(await stored(connections, tenant)) == 1


@pytest.mark.parametrize("expected", [Expected.ANY, 1])
async def test_a_stream_that_is_held_holds_nobody_else_up(
    store: PostgresEventStore,
    connections: Connections,
    postgres: TestDatabase,
    tenant: str,
    expected: int,
) -> None:
    await put(store, tenant, "held")
    holder = await asyncpg.connect(postgres.app_url)
    try:
        async with holder.transaction():
            await holder.execute(SCOPE, tenant)
            await holder.execute("SELECT FROM webnova.documents WHERE id = 'held' FOR UPDATE")
            others = [put(store, tenant, f"s{number}") for number in range(12)]
            tasks = [asyncio.ensure_future(each) for each in others[:6]]
            held = asyncio.ensure_future(put(store, tenant, "held", expected))
            tasks += [asyncio.ensure_future(each) for each in others[6:]]
            assert [each.version for each in await asyncio.gather(*tasks)] == [1] * 12
            assert not held.done()
        assert (await held).version == 2
    finally:
        await holder.close()
    assert len(await stored(connections, tenant)) == 14


async def test_tenants_share_no_transaction(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    tenants = [f"{tenant}-{number}" for number in range(3)]
    await asyncio.gather(*(put(store, each, f"s{n}") for n in range(10) for each in tenants))
    xids = []
    for each in tenants:
        events = await stored(connections, each)
        assert {event.tenant for event in events} == {each}
        assert len(events) == 10
        xids.append({event.xid for event in events})
    assert len(set.union(*xids)) == sum(map(len, xids)), "each transaction is one tenant's"
    assert all(len(each) < 10 for each in xids), "and joins what waited"


async def test_events_of_one_call_are_told_apart_from_others(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    """Appended one by one under one causation, they are not taken for one append."""
    await asyncio.gather(*(put(store, tenant, f"s{n}", causation="same") for n in range(12)))
    events = await stored(connections, tenant)
    assert len({each.xid for each in events}) == len(events) == 12


async def test_a_waiting_append_whose_caller_left_is_not_made(
    store: PostgresEventStore, connections: Connections, tenant: str
) -> None:
    tasks = [asyncio.ensure_future(put(store, tenant, f"s{number}")) for number in range(8)]
    await asyncio.sleep(0)
    tasks[5].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[5], asyncio.CancelledError)
    assert sorted(each.id for each in await stored(connections, tenant)) == [
        f"s{number}" for number in range(8) if number != 5
    ]


async def test_a_skewed_clock_refuses_all(connections: Connections, tenant: str) -> None:
    store = PostgresEventStore(connections, lambda: datetime.now(UTC) + timedelta(minutes=6))
    answers = await asyncio.gather(
        *(put(store, tenant, f"s{number}") for number in range(8)), return_exceptions=True
    )
    assert all(isinstance(each, Unavailable) and "clocks" in str(each) for each in answers)
    assert await stored(connections, tenant) == []
