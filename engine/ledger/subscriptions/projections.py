"""Projections: tables that follow the events, exactly once.

A projection's rows and its checkpoint are written in one transaction, so whatever dies, each event
has been applied once or not at all. What an event could not be applied for is kept: after
`MOST_ATTEMPTS` it becomes a dead letter, and so do the later events of its stream, which wait
behind it. Other streams go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import structlog
from pydantic import Field

from engine.kernel.contracts import (
    Call,
    Caller,
    Catalogue,
    Command,
    Event,
    Recorded,
    View,
)
from engine.kernel.dispatch import Dispatcher, Handlers, Transaction, answer_as
from engine.kernel.errors import NotFound, WebNovaError
from engine.ledger.subscriptions.store import Checkpoints, Slot
from engine.ledger.subscriptions.topics import Delivered, Topic
from engine.ledger.work import Lease

BATCH = 200
"""Events that are applied in one transaction."""
LEASE_S = 30.0
MOST_ATTEMPTS = 5
LONGEST_REST_S = 60.0
MOST_ERROR = 500

log = structlog.get_logger(__name__)


class Projection(Protocol):
    """`apply` writes what follows from one event. It may be called again for the same event only
    when all that it wrote before has been undone."""

    name: str
    topic: Topic[Event]

    async def apply(self, delivered: Delivered[Event], tx: Transaction) -> None: ...


class Project(Command):
    """Apply the next events of a slot, as whoever holds its lease."""

    permission: ClassVar[str] = "subscription.drive"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    subscription: str
    slot: int = Field(ge=0)
    fence: int = Field(ge=1)


class Projected(View):
    """`more` when the next turn would find something at once."""

    more: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that could not be applied, and the cursor up to which all was."""

    recorded: Recorded
    done: str
    error: str


class Projections:
    """The projections of an installation."""

    def __init__(self, catalogue: Catalogue, projections: Iterable[Projection]) -> None:
        self._catalogue = catalogue
        self.by_name = {each.name: each for each in projections}

    def handlers(self) -> Handlers:
        made = Handlers()
        made.command(Project, Projected)(self.project)
        return made

    async def project(self, command: Project, tx: Transaction, call: Call) -> Projected:
        projection = self.by_name.get(command.subscription)
        if projection is None:
            raise NotFound(f"No projection is called {command.subscription!r}.")
        checkpoints = tx.part(Checkpoints)
        slot = await checkpoints.hold(
            command.subscription, command.slot, command.fence, seconds=LEASE_S
        )
        if slot.replay:
            await self._replay(projection, slot, checkpoints, tx)
        types = projection.topic.names
        batch = await checkpoints.next(slot, types, BATCH)
        cursor = slot.cursor
        for recorded in batch.events:
            error = await self._apply(projection, recorded, checkpoints, tx)
            if error:
                return await self._put_off(projection, slot, Failure(recorded, cursor, error), tx)
            cursor = recorded.cursor
        await checkpoints.move(slot, batch.cursor, types)
        more = batch.full
        if not more:
            await checkpoints.release(slot)
        return Projected(more=more)

    async def _apply(
        self,
        projection: Projection,
        recorded: Recorded,
        checkpoints: Checkpoints,
        tx: Transaction,
    ) -> str:
        """Why the event could not be applied; empty if it was."""
        try:
            async with checkpoints.attempt():
                delivered = projection.topic.delivered(self._catalogue, recorded)
                await projection.apply(delivered, tx)
        except Exception as error:  # noqa: BLE001 - kept with the event
            log.warning(
                "event not applied",
                subscription=projection.name,
                event_id=recorded.event_id,
                error=type(error).__name__,
            )
            return told(error)
        return ""

    @staticmethod
    async def _put_off(
        projection: Projection, slot: Slot, failure: Failure, tx: Transaction
    ) -> Projected:
        checkpoints, types = tx.part(Checkpoints), projection.topic.names
        recorded = failure.recorded
        attempts = slot.attempts + 1 if slot.event_id == recorded.event_id else 1
        buried = attempts >= MOST_ATTEMPTS
        if buried:
            await checkpoints.bury(slot, recorded, attempts=attempts, error=failure.error)
            await checkpoints.move(slot, recorded.cursor, types)
        else:
            await checkpoints.move(slot, failure.done, types)
            await checkpoints.failed(slot, recorded, attempts)
            await checkpoints.release(slot, rest=rest_after(attempts))
        return Projected(more=buried)

    async def _replay(
        self, projection: Projection, slot: Slot, checkpoints: Checkpoints, tx: Transaction
    ) -> None:
        """Try dead letters again. One that fails keeps those behind it in its stream."""
        stuck: set[tuple[str, str]] = set()
        for recorded in await checkpoints.waiting(slot, BATCH):
            stream = (recorded.kind, recorded.id)
            if stream in stuck:
                await checkpoints.bury(slot, recorded, attempts=0, error="")
                continue
            error = await self._apply(projection, recorded, checkpoints, tx)
            if error:
                stuck.add(stream)
                await checkpoints.bury(slot, recorded, attempts=1, error=error)
            else:
                await checkpoints.revived(slot, recorded)


class Slots(Protocol):
    """Slots of all tenants, as the executor sees them: keys and leases, no content."""

    async def claim(
        self,
        owner: str,
        subscriptions: Sequence[str],
        *,
        seconds: float,
        shard: tuple[int, int] = (0, 1),
        limit: int = 100,
    ) -> Sequence[Lease]:
        """Lease slots that have something to do; the lease's kind is the subscription, its id the
        slot's number."""
        ...


class Driver:
    """Keeps the projections of one shard of the tenants up; any number may drive the same.

    `failed` is called with the tenant and what went wrong. That slot is tried again when its lease
    has run out; the others go on.
    """

    def __init__(
        self,
        name: str,
        slots: Slots,
        projections: Projections,
        dispatcher: Dispatcher,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._name = name
        self._slots = slots
        self._names = sorted(projections.by_name)
        self._dispatcher = dispatcher
        self._failed = failed

    async def turn(self, shard: tuple[int, int] = (0, 1)) -> None:
        for lease in await self._slots.claim(self._name, self._names, seconds=LEASE_S, shard=shard):
            try:
                await self._drive(lease)
            except Exception as error:  # noqa: BLE001 - told; the slot stays due
                self._failed(lease.tenant, error)

    async def _drive(self, lease: Lease) -> None:
        caller = Caller(self._name, lease.tenant, frozenset({Project.permission}))
        command = Project(subscription=lease.kind, slot=int(lease.id), fence=lease.fence)
        more = True
        while more:
            done = await self._dispatcher.execute(Call(command, caller, lease.tenant))
            more = answer_as(Projected, done).more


def rest_after(attempts: int) -> float:
    """Seconds until an event that has failed so often is tried again."""
    return min(LONGEST_REST_S, 0.5 * 2.0 ** (attempts - 1))


def told(error: Exception) -> str:
    """An error in one line that may be shown to the tenant's administrators."""
    detail = error.detail if isinstance(error, WebNovaError) else str(error)
    return f"{type(error).__name__}: {detail}"[:MOST_ERROR]
