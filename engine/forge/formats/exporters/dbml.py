"""A Blueprint as DBML: the tables that its platform keeps."""

from __future__ import annotations

from collections.abc import Iterator

from engine.forge.blueprint.model import Blueprint, FieldType, OnDelete, RelationKind, Text
from engine.forge.resolve import (
    ResolvedColumn,
    ResolvedEntity,
    ResolvedPlatform,
    ResolvedRelation,
    resolve,
)

_WORDS = frozenset(
    {"note", "indexes", "checks", "ref", "table", "enum", "project", "as", "records"}
)
_TYPES = {
    FieldType.STRING: "varchar", FieldType.TEXT: "text", FieldType.EMAIL: "email",
    FieldType.PHONE: "phone", FieldType.URL: "url", FieldType.INTEGER: "bigint",
    FieldType.DECIMAL: "decimal", FieldType.MONEY: "money", FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date", FieldType.TIME: "time", FieldType.INSTANT: "timestamptz",
    FieldType.UUID: "uuid", FieldType.SLUG: "slug", FieldType.DURATION: "duration",
    FieldType.JSON: "json",
}  # fmt: skip
_BASE = (
    "id uuid [pk]",
    "owner_id uuid [not null]",
    "created_at timestamptz [not null]",
    "updated_at timestamptz [not null]",
)
_DELETES = {
    OnDelete.RESTRICT: "restrict",
    OnDelete.CASCADE: "cascade",
    OnDelete.SET_NULL: "set null",
}


class DbmlExporter:
    """Tables with their columns, enums and references; join tables as tables of their own."""

    name = "dbml"
    suffix = ".dbml"
    media_type = "text/plain"

    def write(self, blueprint: Blueprint) -> str:
        platform = resolve(blueprint)
        parts = [_project(blueprint, platform)]
        for name, enum in blueprint.enums.items():
            values = [f"  {_name(value)}{_note(text)}" for value, text in enum.values.items()]
            parts.append("\n".join([f"Enum {_name(name)} {{", *values, "}"]))
        for entity in platform.entities:
            parts += _states(entity)
            parts.append(_table(blueprint, entity))
        for entity in platform.entities:
            parts += [_join(platform, entity, relation) for relation in entity.to_many]
        references = [each for entity in platform.entities for each in _refs(platform, entity)]
        return "\n\n".join([*parts, *(["\n".join(references)] if references else [])]) + "\n"


def _project(blueprint: Blueprint, platform: ResolvedPlatform) -> str:
    database = "PostgreSQL" if platform.database == "postgres" else "SQLite"
    lines = [f"Project {_name(platform.name.replace('-', '_'))} {{"]
    lines.append(f"  database_type: '{database}'")
    if blueprint.description.strip():
        lines.append(f"  Note: {_text(' '.join(blueprint.description.split()))}")
    return "\n".join([*lines, "}"])


def _states(entity: ResolvedEntity) -> list[str]:
    if entity.lifecycle is None:
        return []
    values = [f"  {_name(value.name)}" for value in entity.lifecycle.enum.values]
    return ["\n".join([f"Enum {_name(entity.lifecycle.enum.name)} {{", *values, "}"])]


def _table(blueprint: Blueprint, entity: ResolvedEntity) -> str:
    spec = blueprint.entities[entity.name]
    lines = [f"Table {_name(entity.table)} as {entity.name} {{", *(f"  {each}" for each in _BASE)]
    for column in entity.columns:
        lines.append(f"  {_column(column, spec.fields[column.name].title)}")
    for relation in entity.to_one:
        settings = ["not null"] if relation.required else []
        settings += ["unique"] if relation.unique else []
        settings += _noted(spec.relations[relation.name].title)
        lines.append(f"  {_name(relation.column)} uuid{_settings(settings)}")
    if entity.lifecycle is not None:
        settings = ["not null", f"default: {_text(entity.lifecycle.initial.name)}"]
        kind = _name(entity.lifecycle.enum.name)
        lines.append(f"  {_name(entity.lifecycle.field)} {kind}{_settings(settings)}")
    lines += _indexes(entity)
    about = _both(spec.description)
    lines += [f"  Note: {_text(about)}"] if about else []
    return "\n".join([*lines, "}"])


def _indexes(entity: ResolvedEntity) -> list[str]:
    """Indexes and constraints over several columns."""
    listed = [(each.columns, " [unique]") for each in entity.unique_sets]
    listed += [(each.columns, "") for each in entity.indexes]
    if not listed:
        return []
    lines = [f"    ({', '.join(map(_name, columns))}){end}" for columns, end in listed]
    return ["  indexes {", *lines, "  }"]


def _column(column: ResolvedColumn, title: Text) -> str:
    settings = ["not null"] if column.required else []
    settings += ["unique"] if column.unique else []
    if column.default is not None:
        settings.append(f"default: {_default(column)}")
    return f"{_name(column.column)} {_type(column)}{_settings([*settings, *_noted(title)])}"


def _type(column: ResolvedColumn) -> str:
    if column.enum is not None:
        return _name(column.enum.name)
    kind = _TYPES[column.type]
    if column.max_length is not None:
        return f"{kind}({column.max_length})"
    if column.type is FieldType.DECIMAL:
        return f"{kind}({column.precision},{column.scale})"
    return kind


def _default(column: ResolvedColumn) -> str:
    value = column.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or column.type in (FieldType.DECIMAL, FieldType.MONEY):
        return str(value)
    return _text(str(value))


def _join(platform: ResolvedPlatform, entity: ResolvedEntity, relation: ResolvedRelation) -> str:
    source, target = _name(relation.source_column), _name(relation.target_column)
    return "\n".join(
        [
            f"Table {_name(relation.table)} {{",
            f"  {source} uuid",
            f"  {target} uuid",
            "  indexes {",
            f"    ({source}, {target}) [pk]",
            "  }",
            "}",
        ]
    )


def _refs(platform: ResolvedPlatform, entity: ResolvedEntity) -> Iterator[str]:
    own = _name(entity.table)
    for relation in entity.relations:
        target = _name(platform.entity(relation.target).table)
        if relation.kind is RelationKind.MANY_TO_MANY:
            link = _name(relation.table)
            yield f"Ref: {link}.{_name(relation.source_column)} > {own}.id"
            yield f"Ref: {link}.{_name(relation.target_column)} > {target}.id"
        else:
            sign = "-" if relation.unique else ">"
            deletes = f" [delete: {_DELETES[relation.on_delete]}]"
            yield f"Ref: {own}.{_name(relation.column)} {sign} {target}.id{deletes}"


def _both(text: Text) -> str:
    return " | ".join(part for part in (text.en, text.ar) if part)


def _noted(text: Text) -> list[str]:
    both = _both(text)
    return [f"note: {_text(both)}"] if both else []


def _note(text: Text) -> str:
    return _settings(_noted(text))


def _settings(settings: list[str]) -> str:
    return f" [{', '.join(settings)}]" if settings else ""


def _name(name: str) -> str:
    return f'"{name}"' if name in _WORDS or not name.isidentifier() else name


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
