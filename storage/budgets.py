"""The counters of budgets in Postgres: `engine.ledger.metering.store.Holds`.

Rows are always locked in the order reservation, limit, period; expiry skips what another has
locked. So none of these can wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.ledger.metering.store import Hold, Standing

SET_LIMIT = text(
    "INSERT INTO budget_limits (tenant_id, budget, amount) VALUES (:t, :b, :a)"
    " ON CONFLICT (tenant_id, budget) DO UPDATE SET amount = excluded.amount"
)
SET_PERIODS = text(
    "UPDATE budget_periods SET amount = :a WHERE tenant_id = :t AND budget = :b AND period >= :p"
)
# The limit's row is locked against a change that would not see the new period.
OPEN = text(
    """
    INSERT INTO budget_periods (tenant_id, budget, period, amount)
    SELECT tenant_id, budget, :p, amount FROM budget_limits
    WHERE tenant_id = :t AND budget = :b FOR SHARE
    ON CONFLICT (tenant_id, budget, period) DO NOTHING
    """
)
STANDING = text(
    "SELECT budget, period, amount, held, spent FROM budget_periods"
    " WHERE tenant_id = :t AND budget = :b AND period = :p"
)
HOLD = text(
    """
    UPDATE budget_periods SET held = held + CAST(:a AS numeric)
    WHERE tenant_id = :t AND budget = :b AND period = :p
      AND spent + held + CAST(:a AS numeric) <= amount
    """
)
KEEP = text(
    "INSERT INTO reservations (tenant_id, id, budget, period, amount, expires_at)"
    " VALUES (:t, :id, :b, :p, :a, :until)"
)
DROP = text(
    "DELETE FROM reservations WHERE tenant_id = :t AND id = :id"
    " RETURNING id, budget, period, amount, expires_at"
)
FREE = text(
    "UPDATE budget_periods SET held = held - CAST(:a AS numeric)"
    " WHERE tenant_id = :t AND budget = :b AND period = :p"
)
SPEND = text(
    "UPDATE budget_periods SET spent = spent + CAST(:a AS numeric)"
    " WHERE tenant_id = :t AND budget = :b AND period = :p"
    " RETURNING budget, period, amount, held, spent"
)
EXPIRED = """
    SELECT id, budget, period, amount, expires_at FROM reservations
    WHERE tenant_id = :t AND expires_at <= :now {condition}
    ORDER BY budget, period, id LIMIT :limit FOR UPDATE SKIP LOCKED
"""


class PostgresHolds:
    """On one open transaction of one tenant."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def _run(self, statement: Any, **values: Any) -> Any:
        return await self._connection.execute(statement, {"t": self._tenant, **values})

    async def set_limit(self, budget: str, limit: Decimal, *, period: str) -> None:
        await self._run(SET_LIMIT, b=budget, a=limit)
        await self._run(SET_PERIODS, b=budget, a=limit, p=period)
        await self._run(OPEN, b=budget, p=period)

    async def standing(self, budget: str, period: str) -> Standing | None:
        row = (await self._run(STANDING, b=budget, p=period)).first()
        return None if row is None else _standing(row)

    async def take(self, hold: Hold) -> bool:
        values = {"b": hold.budget, "p": hold.period, "a": hold.amount}
        if not (await self._run(HOLD, **values)).rowcount:
            # A refusal may have locked the period; only where there is none may the limit be.
            if await self.standing(hold.budget, hold.period) is not None:
                return False
            await self._run(OPEN, b=hold.budget, p=hold.period)
            if not (await self._run(HOLD, **values)).rowcount:
                return False
        await self._run(KEEP, **values, id=hold.id, until=hold.expires_at)
        return True

    async def drop(self, id: str) -> Hold | None:
        row = (await self._run(DROP, id=id)).first()
        if row is None:
            return None
        await self._run(FREE, b=row.budget, p=row.period, a=row.amount)
        return _hold(row)

    async def spend(self, budget: str, period: str, amount: Decimal) -> Standing:
        values = {"b": budget, "p": period, "a": amount}
        row = (await self._run(SPEND, **values)).first()
        if row is None:
            await self._run(OPEN, b=budget, p=period)
            row = (await self._run(SPEND, **values)).one()
        return _standing(row)

    async def expired(
        self, now: datetime, *, limit: int, budget: str | None = None
    ) -> Sequence[Hold]:
        values: dict[str, Any] = {"now": now, "limit": limit}
        if budget is not None:
            values["b"] = budget
        statement = text(EXPIRED.format(condition="AND budget = :b" if budget else ""))
        return [_hold(row) for row in await self._run(statement, **values)]


def _hold(row: Row[Any]) -> Hold:
    return Hold(row.id, row.budget, row.period, row.amount, row.expires_at)


def _standing(row: Row[Any]) -> Standing:
    return Standing(row.budget, row.period, row.amount, row.held, row.spent)
