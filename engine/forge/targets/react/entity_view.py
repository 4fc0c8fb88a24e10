"""The files of one entity: types, validation, titles and what its pages need to know."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from engine.forge.blueprint.model import FieldType
from engine.forge.fields import LARGEST_INTEGER, SMALLEST_INTEGER, TEXT_PATTERNS
from engine.forge.resolve import (
    ADMIN,
    VERBS,
    ResolvedColumn,
    ResolvedEntity,
    ResolvedPlatform,
    ResolvedRelation,
    Titles,
)
from engine.forge.targets.names import sentence
from engine.forge.targets.react.typescript import (
    WIDTH,
    Code,
    Value,
    call,
    import_line,
    json_text,
    layout,
)

MOST_COLUMNS = 6
"""Fields that the table of a list shows, beside the date of creation."""

_DECIMALS = (FieldType.DECIMAL, FieldType.MONEY)
_TYPES = {
    FieldType.INTEGER: "number",
    FieldType.BOOLEAN: "boolean",
    FieldType.JSON: "object",
}
_CHECKS = {
    FieldType.STRING: "text",
    FieldType.TEXT: "text",
    FieldType.MONEY: "decimal",
    FieldType.ENUM: "choice",
}
_WIDE = (FieldType.TEXT, FieldType.JSON, FieldType.URL, FieldType.UUID)
_CONTAINS = "contains"
_STATE_AR = "الحالة"


def entity_files(platform: ResolvedPlatform, entity: ResolvedEntity) -> dict[str, str]:
    """The files by their name inside the folder of the entity."""
    origin = f"// From entities.{entity.name} of blueprint.yaml.\n"
    return {
        "types.ts": origin + _types(entity),
        "schema.ts": origin + _schema(entity),
        "entity.ts": origin + _definition(platform, entity),
        "titles.json": json_text(_titles(entity)),
    }


def _types(entity: ResolvedEntity) -> str:
    shown = [*entity.columns, *(each.shown for each in entity.computed)]
    enums = {column.enum.class_name for column in shown if column.enum}
    if entity.lifecycle:
        enums.add(entity.lifecycle.enum.class_name)
    imports = import_line(sorted(enums), "@/enums", "import type")
    imports += 'import type { RecordView } from "@/lib/entity";\n'
    lines = "".join(_members(entity))
    head = f"export interface {entity.class_name} extends RecordView"
    if not lines:
        return f"{imports}\nexport type {entity.class_name} = RecordView;\n"
    return f"{imports}\n{head} {{\n{lines}}}\n"


def _members(entity: ResolvedEntity) -> Iterator[str]:
    for column in entity.columns:
        kind = column.enum.class_name if column.enum else _TYPES.get(column.type, "string")
        if column.write_only:
            yield "  /** Accepted, and never given back. */\n"
            yield f"  {column.name}?: never;\n"
        else:
            yield _member(column.name, kind, column.required)
    for computed in entity.computed:
        column = computed.shown
        kind = column.enum.class_name if column.enum else _TYPES.get(column.type, "string")
        yield _member(column.name, kind, column.required)
    for relation in entity.relations:
        kind = "string[]" if relation.many else "string"
        yield _member(relation.field, kind, relation.required or relation.many)
    if entity.lifecycle:
        yield _member(entity.lifecycle.field, entity.lifecycle.enum.class_name, True)


def _member(name: str, kind: str, required: bool) -> str:
    line = f"  {name}: {kind};\n" if required else f"  {name}: {kind} | null;\n"
    if len(line) - 1 <= WIDTH or required:
        return line
    return f"  {name}:\n    | {kind}\n    | null;\n"


def _schema(entity: ResolvedEntity) -> str:
    checks = [_check(column) for column in entity.columns]
    for relation in entity.relations:
        options: dict[str, Value] = {"required": True} if relation.required else {}
        function = "relations" if relation.many else "relation"
        checks.append((relation.field, function, [options]))
    functions = sorted({function for _, function, _ in checks})
    head = 'import { z } from "zod";\n'
    if not checks:
        return f"{head}\nexport const schema = z.object({{}});\n"
    head += "\n" + import_line(["enums"] if "choice" in functions else [], "@/enums")
    head += import_line(functions, "@/lib/validation")
    lines = "".join(
        f"  {name}: {_write_check(function, arguments, len(name) + 4)},\n"
        for name, function, arguments in checks
    )
    return f"{head}\nexport const schema = z.object({{\n{lines}}});\n"


def _write_check(function: str, arguments: list[Value], used: int) -> str:
    return call(function, arguments, 2, used) if arguments else f"{function}()"


def _check(column: ResolvedColumn) -> tuple[str, str, list[Value]]:
    function = _CHECKS.get(column.type, column.type.value)
    options: dict[str, Value] = {}
    if column.required:
        options["required"] = True
    if column.enum:
        return column.name, function, [Code(f"enums.{column.enum.class_name}"), options]
    if column.type is FieldType.BOOLEAN:
        return column.name, function, []
    if column.min_length > 1:
        options["minLength"] = column.min_length
    if column.max_length is not None:
        options["maxLength"] = column.max_length
    if column.pattern and column.pattern != TEXT_PATTERNS.get(column.type):
        options["pattern"] = column.pattern
    return column.name, function, [options | _range(column)]


def _range(column: ResolvedColumn) -> dict[str, Value]:
    options: dict[str, Value] = {}
    least: int | Decimal
    most: int | Decimal
    if column.type in _DECIMALS:
        places = column.scale or 0
        options |= {"digits": column.precision or 0, "places": places}
        most = Decimal(10) ** ((column.precision or 0) - places) - Decimal(1).scaleb(-places)
        least = -most
    else:
        least, most = SMALLEST_INTEGER, LARGEST_INTEGER
    if column.minimum is not None and column.minimum != least:
        options["minimum"] = f"{column.minimum:f}" if _is_decimal(column) else str(column.minimum)
    if column.maximum is not None and column.maximum != most:
        options["maximum"] = f"{column.maximum:f}" if _is_decimal(column) else str(column.maximum)
    return options


def _is_decimal(column: ResolvedColumn) -> bool:
    return column.type in _DECIMALS


def _definition(platform: ResolvedPlatform, entity: ResolvedEntity) -> str:
    definition: dict[str, Value] = {
        "name": entity.name,
        "path": entity.route,
        "titles": Code("titles"),
        "display": entity.display,
        "lookup": _lookup(entity) or Code("null"),
        "fields": [*_fields(entity)],
        "lifecycle": _lifecycle(entity) or Code("null"),
        "rights": _rights(platform, entity),
        "schema": Code("schema"),
    }
    body = "".join(
        f"  {key}: {layout(value, 2, len(key) + 4)},\n"
        for key, value in definition.items()
        if key not in ("titles", "schema")
    )
    return (
        'import { defineEntity } from "@/lib/entity";\n\n'
        'import { schema } from "./schema";\n'
        'import titles from "./titles.json";\n'
        f'import type {{ {entity.class_name} }} from "./types";\n\n'
        f"export const entity = defineEntity<{entity.class_name}>({{\n{body}"
        "  titles,\n  schema,\n});\n"
    )


def _lookup(entity: ResolvedEntity) -> str | None:
    if entity.search:
        return "q"
    for column in entity.columns:
        if column.name == entity.display:
            found = (each.parameter for each in column.filters if each.operator == _CONTAINS)
            return next(found, None)
    return None


def _fields(entity: ResolvedEntity) -> Iterator[dict[str, Value]]:
    shown = _shown(entity)
    for column in entity.columns:
        field: dict[str, Value] = {"name": column.name, "kind": column.type.value}
        if column.enum:
            field["enum"] = column.enum.class_name
        if column.required:
            field["required"] = True
        if column.default is not None:
            field["default"] = column.default
        if column.currency:
            field["currency"] = column.currency
        if column.write_only:
            field["writeOnly"] = True
        if column.filters:
            field["filters"] = [each.operator for each in column.filters]
            field["sortable"] = True
        yield field | ({"column": True} if column.name in shown else {})
    for computed in entity.computed:
        field = {"name": computed.name, "kind": computed.shown.type.value, "computed": True}
        if computed.shown.enum:
            field["enum"] = computed.shown.enum.class_name
        if computed.shown.currency:
            field["currency"] = computed.shown.currency
        yield field | ({"column": True} if computed.name in shown else {})
    for relation in entity.relations:
        yield _relation(relation) | ({"column": True} if relation.field in shown else {})
    if entity.lifecycle:
        yield {
            "name": entity.lifecycle.field,
            "kind": "state",
            "enum": entity.lifecycle.enum.class_name,
            "filters": [each.operator for each in entity.lifecycle.filters],
            "sortable": True,
            "column": True,
        }


def _relation(relation: ResolvedRelation) -> dict[str, Value]:
    field: dict[str, Value] = {
        "name": relation.field,
        "kind": "relations" if relation.many else "relation",
        "target": relation.target,
    }
    if relation.required:
        field["required"] = True
    if relation.filters:
        field["filters"] = [each.operator for each in relation.filters]
    return field


def _shown(entity: ResolvedEntity) -> set[str]:
    """The fields of the table of a list: what names the record, then what is short."""
    values = [*entity.columns, *(each.shown for each in entity.computed)]
    short = [
        column.name
        for column in values
        if not column.write_only and column.type not in _WIDE and column.name != entity.display
    ]
    relations = [relation.field for relation in entity.to_one]
    room = MOST_COLUMNS - 1 - min(len(relations), 2)
    return {entity.display, *short[:room], *relations[:2]}


def _lifecycle(entity: ResolvedEntity) -> dict[str, Value] | None:
    if entity.lifecycle is None:
        return None
    transitions: list[Value] = [
        {
            "name": move.name,
            "from": [state.name for state in move.sources],
            "to": move.target.name,
            "roles": list(move.roles),
        }
        for move in entity.lifecycle.transitions
    ]
    return {
        "field": entity.lifecycle.field,
        "enum": entity.lifecycle.enum.class_name,
        "initial": entity.lifecycle.initial.name,
        "transitions": transitions,
    }


def _rights(platform: ResolvedPlatform, entity: ResolvedEntity) -> dict[str, Value]:
    rights: dict[str, Value] = {}
    for role in platform.roles:
        granted: dict[str, Value] = {
            verb: scope.value
            for verb in VERBS
            if (scope := entity.scope(role.name, verb)) is not None
        }
        if granted and role.name != ADMIN:
            rights[role.name] = granted
    return rights


def both(titles: Titles) -> dict[str, str]:
    return {"en": titles.en, "ar": titles.ar}


def _titles(entity: ResolvedEntity) -> dict[str, object]:
    fields = {column.name: both(column.titles) for column in entity.columns}
    fields |= {each.name: both(each.shown.titles) for each in entity.computed}
    fields |= {relation.field: both(relation.titles) for relation in entity.relations}
    moves = {}
    if entity.lifecycle:
        fields[entity.lifecycle.field] = _state_title(entity.lifecycle.field)
        moves = {move.name: both(move.titles) for move in entity.lifecycle.transitions}
    return {
        "title": both(entity.titles),
        "plural": both(entity.plural_titles),
        "fields": fields,
        "transitions": moves,
    }


def _state_title(field: str) -> dict[str, str]:
    """The Blueprint has no title for the field of the state."""
    return {"en": sentence(field), "ar": _STATE_AR}
