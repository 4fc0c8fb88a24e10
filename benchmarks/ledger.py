"""Appends and reads of the event store beside raw SQL, on one Postgres in one run.

    python -m benchmarks ledger

A server of its own with `fsync` on. Compared with a bare table and one index that asyncpg inserts
into (`INSERT`, `COPY`), and with the PyPI package `eventsourcing` in its lossless mode when it can
be imported (`pip install 'eventsourcing[postgres]'`; its driver is not among our requirements).
All are measured in turns and reported as medians over the turns.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from engine.kernel.contracts import Event
from engine.kernel.ids import uuid7
from engine.ledger.streams import Append, NewEvent, Origin
from storage.connections import Connections
from storage.feed import PostgresFeed
from storage.streams import PostgresEventStore
from webnova.stack.database import prepare_database
from webnova.stack.postgres import EmbeddedPostgres

TURNS = 5
SECONDS = 1.5
BATCH = 1000
READ = 20_000
SIZES = [int(each) for each in os.environ.get("BENCH_EVENTS", "10000,100000").split(",")]
ORIGIN = Origin(caller="bench", command="Bench", causation="bench")
RAW = """
CREATE TABLE webnova.bench_raw (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id text NOT NULL,
    kind text NOT NULL, id text NOT NULL, version integer NOT NULL, event_id uuid NOT NULL,
    type text NOT NULL, data jsonb NOT NULL, metadata jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(), UNIQUE (tenant_id, kind, id, version))
"""
INSERT = (
    "INSERT INTO webnova.bench_raw (tenant_id, kind, id, version, event_id, type, data, metadata)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)


class Ordered(Event):
    type = "bench.ordered"
    customer: str
    lines: list[dict[str, int | str]]
    total: str


EVENT = Ordered(
    customer="c-4711",
    lines=[{"sku": f"sku-{number}", "quantity": number} for number in range(1, 4)],
    total="129.90",
)


def origin() -> Origin:
    """That of a command of its own, as each append has."""
    return Origin(caller="bench", command="Bench", causation=str(uuid7()))


Once = Callable[[int, int], Awaitable[None]]
"""One operation of a writer: its number, and how many it has done."""


async def rate(once: Once, writers: int) -> float:
    """Operations per second of so many writers, each with a stream of its own."""
    until = time.perf_counter() + SECONDS

    async def write(writer: int) -> int:
        done = 0
        while time.perf_counter() < until:
            await once(writer, done)
            done += 1
        return done

    began = time.perf_counter()
    done = sum(await asyncio.gather(*(write(number) for number in range(writers))))
    return done / (time.perf_counter() - began)


async def turns(title: str, ways: dict[str, Callable[[], Awaitable[float]]]) -> None:
    """Measure each way in turn; the first is ours, the others are what it is compared with."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            found[name].append(await way())
    medians = {name: statistics.median(values) for name, values in found.items()}
    ours, *others = medians
    print(f"\n{title}")
    for name, value in medians.items():
        ratio = "" if name == ours else f"   ours / this: {medians[ours] / value:.2f}"
        print(f"  {name:34} {value:10.0f} events/s{ratio}")
    assert others


