"""Which tenants are suspended: `engine.ledger.tenancy.suspension.Suspensions` in Postgres.

The database itself lets only transactions of the root tenant change these rows.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.ledger.tenancy.suspension import Suspension

CURRENT = text(
    "SELECT since, reason, EXISTS (SELECT FROM deletions d WHERE d.tenant_id = s.tenant_id)"
    " AS deleted FROM suspensions s WHERE tenant_id = :t"
)
BEGIN = text(
    "INSERT INTO suspensions (tenant_id, since, reason) VALUES (:t, :since, :reason)"
    " ON CONFLICT (tenant_id) DO NOTHING"
)
END = text("DELETE FROM suspensions WHERE tenant_id = :t")


class PostgresSuspensions:
    """On one open transaction of one tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def current(self) -> Suspension | None:
        row = (await self._connection.execute(CURRENT, {"t": self._tenant})).first()
        return None if row is None else Suspension(row.since, row.reason, row.deleted)

    async def begin(self, tenant: str, suspension: Suspension) -> None:
        values = {"t": tenant, "since": suspension.since, "reason": suspension.reason}
        await self._connection.execute(BEGIN, values)

    async def end(self, tenant: str) -> None:
        await self._connection.execute(END, {"t": tenant})
