"""Tables that do nothing but join two others become many-to-many relations."""

from __future__ import annotations

from engine.forge.blueprint.model import FieldType, OnDelete, RelationKind
from engine.forge.blueprint.names import plural, snake_case
from engine.forge.formats.building.names import letters, member, type_name
from engine.forge.formats.draft import Draft, DraftEntity, DraftRelation
from engine.forge.formats.report import Note

_OWN = frozenset({"id", "createdat", "updatedat"})
_KEEPS = "linking records is enough: the join table is kept by the platform"


def fold_joins(draft: Draft) -> None:
    """Replace every pure join table by a relation of one of the tables that it joins.

    Such a table has two references, which form its key or a unique pair unless it has no key at
    all, and no column of its own but an id and times; nothing refers to it.
    """
    wanted = {relation.target for entity in draft.entities for relation in entity.relations}
    for entity in list(draft.entities):
        if entity.name not in wanted and _joins(draft, entity):
            _fold(draft, entity)


def _joins(draft: Draft, entity: DraftEntity) -> bool:
    if len(entity.relations) != 2:
        return False
    columns = {column for relation in entity.relations for column in relation.columns}
    if not all(relation.columns for relation in entity.relations):
        return False
    if any(draft.entity(relation.target) is None for relation in entity.relations):
        return False
    if any(_is_own(draft, entity, relation) for relation in entity.relations):
        return False
    for field in entity.fields:
        if field.name not in columns and letters(field.name) not in _OWN:
            return False
    keys = {field.name for field in entity.fields if field.key}
    pair = keys == columns or any(set(unique.columns) == columns for unique in entity.uniques)
    return pair or not keys or (keys - columns == keys and pair)


def _is_own(draft: Draft, entity: DraftEntity, relation: DraftRelation) -> bool:
    fields = [entity.find(column) for column in relation.columns]
    return relation.target == entity.name or any(field and field.unique for field in fields)


def _fold(draft: Draft, join: DraftEntity) -> None:
    draft.entities.remove(join)
    owner, other = join.relations
    own, name = _role(join, owner, other)
    if own is other:
        owner, other = other, owner
    source = draft.entity(owner.target)
    assert source is not None
    relation = DraftRelation(
        other.target,
        name=name,
        place=join.place,
        word=join.word,
        kind=RelationKind.MANY_TO_MANY,
        label=join.label,
        notes=list(join.notes),
    )
    deleting = {each.on_delete for each in join.relations} - {OnDelete.RESTRICT}
    if deleting:
        relation.note(
            "a record that is linked to can't be deleted before it is unlinked, "
            f"whereas the source says {' and '.join(sorted(deleting)).replace('_', ' ')}"
        )
    source.relations.append(relation)
    columns = {column for each in join.relations for column in each.columns}
    for field in join.fields:
        what = (field.word, f"{join.name}.{field.name}")
        note = None if field.name in columns else Note(_KEEPS)
        draft.tell("changed" if note else "carried", what, field.place, note)
    for unique in join.uniques:
        names = ", ".join(unique.columns)
        draft.tell("carried", ("primary key" if unique.primary else "unique", names), unique.place)
    for index in join.indexes:
        names = f"{join.name} ({', '.join(index.columns)})"
        draft.tell("changed", ("index", names), index.place, Note(_KEEPS))
    for each in join.relations:
        draft.tell("carried", (each.word, f"{join.name} → {each.target}"), each.place)


def _role(
    join: DraftEntity, first: DraftRelation, second: DraftRelation
) -> tuple[DraftRelation, str]:
    """Which reference owns the relation, and its name.

    `student_courses` is the relation `courses` of `students`: the table is called after its owner
    first. Without such a name the first reference owns it, called after the second in the plural.
    """
    table = member(join.name)
    for owner, other in ((first, second), (second, first)):
        for stem in (member(owner.target), snake_case(type_name(owner.target, is_plural=True))):
            rest = table.removeprefix(f"{stem}_")
            if rest != table and rest:
                known = (member(other.target), snake_case(type_name(other.target, is_plural=True)))
                return owner, plural(known[1]) if rest == known[1] else rest
    return first, plural(snake_case(type_name(second.target, is_plural=True)))


def is_time(kind: FieldType) -> bool:
    return kind in (FieldType.INSTANT, FieldType.DATE)
