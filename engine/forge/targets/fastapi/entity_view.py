"""What the templates of one entity show: every expression ready, nothing left to decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.forge.names import words
from engine.forge.resolve import (
    ADMIN,
    ResolvedColumn,
    ResolvedEntity,
    ResolvedLifecycle,
    ResolvedPlatform,
    ResolvedRelation,
)
from engine.forge.targets.fastapi import expressions as write

MAX_LINKS = 100
"""Records that a to-many relation of one record may refer to."""

MAX_SORT_KEYS = 5
_DATES = ("created_at", "updated_at")


def entity_view(platform: ResolvedPlatform, entity: ResolvedEntity) -> dict[str, Any]:
    """The context for the model, schema and route of an entity."""
    aliases = {column.name: _Alias(entity, column) for column in entity.columns}
    return {
        "entity": entity,
        "enum_imports": ", ".join(_enum_names(entity)) or "Role",
        "table_args": [*table_arguments(entity)],
        "model_columns": [*_model_columns(entity)],
        "links": [_link(platform, entity, relation) for relation in entity.to_many],
        "link_imports": [
            platform.entity(name)
            for name in sorted({relation.target for relation in entity.to_many} - {entity.name})
        ],
        "aliases": [alias for alias in aliases.values() if alias.is_needed],
        "create_fields": [*_create_fields(entity, aliases)],
        "update_fields": [*_update_fields(entity, aliases)],
        "read_fields": [*_read_fields(entity)],
        "query_fields": [*_query_fields(entity)],
        "sort_pattern": _sort_pattern(entity),
        "model_imports": ", ".join(
            sorted(
                {entity.class_name}
                | {platform.entity(relation.target).class_name for relation in entity.relations}
            )
        ),
        "references": [_reference(platform, relation) for relation in entity.relations],
        "lifecycle_field": entity.lifecycle.field if entity.lifecycle else "",
        "transitions": [*_transitions(platform, entity)],
        "summaries": _summaries(entity),
    }


class _Alias:
    """The named type of a field that create and update requests share."""

    def __init__(self, entity: ResolvedEntity, column: ResolvedColumn) -> None:
        name = "".join(word.capitalize() for word in words(column.name))
        taken = {*_enum_names(entity), *write.SCHEMA_NAMES, "Field", "Annotated", "Decimal"}
        taken |= {f"{entity.class_name}{suffix}" for suffix in ("Create", "Update", "Read", "Query")}
        taken |= {"ListQuery", "RecordView", "RequestBody", "STRICT", "TypedDict"}
        self.expression = write.body_type(column)
        self.is_needed = self.expression.startswith("Annotated[")
        self.name = f"{name}Value" if name in taken else name

    @property
    def reference(self) -> str:
        return self.name if self.is_needed else self.expression


def _enum_names(entity: ResolvedEntity) -> list[str]:
    names = {column.enum.class_name for column in entity.columns if column.enum}
    if entity.lifecycle:
        names.add(entity.lifecycle.enum.class_name)
    return sorted(names)


def table_arguments(entity: ResolvedEntity) -> Iterator[str]:
    """Constraints and indexes of the table as expressions, in a model's order."""
    for column in entity.columns:
        if column.unique:
            yield f'sa.UniqueConstraint("{column.name}", name="{column.unique_name}")'
    for relation in entity.to_one:
        if relation.unique:
            yield f'sa.UniqueConstraint("{relation.field}", name="{relation.unique_name}")'
    yield from check_constraints(entity)
    for relation in entity.to_one:
        if not relation.unique:
            yield f'sa.Index("{relation.index_name}", "{relation.field}")'


def check_constraints(entity: ResolvedEntity) -> Iterator[str]:
    for column in entity.columns:
        if column.enum is not None:
            yield _check(column.name, [one.name for one in column.enum.values], column.check_name)
    if entity.lifecycle is not None:
        states = [state.name for state in entity.lifecycle.enum.values]
        yield _check(entity.lifecycle.field, states, entity.lifecycle.check_name)


def _check(column: str, values: list[str], name: str) -> str:
    return f'sa.CheckConstraint("{value_check(column, values)}", name="{name}")'


def value_check(column: str, values: list[str]) -> str:
    """The condition that a column holds one of these values, which are plain names."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


def _model_columns(entity: ResolvedEntity) -> Iterator[dict[str, str]]:
    for column in entity.columns:
        parts = [write.model_type(column)]
        default = write.default(column)
        if default is not None:
            parts.append(f"default={default}")
        optional = "" if column.required else " | None"
        yield {
            "name": column.name,
            "annotation": write.annotation(column) + optional,
            "arguments": ", ".join(parts),
        }
    for relation in entity.to_one:
        yield {
            "name": relation.field,
            "annotation": "UUID" if relation.required else "UUID | None",
            "arguments": foreign_key(relation),
        }
    if entity.lifecycle is not None:
        enum = entity.lifecycle.enum
        initial = write.enum_member(enum, entity.lifecycle.initial.name)
        yield {
            "name": entity.lifecycle.field,
            "annotation": enum.class_name,
            "arguments": f"enum_text({enum.class_name}), default={initial}",
        }


_TABLES: dict[str, str] = {}


def foreign_key(relation: ResolvedRelation) -> str:
    """Replaced by the caller's table; see `_model_columns`."""
    return ""


def _link(
    platform: ResolvedPlatform, entity: ResolvedEntity, relation: ResolvedRelation
) -> dict[str, Any]:
    return {}
