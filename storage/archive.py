"""Months of events: reading them for archives, dropping them, and bringing them back.

Everything is read and written as the application role in the scope of one tenant, except that the
worker role finds the tenants, and the owner of the schema drops the partition.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from engine.kernel.contracts import Base, Recorded
from engine.kernel.errors import Conflict, NotFound, Unavailable
from engine.ledger.archive.months import ArchivedMonth
from engine.ledger.archive.store import Archived, History, Stream
from engine.ledger.metering.periods import end_of, start_of
from engine.ledger.transparency.export import Entry, Leaf
from engine.ledger.transparency.merkle import Node
from engine.ledger.transparency.proofs import covering
from storage.connections import LOST, unavailable
from storage.database import Database, driver_url
from storage.transactions import EVENT_COLUMNS, recorded
from storage.transparency import LEAF_COLUMNS, PostgresLog, leaf_of_row

PAGE = 500
LOCK_TIMEOUT = "5s"
"""How long dropping a month waits for others to leave the table; all who come later wait too."""
LOCK_NOT_AVAILABLE = "55P03"

TENANTS = text(
    """
    WITH RECURSIVE tenants AS (
        (SELECT tenant_id FROM events ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.tenant_id FROM events e
                WHERE e.tenant_id > t.tenant_id ORDER BY e.tenant_id LIMIT 1)
        FROM tenants t WHERE t.tenant_id IS NOT NULL
    )
    SELECT tenant_id FROM tenants WHERE tenant_id IS NOT NULL
    """
)
IN_MONTH = "tenant_id = :t AND at >= :first AND at < :end"
COUNT = text(f"SELECT count(*) FROM events WHERE {IN_MONTH}")
IN_ORDER = text("SET LOCAL enable_sort = off")
"""Makes the planner follow the index of the reading order, also where it believes a month small."""
EVENTS = text(
    f"SELECT {EVENT_COLUMNS} FROM events WHERE {IN_MONTH}"
    " AND (xid, position) > (CAST(CAST(:x AS text) AS xid8), :p)"
    " ORDER BY events.xid, events.position LIMIT :limit"
)
# Each is looked up by itself, whatever the planner believes of the size of the tables.
LEAVES = text(
    "SELECT l.* FROM unnest(CAST(:ids AS uuid[])) AS w (id) CROSS JOIN LATERAL ("
    f"SELECT {LEAF_COLUMNS} FROM log_leaves WHERE tenant_id = :t AND event_id = w.id OFFSET 0) l"
)
STREAMS = text(
    f"""
    SELECT kind, id, max(e.version) AS last FROM events e
    JOIN documents d USING (tenant_id, kind, id)
    WHERE {IN_MONTH} AND d.data IS NOT NULL AND (kind, id) > (:k, :i)
    GROUP BY kind, id ORDER BY kind, id LIMIT :limit
    """
)
OF_STREAMS = (
    "unnest(CAST(:kinds AS text[]), CAST(:ids AS text[]), CAST(:lasts AS integer[]))"
    " AS s (kind, id, last)"
)
HISTORIES = text(
    f"SELECT e.* FROM {OF_STREAMS} CROSS JOIN LATERAL (SELECT {EVENT_COLUMNS} FROM events"
    " WHERE tenant_id = :t AND kind = s.kind AND id = s.id AND version <= s.last OFFSET 0) e"
    " ORDER BY e.kind, e.id, e.version"
)
BASES = text(
    f"SELECT kind, id, version, fold, month, data FROM document_bases JOIN {OF_STREAMS}"
    " USING (kind, id) WHERE tenant_id = :t"
)
KEEP_BASES = text(
    """
    INSERT INTO document_bases AS b (tenant_id, kind, id, version, fold, month, data)
    SELECT :t, n.kind, n.id, n.version, n.fold, n.month, CAST(n.data AS jsonb)
    FROM unnest(CAST(:kinds AS text[]), CAST(:ids AS text[]), CAST(:versions AS integer[]),
        CAST(:folds AS smallint[]), CAST(:months AS text[]), CAST(:data AS text[])
    ) AS n (kind, id, version, fold, month, data)
    ON CONFLICT (tenant_id, kind, id) DO UPDATE SET version = excluded.version,
        fold = excluded.fold, month = excluded.month, data = excluded.data
    WHERE b.version <= excluded.version
    """
)
KEEP_MONTH = text(
    "INSERT INTO archived_months (tenant_id, month, first_leaf, last_leaf, events,"
    " log_size, log_root, bytes, sha256, verified_at) VALUES (:t, :month, :first_leaf, :last_leaf,"
    " :events, :log_size, :log_root, :bytes, :sha256, :verified_at)"
    " ON CONFLICT (tenant_id, month) DO UPDATE SET first_leaf = excluded.first_leaf,"
    " last_leaf = excluded.last_leaf, events = excluded.events, log_size = excluded.log_size,"
    " log_root = excluded.log_root, bytes = excluded.bytes, sha256 = excluded.sha256,"
    " verified_at = excluded.verified_at"
)
MONTHS = text(
    "SELECT month, events, first_leaf, last_leaf, log_size, log_root, bytes, sha256, verified_at"
    " FROM archived_months WHERE tenant_id = :t AND month > :after ORDER BY month LIMIT :limit"
)
NOTED = text("SELECT month FROM archived_months WHERE tenant_id = :t ORDER BY month")
STALE_BASES = text(
    "SELECT id, version FROM document_bases WHERE tenant_id = :t AND kind = :k AND fold <> :fold"
    " AND id > :after ORDER BY id LIMIT :limit"
)
PLACE = "(CAST(CAST(:x AS text) AS xid8), :p)"
SLOTS = text(
    f"SELECT name, slot FROM subscriptions WHERE tenant_id = :t AND (xid, position) < {PLACE}"
    " ORDER BY name, slot LIMIT 10"
)
DEAD_LETTERS = text(
    "SELECT name, count(*) AS number FROM dead_letters"
    f" WHERE tenant_id = :t AND (xid, position) <= {PLACE} GROUP BY name ORDER BY name LIMIT 10"
)
DELIVERIES = text(
    "SELECT d.webhook, count(*) AS number FROM webhook_deliveries d"
    " JOIN events e USING (tenant_id, event_id) WHERE d.tenant_id = :t AND d.state = 'pending'"
    f" AND (e.xid, e.position) <= {PLACE} GROUP BY d.webhook ORDER BY d.webhook LIMIT 10"
)
RESTORE = text(
    """
    INSERT INTO events (position, xid, tenant_id, kind, id, version, event_id, type,
        schema_version, data, metadata, at)
    SELECT n.position, CAST(n.xid AS xid8), :t, n.kind, n.id, n.version, n.event_id, n.type,
        n.schema_version, CAST(n.data AS jsonb), CAST(n.metadata AS jsonb), n.at
    FROM unnest(CAST(:position AS bigint[]), CAST(:xid AS text[]), CAST(:kind AS text[]),
        CAST(:id AS text[]), CAST(:version AS integer[]), CAST(:event_id AS uuid[]),
        CAST(:type AS text[]), CAST(:schema_version AS smallint[]), CAST(:data AS text[]),
        CAST(:metadata AS text[]), CAST(:at AS timestamptz[])
    ) AS n (position, xid, kind, id, version, event_id, type, schema_version, data, metadata, at)
    ON CONFLICT (tenant_id, kind, id, version, at) DO NOTHING
    """
)
BY_ID = text(
    f"SELECT {EVENT_COLUMNS} FROM events"
    " WHERE tenant_id = :t AND event_id = ANY(CAST(:ids AS uuid[]))"
)
MAKE = text("SELECT webnova.make_event_partitions(CAST(:month AS date), 1)")


class PostgresArchivedMonths:
    """`engine.ledger.archive.months.ArchivedMonths` on one open transaction of the tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def months(self, after: str | None, limit: int) -> list[ArchivedMonth]:
        values = {"t": self._tenant, "after": after or "", "limit": limit}
        rows = (await self._connection.execute(MONTHS, values)).all()
        return [await self._month(row) for row in rows]

    async def _month(self, row: Row[Any]) -> ArchivedMonth:
        stored = await self._connection.execute(COUNT, _of(self._tenant, row.month))
        return ArchivedMonth(
            month=row.month,
            events=row.events,
            stored=stored.scalar_one(),
            first_leaf=row.first_leaf,
            last_leaf=row.last_leaf,
            size=row.log_size,
            root=row.log_root,
            bytes=row.bytes,
            sha256=row.sha256,
            verified_at=row.verified_at,
        )


