"""The API of a Blueprint's platform as OpenAPI 3.1, as the platform itself would describe it.

What every platform has (signing in, users, health) is in `platform.json`. What the language knows
beyond JSON Schema stands under `x-webnova-…`, so that an import gives the same entities again.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from engine.forge.blueprint.model import Blueprint, FieldType
from engine.forge.formats.exporters.jsonschema import enum_schema
from engine.forge.formats.exporters.values import (
    INSTANT,
    UUID,
    checked_value,
    field_extension,
    links,
    optional,
    plain_value,
)
from engine.forge.resolve import ResolvedColumn, ResolvedEntity, ResolvedPlatform, resolve

_REFS = "#/components/schemas/"
_DATES = ("created_at", "updated_at")
_TEXTS = (
    *(FieldType.STRING, FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL),
    FieldType.SLUG,
)
_SEARCHED = {"type": "string", "maxLength": 200}
_INTEGERS = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_METHODS = {
    "list": "get", "create": "post", "get": "get", "update": "patch", "delete": "delete",
}  # fmt: skip
_REGISTER = "/api/auth/register"


class OpenApiExporter:
    """OpenAPI 3.1 in JSON: the paths and schemas of the generated backend."""

    name = "openapi"
    suffix = ".openapi.json"
    media_type = "application/vnd.oai.openapi+json"

    def write(self, blueprint: Blueprint) -> str:
        platform = resolve(blueprint)
        paths, schemas, security = _own(platform)
        for entity in platform.entities:
            paths |= _paths(entity)
            schemas |= _schemas(blueprint, entity)
        schemas |= _enums(blueprint, platform)
        document = {
            "openapi": "3.1.0",
            "info": {
                "title": platform.titles.en,
                "description": platform.description or platform.titles.ar,
                "version": "1.0.0",
            },
            "paths": paths,
            "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": security},
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


@cache
def _platform_part() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (Path(__file__).parent / "platform.json").read_text(encoding="utf-8")
    )
    return found


def _own(platform: ResolvedPlatform) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What every platform has, with the roles of this one."""
    part = deepcopy(_platform_part())
    schemas = part["schemas"]
    schemas["Role"]["enum"] = [role.name for role in platform.roles]
    joining = [role.name for role in platform.self_registration_roles]
    if joining:
        role = schemas["Registration"]["properties"]["role"]
        role |= {"const": joining[0]} if len(joining) == 1 else {"enum": joining}
    else:
        part["paths"].pop(_REGISTER)
        schemas.pop("Registration")
    return part["paths"], schemas, part["securitySchemes"]


def _enums(blueprint: Blueprint, platform: ResolvedPlatform) -> dict[str, Any]:
    """The enums that records hold, with their texts."""
    used = {column.enum.name for entity in platform.entities for column in entity.columns
            if column.enum}  # fmt: skip
    states = {entity.lifecycle.enum.name for entity in platform.entities if entity.lifecycle}
    found = {}
    for enum in platform.enums:
        if enum.name in used | states:
            told: dict[str, Any] = {"name": enum.name}
            if enum.name in used:
                spec = blueprint.enums[enum.name]
                told |= spec.model_dump(mode="json", exclude_defaults=True)
            found[enum.class_name] = {**enum_schema(enum), "x-webnova-enum": told}
    return found


def _paths(entity: ResolvedEntity) -> dict[str, Any]:
    one, many = f"{entity.snake}_id", entity.path
    name = entity.class_name
    read = {"$ref": f"{_REFS}{name}Read"}
    place = {"name": one, "in": "path", "required": True, "schema": UUID}
    verbs = _Verbs(entity, place)
    paths = {
        many: {
            "get": verbs.operation("list", "200", {"$ref": f"{_REFS}Page_{name}Read_"})
            | {"parameters": _parameters(entity)},
            "post": verbs.operation("create", "201", read, body="Create", more=(409,)),
        },
        f"{many}/{{{one}}}": {
            "get": verbs.operation("get", "200", read, more=(404,)),
            "patch": verbs.operation("update", "200", read, body="Update", more=(404, 409)),
            "delete": verbs.operation("delete", "204", None, more=(404, 409)),
        },
    }
    for move in entity.lifecycle.transitions if entity.lifecycle else ():
        address = f"{many}/{{{one}}}/transitions/{move.name}"
        paths[address] = {"post": verbs.operation(move.name, "200", read, more=(404, 409))}
    return paths


