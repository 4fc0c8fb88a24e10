"""A Blueprint as a JSON Schema of its records (draft 2020-12)."""

from __future__ import annotations

import json
from typing import Any

from engine.forge.blueprint.model import Blueprint
from engine.forge.formats.exporters.values import (
    INSTANT,
    UUID,
    checked_value,
    links,
    optional,
)
from engine.forge.resolve import ResolvedEntity, ResolvedEnum, Titles, resolve

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFS = "#/$defs/"


class JsonSchemaExporter:
    """One definition for each entity and enum; records are as answers of the API hold them."""

    name = "jsonschema"
    suffix = ".schema.json"
    media_type = "application/schema+json"

    def write(self, blueprint: Blueprint) -> str:
        platform = resolve(blueprint)
        definitions: dict[str, Any] = {
            enum.class_name: enum_schema(enum) for enum in platform.enums
        }
        definitions |= {entity.class_name: _record(entity) for entity in platform.entities}
        document = {
            "$schema": DIALECT,
            "$id": f"urn:webnova:platform:{platform.name}",
            "title": platform.titles.en,
            "$defs": definitions,
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def enum_schema(enum: ResolvedEnum) -> dict[str, Any]:
    return {
        "type": "string",
        "enum": [value.name for value in enum.values],
        "title": enum.class_name,
    }


def _both(titles: Titles) -> str:
    return " | ".join(dict.fromkeys((titles.en, titles.ar)))


def _record(entity: ResolvedEntity) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": {**UUID, "readOnly": True},
        "owner_id": {**UUID, "readOnly": True},
        "created_at": {**INSTANT, "readOnly": True},
        "updated_at": {**INSTANT, "readOnly": True},
    }
    required = []
    for column in entity.columns:
        value = optional(checked_value(column, _DEFS), may_be_null=not column.required)
        more: dict[str, Any] = {"description": _both(column.titles)}
        if column.default is not None:
            more["default"] = column.default
        if column.write_only:
            more["writeOnly"] = True
        properties[column.name] = {**value, **more}
        if column.required_on_create:
            required.append(column.name)
    for computed in entity.computed:
        shown = computed.shown
        value = optional(checked_value(shown, _DEFS), may_be_null=not shown.required)
        more = {"description": _both(shown.titles), "readOnly": True}
        properties[computed.name] = {**value, **more}
    for relation in entity.relations:
        if relation.many:
            properties[relation.field] = links(relation, checked=True)
        else:
            properties[relation.field] = optional(dict(UUID), may_be_null=not relation.required)
        if relation.required:
            required.append(relation.field)
    if entity.lifecycle is not None:
        state = {"$ref": f"{_DEFS}{entity.lifecycle.enum.class_name}", "readOnly": True}
        properties[entity.lifecycle.field] = state
    return {
        "type": "object",
        "title": _both(entity.titles),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