class PostgresBases:
    """`engine.ledger.archive.store.Bases`. Belongs to the event loop that first uses it."""

    def __init__(self, app: Database) -> None:
        self._app = app

    async def stale(
        self, tenant: str, kind: str, fold: int, *, after: str = "", limit: int = PAGE
    ) -> list[Stream]:
        values = {"t": tenant, "k": kind, "fold": fold, "after": after, "limit": limit}
        async with self._app.transaction(tenant) as connection:
            rows = await connection.execute(STALE_BASES, values)
            return [Stream(kind, row.id, row.version) for row in rows]

    async def noted(self, tenant: str) -> list[str]:
        async with self._app.transaction(tenant) as connection:
            return list((await connection.execute(NOTED, {"t": tenant})).scalars())

    async def histories(self, tenant: str, streams: Sequence[Stream]) -> list[History]:
        values = {
            "t": tenant,
            "kinds": [each.kind for each in streams],
            "ids": [each.id for each in streams],
            "lasts": [each.last for each in streams],
        }
        events: defaultdict[tuple[str, str], list[Recorded]] = defaultdict(list)
        async with self._app.transaction(tenant) as connection:
            for row in await connection.execute(HISTORIES, values):
                events[row.kind, row.id].append(recorded(row))
            bases = {
                (row.kind, row.id): Base(row.id, row.version, row.fold, row.month, row.data)
                for row in await connection.execute(BASES, values)
            }
        keys = [(each.kind, each.id) for each in streams]
        return [(events[key], bases.get(key)) for key in keys]

    async def keep(self, tenant: str, bases: Sequence[tuple[str, Base]]) -> None:
        values = {
            "t": tenant,
            "kinds": [kind for kind, _ in bases],
            "ids": [base.id for _, base in bases],
            "versions": [base.version for _, base in bases],
            "folds": [base.fold for _, base in bases],
            "months": [base.month for _, base in bases],
            "data": [json.dumps(base.data) for _, base in bases],
        }
        async with self._app.transaction(tenant) as connection:
            await connection.execute(KEEP_BASES, values)

    async def leaves(self, tenant: str, ids: Sequence[str]) -> dict[str, Leaf]:
        async with self._app.transaction(tenant) as connection:
            return await _leaves(connection, tenant, ids)


