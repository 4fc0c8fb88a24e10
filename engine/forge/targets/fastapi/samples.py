"""Sample records: a few plausible rows per entity, in both languages, that keep every rule."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

from engine.forge.blueprint.model import FieldType
from engine.forge.resolve import ResolvedColumn, ResolvedEntity, ResolvedPlatform
from engine.forge.testing.patterns import PatternNotSampled
from engine.forge.testing.values import Value, values

ROWS = 4
_PEOPLE = ("نورة العتيبي", "Omar Haddad", "ليلى منصور", "Sara Khalil")
_PLACES = ("الرياض", "Jeddah", "عمّان", "Dubai")
_PERSON_WORDS = ("full_name", "contact_name", "first_name", "last_name", "author", "contact")
_PLACE_WORDS = ("city", "address", "location", "district", "region")


def sample_rows(platform: ResolvedPlatform) -> dict[str, list[dict[str, Any]]]:
    """For each entity, rows with an `id`, the `values` of a create request, and the lifecycle's
    `state`.

    References point to sample rows of entities that come before. An entity that has a required
    field or reference without any sample has no row itself.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for entity in platform.entities:
        found = (_row(platform, entity, number, rows) for number in range(ROWS))
        rows[entity.name] = [*takewhile(bool, found)]
    return rows


def _row(
    platform: ResolvedPlatform,
    entity: ResolvedEntity,
    number: int,
    earlier: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """The row, or an empty one when it can't be made."""
    fields = _fields(entity, number)
    references = _references(platform, entity, number, earlier)
    if fields is None or references is None:
        return {}
    row: dict[str, Any] = {"id": sample_id(entity, number), "values": {**fields, **references}}
    if entity.lifecycle is not None:
        states = entity.lifecycle.enum.values
        row["state"] = {entity.lifecycle.field: states[number % len(states)].name}
    return row


def sample_id(entity: ResolvedEntity, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sample:{entity.table}:{number}"))


def _fields(entity: ResolvedEntity, number: int) -> dict[str, Any] | None:
    fields = {}
    for column in entity.columns:
        value = _value(entity, column, number)
        if value is None and (column.required or column.default is not None):
            return None
        if value is not None:
            fields[column.name] = value
    return fields


def _value(entity: ResolvedEntity, column: ResolvedColumn, number: int) -> Any:
    """The sample, or None when there is none (or no further one of a unique field)."""
    if column.default is not None and not column.distinct:
        return column.default
    words = _words(entity, column, number)
    if words is not None and column.min_length <= len(words) <= (column.max_length or 0):
        return words
    known = _known(column)
    if not known or (column.distinct and number >= len(known)):
        return None
    return known[number % len(known)]


@lru_cache(maxsize=4096)
def _known(column: ResolvedColumn) -> tuple[Value, ...]:
    try:
        return values(column, ROWS).samples
    except PatternNotSampled:
        return ()


def _words(entity: ResolvedEntity, column: ResolvedColumn, number: int) -> str | None:
    """Readable text for a field whose name says what it holds."""
    if column.type not in (FieldType.STRING, FieldType.TEXT) or column.pattern is not None:
        return None
    if column.name.endswith(_PERSON_WORDS):
        return _PEOPLE[number % len(_PEOPLE)]
    if column.name.endswith(_PLACE_WORDS):
        return _PLACES[number % len(_PLACES)]
    titles = column.titles if column.type is FieldType.TEXT else entity.titles
    if not column.distinct and column.name not in (entity.display, "name", "title", "description"):
        titles = column.titles
    return f"{(titles.ar, titles.en)[number % 2]} {number + 1}"


def _references(
    platform: ResolvedPlatform,
    entity: ResolvedEntity,
    number: int,
    earlier: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for relation in entity.relations:
        known = len(earlier.get(relation.target, ()))
        if known == 0 or (relation.distinct and number >= known):
            if relation.required:
                return None
            continue
        chosen = sample_id(platform.entity(relation.target), number % known)
        found[relation.field] = [chosen] if relation.many else chosen
    return found