class _Verbs:
    """The operations on one entity."""

    def __init__(self, entity: ResolvedEntity, place: dict[str, Any]) -> None:
        self.entity = entity
        self.place = place

    def operation(
        self,
        verb: str,
        status: str,
        answer: dict[str, Any] | None,
        *,
        body: str = "",
        more: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        """One operation; `more` are the refusals that it knows beyond those of all."""
        entity = self.entity
        path = f"{entity.path}/{{{entity.snake}_id}}"
        method = {"list": "get", "create": "post", "get": "get", "update": "patch"}.get(
            verb, "post"
        )
        path = entity.path if verb in ("list", "create") else path
        if verb not in ("list", "create", "get", "update", "delete"):
            path = f"{path}/transitions/{verb}"
        method = "delete" if verb == "delete" else method
        function = f"{verb}_{entity.plural_snake if verb == 'list' else entity.snake}"
        address = "".join(letter if letter.isalnum() else "_" for letter in path)
        found: dict[str, Any] = {
            "tags": [entity.plural_titles.en],
            "operationId": f"{function}{address}_{method}",
            "security": [{"HTTPBearer": []}],
        }
        if verb not in ("list", "create"):
            found["parameters"] = [self.place]
        if body:
            schema = {"$ref": f"{_REFS}{entity.class_name}{body}"}
            found["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema}},
            }
        answered: dict[str, Any] = {"description": "Successful Response"}
        if answer is not None:
            answered["content"] = {"application/json": {"schema": answer}}
        refusals = {str(code): _problem(code) for code in (401, 403, 422, *more)}
        return {**found, "responses": {status: answered, **refusals}}


def _problem(code: int) -> dict[str, Any]:
    schema = {"$ref": f"{_REFS}ProblemDetail"}
    phrase = "Unprocessable Entity" if code == 422 else HTTPStatus(code).phrase
    return {"description": phrase, "content": {"application/problem+json": {"schema": schema}}}


def _parameters(entity: ResolvedEntity) -> list[dict[str, Any]]:
    keys = [column.name for column in entity.columns if column.filters]
    keys += [entity.lifecycle.field] if entity.lifecycle else []
    names = "|".join([*keys, *_DATES])
    pattern = f"^-?({names})(,-?({names})){{0,4}}$"
    found = [
        _parameter("limit", {"type": "integer", "maximum": 100, "minimum": 1, "default": 20}),
        _parameter("offset", {"type": "integer", "maximum": 2**63 - 1, "minimum": 0, "default": 0}),
        _parameter("sort", optional({"type": "string", "pattern": pattern}, may_be_null=True)),
    ]
    filters: list[tuple[str, dict[str, Any]]] = []
    if entity.search:
        filters.append(("q", dict(_SEARCHED)))
    for column in entity.columns:
        filters += [(each.parameter, _filter(column)) for each in column.filters]
    for relation in entity.to_one:
        filters += [(each.parameter, dict(UUID)) for each in relation.filters]
    if entity.lifecycle is not None:
        state = {"$ref": f"{_REFS}{entity.lifecycle.enum.class_name}"}
        filters += [(each.parameter, state) for each in entity.lifecycle.filters]
    filters += [(f"{name}__{end}", dict(INSTANT)) for name in _DATES for end in ("gte", "lte")]
    return found + [_parameter(name, optional(kind, may_be_null=True)) for name, kind in filters]


def _filter(column: ResolvedColumn) -> dict[str, Any]:
    if column.type in _TEXTS:
        return dict(_SEARCHED)
    if column.type is FieldType.INTEGER:
        return dict(_INTEGERS)
    return plain_value(column, _REFS)


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _schemas(blueprint: Blueprint, entity: ResolvedEntity) -> dict[str, Any]:
    name = entity.class_name
    read = {"$ref": f"{_REFS}{name}Read"}
    number = {"type": "integer"}
    page = {
        "items": {"type": "array", "items": read},
        "total": number,
        "limit": number,
        "offset": number,
    }
    return {
        f"{name}Create": _create(blueprint, entity),
        f"{name}Update": _update(entity),
        f"{name}Read": _read(entity),
        f"Page_{name}Read_": {
            "type": "object",
            "title": f"Page[{name}Read]",
            "properties": page,
            "required": list(page),
        },
    }


def _create(blueprint: Blueprint, entity: ResolvedEntity) -> dict[str, Any]:
    spec = blueprint.entities[entity.name]
    properties: dict[str, Any] = {}
    required: list[str] = []
    for column in entity.columns:
        value = optional(checked_value(column, _REFS), may_be_null=not column.required)
        if column.default is not None:
            value["default"] = column.default
        value["x-webnova-field"] = field_extension(spec.fields[column.name])
        properties[column.name] = value
        if column.required_on_create:
            required.append(column.name)
    for relation in entity.relations:
        value = (
            links(relation, checked=True)
            if relation.many
            else optional(dict(UUID), may_be_null=not relation.required)
        )
        told = spec.relations[relation.name].model_dump(mode="json", exclude_defaults=True)
        kind = {"kind": relation.kind.value, "required": relation.required}
        value["x-webnova-relation"] = {"name": relation.name, **told, **kind}
        properties[relation.field] = value
        if relation.required:
            required.append(relation.field)
    about = spec.model_dump(
        mode="json", include={"title", "plural", "description"}, exclude_defaults=True
    )
    return {
        "type": "object",
        "title": f"{entity.class_name}Create",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
        "x-webnova-entity": {"name": entity.name, **about},
    }


def _update(entity: ResolvedEntity) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for column in entity.columns:
        value = checked_value(column, _REFS)
        properties[column.name] = optional(value, may_be_null=not column.required)
    for relation in entity.relations:
        properties[relation.field] = (
            links(relation, checked=True)
            if relation.many
            else optional(dict(UUID), may_be_null=not relation.required)
        )
    return {
        "type": "object",
        "title": f"{entity.class_name}Update",
        "properties": properties,
        "additionalProperties": False,
    }


def _read(entity: ResolvedEntity) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "id": dict(UUID),
        "owner_id": dict(UUID),
        "created_at": dict(INSTANT),
        "updated_at": dict(INSTANT),
    }
    for column in entity.columns:
        if not column.write_only:
            value = plain_value(column, _REFS)
            properties[column.name] = optional(value, may_be_null=not column.required)
    for computed in entity.computed:
        value = plain_value(computed.shown, _REFS)
        value = optional(value, may_be_null=not computed.shown.required)
        properties[computed.name] = {**value, "readOnly": True}
    for relation in entity.relations:
        properties[relation.field] = (
            links(relation, checked=False)
            if relation.many
            else optional(dict(UUID), may_be_null=not relation.required)
        )
    if entity.lifecycle is not None:
        state = {"$ref": f"{_REFS}{entity.lifecycle.enum.class_name}"}
        properties[entity.lifecycle.field] = state
    return {
        "type": "object",
        "title": f"{entity.class_name}Read",
        "properties": properties,
        "required": list(properties),
    }
