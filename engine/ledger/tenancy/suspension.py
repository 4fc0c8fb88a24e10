"""Tenants at rest: who is suspended, since when and why, as a contract that storage implements.

The register of tenants (`engine.trust.tenants`) decides; this is what every request and the queue
of durable work look at. It changes in the transaction that records the decision, never later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.kernel.dispatch import Reader
from engine.kernel.errors import TenantDeleted, TenantSuspended


@dataclass(frozen=True, slots=True)
class Suspension:
    """`deleted` when it will never end: the tenant was deleted, and what is left of it is going."""

    since: datetime
    reason: str
    deleted: bool = False


class Suspensions(Protocol):
    """`current` is of the tenant whose transaction this is; only root's may change any."""

    async def current(self) -> Suspension | None: ...

    async def begin(self, tenant: str, suspension: Suspension) -> None:
        """Suspend the tenant from the commit on; one that is suspended stays as it is."""
        ...

    async def end(self, tenant: str) -> None: ...


async def require_active(reader: Reader) -> None:
    """Raise `TenantSuspended` while the reader's tenant is suspended, `TenantDeleted` once it
    is deleted."""
    found = await reader.part(Suspensions).current()
    if found is not None and found.deleted:
        raise TenantDeleted("The tenant was deleted.")
    if found is not None:
        raise TenantSuspended(
            f"The tenant is suspended: {found.reason}",
            mend="Ask whoever runs this installation to resume it; nothing of it is lost.",
            since=found.since.isoformat(),
        )
