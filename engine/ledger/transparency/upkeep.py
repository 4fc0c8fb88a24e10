"""Keeping logs up with their events and publishing what they then commit to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.ledger.transparency.publication import Notary

BATCH = 500
"""Events that are logged in one transaction."""


class Backlog(Protocol):
    async def behind(self, shard: tuple[int, int] = (0, 1)) -> list[str]:
        """Tenants of the shard, (index, count), that have events which are not logged yet."""
        ...


class Sequencer(Protocol):
    async def sequence(self, tenant: str, limit: int) -> int:
        """Log the tenant's next events, at most `limit`; returns how many."""
        ...


class Upkeep:
    """Looks after the logs of one shard of the tenants; any number may look after the same.

    `failed` is called with the tenant and what went wrong. A tenant whose log can't be kept up or
    published does not hold up the others, and is tried again in every turn.
    """

    def __init__(
        self,
        backlog: Backlog,
        sequencer: Sequencer,
        notary: Callable[[], Notary],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._backlog = backlog
        self._sequencer = sequencer
        self._notary = notary
        self._failed = failed
        self._due: set[str] = set()

    async def turn(self, shard: tuple[int, int] = (0, 1)) -> None:
        self._due.update(await self._backlog.behind(shard))
        for tenant in sorted(self._due):
            try:
                while await self._sequencer.sequence(tenant, BATCH) == BATCH:
                    continue
                await self._notary().checkpoint(tenant)
            except Exception as error:  # noqa: BLE001 - told; the tenant stays due
                self._failed(tenant, error)
            else:
                self._due.discard(tenant)
