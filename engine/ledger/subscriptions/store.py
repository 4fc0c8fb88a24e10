"""What a subscription remembers, as the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.kernel.contracts import Recorded

BEGINNING = "0-0"


@dataclass(frozen=True, slots=True)
class Slot:
    """One of a subscription's consumers: the streams whose hash falls to its number.

    `fence` is the number of times it was leased. `cursor` is the place up to which it is done;
    `event_id` the event that failed last, `attempts` how often; `replay` that dead letters wait to
    be tried again.
    """

    subscription: str
    number: int
    of: int
    fence: int
    cursor: str
    event_id: str | None
    attempts: int
    replay: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of a slot in reading order, and the place up to which that is all there is.

    `full` when there is more behind it.
    """

    events: Sequence[Recorded]
    cursor: str
    full: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a consumer could not take, or that came in its stream after such a one.

    `error` is empty for the latter, `attempts` 0.
    """

    event_id: str
    kind: str
    id: str
    version: int
    type: str
    slot: int
    attempts: int
    error: str
    at: datetime
    replay: bool


@dataclass(frozen=True, slots=True)
class Stall:
    """The transaction that readers wait for: it began before all others and has not ended."""

    pid: int
    application: str
    state: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a slot is behind: events, at most `Checkpoints.MOST_COUNTED`, and the oldest's age.

    `waiting` counts those that no reader may see yet, because an older transaction is open.
    """

    number: int
    cursor: str
    owner: str | None
    leased_until: datetime | None
    events: int
    waiting: int
    seconds: float


class Checkpoints(Protocol):
    """The checkpoints and dead letters of one tenant's subscriptions, in one transaction."""

    MOST_COUNTED: int

    async def open(self, subscription: str, slots: int, cursor: str | None) -> str:
        """Begin after the cursor, or with what happens from now on; returns the cursor."""
        ...

    async def close(self, subscription: str) -> None:
        """Forget the checkpoints and the dead letters."""
        ...

    async def lease(self, subscription: str, owner: str, seconds: float) -> Slot | None:
        """Take a slot that has something to do and that nobody holds; None when there is none."""
        ...

    async def hold(self, subscription: str, number: int, fence: int, *, seconds: float) -> Slot:
        """Lock the slot until the end of the transaction and extend its lease.

        Raises `LeaseLost` when the slot has passed to another consumer.
        """
        ...

    async def release(self, slot: Slot, *, rest: float = 0.0) -> None:
        """Let anybody lease the slot, after `rest` seconds."""
        ...

    async def next(self, slot: Slot, types: Sequence[str], limit: int) -> Batch:
        """What follows the slot's cursor, without the events of streams that have dead letters."""
        ...

    async def waiting(self, slot: Slot, limit: int) -> Sequence[Recorded]:
        """Dead letters that are to be tried again, in reading order."""
        ...

    async def move(self, slot: Slot, cursor: str, types: Sequence[str]) -> None:
        """Everything up to the cursor is done, or waits behind a dead letter of its stream from
        now on. Never moves back."""
        ...

    async def failed(self, slot: Slot, event: Recorded, attempts: int) -> None:
        """Remember that the next event has failed so often."""
        ...

    async def bury(self, slot: Slot, event: Recorded, *, attempts: int, error: str) -> None:
        """Make the event a dead letter, or remember a new failure of one."""
        ...

    async def revived(self, slot: Slot, event: Recorded) -> None:
        """The dead letter was taken after all."""
        ...

    async def dead_letters(
        self, subscription: str, *, after: str | None, limit: int
    ) -> Sequence[DeadLetter]:
        """In reading order, past the event id `after`."""
        ...

    async def replay(self, subscription: str, event_id: str | None) -> int:
        """Mark the stream of one dead letter, or all of them, to be tried again; how many."""
        ...

    async def lag(self, subscription: str, types: Sequence[str]) -> Sequence[Lag]: ...

    async def stall(self) -> Stall | None:
        """The writer that holds readers up, if one has for more than a second."""
        ...

    def attempt(self) -> AbstractAsyncContextManager[object]:
        """What is done inside is undone when an error leaves the block; the transaction goes on."""
        ...
