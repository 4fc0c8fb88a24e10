"""Leases on durable work.

A work item is the `(tenant, kind, id)` of a document that is `Schedulable`. Whoever holds the
lease may drive it. Each lease carries a fencing token: a driver that was paused past its lease can
still try to write, but its token is old and its transaction fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive one work item until it runs out or is taken over."""

    tenant: str
    kind: str
    id: str
    fence: int


class WorkQueue(Protocol):
    """Due work of all tenants, as the executor sees it: keys and leases, no content."""

    async def renew(self, lease: Lease, *, seconds: float) -> bool:
        """Extend the lease; False when it has passed to another, the work is done or its tenant is
        suspended."""
        ...

    async def release(self, lease: Lease, *, rest: float = 0.0) -> None:
        """Give the lease back: the item can be claimed once it is due, after `rest` seconds."""
        ...
