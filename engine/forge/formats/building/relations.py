"""From a draft relation to one of the language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.forge.blueprint.model import OnDelete, Relation, RelationKind
from engine.forge.blueprint.names import MAX_IDENTIFIER, link_table, plural, snake_case
from engine.forge.formats.building.names import Scope, member, reserved_member, says_more, title
from engine.forge.formats.building.tracking import Tracks
from engine.forge.formats.draft import DraftEntity, DraftField, DraftRelation
from engine.forge.formats.report import Note
from engine.forge.targets import names as generated

MOST_RELATIONS = 30
_MORE = 6


@dataclass(slots=True)
class Members:
    """The names of one entity's fields, relations and their columns."""

    entity: str
    scope: Scope


def build_relation(
    draft: DraftRelation,
    around: DraftEntity,
    members: Members,
    relations: dict[str, Relation],
    types: Mapping[str, str],
    tracks: Tracks,
) -> str | None:
    """Add the relation to `relations`, follow it and its columns in `tracks`, and name it."""
    what = (draft.word, f"{around.name}.{draft.name or '_'.join(draft.columns) or draft.target}")
    base = ("entities", members.entity, "relations")
    fields = [field for column in draft.columns if (field := around.find(column)) is not None]
    target = types.get(draft.target)
    if target is None or len(relations) >= MOST_RELATIONS:
        missing = f"there is no `{draft.target}` in the source"
        full = f"an entity has at most {MOST_RELATIONS} relations"
        note = Note(full, "Split the entity.") if target else Note(missing, "Import it as well.")
        tracks.add(what, draft.place, base, [note]).dropped = True
        for field in fields:
            own = (field.word, f"{around.name}.{field.name}")
            tracks.add(own, field.place, base, [note]).dropped = True
        return None
    _take_from_columns(draft, fields)
    wished = member(draft.name or _role(draft, target), "related")
    wished = re.sub("_ids?$", "", wished) or "related"
    name, why = _free(members, wished, target, many=draft.kind is RelationKind.MANY_TO_MANY)
    # What was said of the column's type is void: it is that of a reference now.
    lost = [note for field in fields for note in field.notes if "`" in note.reason]
    notes = [*draft.notes, *lost]
    if why:
        notes.append(Note(f"it is called `{name}` because {why}"))
    if len(fields) > 1:
        columns = ", ".join(draft.columns)
        notes.append(Note(f"it refers by the built-in `id` instead of by {columns} together"))
    for field in fields:
        if field.default is not None:
            notes.append(Note("a relation has no default"))
    label = draft.label or next((field.label for field in fields if field.label), "")
    if not label and says_more(draft.name, name):
        label = draft.name
    relations[name] = Relation(
        to=target,
        kind=draft.kind,
        title=title(label),
        required=draft.required,
        on_delete=OnDelete.RESTRICT if draft.kind is RelationKind.MANY_TO_MANY else draft.on_delete,
    )
    tracks.add(what, draft.place, (*base, name), notes)
    for field in fields:
        own = (field.word, f"{around.name}.{field.name}")
        if field.place != draft.place or own != what:
            told = [note for note in field.notes if note in lost]
            tracks.add(own, field.place, (*base, name), told)
    return name


def _take_from_columns(draft: DraftRelation, fields: list[DraftField]) -> None:
    """A reference is required if all its columns are, and to one only if it is unique."""
    if not fields:
        return
    draft.required = draft.required or all(field.required or field.key for field in fields)
    alone = len(fields) == 1 and draft.kind is RelationKind.MANY_TO_ONE
    if alone and fields[0].unique:
        draft.kind = RelationKind.ONE_TO_ONE


def _role(draft: DraftRelation, target: str) -> str:
    """What the relation is called: after its column, or else after what it leads to."""
    if len(draft.columns) == 1:
        stem = member(draft.columns[0], "related")
        stem = re.sub("_?(ids?|uuid|fk|code|ref|key|no)$", "", re.sub("^(fk|id)_", "", stem))
        if stem:
            return stem
    snake = snake_case(target)
    return plural(snake) if draft.kind is RelationKind.MANY_TO_MANY else snake


def _free(members: Members, wished: str, target: str, *, many: bool) -> tuple[str, str | None]:
    """A name whose column and, for many, whose table and address part are free as well."""
    scope = Scope(
        forms=lambda name: _forms(name, many=many), reserved=lambda name: _reserved(name, many)
    )
    scope.join(members.scope)
    room = MAX_IDENTIFIER - len(link_table(members.entity, "")) if many else 40
    wished = wished[: min(40, room) - _MORE].rstrip("_") if len(wished) > room else wished
    other = f"{wished}_links" if many else f"{wished}_{snake_case(target)}"
    return scope.take(wished, other)


def _forms(name: str, *, many: bool) -> tuple[str, ...]:
    bare = name.replace("_", "")
    if many:
        one = generated.singular(name).replace("_", "")
        return (bare, f"{bare}ids", f"{one}ids")
    return (bare, f"{bare}id")


def _reserved(name: str, many: bool) -> str | None:
    if re.search("_ids?$", name):
        return "the name of a column"
    field = f"{generated.singular(name)}_ids" if many else f"{name}_id"
    taken = generated.is_taken_attribute(field) or generated.is_taken_attribute(name)
    return "a word that Python or SQL needs" if taken else reserved_member(name, column=False)
