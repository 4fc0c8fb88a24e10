"""Unique sets and indexes, once it is known what the columns of a source have become."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.forge.blueprint.model import MAX_MEMBERS, MAX_SETS, Blueprint, Entity
from engine.forge.blueprint.names import SYSTEM_COLUMNS
from engine.forge.blueprint.sets import check_sets
from engine.forge.formats.draft import Draft, DraftEntity, DraftIndex, DraftUnique
from engine.forge.formats.report import Note

_Set = DraftUnique | DraftIndex
_ALONE = "it is unique by itself, and so indexed already"
_BY_ID = "the key of records is the built-in `id`; what it was stays unique together"


@dataclass(slots=True)
class Columns:
    """What the columns of one entity have become: members by the names in the source.

    `wide` has the relations whose reference has several columns, by these columns.
    """

    single: dict[str, str] = field(default_factory=dict)
    wide: dict[frozenset[str], str] = field(default_factory=dict)


class Sets:
    """Adds the sets of a draft to its Blueprint, one by one, as far as the checks take them."""

    def __init__(self, draft: Draft, types: dict[str, str], columns: dict[str, Columns]) -> None:
        self.draft = draft
        self.types = types
        self.columns = columns

    def added_to(self, blueprint: Blueprint) -> Blueprint:
        """The Blueprint with every set that it can hold; each is accounted for."""
        entities = dict(blueprint.entities)
        for draft in self.draft.entities:
            name = self.types[draft.name]
            narrow_first = sorted(draft.uniques, key=lambda one: len(one.columns))
            listed: list[_Set] = [*narrow_first, *draft.indexes]
            for each in listed:
                if name not in entities:
                    self._drop(draft, each, "its entity is not in the Blueprint")
                    continue
                entities[name] = self._added(draft, each, name, entities[name])
        return blueprint.model_copy(update={"entities": entities})

    def _added(self, draft: DraftEntity, each: _Set, name: str, entity: Entity) -> Entity:
        key = "unique" if isinstance(each, DraftUnique) else "indexes"
        held: list[list[str]] = getattr(entity, key)
        members, why = self._members(each, name, entity)
        if why is None and len(held) >= MAX_SETS:
            why = f"an entity has at most {MAX_SETS} of them"
        if why is not None:
            self._drop(draft, each, why)
            return entity
        wider = entity.model_copy(update={key: [*held, members]})
        path = ("entities", name)
        wrong = next((found.message for found in check_sets(path, wider)), None)
        if wrong is not None:
            self._drop(draft, each, wrong)
            return entity
        notes = list(each.notes)
        if isinstance(each, DraftUnique) and each.primary:
            notes.append(Note(_BY_ID))
        reasons = "; ".join(note.reason for note in notes)
        at = f"entities.{name}.{key}[{len(held)}]"
        note = Note(reasons) if reasons else None
        self.draft.tell("changed" if note else "carried", _what(draft, each), each.place, note, at)
        return wider

    def _members(self, each: _Set, name: str, entity: Entity) -> tuple[list[str], str | None]:
        """The members that the columns have become, or why they can't be a set."""
        known = self.columns[name]
        rest, members = list(each.columns), []
        for columns, relation in known.wide.items():
            if columns <= set(rest) and relation in entity.relations:
                rest = [column for column in rest if column not in columns]
                members.append(relation)
        for column in rest:
            member = known.single.get(column)
            if member is None or member not in {*entity.fields, *entity.relations}:
                if column.lower() in SYSTEM_COLUMNS:
                    return [], f"`{column}` is kept by the platform itself, which indexes it"
                return [], f"`{column}` is no field or relation of its own in the Blueprint"
            if member not in members:
                members.append(member)
        if not isinstance(each, DraftUnique) and len(members) == 1:
            only = entity.fields.get(members[0])
            return members, _ALONE if only is not None and only.unique else None
        if len(members) < 2:
            return [], "its columns have become one, which is not unique by itself"
        if len(members) > MAX_MEMBERS:
            return [], f"it has {len(members)} columns, of which there may be {MAX_MEMBERS}"
        return members, None

    def _drop(self, draft: DraftEntity, each: _Set, reason: str) -> None:
        needed = isinstance(each, DraftUnique) and "nothing more" not in reason
        mend = "Check it where the records are written." if needed else None
        reasons = "; ".join([*(note.reason for note in each.notes), reason])
        self.draft.drop(*_what(draft, each), each.place, reasons, mend)


def _what(draft: DraftEntity, each: _Set) -> tuple[str, str]:
    word = "index"
    if isinstance(each, DraftUnique):
        word = "primary key" if each.primary else "unique"
    return word, f"{draft.name} ({', '.join(each.columns)})"
