"""Charging what was recorded and freeing what has run out, without anybody asking for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.kernel.contracts import Call, Caller
from engine.kernel.dispatch import Dispatcher, answer_as
from engine.ledger.metering.budgets import SweepReservations, Swept
from engine.ledger.metering.rating import Rated, RateUsage

PERMISSIONS = frozenset({RateUsage.permission, SweepReservations.permission})


class Backlog(Protocol):
    async def unsettled(self, shard: tuple[int, int] = (0, 1)) -> list[str]:
        """Tenants of the shard, (index, count), with usage to charge or reservations past their
        time."""
        ...


class Bookkeeping:
    """Looks after the books of one shard of the tenants; any number may look after the same.

    `failed` is called with the tenant and what went wrong. A tenant whose books can't be kept does
    not hold up the others, and is tried again in every turn.
    """

    def __init__(
        self,
        name: str,
        backlog: Backlog,
        dispatcher: Dispatcher,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._name = name
        self._backlog = backlog
        self._dispatcher = dispatcher
        self._failed = failed

    async def turn(self, shard: tuple[int, int] = (0, 1)) -> None:
        for tenant in await self._backlog.unsettled(shard):
            try:
                await self._settle(tenant)
            except Exception as error:  # noqa: BLE001 - told; the tenant stays due
                self._failed(tenant, error)

    async def _settle(self, tenant: str) -> None:
        caller = Caller(self._name, tenant, PERMISSIONS)
        more = True
        while more:
            rated = await self._dispatcher.execute(Call(RateUsage(), caller, tenant))
            swept = await self._dispatcher.execute(Call(SweepReservations(), caller, tenant))
            more = answer_as(Rated, rated).more or answer_as(Swept, swept).more
