"""Checkpoints and dead letters: `engine.ledger.subscriptions.store.Checkpoints` in Postgres.

A checkpoint is a place in the reading order that `storage.feed` explains. One behind which nothing
of interest was found stands at the horizon: whatever appears later lies past it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction

from engine.kernel.contracts import Recorded
from engine.kernel.errors import InvalidInput, LeaseLost
from engine.ledger.subscriptions.store import Batch, DeadLetter, Lag, Slot, Stall
from engine.ledger.work import Lease
from storage.database import Database
from storage.feed import parse_cursor
from storage.transactions import EVENT_COLUMNS, recorded

PLACE = "(CAST(CAST(:x AS text) AS xid8), :p)"
HASHED = "mod(hashtext({e}.kind || '/' || {e}.id)::bigint + 2147483648, {of})"
MINE = f"{HASHED.format(e='e', of=':of')} = :slot"
SLOT = (
    "name, slot, slots, fence, xid::text AS xid_text, position, event_id, attempts, replay,"
    " owner, leased_until"
)
KEY = "tenant_id = :t AND name = :n AND slot = :slot"

HORIZON = text("SELECT webnova.horizon()::text")
OPEN = text(
    "INSERT INTO subscriptions (tenant_id, name, slot, slots, xid, position)"
    " SELECT :t, :n, number, :slots, CAST(CAST(:x AS text) AS xid8), :p"
    " FROM generate_series(0, :slots - 1) number"
    " ON CONFLICT (tenant_id, name, slot) DO NOTHING"
)
CLOSE = text("DELETE FROM subscriptions WHERE tenant_id = :t AND name = :n")
BUSY = """
    s.replay OR EXISTS (
        SELECT FROM events e
        WHERE e.tenant_id = s.tenant_id AND (e.xid, e.position) > (s.xid, s.position)
          AND e.xid < webnova.horizon()
    )