class Bench:
    def __init__(self, store: PostgresEventStore, pool: asyncpg.Pool, url: str) -> None:
        self._store = store
        self._pool = pool
        self._url = url
        self._text = EVENT.model_dump_json()
        self._metadata = json.dumps(ORIGIN.metadata())

    async def appends(self, writers: int) -> float:
        run = uuid4().hex

        async def once(writer: int, done: int) -> None:
            wish = Append("bench", f"{run}-{writer}", [NewEvent(EVENT)], expected=done)
            await self._store.append("bench", [wish], origin())

        return await rate(once, writers)

    async def inserts(self, writers: int) -> float:
        run = uuid4().hex

        async def once(writer: int, done: int) -> None:
            async with self._pool.acquire() as connection:
                await connection.execute(INSERT, *self._row(f"{run}-{writer}", done + 1))

        return await rate(once, writers)

    def _row(self, id: str, version: int) -> tuple[Any, ...]:
        return (
            *("bench", "bench", id, version, uuid7(), EVENT.type),
            *(self._text, self._metadata),
        )

    async def batches(self) -> float:
        run = uuid4().hex

        async def once(writer: int, done: int) -> None:
            wish = Append("bench", run, [NewEvent(EVENT)] * BATCH, expected=done * BATCH)
            await self._store.append("bench", [wish], ORIGIN)

        return await rate(once, 1) * BATCH

    async def copies(self) -> float:
        run = uuid4().hex
        names = ["tenant_id", "kind", "id", "version", "event_id", "type", "data", "metadata"]

        async def once(writer: int, done: int) -> None:
            rows = [self._row(run, done * BATCH + number) for number in range(1, BATCH + 1)]
            async with self._pool.acquire() as connection:
                await connection.copy_records_to_table(
                    "bench_raw", schema_name="webnova", records=rows, columns=names
                )

        return await rate(once, 1) * BATCH

    async def fill(self, count: int) -> None:
        for start in range(0, count, 10_000):
            size = min(10_000, count - start)
            wish = Append("bench", uuid4().hex, [NewEvent(EVENT)] * size)
            await self._store.append("bench", [wish], ORIGIN)

    async def read_all(self, feed: PostgresFeed) -> float:
        began, after, seen = time.perf_counter(), None, 0
        while seen < READ and (events := await feed.read("bench", after=after, limit=1000)):
            after, seen = events[-1].cursor, seen + len(events)
        return seen / (time.perf_counter() - began)

    async def read_raw(self) -> float:
        began, after, seen = time.perf_counter(), 0, 0
        query = "SELECT * FROM webnova.bench_raw WHERE position > $1 ORDER BY position LIMIT 1000"
        async with self._pool.acquire() as connection:
            while seen < READ and (rows := await connection.fetch(query, after)):
                for row in rows:
                    json.loads(row["data"])
                after, seen = rows[-1]["position"], seen + len(rows)
        return seen / (time.perf_counter() - began)

    async def latency(self, feed: PostgresFeed) -> None:
        """From before the append to the event's arrival at a subscriber."""
        tenant, taken = uuid4().hex, []
        stream = feed.subscribe(tenant, after=None)
        for number in range(200):
            pending = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.003 * (number % 20))
            began = time.perf_counter()
            wish = Append("bench", "latency", [NewEvent(EVENT)])
            await self._store.append(tenant, [wish], ORIGIN)
            assert await pending is not None
            taken.append((time.perf_counter() - began) * 1000)
        taken.sort()
        print(f"\nsubscription: p50 {taken[100]:.1f} ms, p99 {taken[197]:.1f} ms after the append")


def recorder(owner_url: str) -> Any | None:
    """`eventsourcing`'s recorder for Postgres, which keeps readers lossless by a table lock."""
    if importlib.util.find_spec("eventsourcing") is None:
        print("\n(the package eventsourcing can't be imported: not compared)")
        return None
    postgres = importlib.import_module("eventsourcing.postgres")
    parts = urlsplit(owner_url)
    datastore = postgres.PostgresDatastore(
        dbname=parts.path.lstrip("/"),
        host=parts.hostname,
        port=str(parts.port),
        user=parts.username,
        password=parts.password,
        pool_size=16,
        max_overflow=8,
        schema="webnova",
    )
    made = postgres.PostgresApplicationRecorder(datastore, events_table_name="bench_theirs")
    made.create_table()
    return made


async def theirs(made: Any, writers: int) -> float:
    persistence = importlib.import_module("eventsourcing.persistence")
    body = EVENT.model_dump_json().encode()
    until = time.perf_counter() + SECONDS

    def write(_: int) -> int:
        done, stream = 0, uuid4()
        while time.perf_counter() < until:
            made.insert_events([persistence.StoredEvent(stream, done + 1, "bench.ordered", body)])
            done += 1
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        futures = [asyncio.wrap_future(pool.submit(write, number)) for number in range(writers)]
        done = sum(await asyncio.gather(*futures))
    return done / (time.perf_counter() - began)


async def measure(app_url: str, owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    print("fsync", await owner.fetchval("SHOW fsync"), "· Postgres", owner.get_server_version()[0])
    await owner.execute(RAW)
    pool = await asyncpg.create_pool(owner_url, min_size=16, max_size=16)
    connections = Connections(app_url, size=16)
    store, feed = PostgresEventStore(connections), PostgresFeed(connections)
    bench, made = Bench(store, pool, owner_url), recorder(owner_url)
    for writers in (1, 16):
        ways = {
            "event store": lambda n=writers: bench.appends(n),
            "raw INSERT": lambda n=writers: bench.inserts(n),
        }
        if made is not None:
            ways["eventsourcing, lossless"] = lambda n=writers: theirs(made, n)
        await turns(f"single events, {writers} writer(s)", ways)
    await turns(f"batches of {BATCH}", {"event store": bench.batches, "COPY": bench.copies})
    held = 0
    for size in SIZES:
        await bench.fill(max(0, size - held))
        held = size
        count = await owner.fetchval("SELECT max(position) FROM webnova.bench_raw")
        print(f"\nwith {size:,} and more events stored ({count:,} raw ones):")
        await turns(
            "read all", {"event store": lambda: bench.read_all(feed), "raw": bench.read_raw}
        )
        print(f"  single append, 1 writer: {await bench.appends(1):.0f}/s")
    await bench.latency(feed)
    await connections.close()
    await pool.close()
    await owner.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres(Path(directory) / "data", Path(directory) / "secrets")
        server.start()
        try:
            urls = prepare_database(server.admin_url, server.secrets_dir)
            asyncio.run(measure(urls.app.reveal(), urls.owner.reveal()))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
