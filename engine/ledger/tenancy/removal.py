"""Taking everything of a deleted tenant away, piece by piece, until nothing is left.

That a tenant shall go is decided in the register (`engine.trust.tenants`) and noted in the same
transaction. What deletes is another path, under a role of its own that can touch nothing but
tenants with that note; it may stop anywhere and be taken up again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol


class Removals(Protocol):
    """The notes, inside a transaction of the root tenant."""

    async def begin(self, tenant: str) -> None:
        """Note that the tenant shall go. The database refuses for one that is not suspended."""
        ...

    async def purged_at(self, tenant: str) -> datetime | None:
        """When nothing was left any more; None before that."""
        ...


class Purge(Protocol):
    async def pending(self, shard: tuple[int, int] = (0, 1)) -> list[str]:
        """Tenants of the shard, (index, count), of which something may be left."""
        ...

    async def purge(self, tenant: str) -> bool:
        """Delete all rows that are there; true once it found none and nothing can follow."""
        ...


class Removal:
    """Carries out what was decided. Any number may do so at once.

    `forget` removes the tenant's files and stops what runs from them. `failed` is called with the
    tenant and what went wrong: it stays pending, and does not hold up the others.
    """

    def __init__(
        self,
        purge: Purge,
        forget: Callable[[str], Awaitable[None]],
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._purge = purge
        self._forget = forget
        self._failed = failed

    async def turn(self, shard: tuple[int, int] = (0, 1)) -> None:
        for tenant in await self._purge.pending(shard):
            try:
                # Files go first: when they can't, the note stays and says so.
                await self._forget(tenant)
                await self._purge.purge(tenant)
            except Exception as error:  # noqa: BLE001 - told; the tenant stays pending
                self._failed(tenant, error)