"""
FREE = "(s.leased_until IS NULL OR s.leased_until <= now())"
TAKE = "owner = :owner, fence = s.fence + 1, leased_until = now() + make_interval(secs => :seconds)"
LEASE = text(
    f"""
    WITH chosen AS (
        SELECT s.slot FROM subscriptions s
        WHERE s.tenant_id = :t AND s.name = :n AND {FREE} AND ({BUSY})
        ORDER BY s.xid, s.position, s.slot LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE subscriptions s SET {TAKE} FROM chosen c
    WHERE s.tenant_id = :t AND s.name = :n AND s.slot = c.slot
    RETURNING s.slot
    """
)
CLAIM = text(
    f"""
    WITH chosen AS (
        SELECT s.tenant_id, s.name, s.slot FROM subscriptions s
        WHERE s.name = ANY(:names) AND {FREE}
          AND mod(hashtext(s.tenant_id)::bigint + 2147483648, :shards) = :shard
          AND NOT EXISTS (SELECT FROM suspensions r WHERE r.tenant_id = s.tenant_id)
          AND ({BUSY})
        LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE subscriptions s SET {TAKE} FROM chosen c
    WHERE (s.tenant_id, s.name, s.slot) = (c.tenant_id, c.name, c.slot)
    RETURNING s.tenant_id, s.name, s.slot, s.fence
    """
)
HOLD = text(f"SELECT {SLOT} FROM subscriptions WHERE {KEY} FOR UPDATE")
EXTEND = text(
    f"UPDATE subscriptions SET leased_until = now() + make_interval(secs => :seconds) WHERE {KEY}"
)
RELEASE = text(
    "UPDATE subscriptions SET owner = NULL,"
    f" leased_until = now() + make_interval(secs => :rest) WHERE {KEY}"
)
NEXT = text(
    f"SELECT {EVENT_COLUMNS} FROM events e WHERE tenant_id = :t AND (xid, position) > {PLACE}"
    " AND xid < CAST(CAST(:horizon AS text) AS xid8) AND type = ANY(:types)"
    f" AND {MINE} ORDER BY e.xid, e.position LIMIT :limit"
)
DEAD_STREAMS = text(
    "SELECT DISTINCT kind, id FROM dead_letters WHERE tenant_id = :t AND name = :n AND slot = :slot"
)
# What follows a dead letter in its stream waits behind it, and is tried again with it.
PARK = text(
    f"""
    INSERT INTO dead_letters (tenant_id, name, slot, event_id, kind, id, version, xid, position,
        type, attempts, error, replay)
    SELECT e.tenant_id, :n, :slot, e.event_id, e.kind, e.id, e.version, e.xid, e.position, e.type,
        0, '', d.replay
    FROM events e JOIN (
        SELECT kind, id, bool_or(replay) AS replay FROM dead_letters
        WHERE tenant_id = :t AND name = :n AND slot = :slot GROUP BY kind, id
    ) d USING (kind, id)
    WHERE e.tenant_id = :t AND (e.xid, e.position) > {PLACE}
      AND (e.xid, e.position) <= (CAST(CAST(:to_x AS text) AS xid8), :to_p)
      AND e.type = ANY(:types) AND {MINE}
    ON CONFLICT (tenant_id, name, event_id) DO NOTHING
    """
)
MOVE = text(
    "UPDATE subscriptions SET xid = CAST(CAST(:to_x AS text) AS xid8), position = :to_p,"
    f" event_id = NULL, attempts = 0 WHERE {KEY}"
    " AND (xid, position) < (CAST(CAST(:to_x AS text) AS xid8), :to_p)"
)
FAILED = text(f"UPDATE subscriptions SET event_id = :e, attempts = :attempts WHERE {KEY}")
BURY = text(
    """
    INSERT INTO dead_letters AS d (tenant_id, name, slot, event_id, kind, id, version, xid,
        position, type, attempts, error)
    VALUES (:t, :n, :slot, :e, :kind, :id, :version, CAST(CAST(:x AS text) AS xid8), :p, :type,
        :attempts, :error)
    ON CONFLICT (tenant_id, name, event_id) DO UPDATE
    SET attempts = d.attempts + excluded.attempts,
        error = CASE WHEN excluded.error = '' THEN d.error ELSE excluded.error END, at = now()
    """
)
REST = text(
    "UPDATE dead_letters SET replay = false WHERE tenant_id = :t AND name = :n AND slot = :slot"
    f" AND kind = :kind AND id = :id AND replay AND (xid, position) >= {PLACE}"
)
REVIVED = text("DELETE FROM dead_letters WHERE tenant_id = :t AND name = :n AND event_id = :e")
STILL = text(
    f"""
    WITH found AS (
        SELECT EXISTS (SELECT FROM dead_letters WHERE {KEY} AND replay) AS replay
    )
    UPDATE subscriptions s SET replay = found.replay FROM found
    WHERE {KEY} AND s.replay <> found.replay
    """
)
# All slots before all dead letters, as consumers do with one of each.
LOCK = text(
    "SELECT slot FROM subscriptions WHERE tenant_id = :t AND name = :n ORDER BY slot FOR UPDATE"
)
WAITING = text(
    f"SELECT {', '.join('e.' + each.strip() for each in EVENT_COLUMNS.split(','))} FROM events e"
    " JOIN dead_letters d ON (d.tenant_id, d.kind, d.id, d.version, d.event_id)"
    " = (e.tenant_id, e.kind, e.id, e.version, e.event_id)"
    " WHERE d.tenant_id = :t AND d.name = :n AND d.slot = :slot AND d.replay"
    " ORDER BY d.xid, d.position LIMIT :limit"
)
DEAD_LETTERS = text(
    "SELECT event_id, kind, id, version, type, slot, attempts, error, at, replay FROM dead_letters"
    " WHERE tenant_id = :t AND name = :n AND (CAST(:after AS uuid) IS NULL OR (xid, position) >"
    " (SELECT xid, position FROM dead_letters WHERE tenant_id = :t AND name = :n"
    " AND event_id = CAST(:after AS uuid))) ORDER BY dead_letters.xid, position LIMIT :limit"
)
REPLAY = text(
    "UPDATE dead_letters SET replay = true WHERE tenant_id = :t AND name = :n AND NOT replay"
    " AND (CAST(:e AS uuid) IS NULL OR (kind, id) = (SELECT kind, id FROM dead_letters"
    " WHERE tenant_id = :t AND name = :n AND event_id = CAST(:e AS uuid)))"
)
LAG = text(
    f"""
    SELECT s.slot, s.xid::text AS xid_text, s.position, s.owner, s.leased_until,
        count(b.at) FILTER (WHERE b.visible) AS events,
        count(b.at) FILTER (WHERE NOT b.visible) AS waiting,
        coalesce(extract(epoch FROM now() - min(b.at)), 0) AS seconds
    FROM subscriptions s LEFT JOIN LATERAL (
        SELECT e.at, e.xid < webnova.horizon() AS visible FROM events e
        WHERE e.tenant_id = s.tenant_id AND (e.xid, e.position) > (s.xid, s.position)
          AND e.type = ANY(:types) AND {HASHED.format(e="e", of="s.slots")} = s.slot
        ORDER BY e.xid, e.position LIMIT :most
    ) b ON true
    WHERE s.tenant_id = :t AND s.name = :n
    GROUP BY s.slot, s.xid, s.position, s.owner, s.leased_until ORDER BY s.slot
    """
)
# Every writing transaction holds a lock on its own id, and everybody may see the locks. What else
# is known of it is shown to members of its role only.
STALL = text(
    """
    SELECT l.pid, coalesce(a.application_name, '') AS application, coalesce(a.state, '') AS state,
        coalesce(extract(epoch FROM now() - a.xact_start), 0) AS seconds
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
      AND l.transactionid::text = mod(
          pg_snapshot_xmin(pg_current_snapshot())::text::numeric, 4294967296)::text
      AND l.pid <> pg_backend_pid()
      AND coalesce(a.xact_start < now() - interval '1 second', true)
    LIMIT 1
    """
)


class PostgresCheckpoints:
    """`Checkpoints` on one open transaction of the tenant."""

    MOST_COUNTED = 10_000

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def _run(self, statement: TextClause, **values: Any) -> Sequence[Row[Any]]:
        result = await self._connection.execute(statement, {"t": self._tenant, **values})
        return result.all() if result.returns_rows else ()

    async def _count(self, statement: TextClause, **values: Any) -> int:
        return (await self._connection.execute(statement, {"t": self._tenant, **values})).rowcount

    async def open(self, subscription: str, slots: int, cursor: str | None) -> str:
        start = cursor or f"{await self._horizon()}-0"
        xid, position = parse_cursor(start)
        await self._run(OPEN, n=subscription, slots=slots, x=str(xid), p=position)
        return start

    async def _horizon(self) -> int:
        return int((await self._connection.execute(HORIZON)).scalar_one())

    async def close(self, subscription: str) -> None:
        await self._run(CLOSE, n=subscription)

    async def lease(self, subscription: str, owner: str, seconds: float) -> Slot | None:
        taken = await self._run(LEASE, n=subscription, owner=owner, seconds=seconds)
        return await self._slot(subscription, taken[0].slot) if taken else None

    async def _slot(self, subscription: str, number: int) -> Slot | None:
        rows = await self._run(HOLD, n=subscription, slot=number)
        return _slot(rows[0]) if rows else None

    async def hold(self, subscription: str, number: int, fence: int, *, seconds: float) -> Slot:
        found = await self._slot(subscription, number)
        if found is None or found.fence != fence:
            raise LeaseLost(
                f"The slot {number} of {subscription!r} has passed to another consumer.",
                mend="Lease again; what was not acknowledged is sent again.",
            )
        await self._run(EXTEND, **_key(found), seconds=seconds)
        return found

    async def release(self, slot: Slot, *, rest: float = 0.0) -> None:
        await self._run(RELEASE, **_key(slot), rest=rest)

    async def next(self, slot: Slot, types: Sequence[str], limit: int) -> Batch:
        xid, position = parse_cursor(slot.cursor)
        horizon = max(await self._horizon(), xid)
        rows = await self._run(
            NEXT,
            **_key(slot, name=False),
            of=slot.of,
            x=str(xid),
            p=position,
            horizon=str(horizon),
            types=list(types),
            limit=limit,
        )
        dead = {(row.kind, row.id) for row in await self._run(DEAD_STREAMS, **_key(slot))}
        full = len(rows) == limit
        last = recorded(rows[-1]).cursor if full else f"{horizon}-0"
        cursor = max(last, slot.cursor, key=parse_cursor)
        events = [recorded(row) for row in rows if (row.kind, row.id) not in dead]
        return Batch(events, cursor, full)

    async def waiting(self, slot: Slot, limit: int) -> Sequence[Recorded]:
        return [recorded(row) for row in await self._run(WAITING, **_key(slot), limit=limit)]

    async def move(self, slot: Slot, cursor: str, types: Sequence[str]) -> None:
        xid, position = parse_cursor(slot.cursor)
        to_xid, to_position = parse_cursor(cursor)
        if to_xid > max(await self._horizon(), xid):
            raise InvalidInput(
                "That cursor lies ahead of everything that has happened.",
                mend="Acknowledge with a cursor that came with the events.",
            )
        target = {"to_x": str(to_xid), "to_p": to_position}
        place = {"x": str(xid), "p": position}
        await self._run(PARK, **_key(slot), of=slot.of, types=list(types), **place, **target)
        await self._run(MOVE, **_key(slot), **target)
        await self._run(STILL, **_key(slot))

    async def failed(self, slot: Slot, event: Recorded, attempts: int) -> None:
        await self._run(FAILED, **_key(slot), e=event.event_id, attempts=attempts)

    async def bury(self, slot: Slot, event: Recorded, *, attempts: int, error: str) -> None:
        place = {"x": str(event.xid), "p": event.position, "kind": event.kind, "id": event.id}
        await self._run(
            BURY,
            **_key(slot),
            **place,
            e=event.event_id,
            version=event.version,
            type=event.type,
            attempts=attempts,
            error=error,
        )
        await self._run(REST, **_key(slot), **place)
        await self._run(STILL, **_key(slot))

    async def revived(self, slot: Slot, event: Recorded) -> None:
        await self._run(REVIVED, n=slot.subscription, e=event.event_id)
        await self._run(STILL, **_key(slot))

    async def dead_letters(
        self, subscription: str, *, after: str | None, limit: int
    ) -> Sequence[DeadLetter]:
        rows = await self._run(DEAD_LETTERS, n=subscription, after=after, limit=limit)
        return [DeadLetter(**{**row._mapping, "event_id": str(row.event_id)}) for row in rows]

    async def replay(self, subscription: str, event_id: str | None) -> int:
        numbers = [row.slot for row in await self._run(LOCK, n=subscription)]
        count = await self._count(REPLAY, n=subscription, e=event_id)
        for number in numbers:
            await self._run(STILL, n=subscription, slot=number)
        return count

    async def lag(self, subscription: str, types: Sequence[str]) -> Sequence[Lag]:
        rows = await self._run(LAG, n=subscription, types=list(types), most=self.MOST_COUNTED)
        return [
            Lag(
                row.slot,
                f"{row.xid_text}-{row.position}",
                row.owner,
                row.leased_until,
                row.events,
                row.waiting,
                float(row.seconds),
            )
            for row in rows
        ]

    async def stall(self) -> Stall | None:
        return _stall(await self._run(STALL))

    def attempt(self) -> AsyncTransaction:
        return self._connection.begin_nested()


class PostgresSlots:
    """`engine.ledger.subscriptions.projections.Slots` as the executor role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self,
        owner: str,
        subscriptions: Sequence[str],
        *,
        seconds: float,
        shard: tuple[int, int] = (0, 1),
        limit: int = 100,
    ) -> Sequence[Lease]:
        values = {
            "names": list(subscriptions),
            "owner": owner,
            "seconds": seconds,
            "shard": shard[0],
            "shards": shard[1],
            "limit": limit,
        }
        async with self._database.transaction() as connection:
            rows = await connection.execute(CLAIM, values)
            return [Lease(row.tenant_id, row.name, str(row.slot), row.fence) for row in rows]

    async def stall(self) -> Stall | None:
        async with self._database.transaction() as connection:
            return _stall((await connection.execute(STALL)).all())

    async def close(self) -> None:
        await self._database.close()


def _key(slot: Slot, *, name: bool = True) -> dict[str, Any]:
    return {"slot": slot.number, **({"n": slot.subscription} if name else {})}


def _slot(row: Row[Any]) -> Slot:
    return Slot(
        subscription=row.name,
        number=row.slot,
        of=row.slots,
        fence=row.fence,
        cursor=f"{row.xid_text}-{row.position}",
        event_id=None if row.event_id is None else str(row.event_id),
        attempts=row.attempts,
        replay=row.replay,
    )


def _stall(rows: Sequence[Row[Any]]) -> Stall | None:
    if not rows:
        return None
    (row,) = rows
    return Stall(row.pid, row.application, row.state, float(row.seconds))
