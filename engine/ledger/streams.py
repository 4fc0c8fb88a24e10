"""The event store as a library sees it: streams that are appended to and read.

Commands go through the dispatcher, which folds documents beside their events. What is no document,
or arrives from elsewhere with ids of its own, is appended here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol
from uuid import UUID

from engine.kernel.contracts import Event, Recorded
from engine.kernel.errors import InvalidInput, TooLarge

MOST_BYTES = 1 << 20
MOST_NESTED = 64
MOST_EVENTS = 10_000
MOST_NAMED = 500
"""Characters of a tenant's, a stream's kind's or a stream's name."""
MOST_VERSIONS = 2**31 - 1
LARGEST_EXACT = 2**53 - 1
"""The largest integer that every reader of JSON keeps exactly (RFC 8259, section 6)."""


SURROGATE = re.compile("[\ud800-\udfff]")
SUSPICIOUS = re.compile(r"\\u0000|[0-9]{16}")
"""JSON text with a NUL character, or with a number that may be too large to be exact."""


class Expected(IntEnum):
    """What must be true of a stream that is appended to, beside an exact version."""

    ANY = -1
    NONE = 0


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. With an `id` of the caller's, appending it again changes nothing."""

    event: Event
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one stream, which must now have `expected` events (see `Expected`)."""

    kind: str
    id: str
    events: Sequence[NewEvent]
    expected: int = Expected.ANY


@dataclass(frozen=True, slots=True)
class Origin:
    """Who caused events, and why.

    `correlation` is shared by everything that one request set off; `cause` is the id of the event
    that was reacted to, if any; `trace` a W3C `traceparent`.
    """

    caller: str
    command: str = ""
    causation: str = ""
    correlation: str = ""
    cause: str | None = None
    trace: str = ""

    def metadata(self) -> dict[str, str]:
        found = {
            "caller": self.caller,
            "command": self.command,
            "causation": self.causation,
            "correlation": self.correlation or self.causation,
            "trace": self.trace,
        }
        return found if self.cause is None else {**found, "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Appended:
    """The stream's version after an append; `repeated` when the events had been there before."""

    kind: str
    id: str
    version: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Links:
    """An event with what led to it (nearest first) and what it led to (in reading order).

    `siblings` are the other events of the same transaction.
    """

    event: Recorded
    causes: Sequence[Recorded] = field(default_factory=tuple)
    siblings: Sequence[Recorded] = field(default_factory=tuple)
    effects: Sequence[Recorded] = field(default_factory=tuple)


class EventStore(Protocol):
    """Streams of one tenant each. All methods raise `Unavailable` without the database."""

    async def append(
        self, tenant: str, appends: Sequence[Append], origin: Origin
    ) -> list[Appended]:
        """Append to any number of streams, all or nothing, in the order given.

        Raises `VersionConflict` when a stream is not as expected, `Conflict` when some but not all
        of the caller's event ids are known or they belong elsewhere, and what `check_place` and
        `encoded` raise. In each case nothing is appended.
        """
        ...

    async def read(
        self,
        tenant: str,
        kind: str,
        id: str,
        *,
        after: int = 0,
        limit: int = 500,
        backwards: bool = False,
    ) -> list[Recorded]:
        """Events of one stream past the version `after` (backwards: before it, 0 is the end)."""
        ...

    async def links(self, tenant: str, event_id: str, *, depth: int = 20) -> Links:
        """The event's place in the graph of causes; `NotFound` for an unknown id."""
        ...


def check_place(tenant: str, append: Append, origin: Origin) -> None:
    """Raise `InvalidInput` for names that can't be kept, and for what is no version."""
    for what, name in (("tenant", tenant), ("kind", append.kind), ("id", append.id)):
        _check(name, (what,))
        if not 0 < len(name) <= MOST_NAMED:
            raise _refused((what,), f"it must have 1 to {MOST_NAMED} characters")
    _check(origin.metadata(), ("metadata",))
    if not Expected.ANY <= append.expected <= MOST_VERSIONS:
        raise _refused(("expected",), "it is no version of a stream")


def encoded(event: Event) -> str:
    """The event's data as the JSON text that is stored.

    Raises `TooLarge` past `MOST_BYTES`, and `InvalidInput` for a NUL character (Postgres can't hold
    it) or half a surrogate pair (UTF-8 can't), for nesting past `MOST_NESTED` levels, for numbers
    that JSON has no exact form for, and for personal data that nobody has sealed.
    """
    try:
        data = event.model_dump(mode="json")
    except ValueError as error:
        # Pydantic's own bound on nesting, far beyond ours.
        raise _refused((event.type,), "it is nested too deep or can't be told in JSON") from error
    for name in event.personal:
        if isinstance(getattr(event, name), str):
            raise _refused((event.type, name), "personal data must be sealed before it is stored")
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):
        _check(data, (event.type,))
        raise
    # The walk is dear, and text without any of this has nothing that it would refuse.
    if SUSPICIOUS.search(text) or text.count("{") + text.count("[") >= MOST_NESTED:
        _check(data, (event.type,))
    if size > MOST_BYTES:
        raise TooLarge(
            f"An event of the type {event.type!r} has more than {MOST_BYTES:,} bytes.",
            mend="Keep the large part as content of its own, and its digest in the event.",
            max_bytes=MOST_BYTES,
        )
    return text


def _check(value: Any, path: tuple[str, ...]) -> None:
    if len(path) > MOST_NESTED:
        raise _refused(path[:5], f"it is nested more than {MOST_NESTED} levels deep")
    if isinstance(value, str):
        if "\0" in value:
            raise _refused(path, "it holds a NUL character")
        if not value.isascii() and SURROGATE.search(value):
            raise _refused(path, "it holds half of a surrogate pair, which is no character")
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > LARGEST_EXACT:
            raise _refused(path, "the number is too large to be exact in JSON; send it as text")
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise _refused(path, "it is no finite number")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            shown = str(name)[:40].encode(errors="replace").decode()
            _check(name, (*path, shown))
            _check(item, (*path, shown))
    else:
        for number, item in enumerate(value):
            _check(item, (*path, str(number)))


def _refused(path: tuple[str, ...], message: str) -> InvalidInput:
    place = ".".join(path)
    return InvalidInput(
        f"The event can't be kept: at {place}, {message}.",
        errors=[{"path": place, "message": message}],
    )
