"""What a tenant has seen of others' logs: `SeenLogs` in Postgres.

The row of a log is the lock under which its witness decides, so that of two checkpoints that come
at once the second one is held against the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.ledger.transparency.merkle import EMPTY
from engine.ledger.transparency.publishing.witnessing import Seen

COLUMNS = "origin, size, root, note, cosigned_at"
BEGIN = text(
    "INSERT INTO witnessed_logs (tenant_id, origin, size, root) VALUES (:t, :o, 0, :root)"
    " ON CONFLICT (tenant_id, origin) DO NOTHING"
)
HOLD = text(f"SELECT {COLUMNS} FROM witnessed_logs WHERE tenant_id = :t AND origin = :o FOR UPDATE")
MOVE = text(
    "UPDATE witnessed_logs SET size = :size, root = :root, note = :note, cosigned_at = :at"
    " WHERE tenant_id = :t AND origin = :o"
)
FIND = text(
    f"SELECT {COLUMNS} FROM witnessed_logs WHERE tenant_id = :t AND note IS NOT NULL"
    " AND origin = ANY(CAST(:origins AS text[]))"
)


class PostgresSeenLogs:
    """On one open transaction of the tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def hold(self, origin: str) -> Seen | None:
        values = {"t": self._tenant, "o": origin}
        await self._connection.execute(BEGIN, {**values, "root": EMPTY})
        row = (await self._connection.execute(HOLD, values)).one()
        return None if row.note is None else _seen(row)

    async def move(self, origin: str, seen: Seen) -> None:
        values = {"size": seen.size, "root": seen.root, "note": seen.note, "at": seen.at}
        await self._connection.execute(MOVE, {"t": self._tenant, "o": origin, **values})

    async def find(self, origins: Sequence[str]) -> dict[str, Seen]:
        values = {"t": self._tenant, "origins": list(origins)}
        return {row.origin: _seen(row) for row in await self._connection.execute(FIND, values)}


def _seen(row: Row[tuple[object, ...]]) -> Seen:
    return Seen(row.size, bytes(row.root), row.note, row.cosigned_at)
