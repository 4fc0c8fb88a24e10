"""The queue of durable work in Postgres: who may drive what, and for how long.

The rows are written by transactions of the tenants (a document that is `Schedulable`). The
executor sees only these rows. The fencing token is the number of times the item was leased.
"""

from __future__ import annotations

from sqlalchemy import text

from engine.ledger.work import Lease
from storage.database import Database

# Items are ranked inside their tenant, after those that the tenant already has under way; the
# rank then decides between tenants. So a tenant with a thousand waiting items and one with a
# single item take turns, and `per_tenant` bounds how many of one tenant run at once.
CLAIM = text(
    """
    WITH busy AS (
        SELECT tenant_id, count(*) AS running FROM work
        WHERE kind = :kind AND leased_until > now() AND owner IS NOT NULL GROUP BY tenant_id
    ), ranked AS (
        SELECT w.tenant_id, w.kind, w.id, w.due_at,
               row_number() OVER (
                   PARTITION BY w.tenant_id ORDER BY w.priority, w.due_at, w.id
               ) + coalesce(b.running, 0) AS turn
        FROM work w LEFT JOIN busy b USING (tenant_id)
        WHERE w.kind = :kind AND w.due_at <= now()
          AND (w.leased_until IS NULL OR w.leased_until <= now())
          AND mod(hashtext(w.tenant_id)::bigint + 2147483648, :shards) = :shard
          AND NOT EXISTS (SELECT FROM suspensions s WHERE s.tenant_id = w.tenant_id)
    ), chosen AS (
        SELECT w.tenant_id, w.kind, w.id
        FROM work w JOIN ranked r USING (tenant_id, kind, id)
        WHERE r.turn <= :per_tenant
          AND (w.leased_until IS NULL OR w.leased_until <= now())
        ORDER BY r.turn, r.due_at LIMIT :limit FOR UPDATE OF w SKIP LOCKED
    )
    UPDATE work w
    SET owner = :owner, fence = w.fence + 1,
        leased_until = now() + make_interval(secs => :seconds)
    FROM chosen c
    WHERE (w.tenant_id, w.kind, w.id) = (c.tenant_id, c.kind, c.id)
    RETURNING w.tenant_id, w.kind, w.id, w.fence
    """
)
KEY = "tenant_id = :tenant AND kind = :kind AND id = :id AND fence = :fence"
# Whoever drives work of a tenant that was suspended loses its lease at the next renewal and stops,
# as for any lost lease; what it was about is due again once the tenant is resumed.
RENEW = text(
    f"UPDATE work SET leased_until = now() + make_interval(secs => :seconds) WHERE {KEY}"
    " AND NOT EXISTS (SELECT FROM suspensions s WHERE s.tenant_id = :tenant)"
)
# An item that nobody owns but whose lease runs on is at rest until then.
RELEASE = text(
    "UPDATE work SET leased_until = now() + make_interval(secs => :seconds), owner = NULL"
    f" WHERE {KEY}"
)
COUNT = text(
    "SELECT count(*) FROM work WHERE kind = :kind AND leased_until > now() AND owner IS NOT NULL"
)


def _values(lease: Lease) -> dict[str, object]:
    return {"tenant": lease.tenant, "kind": lease.kind, "id": lease.id, "fence": lease.fence}


class PostgresWorkQueue:
    """`engine.ledger.work.WorkQueue` as the executor role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self,
        owner: str,
        kind: str,
        *,
        limit: int,
        per_tenant: int,
        seconds: float,
        shard: tuple[int, int] = (0, 1),
    ) -> list[Lease]:
        """Lease up to `limit` due items of one kind, fairly between tenants that are not suspended.

        `shard` is (index, count): only tenants whose hash falls to the index are looked at. At
        most `per_tenant` items of one tenant are under lease at once.
        """
        values = {
            "owner": owner,
            "kind": kind,
            "limit": limit,
            "per_tenant": per_tenant,
            "seconds": seconds,
            "shard": shard[0],
            "shards": shard[1],
        }
        async with self._database.transaction() as connection:
            rows = await connection.execute(CLAIM, values)
            return [Lease(row.tenant_id, row.kind, row.id, row.fence) for row in rows]

    async def renew(self, lease: Lease, *, seconds: float) -> bool:
        async with self._database.transaction() as connection:
            values = {**_values(lease), "seconds": seconds}
            return bool((await connection.execute(RENEW, values)).rowcount)

    async def release(self, lease: Lease, *, rest: float = 0.0) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(RELEASE, {**_values(lease), "seconds": rest})

    async def running(self, kind: str) -> int:
        """How many items of the kind are under a live lease, in all tenants."""
        async with self._database.transaction() as connection:
            return int((await connection.execute(COUNT, {"kind": kind})).scalar_one())

    async def close(self) -> None:
        await self._database.close()
