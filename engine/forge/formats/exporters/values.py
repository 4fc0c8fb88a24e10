"""How a field looks in JSON, in the words of JSON Schema."""

from __future__ import annotations

from typing import Any

from engine.forge.blueprint.model import FieldSpec, FieldType
from engine.forge.fields import DURATION_PATTERN
from engine.forge.resolve import ResolvedColumn, ResolvedRelation

MAX_LINKS = 100
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
INSTANT: dict[str, Any] = {"type": "string", "format": "date-time"}
_PLAIN: dict[FieldType, dict[str, Any]] = {
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.DATE: {"type": "string", "format": "date"},
    FieldType.TIME: {"type": "string", "pattern": TIME_PATTERN},
    FieldType.INSTANT: INSTANT,
    FieldType.UUID: UUID,
    FieldType.DURATION: {"type": "string", "pattern": DURATION_PATTERN},
    FieldType.JSON: {"type": ["object", "array"]},
}
_DECIMALS = (FieldType.DECIMAL, FieldType.MONEY)


def decimal_pattern(column: ResolvedColumn) -> str:
    """Decimals are texts, so that nobody rounds them."""
    digits, places = column.precision or 0, column.scale or 0
    whole = f"[0-9]{{1,{digits - places}}}" if digits > places else "0"
    fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
    return f"^-?{whole}{fraction}$"


def plain_value(column: ResolvedColumn, enums: str) -> dict[str, Any]:
    """The value as answers hold it; `enums` is the reference under which the enums stand."""
    if column.enum is not None:
        return {"$ref": f"{enums}{column.enum.class_name}"}
    if column.type in _DECIMALS:
        return {"type": "string", "pattern": decimal_pattern(column)}
    if column.type is FieldType.INTEGER:
        return {"type": "integer"}
    return dict(_PLAIN.get(column.type, {"type": "string"}))


def checked_value(column: ResolvedColumn, enums: str) -> dict[str, Any]:
    """The value as requests must hold it, with every constraint that JSON Schema can say."""
    value = plain_value(column, enums)
    if column.type is FieldType.INTEGER:
        value |= {"minimum": column.minimum, "maximum": column.maximum}
    elif column.max_length is not None:
        value["maxLength"] = column.max_length
        if column.min_length:
            value["minLength"] = column.min_length
        if column.pattern is not None:
            value["pattern"] = column.pattern
    return value


def optional(value: dict[str, Any], *, may_be_null: bool) -> dict[str, Any]:
    return {"anyOf": [value, {"type": "null"}]} if may_be_null else value


def links(relation: ResolvedRelation, *, checked: bool) -> dict[str, Any]:
    """The ids of a to-many relation."""
    value: dict[str, Any] = {"type": "array", "items": UUID}
    if checked:
        value["maxItems"] = MAX_LINKS
        if relation.required:
            value["minItems"] = 1
    return value


def field_extension(spec: FieldSpec) -> dict[str, Any]:
    """The field as the Blueprint has it, for what JSON Schema has no word for."""
    data = spec.model_dump(mode="json", exclude_defaults=True)
    return {"type": spec.type.value, **data, "required": spec.required}
