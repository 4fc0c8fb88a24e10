"""The Blueprint's promises as plain Python data, one module per entity of the generated tests.

The tests compare the application with this data. It comes straight from the resolved model, never
from the application's own code, so a mistake in one is not repeated in the other.
"""

from __future__ import annotations

from engine.forge.blueprint.model import FieldType, RelationKind
from engine.forge.resolve import (
    ADMIN,
    VERBS,
    ResolvedColumn,
    ResolvedComputed,
    ResolvedEntity,
    ResolvedLifecycle,
    ResolvedPlatform,
    ResolvedRelation,
    ResolvedTransition,
)
from engine.forge.testing.literals import Call, Name, fits, source
from engine.forge.testing.outcomes import examples, readiness
from engine.forge.testing.rooms import PLENTY, rooms, values_of

_LINE_ROOM = 70
_DISTINCT, _DISTINCT_PER_PAIR, _MOST_DISTINCT = 10, 4, 90


def entity_module(platform: ResolvedPlatform, entity: ResolvedEntity) -> str:
    """The source of the module that states what the Blueprint promises about one entity.

    Raises `InvalidInput`, with `path`, when a field's pattern admits no value that can be found:
    nothing about such an entity could be tested.
    """
    promise = _entity(entity, platform)
    words = sorted(_words_used(promise))
    return (
        f'"""What the Blueprint promises about {entity.name}."""\n\n'
        f"{_import('tests.contract.vocabulary', words)}\n"
        f"PROMISE = {source(promise, before=10)}\n"
    )


def index_module(platform: ResolvedPlatform) -> str:
    """The source of the module that lists all entities and roles."""
    modules = sorted(entity.module for entity in platform.entities)
    roles = tuple(role.name for role in platform.roles)
    registering = tuple(role.name for role in platform.self_registration_roles)
    listed = tuple(Name(f"{entity.module}.PROMISE") for entity in platform.entities)
    return "\n".join(
        [
            '"""What the Blueprint promises: every entity and role of the platform."""',
            "",
            _import("tests.contract.entities", modules).rstrip(),
            "from tests.contract.vocabulary import ANONYMOUS, Entity",
            "",
            f"ROLES: tuple[str, ...] = {source(roles, before=25)}",
            f"SELF_REGISTRATION: tuple[str, ...] = {source(registering, before=37)}",
            "CALLERS = (*ROLES, ANONYMOUS)",
            f"PROMISES: tuple[Entity, ...] = {source(listed, before=31)}",
            "ENTITIES: dict[str, Entity] = {promise.name: promise for promise in PROMISES}",
            "",
        ]
    )


def application_module(platform: ResolvedPlatform) -> str:
    """The source of the module through which unit tests find the application's own parts."""
    entities = platform.entities
    moving = [one for one in entities if one.lifecycle and one.lifecycle.transitions]
    still = [one for one in entities if one.lifecycle and not one.lifecycle.transitions]
    transitions = {one.name: Name(f"{one.module}_routes.TRANSITIONS") for one in moving}
    transitions |= {one.name: Name("{}") for one in still}
    tables: tuple[tuple[str, str, dict[str, Name]], ...] = (
        ("MODELS", "type[Record]", {one.name: Name(one.class_name) for one in entities}),
        ("CREATE", "TypeAdapter[object]", {one.name: _schema(one, "Create") for one in entities}),
        ("UPDATE", "TypeAdapter[object]", {one.name: _schema(one, "Update") for one in entities}),
        ("TRANSITIONS", "Mapping[str, Transition]", transitions),
    )
    lines = [
        '"""Where the application keeps its part of each entity."""',
        "",
        "from collections.abc import Mapping",
        "",
        "from pydantic import TypeAdapter",
        "",
        "from app.lifecycle import Transition",
        _import("app.models", sorted(one.class_name for one in entities)).rstrip(),
        "from app.models.base import Record",
        *sorted(f"from app.routes import {one.module} as {one.module}_routes" for one in moving),
        *sorted(
            f"from app.schemas import {one.module} as {one.module}_schemas" for one in entities
        ),
        "",
    ]
    for name, kind, entries in tables:
        shown = source(entries, before=len(name + kind) + len(": dict[str, ] = "))
        lines.append(f"{name}: dict[str, {kind}] = {shown}")
    return "\n".join(lines) + "\n"


def _schema(entity: ResolvedEntity, purpose: str) -> Name:
    return Name(f"TypeAdapter({entity.module}_schemas.{entity.class_name}{purpose})")


def _distinct(platform: ResolvedPlatform) -> int:
    """How many different values of a unique field the tests need at most."""
    ones = [one for entity in platform.entities for one in entity.relations if one.distinct]
    return min(_DISTINCT + _DISTINCT_PER_PAIR * len(ones), _MOST_DISTINCT)


def _import(module: str, words: list[str]) -> str:
    line = f"from {module} import {', '.join(words)}\n"
    if fits(Name(line), 101):
        return line
    listed = "".join(f"    {word},\n" for word in words)
    return f"from {module} import (\n{listed})\n"


