"""The tamper-evident log in Postgres: writing it behind the events, reading it, comparing both.

Appending an event costs nothing here. A *sequencer* follows the events in the order of
`storage.feed`, in which none can appear behind, and gives each the next leaf of its tenant's tree.
The rows of leaves and nodes are never changed; the application role can't.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.contracts import Recorded
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import Entry, Leaf
from engine.ledger.transparency.merkle import EMPTY, Frontier, Node, hash_leaf
from engine.ledger.transparency.proofs import consistency, kept
from engine.ledger.transparency.publication import Head
from storage.database import Database
from storage.transactions import EVENT_COLUMNS, recorded

PAGE = 500
"""Events that are in memory at once while a log is read through."""

LEAF_COLUMNS = "index AS number, event_id, hash, xid::text AS xid_text, position, kind, id, version"

HEAD = text("SELECT size, root FROM log_heads WHERE tenant_id = :t")
BEGIN = text(
    "INSERT INTO log_heads (tenant_id, size, root, frontier, xid, position)"
    " VALUES (:t, 0, :root, '{}', '0', 0) ON CONFLICT (tenant_id) DO NOTHING"
)
HOLD = text(
    "SELECT size, frontier, xid::text AS xid_text, position FROM log_heads"
    " WHERE tenant_id = :t FOR UPDATE"
)
NEXT = text(
    f"SELECT {EVENT_COLUMNS} FROM events WHERE tenant_id = :t"
    " AND (xid, position) > (CAST(CAST(:x AS text) AS xid8), :p)"
    " AND xid < webnova.horizon()"
    " ORDER BY events.xid, events.position LIMIT :limit"
)
ADD_LEAVES = text(
    "INSERT INTO log_leaves (tenant_id, index, event_id, hash, xid, position, kind, id, version)"
    " SELECT :t, * FROM unnest(CAST(:index AS bigint[]), CAST(:event AS uuid[]),"
    " CAST(:hash AS bytea[]), CAST(CAST(:xid AS text[]) AS xid8[]), CAST(:position AS bigint[]),"
    " CAST(:kind AS text[]), CAST(:id AS text[]), CAST(:version AS integer[]))"
)
ADD_NODES = text(
    "INSERT INTO log_nodes (tenant_id, level, index, hash) SELECT :t, * FROM"
    " unnest(CAST(:level AS smallint[]), CAST(:index AS bigint[]), CAST(:hash AS bytea[]))"
)
MOVE = text(
    "UPDATE log_heads SET size = :size, root = :root, frontier = CAST(:frontier AS bytea[]),"
    " xid = CAST(CAST(:x AS text) AS xid8), position = :p WHERE tenant_id = :t"
)
LEAVES = text(
    f"SELECT {LEAF_COLUMNS} FROM log_leaves"
    " WHERE tenant_id = :t AND index >= :start AND index < :end ORDER BY index LIMIT :limit"
)
LEAF_OF = text(f"SELECT {LEAF_COLUMNS} FROM log_leaves WHERE tenant_id = :t AND event_id = :e")
LEAF_HASHES = text(
    "SELECT hash FROM log_leaves"
    " WHERE tenant_id = :t AND index >= :start AND index < :end ORDER BY index"
)
NODE_HASHES = text(
    "SELECT hash FROM log_nodes WHERE tenant_id = :t AND level = :level"
    " AND index >= :start AND index < :end ORDER BY index"
)
EVENTS = text(
    f"SELECT {EVENT_COLUMNS} FROM events"
    " WHERE tenant_id = :t AND event_id = ANY(CAST(:ids AS uuid[]))"
)
# Only keys are read here: almost all of the events were read by way of their leaves already.
PASSED = text(
    "SELECT xid::text AS xid_text, position, event_id, EXISTS (SELECT FROM log_leaves l"
    " WHERE l.tenant_id = e.tenant_id AND l.event_id = e.event_id) AS logged"
    " FROM events e WHERE tenant_id = :t AND (xid, position) > (CAST(CAST(:x AS text) AS xid8), :p)"
    " AND (xid, position) <= (CAST(CAST(:last_x AS text) AS xid8), :last_p)"
    " ORDER BY e.xid, e.position LIMIT :limit"
)
MONTHS = text(
    "SELECT month, first_leaf, last_leaf FROM archived_months"
    " WHERE tenant_id = :t AND last_leaf >= :start AND first_leaf < :end ORDER BY month"
)
LAST_PLACE = text(
    "SELECT xid::text AS xid_text, position FROM log_leaves"
    " WHERE tenant_id = :t AND index < :size ORDER BY index DESC LIMIT 1"
)
# The tenants are found by skipping through the index from one to the next, so that the cost goes
# with their number and not with that of their events.
BEHIND = text(
    """
    WITH RECURSIVE tenants AS (
        (SELECT tenant_id FROM events ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.tenant_id FROM events e
                WHERE e.tenant_id > t.tenant_id ORDER BY e.tenant_id LIMIT 1)
        FROM tenants t WHERE t.tenant_id IS NOT NULL
    )
    SELECT t.tenant_id FROM tenants t LEFT JOIN log_heads h USING (tenant_id)
    WHERE mod(hashtext(t.tenant_id)::bigint + 2147483648, :shards) = :shard
      AND EXISTS (
          SELECT FROM events e
          WHERE e.tenant_id = t.tenant_id
            AND (e.xid, e.position) > (coalesce(h.xid, '0'), coalesce(h.position, 0))
            AND e.xid < webnova.horizon()
      )
    LIMIT :limit
    """
)


class PostgresLog:
    """`engine.ledger.transparency.queries.Log` on one open transaction of the tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def _rows(self, statement: Any, **values: Any) -> Sequence[Row[Any]]:
        return (await self._connection.execute(statement, {"t": self._tenant, **values})).all()

    async def head(self) -> Head:
        rows = await self._rows(HEAD)
        return Head(rows[0].size, bytes(rows[0].root)) if rows else Head(0, EMPTY)

    async def leaf(self, index: int) -> Leaf | None:
        rows = await self._rows(LEAVES, start=index, end=index + 1, limit=1)
        return leaf_of_row(rows[0]) if rows else None

    async def leaf_of(self, event_id: UUID) -> Leaf | None:
        rows = await self._rows(LEAF_OF, e=event_id)
        return leaf_of_row(rows[0]) if rows else None

    async def event(self, leaf: Leaf) -> Recorded | None:
        return (await self._events([leaf.event_id])).get(leaf.event_id)

    async def hashes(self, level: int, start: int, end: int) -> Sequence[bytes]:
        if level:
            rows = await self._rows(NODE_HASHES, level=level, start=start, end=end)
        else:
            rows = await self._rows(LEAF_HASHES, start=start, end=end)
        return [bytes(row.hash) for row in rows]

    async def append(self, limit: int) -> int:
        """Log the next events, at most `limit`; returns how many. The transaction must commit.

        Holds the head's row until then, so that of several sequencers each goes on where the one
        before stopped.
        """
        await self._connection.execute(BEGIN, {"t": self._tenant, "root": EMPTY})
        (head,) = await self._rows(HOLD)
        rows = await self._rows(NEXT, x=head.xid_text, p=head.position, limit=limit)
        if not rows:
            return 0
        events = [recorded(row) for row in rows]
        frontier = Frontier(head.size, map(bytes, head.frontier))
        leaves = [hash_leaf(event_bytes(event)) for event in events]
        nodes = [node for leaf in leaves for node in frontier.append(leaf) if kept(node)]
        await self._add(head.size, events, leaves)
        await self._add_nodes(nodes)
        moved = {
            "t": self._tenant,
            "size": frontier.size,
            "root": frontier.root(),
            "frontier": frontier.hashes,
            "x": str(events[-1].xid),
            "p": events[-1].position,
        }
        await self._connection.execute(MOVE, moved)
        return len(events)

    async def _add(self, start: int, events: list[Recorded], leaves: list[bytes]) -> None:
        values = {
            "t": self._tenant,
            "index": list(range(start, start + len(events))),
            "event": [event.event_id for event in events],
            "hash": leaves,
            "xid": [str(event.xid) for event in events],
            "position": [event.position for event in events],
            "kind": [event.kind for event in events],
            "id": [event.id for event in events],
            "version": [event.version for event in events],
        }
        await self._connection.execute(ADD_LEAVES, values)

    async def _add_nodes(self, nodes: list[Node]) -> None:
        if nodes:
            values = {
                "t": self._tenant,
                "level": [node.level for node in nodes],
                "index": [node.index for node in nodes],
                "hash": [node.hash for node in nodes],
            }
            await self._connection.execute(ADD_NODES, values)

    async def entries(self, start: int, end: int) -> list[Entry]:
        """The leaves from `start` on, at most `PAGE`, each with its event as it is stored now."""
        rows = await self._rows(LEAVES, start=start, end=end, limit=PAGE)
        leaves = [leaf_of_row(row) for row in rows]
        events = await self._events([leaf.event_id for leaf in leaves])
        gone = [leaf for leaf in leaves if leaf.event_id not in events]
        months = await self._months(gone) if gone else {}
        return [Entry(leaf, events.get(leaf.event_id), months.get(leaf.index)) for leaf in leaves]

    async def _months(self, leaves: Sequence[Leaf]) -> dict[int, str]:
        """For each leaf in an archive its month; where archives meet there may be several."""
        rows = await self._rows(MONTHS, start=leaves[0].index, end=leaves[-1].index + 1)
        found = {
            leaf.index: " or ".join(
                row.month for row in rows if row.first_leaf <= leaf.index <= row.last_leaf
            )
            for leaf in leaves
        }
        return {index: months for index, months in found.items() if months}

    async def last_place(self, size: int) -> tuple[int, int]:
        """Where the last event of the first `size` leaves was when it was logged."""
        rows = await self._rows(LAST_PLACE, size=size)
        return (int(rows[0].xid_text), rows[0].position) if rows else (0, 0)

    async def passed(
        self, after: tuple[int, int], until: tuple[int, int]
    ) -> tuple[list[Entry], tuple[int, int] | None]:
        """A page of the reading order past `after`: what of it was never logged, and its end.

        The end is None when there is no further page.
        """
        rows = await self._rows(
            PASSED,
            x=str(after[0]),
            p=after[1],
            last_x=str(until[0]),
            last_p=until[1],
            limit=PAGE * 10,
        )
        unknown = await self._events([str(row.event_id) for row in rows if not row.logged])
        events = sorted(unknown.values(), key=lambda event: (event.xid, event.position))
        entries = [Entry(None, event) for event in events]
        return entries, (int(rows[-1].xid_text), rows[-1].position) if rows else None

    async def _events(self, ids: Sequence[str]) -> dict[str, Recorded]:
        if not ids:
            return {}
        found = [recorded(row) for row in await self._rows(EVENTS, ids=list(ids))]
        return {event.event_id: event for event in found}


