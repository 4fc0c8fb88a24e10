"""Primary keys and unique constraints, settled before fields and relations are built."""

from __future__ import annotations

from engine.forge.blueprint.model import FieldType, RelationKind
from engine.forge.blueprint.names import snake_case
from engine.forge.formats.building.names import letters, member
from engine.forge.formats.draft import Draft, DraftEntity, DraftField, DraftUnique
from engine.forge.formats.report import Note

_SURROGATES = frozenset({"pk", "uid", "uuid", "guid", "rowid", "key", "no", "nr"})


def settle_keys(draft: Draft, entity: DraftEntity, type_name: str) -> None:
    """Give the key's columns and every unique constraint their meaning, or account for them."""
    entity.uniques = [each for each in entity.uniques if not _settled(draft, entity, each)]
    keys = [field for field in entity.fields if field.key]
    if len(keys) == 1:
        _single_key(draft, entity, keys[0], type_name)
    for key in keys if len(keys) > 1 else []:
        key.required = True
        if not any(unique.primary for unique in entity.uniques):
            key.note("the key of records is the built-in `id`, not several columns together")


def _settled(draft: Draft, entity: DraftEntity, unique: DraftUnique) -> bool:
    """Whether one field or relation says it all, or nothing can; sets of several remain."""
    columns, primary = unique.columns, unique.primary
    what = ("primary key" if primary else "unique", f"{entity.name} ({', '.join(columns)})")
    fields = [field for field in entity.fields if field.name in columns]
    reasons = "; ".join(note.reason for note in unique.notes)
    if len(columns) == 1 and fields:
        fields[0].key = fields[0].key or primary
        fields[0].unique = fields[0].unique or not primary
        draft.tell("changed" if reasons else "carried", what, unique.place,
                   Note(reasons) if reasons else None)  # fmt: skip
        return True
    relations = [each for each in entity.relations if set(each.columns) == set(columns)]
    if relations and not primary:
        for relation in relations:
            relation.kind = RelationKind.ONE_TO_ONE
        draft.tell("changed" if reasons else "carried", what, unique.place,
                   Note(reasons) if reasons else None)  # fmt: skip
        return True
    for field in fields if primary else []:
        field.key = True
    if columns:
        return False
    reason = "it is over expressions, whereas fields are unique"
    draft.drop(*what, unique.place, reason, "Check it where the records are written.")
    return True


def _single_key(draft: Draft, entity: DraftEntity, key: DraftField, type_name: str) -> None:
    """One column is the key: the built-in `id`, a reference, or a field that means something."""
    references = [each for each in entity.relations if each.columns == (key.name,)]
    if references:
        references[0].kind, references[0].required = RelationKind.ONE_TO_ONE, True
        references[0].notes.append(Note("it was the key of the record too, which is `id` now"))
        return
    own = {
        f"{form}{ending}"
        for form in (letters(member(entity.name)), letters(snake_case(type_name)))
        for ending in ("id", "uid", "uuid", "pk", "key")
    }
    name = letters(member(key.name, "field"))
    counted = key.type in (FieldType.INTEGER, FieldType.UUID)
    if name == "id" or key.generated or (counted and (name in own or name in _SURROGATES)):
        if name != "id":
            reason = "the key of every record is the built-in `id`, which takes its place"
            note = Note(reason)
            draft.tell("changed", (key.word, f"{entity.name}.{key.name}"), key.place, note,
                       f"entities.{type_name}")  # fmt: skip
            entity.fields.remove(key)
        return
    key.required = key.unique = True
    key.note("the key of records is the built-in `id`; this stays a required, unique field")