def _words_used(promise: object) -> set[str]:
    match promise:
        case Call(name, arguments, first):
            inner = [*arguments.values(), *first]
            return {name}.union(*map(_words_used, inner))
        case tuple():
            return set[str]().union(*map(_words_used, promise))
        case _:
            return set()


def _entity(entity: ResolvedEntity, platform: ResolvedPlatform) -> Call:
    arguments: dict[str, object] = {
        "name": entity.name,
        "path": entity.path,
        "table": entity.table,
    }
    room = rooms(platform, _distinct(platform))[entity.name]
    if not room.spare:
        arguments["spare"] = False
    if room.free < PLENTY:
        arguments["free"] = room.free
    if entity.columns:
        arguments["fields"] = tuple(
            _field(entity, column, _distinct(platform)) for column in entity.columns
        )
    if entity.computed:
        arguments["computed"] = tuple(
            _computed(entity, each, _distinct(platform)) for each in entity.computed
        )
    if entity.relations:
        arguments["relations"] = tuple(map(_relation, entity.relations))
    if entity.search:
        arguments["search"] = entity.search
    if entity.unique_sets:
        arguments["unique"] = tuple(each.fields for each in entity.unique_sets)
    access = {
        role.name: {
            verb: scope.value
            for verb in VERBS
            if (scope := entity.scope(role.name, verb)) is not None
        }
        for role in platform.roles
        if role.name != ADMIN
    }
    if any(access.values()):
        arguments["access"] = {role: verbs for role, verbs in access.items() if verbs}
    if entity.lifecycle is not None:
        distinct = _distinct(platform)
        arguments["lifecycle"] = _lifecycle(entity, entity.lifecycle, distinct)
    return Call("Entity", arguments)


def _field(entity: ResolvedEntity, column: ResolvedColumn, distinct: int) -> Call:
    examples = values_of(entity, column, distinct)
    arguments: dict[str, object] = {
        "name": column.name,
        "kind": column.type.value,
        "samples": examples.samples,
    }
    operators = {each.operator: each.parameter for each in column.filters}
    flags = {
        "required": column.required,
        "unique": column.unique,
        "apart": column.distinct and not column.unique,
        "hidden": column.write_only,
        "opaque": not column.write_only and not column.filters,
        "ranged": "gte" in operators,
        "searched": "contains" in operators,
    }
    arguments |= {flag: True for flag, is_set in flags.items() if is_set}
    if operators.get("eq", column.name) != column.name:
        arguments["parameter"] = operators["eq"]
    if column.default is not None:
        arguments["default"] = _as_answered(column)
    for key, cases in (("accepted", examples.accepted), ("rejected", examples.rejected)):
        # A value too long for one line of source (a dense pattern at its longest) is left out.
        written = [case for case in cases if fits(case.value, _LINE_ROOM)]
        if written:
            arguments[key] = tuple(Call("Case", {}, (one.name, one.value)) for one in written)
    return Call("Field", arguments)


def _computed(entity: ResolvedEntity, computed: ResolvedComputed, distinct: int) -> Call:
    found = examples(entity, computed, distinct)
    shown = tuple(Call("Example", {}, (dict(one.values), one.answer)) for one in found)
    return Call("Computed", {"name": computed.name} | ({"examples": shown} if shown else {}))


def _as_answered(column: ResolvedColumn) -> str | int | bool | None:
    """The default in the form in which an answer carries it."""
    if column.type is FieldType.INSTANT and isinstance(column.default, str):
        return column.default.replace("+00:00", "Z")
    return column.default


def _relation(relation: ResolvedRelation) -> Call:
    arguments: dict[str, object] = {"name": relation.field, "target": relation.target}
    if relation.kind is not RelationKind.MANY_TO_ONE:
        arguments["kind"] = relation.kind.value
    if relation.required:
        arguments["required"] = True
    if relation.distinct and not relation.unique:
        arguments["apart"] = True
    if relation.on_delete.value != "restrict":
        arguments["on_delete"] = relation.on_delete.value
    return Call("Relation", arguments)


def _lifecycle(entity: ResolvedEntity, lifecycle: ResolvedLifecycle, distinct: int) -> Call:
    arguments: dict[str, object] = {
        "field": lifecycle.field,
        "initial": lifecycle.initial.name,
        "states": tuple(state.name for state in lifecycle.enum.values),
    }
    if lifecycle.filters and lifecycle.filters[0].parameter != lifecycle.field:
        arguments["parameter"] = lifecycle.filters[0].parameter
    if lifecycle.transitions:
        arguments["transitions"] = tuple(
            _transition(entity, move, distinct) for move in lifecycle.transitions
        )
    return Call("Lifecycle", arguments)


def _transition(entity: ResolvedEntity, move: ResolvedTransition, distinct: int) -> Call:
    arguments: dict[str, object] = {
        "name": move.name,
        "sources": tuple(state.name for state in move.sources),
        "target": move.target.name,
    }
    roles = tuple(role for role in move.roles if role != ADMIN)
    if roles:
        arguments["roles"] = roles
    if move.guard is not None:
        found = readiness(entity, move, distinct)
        arguments["ready"] = dict(found.ready)
        if found.unready is not None:
            arguments["unready"] = dict(found.unready)
    return Call("Transition", arguments)
