"""How many rows of an entity the tests may make.

A required distinct field with few possible values (a boolean, a small enum) bounds the rows of its
entity, and with them those of every entity whose records each need one of their own. Tests that
need another row are left out where there can't be one, so that they hold for every valid Blueprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.forge.resolve import ResolvedColumn, ResolvedEntity, ResolvedPlatform
from engine.forge.testing.patterns import PatternNotSampled
from engine.forge.testing.values import Values, values
from engine.kernel.errors import InvalidInput

PLENTY = 1000


@dataclass(frozen=True, slots=True)
class Room:
    """Besides the standing row: whether a spare one fits, and how many more (`PLENTY`: enough)."""

    spare: bool
    free: int


def rooms(platform: ResolvedPlatform, distinct: int) -> dict[str, Room]:
    """The room of every entity, when unique fields have at most `distinct` sample values.

    The standing row of an entity refers to the standing rows of others. Every other row has rows
    of its own to refer to one to one.
    """
    pairs = {
        entity.name: [one.target for one in entity.relations if one.required and one.distinct]
        for entity in platform.entities
    }
    left = {entity.name: _most(entity, distinct) - 1 for entity in platform.entities}
    spares = {}
    for entity in platform.entities:
        after = dict(left)
        _take(entity.name, after, pairs)
        spares[entity.name] = all(count >= 0 for count in after.values())
        left = after if spares[entity.name] else left
    return {
        entity.name: Room(spares[entity.name], _free(entity.name, left, pairs))
        for entity in platform.entities
    }


def values_of(entity: ResolvedEntity, column: ResolvedColumn, distinct: int) -> Values:
    """The examples of a field. Raises `InvalidInput` naming the field when there is none."""
    try:
        return values(column, distinct)
    except PatternNotSampled as error:
        raise InvalidInput(
            f"No value was found that the field {column.name!r} of {entity.name} accepts: {error}.",
            mend="Check the pattern against min_length and max_length, or simplify it.",
            path=f"entities.{entity.name}.fields.{column.name}.pattern",
        ) from error


def _most(entity: ResolvedEntity, distinct: int) -> int:
    counts = [
        len(values_of(entity, column, distinct).samples)
        for column in entity.columns
        if column.distinct and (column.required or column.default is not None)
    ]
    return min((count for count in counts if count < distinct), default=2 * PLENTY)


def _take(name: str, left: dict[str, int], pairs: Mapping[str, list[str]]) -> None:
    """Make one row, with those that it needs to itself."""
    left[name] -= 1
    for target in pairs[name]:
        _take(target, left, pairs)


def _free(name: str, left: Mapping[str, int], pairs: Mapping[str, list[str]]) -> int:
    return min([left[name], *(_free(target, left, pairs) for target in pairs[name])])
