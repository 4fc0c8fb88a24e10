"""Primary keys and unique constraints, settled before fields and relations are built."""

from __future__ import annotations

from engine.forge.blueprint.model import FieldType, RelationKind
from engine.forge.blueprint.names import snake_case
from engine.forge.formats.building.names import letters, member
from engine.forge.formats.draft import Draft, DraftEntity, DraftField
from engine.forge.formats.report import Note

_SURROGATES = frozenset({"pk", "uid", "uuid", "guid", "rowid", "key", "no", "nr"})


def settle_keys(draft: Draft, entity: DraftEntity, type_name: str) -> None:
    """Give the key's columns and every unique constraint their meaning, or account for them."""
    for unique in entity.uniques:
        _unique(draft, entity, unique.columns, primary=unique.primary, place=unique.place)
    keys = [field for field in entity.fields if field.key]
    if len(keys) == 1:
        _single_key(draft, entity, keys[0], type_name)
    for key in keys if len(keys) > 1 else []:
        key.required = True
        if not any(unique.primary for unique in entity.uniques):
            key.note("the key of records is the built-in `id`, not several columns together")


def _unique(
    draft: Draft, entity: DraftEntity, columns: tuple[str, ...], *, primary: bool, place: object
) -> None:
    what = ("primary key" if primary else "unique", f"{entity.name} ({', '.join(columns)})")
    fields = [field for field in entity.fields if field.name in columns]
    at = place if isinstance(place, tuple) else ()
    where = type(entity.place)(*at) if at else entity.place
    if len(columns) == 1 and fields:
        fields[0].key = fields[0].key or primary
        fields[0].unique = fields[0].unique or not primary
        draft.tell("carried", what, where)
        return
    relations = [each for each in entity.relations if set(each.columns) == set(columns)]
    if relations and not primary:
        for relation in relations:
            relation.kind = RelationKind.ONE_TO_ONE
        draft.tell("carried", what, where)
        return
    for field in fields if primary else []:
        field.key = True
    if columns:
        reason = "what is unique together is not taken over"
        mend = f"Add it to the entity: `unique: [[{', '.join(columns)}]]`."
    else:
        reason = "it is over expressions, whereas fields are unique"
        mend = "Check it where the records are written."
    draft.drop(*what, where, reason, mend)


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
