"""What is kept of deliveries, as the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from engine.kernel.contracts import Recorded

State = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint. `due_at` is None once nothing more is tried."""

    webhook: str
    event_id: str
    type: str
    state: State
    attempts: int
    due_at: datetime | None
    status: int | None
    error: str
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt gave: the HTTP status, or None and why there was none."""

    status: int | None
    error: str

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Deliveries(Protocol):
    """One tenant's deliveries, in one transaction."""

    async def add(self, webhook: str, event: Recorded, at: datetime) -> None:
        """Deliver the event from `at` on, unless it is known already."""
        ...

    async def take(self, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
        """Due deliveries, counted as attempted and due again at `until`, should nobody settle
        them."""
        ...

    async def event(self, event_id: str) -> Recorded | None: ...

    async def find(self, webhook: str, event_id: str) -> Delivery | None: ...

    async def settle(
        self, delivery: Delivery, outcome: Outcome, now: datetime, retry_at: datetime | None
    ) -> None:
        """Keep what an attempt gave; without `retry_at` a failure is final."""
        ...

    async def failing_since(self, webhook: str) -> datetime | None:
        """The first failed attempt since something was delivered last."""
        ...

    async def again(self, webhook: str, event_id: str, now: datetime) -> bool:
        """Try a delivery anew, from the start; False when there is none."""
        ...

    async def replay(
        self, webhook: str, types: Sequence[str], since: datetime, now: datetime
    ) -> int:
        """Deliver what happened since then and was not delivered; how many."""
        ...

    async def list(
        self, webhook: str, *, state: State | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first, before the event id `after`."""
        ...

    async def forget(self, webhook: str) -> None:
        """Drop the deliveries of an endpoint that is no more."""
        ...