def leaf_of_row(row: Row[Any]) -> Leaf:
    return Leaf(
        index=row.number,
        event_id=str(row.event_id),
        hash=bytes(row.hash),
        place=(int(row.xid_text), row.position),
        kind=row.kind,
        id=row.id,
        version=row.version,
    )


class PostgresLogs:
    """The logs of all tenants as the application role, each call in a tenant's own scope.

    `engine.ledger.transparency.publication.Logs`, and the sequencer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def _log(self, tenant: str) -> AsyncIterator[PostgresLog]:
        async with self._database.transaction(tenant) as connection:
            yield PostgresLog(connection, tenant)

    async def sequence(self, tenant: str, limit: int) -> int:
        """Log the tenant's next events in one transaction, at most `limit`; returns how many.

        Each event is logged exactly once, whoever else calls this at the same time.
        """
        async with self._log(tenant) as log:
            return await log.append(limit)

    async def head(self, tenant: str) -> Head:
        async with self._log(tenant) as log:
            return await log.head()

    async def consistency(self, tenant: str, old: int, new: int) -> Sequence[bytes]:
        async with self._log(tenant) as log:
            return await consistency(log, old, new)

    async def compared(self, tenant: str, size: int) -> AsyncIterator[Entry]:
        """The first `size` leaves with their events, then the events among them that have none.

        Read in pages, each in a transaction of its own: what is being read never changes.
        """
        start = 0
        while True:
            async with self._log(tenant) as log:
                page = await log.entries(start, size)
            for entry in page:
                yield entry
            if not page or page[-1].leaf is None:
                break
            start = page[-1].leaf.index + 1
        async with self._log(tenant) as log:
            until = await log.last_place(size)
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            async with self._log(tenant) as log:
                page, after = await log.passed(after, until)
            for entry in page:
                yield entry


class PostgresLogBacklog:
    """Which logs are behind their events, as the executor role sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def behind(self, shard: tuple[int, int] = (0, 1), limit: int = 1000) -> list[str]:
        """Tenants of the shard, (index, count), that have events past the head of their log."""
        values = {"shard": shard[0], "shards": shard[1], "limit": limit}
        async with self._database.transaction() as connection:
            return [row.tenant_id for row in await connection.execute(BEHIND, values)]

    async def close(self) -> None:
        await self._database.close()
