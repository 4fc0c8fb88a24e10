"""Deliveries of webhooks: `engine.ledger.webhooks.store.Deliveries` in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.contracts import Recorded
from engine.ledger.webhooks.store import Deliveries, Delivery, Outcome, State
from storage.database import Database
from storage.transactions import EVENT_COLUMNS, recorded

COLUMNS = (
    "webhook, event_id, type, state, attempts, due_at, status, error, created_at, delivered_at"
)
KEY = "tenant_id = :t AND webhook = :w AND event_id = CAST(:e AS uuid)"

ADD = text(
    "INSERT INTO webhook_deliveries (tenant_id, webhook, event_id, type, created_at, due_at)"
    " VALUES (:t, :w, CAST(:e AS uuid), :type, :at, :at)"
    " ON CONFLICT (tenant_id, webhook, event_id) DO NOTHING"
)
TAKE = text(
    f"""
    WITH chosen AS (
        SELECT webhook, event_id FROM webhook_deliveries
        WHERE tenant_id = :t AND due_at <= :now
        ORDER BY due_at, event_id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_deliveries d SET attempts = attempts + 1, due_at = :until
    FROM chosen c WHERE d.tenant_id = :t AND (d.webhook, d.event_id) = (c.webhook, c.event_id)
    RETURNING {", ".join("d." + each.strip() for each in COLUMNS.split(","))}
    """
)
EVENT = text(
    f"SELECT {EVENT_COLUMNS} FROM events WHERE tenant_id = :t AND event_id = CAST(:e AS uuid)"
)
FIND = text(f"SELECT {COLUMNS} FROM webhook_deliveries WHERE {KEY} FOR UPDATE")
ARRIVED = "CAST(:state AS text) = 'delivered'"
NOW = "CAST(:now AS timestamptz)"
SETTLE = text(
    "UPDATE webhook_deliveries SET state = CAST(:state AS text), status = :status, error = :error,"
    f" due_at = :due, delivered_at = CASE WHEN {ARRIVED} THEN {NOW} END,"
    f" failed_at = CASE WHEN {ARRIVED} THEN failed_at ELSE coalesce(failed_at, {NOW}) END"
    f" WHERE {KEY}"
)
FAILING_SINCE = text(
    "SELECT min(failed_at) AS since FROM webhook_deliveries"
    " WHERE tenant_id = :t AND webhook = :w AND state <> 'delivered' AND failed_at > coalesce("
    "(SELECT max(delivered_at) FROM webhook_deliveries WHERE tenant_id = :t AND webhook = :w),"
    " '-infinity')"
)
FRESH = "state = 'pending', attempts = 0, due_at = :now, failed_at = NULL, delivered_at = NULL"
AGAIN = text(f"UPDATE webhook_deliveries SET {FRESH} WHERE {KEY}")
REPLAY = text(
    "INSERT INTO webhook_deliveries AS d (tenant_id, webhook, event_id, type, created_at, due_at)"
    " SELECT tenant_id, :w, event_id, type, :now, :now FROM events"
    " WHERE tenant_id = :t AND at >= :since AND type = ANY(:types)"
    " ON CONFLICT (tenant_id, webhook, event_id)"
    f" DO UPDATE SET {FRESH} WHERE d.state <> 'delivered'"
)
LIST = text(
    f"SELECT {COLUMNS} FROM webhook_deliveries WHERE tenant_id = :t AND webhook = :w"
    " AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))"
    " AND (CAST(:after AS uuid) IS NULL OR (created_at, event_id) < (SELECT created_at, event_id"
    f" FROM webhook_deliveries WHERE {KEY.replace(':e', ':after')}))"
    " ORDER BY created_at DESC, event_id DESC LIMIT :limit"
)
FORGET = text("DELETE FROM webhook_deliveries WHERE tenant_id = :t AND webhook = :w")
DUE = text(
    "SELECT DISTINCT tenant_id FROM webhook_deliveries d WHERE due_at <= :now"
    " AND mod(hashtext(tenant_id)::bigint + 2147483648, :shards) = :shard"
    " AND NOT EXISTS (SELECT FROM suspensions s WHERE s.tenant_id = d.tenant_id) LIMIT 1000"
)


class PostgresDeliveries(Deliveries):
    """`Deliveries` on one open transaction of the tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def _run(self, statement: TextClause, **values: Any) -> Sequence[Row[Any]]:
        result = await self._connection.execute(statement, {"t": self._tenant, **values})
        return result.all() if result.returns_rows else ()

    async def _count(self, statement: TextClause, **values: Any) -> int:
        return (await self._connection.execute(statement, {"t": self._tenant, **values})).rowcount

    async def add(self, webhook: str, event: Recorded, at: datetime) -> None:
        await self._run(ADD, w=webhook, e=event.event_id, type=event.type, at=at)

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        return [_delivery(row) for row in await self._run(TAKE, now=now, until=until, limit=limit)]

    async def event(self, event_id: str) -> Recorded | None:
        rows = await self._run(EVENT, e=event_id)
        return recorded(rows[0]) if rows else None

    async def find(self, webhook: str, event_id: str) -> Delivery | None:
        rows = await self._run(FIND, w=webhook, e=event_id)
        return _delivery(rows[0]) if rows else None

    async def settle(
        self, delivery: Delivery, outcome: Outcome, now: datetime, retry_at: datetime | None
    ) -> None:
        undecided = "failed" if retry_at is None else "pending"
        await self._run(
            SETTLE,
            w=delivery.webhook,
            e=delivery.event_id,
            state="delivered" if outcome.delivered else undecided,
            status=outcome.status,
            error=outcome.error,
            due=retry_at,
            now=now,
        )

    async def failing_since(self, webhook: str) -> datetime | None:
        since: datetime | None = (await self._run(FAILING_SINCE, w=webhook))[0].since
        return since

    async def again(self, webhook: str, event_id: str, now: datetime) -> bool:
        return bool(await self._count(AGAIN, w=webhook, e=event_id, now=now))

    async def replay(
        self, webhook: str, types: Sequence[str], since: datetime, now: datetime
    ) -> int:
        return await self._count(REPLAY, w=webhook, types=list(types), since=since, now=now)

    async def list(
        self, webhook: str, *, state: State | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        rows = await self._run(LIST, w=webhook, state=state, after=after, limit=limit)
        return [_delivery(row) for row in rows]

    async def forget(self, webhook: str) -> None:
        await self._run(FORGET, w=webhook)


class PostgresDeliveryBacklog:
    """Who has deliveries that are due, as the executor role sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: datetime, shard: tuple[int, int] = (0, 1)) -> Sequence[str]:
        values = {"now": now, "shard": shard[0], "shards": shard[1]}
        async with self._database.transaction() as connection:
            return [row.tenant_id for row in await connection.execute(DUE, values)]

    async def close(self) -> None:
        await self._database.close()


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{**row._mapping, "event_id": str(row.event_id)})