class PostgresMonths(PostgresBases):
    """`engine.ledger.archive.store.Months`. Belongs to the event loop that first uses it."""

    def __init__(self, app: Database, worker: Database, owner_url: str) -> None:
        super().__init__(app)
        self._worker = worker
        self._owner_url = owner_url

    async def tenants(self) -> list[str]:
        async with self._worker.transaction() as connection:
            return list((await connection.execute(TENANTS)).scalars())

    async def count(self, tenant: str, month: str) -> int:
        async with self._app.transaction(tenant) as connection:
            return int((await connection.execute(COUNT, _of(tenant, month))).scalar_one())

    async def entries(self, tenant: str, month: str) -> AsyncIterator[Entry]:
        place: tuple[int, int] | None = (0, 0)
        while place is not None:
            async with self._app.transaction(tenant) as connection:
                page = await _entries(connection, tenant, month, place)
            place = None
            for entry in page:
                assert entry.event is not None
                place = (entry.event.xid, entry.event.position)
                yield entry

    async def covering(self, tenant: str, start: int, end: int) -> list[Node]:
        async with self._app.transaction(tenant) as connection:
            return await covering(PostgresLog(connection, tenant), start, end)

    async def obstacles(self, tenant: str, place: tuple[int, int]) -> list[str]:
        values = {"t": tenant, "x": str(place[0]), "p": place[1]}
        async with self._app.transaction(tenant) as connection:
            slots = (await connection.execute(SLOTS, values)).all()
            letters = (await connection.execute(DEAD_LETTERS, values)).all()
            deliveries = (await connection.execute(DELIVERIES, values)).all()
        return [
            *(f"slot {row.slot} of the subscription {row.name!r} stands before" for row in slots),
            *(f"{row.number} dead letters of the subscription {row.name!r}" for row in letters),
            *(
                f"{row.number} pending deliveries of the webhook {row.webhook}"
                for row in deliveries
            ),
        ]

    async def streams(self, tenant: str, month: str) -> AsyncIterator[Stream]:
        kind, id = "", ""
        while True:
            values = {**_of(tenant, month), "k": kind, "i": id, "limit": PAGE}
            async with self._app.transaction(tenant) as connection:
                rows = (await connection.execute(STREAMS, values)).all()
            for row in rows:
                yield Stream(row.kind, row.id, row.last)
            if len(rows) < PAGE:
                return
            kind, id = rows[-1].kind, rows[-1].id

    async def note(self, tenant: str, found: Archived, verified_at: datetime) -> None:
        values = {
            "t": tenant,
            "month": found.month,
            "first_leaf": found.first,
            "last_leaf": found.last,
            "events": found.events,
            "log_size": found.size,
            "log_root": found.root,
            "bytes": found.bytes,
            "sha256": found.sha256,
            "verified_at": verified_at,
        }
        async with self._app.transaction(tenant) as connection:
            await connection.execute(KEEP_MONTH, values)

    async def drop(self, month: str, events: Mapping[str, int]) -> None:
        async with self._owner() as connection:
            await _drop(connection, month, events)

    async def make(self, month: str) -> None:
        async with self._owner() as connection:
            await connection.execute(MAKE, {"month": start_of(month).date()})

    async def restore(
        self, tenant: str, events: Sequence[Recorded], check: Callable[[list[Recorded]], None]
    ) -> None:
        ids = [event.event_id for event in events]
        async with self._app.transaction(tenant) as connection:
            await connection.execute(RESTORE, {"t": tenant, **_columns(events)})
            rows = await connection.execute(BY_ID, {"t": tenant, "ids": ids})
            check([recorded(row) for row in rows])

    @asynccontextmanager
    async def _owner(self) -> AsyncIterator[AsyncConnection]:
        """One transaction as the owner of the schema, who waits for others only shortly."""
        engine = create_async_engine(driver_url(self._owner_url), poolclass=NullPool)
        try:
            async with engine.begin() as connection:
                await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
                yield connection
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise Unavailable(
                    "Others are busy with the events, so that their table can't be changed now.",
                    mend="Try again in a moment; nothing was changed.",
                ) from error
            raise
        except LOST as error:
            raise unavailable() from error
        finally:
            await engine.dispose()


