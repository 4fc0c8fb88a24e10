"""What the templates of one entity show: every expression ready, nothing left to decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.forge.expressions.printers import Names
from engine.forge.expressions.printers.python import print_python
from engine.forge.resolve import (
    ADMIN,
    ResolvedEntity,
    ResolvedGuard,
    ResolvedPlatform,
    ResolvedRelation,
)
from engine.forge.targets.fastapi import expressions as write
from engine.forge.targets.fastapi.tables import entity_indexes, on_delete
from engine.forge.targets.names import identifier, words

MAX_LINKS = 100
"""Records that a to-many relation of one record may refer to."""

EXPRESSION_NAMES = (
    *("EXACT", "add_days", "coalesce", "divide", "given", "lower", "rounded", "total", "upper"),
    "widened",
)
"""What the source of an expression may need of the module `app.expressions`."""

_DATES = ("created_at", "updated_at")
_SCHEMA_WORDS = frozenset(
    {
        *("Annotated", "Any", "Decimal", "Field", "ListQuery", "RecordView", "RequestBody"),
        *("ClassVar", "SearchQuery", "TypedDict", "UUID"),
    }
)


@dataclass(frozen=True, slots=True)
class Alias:
    """The named type of a field, for what create and update requests share."""

    name: str
    expression: str


def entity_view(platform: ResolvedPlatform, entity: ResolvedEntity) -> dict[str, Any]:
    """The context for the model, schema and route of an entity."""
    targets = {relation.target: platform.entity(relation.target) for relation in entity.relations}
    linked = {relation.target for relation in entity.to_many} - {entity.name}
    types = {column.name: write.body_type(column) for column in entity.columns}
    aliases = {
        name: Alias(_alias_name(entity, name), expression)
        for name, expression in types.items()
        if expression.startswith("Annotated[")
    }
    types |= {name: alias.name for name, alias in aliases.items()}
    return {
        "entity": entity,
        "enum_imports": ", ".join(_enum_names(entity)),
        "table_args": [*_table_arguments(entity)],
        "model_columns": [*_model_columns(platform, entity)],
        "links": [_link(entity, targets[relation.target], relation) for relation in entity.to_many],
        "link_imports": [targets[name] for name in sorted(linked)],
        "aliases": list(aliases.values()),
        "computed": (computed := [*_computed(entity)]),
        "computing": ", ".join(EXPRESSION_NAMES) if computed else "",
        "create_fields": [*_create_fields(entity, types)],
        "update_fields": [*_update_fields(entity, types)],
        "read_fields": [*_read_fields(entity)],
        "query_fields": [*_query_fields(entity)],
        "sort_keys": ", ".join(write.literal(key) for key in _sort_keys(entity)),
        "model_imports": ", ".join(
            sorted({entity.class_name, *(target.class_name for target in targets.values())})
        ),
        "references": [
            {"field": relation.field, "arguments": _reference(targets[relation.target], relation)}
            for relation in entity.relations
        ],
        "lifecycle_field": entity.lifecycle.field if entity.lifecycle else "",
        "transitions": (moves := [*_transitions(platform, entity)]),
        "guards": ", ".join(EXPRESSION_NAMES) if any(move["guard"] for move in moves) else "",
        "summaries": _summaries(entity),
    }


def _alias_name(entity: ResolvedEntity, field: str) -> str:
    name = "".join(word.capitalize() for word in words(field))
    own = {f"{entity.class_name}{suffix}" for suffix in ("Create", "Update", "Read", "Query")}
    taken = {*_enum_names(entity), *write.SCHEMA_NAMES, *_SCHEMA_WORDS, *own}
    return f"{name}Value" if name in taken else name


def _enum_names(entity: ResolvedEntity) -> list[str]:
    shown = [*entity.columns, *(each.shown for each in entity.computed)]
    names = {column.enum.class_name for column in shown if column.enum}
    if entity.lifecycle:
        names.add(entity.lifecycle.enum.class_name)
    return sorted(names)


def _table_arguments(entity: ResolvedEntity) -> Iterator[str]:
    for index in entity_indexes(entity):
        yield index.line()


def _model_columns(platform: ResolvedPlatform, entity: ResolvedEntity) -> Iterator[dict[str, str]]:
    for column in entity.columns:
        default = write.default(column)
        yield {
            "name": column.name,
            "annotation": _optional(write.annotation(column), not column.required),
            "arguments": _stored(column.name, column.column)
            + write.model_type(column)
            + (f", default={default}" if default else ""),
        }
    for relation in entity.to_one:
        later = ", use_alter=True" if relation.deferred else ""
        yield {
            "name": relation.field,
            "annotation": _optional("UUID", not relation.required),
            "arguments": _stored(relation.field, relation.column)
            + f'sa.ForeignKey("{platform.entity(relation.target).table}.id",'
            f' name="{relation.constraint_name}", ondelete="{on_delete(relation)}"{later})',
        }
    if entity.lifecycle is not None:
        enum = entity.lifecycle.enum
        initial = write.enum_member(enum, entity.lifecycle.initial.name)
        yield {
            "name": entity.lifecycle.field,
            "annotation": enum.class_name,
            "arguments": f"enum_text({enum.class_name}), default={initial}",
        }


def _stored(name: str, column: str) -> str:
    """The first argument of a column that is called otherwise in the database."""
    return "" if name == column else f'"{column}", '


def _computed(entity: ResolvedEntity) -> Iterator[dict[str, str]]:
    """The properties of a record whose values follow from its columns."""
    columns = {relation.name: relation.field for relation in entity.to_one}
    record = Names(lambda path: f"self.{columns.get(path[0], path[0])}", lambda _: "")
    for each in entity.computed:
        source, annotation = write.value_of(each, record)
        yield {
            "name": each.name,
            "annotation": _optional(annotation, not each.shown.required),
            "source": source,
        }


def _optional(annotation: str, may_be_none: bool) -> str:
    return f"{annotation} | None" if may_be_none else annotation


def _link(
    entity: ResolvedEntity, target: ResolvedEntity, relation: ResolvedRelation
) -> dict[str, Any]:
    source_key = identifier("fk", relation.table, relation.source_column)
    joins = ""
    if target.name == entity.name:
        joins = (
            f", primaryjoin=lambda: {entity.class_name}.id =="
            f" {relation.table}.c.{relation.source_column}"
            f", secondaryjoin=lambda: {entity.class_name}.id =="
            f" {relation.table}.c.{relation.target_column}"
        )
    return {
        "table": relation.table,
        "attribute": relation.attribute,
        "field": relation.field,
        "target": target.class_name,
        "arguments": f'secondary={relation.table}, lazy="selectin"{joins}',
        "lines": (
            f'sa.Column("{relation.source_column}", sa.ForeignKey("{entity.table}.id",'
            f' name="{source_key}", ondelete="CASCADE"), primary_key=True)',
            f'sa.Column("{relation.target_column}", sa.ForeignKey("{target.table}.id",'
            f' name="{relation.constraint_name}", ondelete="{on_delete(relation)}"),'
            " primary_key=True)",
            f'sa.Index("{relation.index_name}", "{relation.target_column}")',
        ),
    }


def _create_fields(entity: ResolvedEntity, types: dict[str, str]) -> Iterator[str]:
    for column in entity.columns:
        annotation = _optional(types[column.name], not column.required)
        default = write.default(column) or ("" if column.required else "None")
        yield f"{column.name}: {annotation}" + (f" = {default}" if default else "")
    for relation in entity.relations:
        if relation.many:
            default = "" if relation.required else " = Field(default_factory=list)"
            yield f"{relation.field}: {_links_type(relation)}{default}"
        else:
            default = "" if relation.required else " = None"
            yield f"{relation.field}: {_optional('UUID', not relation.required)}{default}"


def _update_fields(entity: ResolvedEntity, types: dict[str, str]) -> Iterator[str]:
    for column in entity.columns:
        yield f"{column.name}: {_optional(types[column.name], not column.required)}"
    for relation in entity.relations:
        kind = _links_type(relation) if relation.many else "UUID"
        yield f"{relation.field}: {_optional(kind, not relation.many and not relation.required)}"


def _links_type(relation: ResolvedRelation) -> str:
    least = "min_length=1, " if relation.required else ""
    return f"Annotated[list[UUID], Field({least}max_length={MAX_LINKS})]"


def _read_fields(entity: ResolvedEntity) -> Iterator[str]:
    for column in entity.columns:
        if not column.write_only:
            yield f"{column.name}: {_optional(write.read_type(column), not column.required)}"
    for each in entity.computed:
        yield f"{each.name}: {write.computed_type(each.shown)}"
    for relation in entity.relations:
        kind = "list[UUID]" if relation.many else "UUID"
        yield f"{relation.field}: {_optional(kind, not relation.many and not relation.required)}"
    if entity.lifecycle is not None:
        yield f"{entity.lifecycle.field}: {entity.lifecycle.enum.class_name}"


def _query_fields(entity: ResolvedEntity) -> Iterator[str]:
    for column in entity.columns:
        for each in column.filters:
            yield f"{each.parameter}: {write.filter_type(column)} | None = None"
    for relation in entity.to_one:
        for each in relation.filters:
            yield f"{each.parameter}: UUID | None = None"
    if entity.lifecycle is not None:
        for each in entity.lifecycle.filters:
            yield f"{each.parameter}: {entity.lifecycle.enum.class_name} | None = None"
    for name in _DATES:
        yield f"{name}__gte: Instant | None = None"
        yield f"{name}__lte: Instant | None = None"


def _sort_keys(entity: ResolvedEntity) -> list[str]:
    keys = [column.name for column in entity.columns if column.filters]
    keys += [entity.lifecycle.field] if entity.lifecycle else []
    return [*keys, *_DATES]


def _reference(target: ResolvedEntity, relation: ResolvedRelation) -> str:
    into = f', into="{relation.attribute}"' if relation.many else ""
    return f"{target.class_name}{into}"


def _transitions(platform: ResolvedPlatform, entity: ResolvedEntity) -> Iterator[dict[str, Any]]:
    if entity.lifecycle is None:
        return
    enum = entity.lifecycle.enum
    members = {role.name: role.member for role in platform.roles}
    for move in entity.lifecycle.transitions:
        yield {
            "name": move.name,
            "sources": ", ".join(write.enum_member(enum, state.name) for state in move.sources),
            "target": write.enum_member(enum, move.target.name),
            "roles": ", ".join(f"Role.{members[role]}" for role in move.roles if role != ADMIN),
            "summary": f"{move.titles.en}: {entity.titles.en}",
            "guard": _guard(entity, move.guard) if move.guard else None,
        }


def _guard(entity: ResolvedEntity, guard: ResolvedGuard) -> dict[str, Any]:
    """The function that says whether a record may make the move."""
    columns = {relation.name: relation.field for relation in entity.to_one}
    record = Names(lambda path: f"record.{columns.get(path[0], path[0])}", lambda _: "")
    asked = {part.operation for part in guard.term.walk()}
    now = "now" if asked & {"now", "today"} else "_now"
    return {
        "source": print_python(guard.term, record),
        "arguments": f"record: {entity.class_name}, {now}: dt.datetime",
        "today": "today" in asked,
        "text": guard.text,
    }


def _summaries(entity: ResolvedEntity) -> dict[str, str]:
    one, many = entity.titles.en.lower(), entity.plural_titles.en.lower()
    article = "an" if one[:1] in "aeiou" else "a"
    return {
        "list": f"List {many}",
        "create": f"Create {article} {one}",
        "get": f"Get {article} {one}",
        "update": f"Change {article} {one}",
        "delete": f"Delete {article} {one}",
    }
