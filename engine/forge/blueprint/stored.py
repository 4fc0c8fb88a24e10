"""Whether what was renamed can stay where it is stored."""

from __future__ import annotations

from collections.abc import Iterator

from engine.forge.blueprint.model import Blueprint, Entity, RelationKind
from engine.forge.blueprint.names import SYSTEM_COLUMNS, column_name, table_name
from engine.forge.blueprint.problems import Finding, Path

_Taken = dict[str, tuple[str, Path | None]]
"""For each place in the database who has it, and where that is said when it isn't the name."""


def check_stored(blueprint: Blueprint) -> Iterator[Finding]:
    """Findings about every `stored_as`: two parts can't be stored in one place."""
    tables: _Taken = {}
    for name, entity in blueprint.entities.items():
        path: Path = ("entities", name)
        place = table_name(entity.stored_as or name)
        yield from _place(tables, path, entity.stored_as, place)
        yield from _columns(path, entity)


def _columns(path: Path, entity: Entity) -> Iterator[Finding]:
    taken: _Taken = {name: (f"the built-in field `{name}`", None) for name in SYSTEM_COLUMNS}
    if entity.lifecycle is not None:
        state = entity.lifecycle.field
        taken[state] = (f"the state field `{state}`", None)
    for name, field in entity.fields.items():
        if field.computed is not None:
            continue
        at = (*path, "fields", name)
        yield from _place(taken, at, field.stored_as, field.stored_as or name)
    for name, relation in entity.relations.items():
        stored = relation.stored_as or name
        many = relation.kind is RelationKind.MANY_TO_MANY
        column = f"{stored}_ids" if many else column_name(stored)
        yield from _place(taken, (*path, "relations", name), relation.stored_as, column)


def _place(taken: _Taken, path: Path, stored_as: str | None, place: str) -> Iterator[Finding]:
    name = path[-1]
    said = (*path, "stored_as") if stored_as else None
    if said and stored_as == name:
        message = f"`{name}` has its own name here; leave it out"
        yield Finding(said, message, severity="warning", rule="stored-as-itself")
    if place not in taken:
        taken[place] = (f"`{name}`", said)
        return
    other, other_said = taken[place]
    # That two have one name is told elsewhere.
    if said:
        yield Finding(
            said,
            f"{other} is stored as `{place}` too; give it a name of its own",
            rule="stored-place-shared",
        )
    elif other_said:
        yield Finding(
            other_said,
            f"`{name}` is stored as `{place}` too; name another one",
            rule="stored-place-shared",
        )