async def _entries(
    connection: AsyncConnection, tenant: str, month: str, after: tuple[int, int]
) -> list[Entry]:
    values = {**_of(tenant, month), "x": str(after[0]), "p": after[1], "limit": PAGE}
    await connection.execute(IN_ORDER)
    events = [recorded(row) for row in await connection.execute(EVENTS, values)]
    leaves = await _leaves(connection, tenant, [event.event_id for event in events])
    return [Entry(leaves.get(event.event_id), event) for event in events]


async def _leaves(connection: AsyncConnection, tenant: str, ids: Sequence[str]) -> dict[str, Leaf]:
    rows = await connection.execute(LEAVES, {"t": tenant, "ids": list(ids)})
    return {leaf.event_id: leaf for leaf in map(leaf_of_row, rows)}


async def _drop(connection: AsyncConnection, month: str, events: Mapping[str, int]) -> None:
    """Drop the month's partition if it holds just so many events of just these tenants."""
    part = f"webnova.events_{month.replace('-', '_')}"
    # The parent first, as readers lock it, so that nobody is waited for in a circle.
    await connection.execute(text("LOCK TABLE ONLY webnova.events IN ACCESS EXCLUSIVE MODE"))
    known = await connection.execute(text("SELECT to_regclass(:part)"), {"part": part})
    if known.scalar() is None:
        raise NotFound(
            f"The events of {month} have no partition of their own.",
            mend="They were dropped already, or they lie in the default partition, which stays.",
        )
    # The owner, too, sees no row of a tenant while the walls stand.
    await connection.execute(text(f"ALTER TABLE {part} NO FORCE ROW LEVEL SECURITY"))
    rows = await connection.execute(
        text(f"SELECT tenant_id, count(*) AS number FROM {part} GROUP BY 1")
    )
    found = {row.tenant_id: row.number for row in rows}
    for tenant in sorted(found.keys() | events.keys()):
        if found.get(tenant, 0) != events.get(tenant, 0):
            raise Conflict(
                f"The partition of {month} holds {found.get(tenant, 0)} events of the tenant "
                f"{tenant!r}, its archive {events.get(tenant, 0)}.",
                mend="Archive the month again and look at what differs; nothing was dropped.",
                tenant=tenant,
            )
    await connection.execute(text(f"ALTER TABLE webnova.events DETACH PARTITION {part}"))
    await connection.execute(text(f"DROP TABLE {part}"))


def _of(tenant: str, month: str) -> dict[str, Any]:
    return {"t": tenant, "first": start_of(month), "end": end_of(month)}


def _columns(events: Sequence[Recorded]) -> dict[str, list[Any]]:
    return {
        "position": [event.position for event in events],
        "xid": [str(event.xid) for event in events],
        "kind": [event.kind for event in events],
        "id": [event.id for event in events],
        "version": [event.version for event in events],
        "event_id": [event.event_id for event in events],
        "type": [event.type for event in events],
        "schema_version": [event.schema_version for event in events],
        "data": [json.dumps(event.data) for event in events],
        "metadata": [json.dumps(event.metadata) for event in events],
        "at": [event.at for event in events],
    }
