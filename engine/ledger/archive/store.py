"""What archiving asks of the store of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.kernel.contracts import Base, Recorded
from engine.ledger.transparency.export import Entry, Leaf, Place
from engine.ledger.transparency.merkle import Node


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that a document is folded from, and its last version in a month."""

    kind: str
    id: str
    last: int


@dataclass(frozen=True, slots=True)
class Archived:
    """Which leaves of a tenant's log an archive spans, both ends included, and what its file is.

    `size` and `root` (base64) are of the whole log as its checkpoint in the file has them, `bytes`
    and `sha256` (hex) of the file itself.
    """

    month: str
    first: int
    last: int
    events: int
    size: int
    root: str
    bytes: int
    sha256: str


History = tuple[Sequence[Recorded], Base | None]
"""Events of a stream in their order, and the base of its document if there is one."""


class Bases(Protocol):
    """What documents of all tenants were where their archived events end."""

    async def stale(
        self, tenant: str, kind: str, fold: int, *, after: str = "", limit: int = 500
    ) -> Sequence[Stream]:
        """Documents past the id `after` whose base another version of the fold has made, each up
        to its base."""
        ...

    async def histories(self, tenant: str, streams: Sequence[Stream]) -> Sequence[History]:
        """For each stream its events up to its last version, and the base that it has already."""
        ...

    async def keep(self, tenant: str, bases: Sequence[tuple[str, Base]]) -> None:
        """Keep each base, with the kind of its document, unless there is one of a later version."""
        ...

    async def noted(self, tenant: str) -> Sequence[str]:
        """The tenant's archived months, from the oldest on."""
        ...

    async def leaves(self, tenant: str, ids: Sequence[str]) -> Mapping[str, Leaf]:
        """The leaves of events by their ids."""
        ...


class Months(Bases, Protocol):
    """The events of all tenants of an installation by month (YYYY-MM, UTC)."""

    async def tenants(self) -> Sequence[str]:
        """Every tenant that has events."""
        ...

    async def count(self, tenant: str, month: str) -> int: ...

    def entries(self, tenant: str, month: str) -> AsyncIterator[Entry]:
        """The month's events in reading order, each with its leaf if it was logged."""
        ...

    async def covering(self, tenant: str, start: int, end: int) -> Sequence[Node]:
        """The complete subtrees over the leaves `start` … `end - 1` of the tenant's log."""
        ...

    async def obstacles(self, tenant: str, place: Place) -> Sequence[str]:
        """Who still needs events up to the place, each in a few words for people."""
        ...

    def streams(self, tenant: str, month: str) -> AsyncIterator[Stream]:
        """The streams of documents that have events in the month."""
        ...

    async def note(self, tenant: str, found: Archived, verified_at: datetime) -> None:
        """Remember what the archive of a month is, and when it equalled the database."""
        ...

    async def drop(self, month: str, events: Mapping[str, int]) -> None:
        """Drop the month's events for ever, if there are just so many of just these tenants.

        One transaction. Raises `Conflict` when there are others, `NotFound` when the month has no
        partition of its own, `Unavailable` when others are busy with the events.
        """
        ...

    async def make(self, month: str) -> None:
        """Make room for the month's events, where there is none."""
        ...

    async def restore(
        self, tenant: str, events: Sequence[Recorded], check: Callable[[list[Recorded]], None]
    ) -> None:
        """Insert those events that are not there, exactly as they are given, or none.

        `check` gets them as they are stored then; when it raises, nothing was inserted.
        """
        ...
