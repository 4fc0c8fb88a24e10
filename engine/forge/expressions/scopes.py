"""What expressions of a Blueprint can see: its entities, their fields and relations."""

from __future__ import annotations

from collections.abc import Mapping

from engine.forge.blueprint.model import Blueprint, Entity, FieldSpec, FieldType, RelationKind
from engine.forge.blueprint.names import ADMIN
from engine.forge.expressions.types import (
    BOOLEAN,
    DATE,
    INSTANT,
    MAX_DIGITS,
    TEXT,
    TIME,
    UUID,
    Kind,
    Scope,
    Shape,
    ToOne,
    Type,
    decimal,
    enum,
    integer,
    money,
)
from engine.forge.fields import FieldBounds, bounds_of, is_write_only

_PLAIN = {
    **dict.fromkeys(
        (FieldType.STRING, FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL), TEXT
    ),
    FieldType.SLUG: TEXT,
    FieldType.BOOLEAN: BOOLEAN,
    FieldType.DATE: DATE,
    FieldType.TIME: TIME,
    FieldType.INSTANT: INSTANT,
    FieldType.UUID: UUID,
}
_UNREAD = (FieldType.DURATION, FieldType.JSON)
"""What the language has no type for; such fields have no name in it."""
_SYSTEM = {"id": UUID, "owner_id": UUID, "created_at": INSTANT, "updated_at": INSTANT}


def scope_of(
    blueprint: Blueprint, entity: str | None, input: Mapping[str, FieldSpec] | None = None
) -> Scope:
    """The scope of an expression on records of `entity`, or on none.

    `input` holds the fields that the caller of an operation sends. Write-only fields can't be
    read. Raises `InvalidInput` for a field whose bounds make no sense.
    """
    roles = (ADMIN, *blueprint.roles)
    return Scope(
        entity,
        {name: _shape(blueprint, name, each) for name, each in blueprint.entities.items()},
        {
            name: field_type(blueprint, spec, name)
            for name, spec in (input or {}).items()
            if spec.type not in _UNREAD
        },
        {"id": UUID, "role": enum("role", roles)},
    )


def record_scope(blueprint: Blueprint, entity: str) -> Scope:
    """The scope of a condition on one record alone: what its owner says in it.

    A to-one relation is the id that it holds; nothing is looked up elsewhere. Raises as `scope_of`.
    """
    shape = _shape(blueprint, entity, blueprint.entities[entity])
    own = {name: type for name, type in shape.fields.items() if name not in _SYSTEM}
    ids = {name: UUID.optional if hop.nullable else UUID for name, hop in shape.one.items()}
    return Scope(entity, {entity: Shape({**own, **ids})})


def field_type(blueprint: Blueprint, spec: FieldSpec, path: str) -> Type:
    """The type of a field's value. Raises `InvalidInput`, naming `path`, for senseless bounds."""
    type = _PLAIN.get(spec.type)
    if type is None and spec.type is FieldType.ENUM:
        declared = blueprint.enums.get(spec.enum or "")
        type = enum(spec.enum or "", declared.values if declared else ())
    if type is None:
        type = _number(spec, bounds_of(spec, path))
    return type if spec.required else type.optional


def computed_type(blueprint: Blueprint, spec: FieldSpec, path: str) -> Type:
    """What the expression of a computed field must give. Raises as `field_type`.

    Of a number only the digits after the point are bound: nothing is stored that could be too
    small for it.
    """
    type = field_type(blueprint, spec, path).optional
    return type.within(-(10**MAX_DIGITS), 10**MAX_DIGITS) if type.kind is Kind.NUMBER else type


def _number(spec: FieldSpec, bounds: FieldBounds) -> Type:
    assert bounds.minimum is not None and bounds.maximum is not None
    if spec.type is FieldType.INTEGER:
        return integer(int(bounds.minimum), int(bounds.maximum))
    assert bounds.precision is not None and bounds.scale is not None
    if spec.type is FieldType.MONEY:
        type = money(spec.currency or "", bounds.precision, bounds.scale)
    else:
        type = decimal(bounds.precision, bounds.scale)
    return type.within(bounds.minimum, bounds.maximum)


def _shape(blueprint: Blueprint, name: str, entity: Entity) -> Shape:
    path = f"entities.{name}.fields"
    fields = dict(_SYSTEM)
    for field, spec in entity.fields.items():
        unread = is_write_only(spec) or spec.type in _UNREAD or spec.computed is not None
        if not unread:
            fields[field] = field_type(blueprint, spec, f"{path}.{field}")
    if entity.lifecycle is not None:
        states = enum(f"{name}.{entity.lifecycle.field}", entity.lifecycle.states)
        fields[entity.lifecycle.field] = states
    one = {
        relation: ToOne(spec.to, nullable=not spec.required)
        for relation, spec in entity.relations.items()
        if spec.kind is not RelationKind.MANY_TO_MANY and spec.to in blueprint.entities
    }
    many = {
        relation: spec.to
        for relation, spec in entity.relations.items()
        if spec.kind is RelationKind.MANY_TO_MANY and spec.to in blueprint.entities
    }
    return Shape(fields, one, many)
