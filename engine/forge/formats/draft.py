"""What importers fill: entities, fields, relations and enums in the source's own words.

A draft has no rules. `building` alone turns it into names, types and relations of the language.
Names are those of the source; relations and fields refer to entities and enums by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.forge.blueprint.model import FieldType, OnDelete, RelationKind, Text
from engine.forge.formats.report import NOWHERE, Entry, Note, Outcome, Place
from engine.kernel.errors import InvalidInput

Label = str | Text
"""What a source says to people: one text, or one in each language."""

MOST = 1_000
"""Entities, enums, and fields of one entity that a draft holds: far more than a Blueprint does."""


@dataclass(slots=True)
class DraftField:
    """A field. `constraints` has keys of `FieldSpec`: `min`, `max_length`, `pattern` and so on.

    `key` marks a part of the primary key, `generated` a value that the source makes by itself.
    `default` is a JSON value or its text. `label` is what the source says about it to people.
    """

    name: str
    type: FieldType
    place: Place = NOWHERE
    word: str = "column"
    required: bool = False
    unique: bool = False
    key: bool = False
    generated: bool = False
    default: Any = None
    enum: str | None = None
    constraints: dict[str, Any] = field(default_factory=dict)
    label: Label = ""
    notes: list[Note] = field(default_factory=list)

    def note(self, reason: str, mend: str | None = None) -> None:
        self.notes.append(Note(reason, mend))


@dataclass(slots=True)
class DraftRelation:
    """A reference to the entity `target`.

    `columns` are the fields of this entity that hold it in the source: they become the relation,
    which is then required or unique if they are. Without a `name` it is named after them.
    """

    target: str
    name: str = ""
    place: Place = NOWHERE
    word: str = "relation"
    kind: RelationKind = RelationKind.MANY_TO_ONE
    required: bool = False
    on_delete: OnDelete = OnDelete.RESTRICT
    columns: tuple[str, ...] = ()
    label: Label = ""
    notes: list[Note] = field(default_factory=list)

    def note(self, reason: str, mend: str | None = None) -> None:
        self.notes.append(Note(reason, mend))


@dataclass(slots=True)
class DraftUnique:
    """Columns that are unique together; `primary` when they are the primary key."""

    columns: tuple[str, ...]
    place: Place = NOWHERE
    primary: bool = False
    notes: list[Note] = field(default_factory=list)


@dataclass(slots=True)
class DraftIndex:
    """Columns that are looked up together."""

    columns: tuple[str, ...]
    place: Place = NOWHERE
    notes: list[Note] = field(default_factory=list)


@dataclass(slots=True)
class DraftEntity:
    """A kind of record. `plural` says that its name is one of many, as names of tables are."""

    name: str
    place: Place = NOWHERE
    word: str = "table"
    plural: bool = False
    fields: list[DraftField] = field(default_factory=list)
    relations: list[DraftRelation] = field(default_factory=list)
    uniques: list[DraftUnique] = field(default_factory=list)
    indexes: list[DraftIndex] = field(default_factory=list)
    label: Label = ""
    notes: list[Note] = field(default_factory=list)

    def add(self, field: DraftField) -> None:
        """Raises `InvalidInput` beyond `MOST` fields."""
        _check_room(self.fields, f"`{self.name[:40]}` has more than {MOST:,} fields")
        self.fields.append(field)

    def find(self, name: str) -> DraftField | None:
        return next((each for each in self.fields if each.name == name), None)


@dataclass(slots=True)
class DraftValue:
    name: str
    place: Place = NOWHERE
    label: Label = ""


@dataclass(slots=True)
class DraftEnum:
    name: str
    values: list[DraftValue]
    place: Place = NOWHERE
    label: Label = ""


@dataclass(slots=True)
class Draft:
    """Everything that an importer has understood, and the account of what it has not."""

    format: str
    name: str = ""
    title: str = ""
    description: str = ""
    entities: list[DraftEntity] = field(default_factory=list)
    enums: list[DraftEnum] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def add(self, entity: DraftEntity) -> None:
        """Raises `InvalidInput` beyond `MOST` entities."""
        _check_room(self.entities, f"The source declares more than {MOST:,} kinds of record")
        self.entities.append(entity)

    def add_enum(self, enum: DraftEnum) -> None:
        """Raises `InvalidInput` beyond `MOST` enums."""
        _check_room(self.enums, f"The source declares more than {MOST:,} enums")
        self.enums.append(enum)

    def entity(self, name: str) -> DraftEntity | None:
        return next((each for each in self.entities if each.name == name), None)

    def enum(self, name: str) -> DraftEnum | None:
        return next((each for each in self.enums if each.name == name), None)

    def tell(
        self,
        outcome: Outcome,
        what: tuple[str, str],
        place: Place,
        note: Note | None = None,
        path: str | None = None,
    ) -> None:
        """Account for a construct, `what` being its kind and its name in the source."""
        construct, source = what
        self.entries.append(
            Entry(
                outcome=outcome,
                kind=construct,
                source=source[:200],
                line=place.line,
                column=place.column,
                path=path,
                reason=note.reason if note else None,
                mend=note.mend if note else None,
            )
        )

    def drop(
        self, construct: str, source: str, place: Place, reason: str, mend: str | None = None
    ) -> None:
        self.tell("dropped", (construct, source), place, Note(reason, mend))


def _check_room(held: list[Any], message: str) -> None:
    if len(held) >= MOST:
        raise InvalidInput(f"{message}, which is more than can be imported.",
                           mend="Import a part of it.")  # fmt: skip
