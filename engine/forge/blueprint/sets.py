"""Whether the unique sets, the indexes and the search of an entity name what they may name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.forge.blueprint.model import DataClass, Entity, FieldType, RelationKind
from engine.forge.blueprint.problems import Finding, Path, closest, listed, unknown
from engine.forge.fields import LONGEST_UNIQUE, is_text, longest_text, telling_member

_NOT_INDEXED = frozenset({FieldType.TEXT, FieldType.JSON})


def check_sets(path: Path, entity: Entity) -> Iterator[Finding]:
    """Findings about the search and the sets of the entity at `path`."""
    yield from _searched(path, entity)
    for key, sets in (("unique", entity.unique), ("indexes", entity.indexes)):
        for number, members in enumerate(sets):
            at = (*path, key, number)
            found = [*_members(path, at, entity, members)]
            yield from found
            if members in sets[:number]:
                yield Finding(at, "this is listed twice", rule="listed-twice")
            elif key == "unique" and not found:
                yield from _unique(at, entity, members)
                yield from _covered(at, number, sets)


def _searched(path: Path, entity: Entity) -> Iterator[Finding]:
    texts = [
        name for name, spec in entity.fields.items() if is_text(spec) and spec.computed is None
    ]
    for number, name in enumerate(entity.search):
        at = (*path, "search", number)
        spec = entity.fields.get(name)
        if name in entity.search[:number]:
            yield Finding(at, f"`{name}` is listed twice", rule="listed-twice")
        elif spec is None:
            absent = (*path, "fields", name)
            message = unknown("field", name, texts)
            yield Finding(at, message, absent=absent, word=name, among=texts, rule="search-unknown")
        elif spec.computed is not None:
            yield Finding(
                at,
                f"`{name}` is computed, not stored; search in what it reads",
                rule="search-computed",
            )
        elif not is_text(spec):
            yield Finding(
                at,
                f"`{name}` is of type `{spec.type}`; only texts are searched in",
                rule="search-not-text",
            )
        elif spec.data_class is DataClass.SECRET:
            yield Finding(
                at,
                f"`{name}` is secret; a search would give it away letter by letter",
                rule="search-secret",
            )


def _members(path: Path, at: Path, entity: Entity, members: Sequence[str]) -> Iterator[Finding]:
    size = 0
    for number, name in enumerate(members):
        here = (*at, number)
        wrong = _unfit(entity, name)
        if name in members[:number]:
            yield Finding(here, f"`{name}` is listed twice", rule="listed-twice")
        elif wrong == "unknown":
            known = _known(entity)
            message = f"`{name}` is no field, relation or state field; use {listed(known)}"
            absent = (*path, "fields", name)
            yield Finding(
                here, message, closest(name, known), absent=absent, rule="set-member-unknown"
            )
        elif wrong:
            yield Finding(here, wrong, rule="set-member-unfit")
        elif name in entity.fields:
            size += longest_text(entity.fields[name])
    if size > LONGEST_UNIQUE:
        message = (
            f"these texts have up to {size} characters together, of which an index holds"
            f" {LONGEST_UNIQUE}; give them a shorter `max_length`"
        )
        yield Finding(at, message, rule="set-too-long")


def _known(entity: Entity) -> list[str]:
    state = [entity.lifecycle.field] if entity.lifecycle else []
    return [*entity.fields, *entity.relations, *state]


def _unfit(entity: Entity, name: str) -> str | None:
    """Why the member can't be part of an index, or None when it can."""
    if name in entity.relations:
        many = entity.relations[name].kind is RelationKind.MANY_TO_MANY
        return f"`{name}` leads to many records; an index holds relations to one" if many else None
    if name not in entity.fields:
        known = entity.lifecycle is not None and entity.lifecycle.field == name
        return None if known else "unknown"
    spec = entity.fields[name]
    if spec.computed is not None:
        return f"`{name}` is computed, not stored; name what it reads"
    if spec.type in _NOT_INDEXED:
        return f"`{name}` is of type `{spec.type}`, too long for an index; a `string` fits"
    if spec.data_class is DataClass.SECRET:
        return f"`{name}` is secret; an index would tell whether a value is known"
    return None


def _covered(at: Path, number: int, sets: Sequence[Sequence[str]]) -> Iterator[Finding]:
    for other, members in enumerate(sets):
        inside, whole = set(members), set(sets[number])
        if inside < whole or (inside == whole and other < number):
            message = f"the set {' + '.join(members)} is unique already, so this says nothing more"
            yield Finding(at, message, rule="set-covered")
            return


def _unique(at: Path, entity: Entity, members: Sequence[str]) -> Iterator[Finding]:
    for number, name in enumerate(members):
        field, relation = entity.fields.get(name), entity.relations.get(name)
        alone = relation is not None and relation.kind is RelationKind.ONE_TO_ONE
        if alone or (field is not None and field.unique):
            message = f"`{name}` is unique by itself, so the set says nothing more"
            yield Finding((*at, number), message, rule="set-covered")
    if telling_member(entity, members) is None:
        message = (
            "a unique set needs a relation, or a field that can hold more than a few values;"
            " write the allowed combinations as one enum with `unique: true`"
        )
        yield Finding(at, message, rule="set-few-values")
