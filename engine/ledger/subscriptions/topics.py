"""Topics: which events a subscriber is sent, by their types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Generic, TypeVar

from pydantic import Field, StringConstraints

from engine.kernel.contracts import Catalogue, Event, Recorded
from engine.kernel.errors import InvalidInput

E = TypeVar("E", bound=Event)

Pattern = Annotated[
    str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]*\.(\*|[a-z][a-z0-9_]*))$", max_length=100)
]
"""An event type, `area.*` for every type of an area, or `*` for every type there is."""
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class Delivered(Generic[E]):
    """One event as a subscriber gets it: in today's shape, and as it was recorded."""

    event: E
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Topic(Generic[E]):
    """The events of some types. A handler of the topic knows what it gets."""

    types: tuple[type[E], ...]

    @property
    def names(self) -> list[str]:
        return sorted(each.type for each in self.types)

    def delivered(self, catalogue: Catalogue, recorded: Recorded) -> Delivered[E]:
        """The event, decoded. Raises `UnknownEvent` for what this installation can't read, and
        `TypeError` for an event that is not of the topic."""
        event = catalogue.decode(recorded.type, recorded.data, recorded.schema_version)
        if not isinstance(event, self.types):
            raise TypeError(f"{recorded.type!r} is not of this topic")
        return Delivered(event, recorded)


def matching(patterns: Iterable[str], known: Iterable[str]) -> list[str]:
    """The known event types that any pattern means, sorted."""
    wanted = list(patterns)
    return sorted(each for each in known if any(fnmatchcase(each, one) for one in wanted))


def require_known(patterns: Sequence[str], catalogue: Catalogue) -> None:
    """Raise `InvalidInput` for a pattern that no event type of the installation answers to."""
    unknown = [each for each in patterns if not matching([each], catalogue.events)]
    if unknown:
        areas = sorted({name.partition(".")[0] for name in catalogue.events})
        raise InvalidInput(
            f"No event is called {unknown[0]!r}.",
            mend=f"Name an event type or area.* ; the areas are: {', '.join(areas)}.",
            errors=[{"path": "types", "message": f"no event is called {each}"} for each in unknown],
        )
