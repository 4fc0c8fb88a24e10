"""Deleting tenants in Postgres: the notes as the application role, the rows as the eraser.

The application can't delete events. The eraser can delete rows of tenants that root has suspended
and noted for deletion, in their scope, and can neither write nor see anything else: its policies
say so, and hold against whatever code runs under it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database

BATCH = 5000
SETTLE_S = 60
"""So long after the decision something may still commit that had begun before it."""

# What others derive work from goes first, then what refers to something before what it refers to.
ORDER = {
    "subject_keys": "subject",
    "unrated_usage": "source",
    "reservations": "id",
    "work": "kind",
    "webhook_deliveries": "webhook",
    "dead_letters": "name",
    "subscriptions": "name",
    "events": "xid DESC",
    "documents": "kind",
    "document_fields": "kind",
    "document_bases": "kind",
    "archived_months": "month",
    "witnessed_logs": "origin",
    "document_folds": "kind",
    "event_ids": "event_id",
    "idempotency": "key",
    "charges": "source",
    "ledger_postings": "entry_id",
    "ledger_entries": "xid DESC, corrects NULLS LAST",
    "tier_counts": "period",
    "usage": "source",
    "budget_periods": "period",
    "budget_limits": "budget",
    "blobs": "digest",
    "log_leaves": "index DESC",
    "log_nodes": "level",
    "log_heads": "tenant_id",
    "suspensions": "tenant_id",
}
"""Every table of tenants, in the order in which their rows go, and the order of each."""

BEGIN = text("INSERT INTO deletions (tenant_id) VALUES (:t) ON CONFLICT (tenant_id) DO NOTHING")
PURGED = text("SELECT purged_at FROM deletions WHERE tenant_id = :t")
PENDING = text(
    "SELECT tenant_id FROM deletions WHERE purged_at IS NULL"
    " AND mod(hashtext(tenant_id)::bigint + 2147483648, :shards) = :shard ORDER BY tenant_id"
)
DONE = text(
    "UPDATE deletions SET purged_at = now() WHERE tenant_id = :t AND purged_at IS NULL"
    " AND requested_at < now() - make_interval(secs => :settle)"
)


class PostgresRemovals:
    """`engine.ledger.tenancy.removal.Removals` on one open transaction of the root tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection

    async def begin(self, tenant: str) -> None:
        await self._connection.execute(BEGIN, {"t": tenant})

    async def purged_at(self, tenant: str) -> datetime | None:
        found = (await self._connection.execute(PURGED, {"t": tenant})).scalar_one_or_none()
        return found if isinstance(found, datetime) else None


class PostgresPurge:
    """`engine.ledger.tenancy.removal.Purge` as the eraser role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending(self, shard: tuple[int, int] = (0, 1)) -> list[str]:
        values = {"shard": shard[0], "shards": shard[1]}
        async with self._database.transaction() as connection:
            return [row.tenant_id for row in await connection.execute(PENDING, values)]

    async def purge(self, tenant: str) -> bool:
        deleted = 0
        for table, order in ORDER.items():
            while count := await self._batch(tenant, table, order):
                deleted += count
        if deleted:
            return False
        async with self._database.transaction(tenant) as connection:
            done = await connection.execute(DONE, {"t": tenant, "settle": SETTLE_S})
            return bool(done.rowcount)

    async def _batch(self, tenant: str, table: str, order: str) -> int:
        # Rows of a partitioned table are told apart by the partition as well.
        statement = text(
            f"DELETE FROM {table} WHERE tenant_id = :t AND (tableoid, ctid) IN ("
            f" SELECT tableoid, ctid FROM {table} WHERE tenant_id = :t"
            f" ORDER BY {order} LIMIT {BATCH})"
        )
        async with self._database.transaction(tenant) as connection:
            return int((await connection.execute(statement, {"t": tenant})).rowcount)

    async def close(self) -> None:
        await self._database.close()
