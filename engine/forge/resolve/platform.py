"""From a Blueprint to the resolved model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.forge.blueprint.model import (
    Blueprint,
    Entity,
    EnumSpec,
    FieldSpec,
    FieldType,
    Lifecycle,
    Relation,
    RelationKind,
    Scope,
    Text,
)
from engine.forge.blueprint.names import class_name, link_table, snake_case, state_class, table_name
from engine.forge.expressions.canonical import canonical
from engine.forge.expressions.checking import compiled
from engine.forge.expressions.scopes import computed_type, record_scope
from engine.forge.expressions.syntax import Node, read
from engine.forge.expressions.types import whole_digits
from engine.forge.fields import (
    Filter,
    Titles,
    bounds_of,
    default_of,
    field_filters,
    is_write_only,
    telling_member,
    titles_of,
)
from engine.forge.resolve.model import (
    ADMIN,
    BASE_FIELDS,
    VERBS,
    ResolvedColumn,
    ResolvedComputed,
    ResolvedEntity,
    ResolvedEnum,
    ResolvedGuard,
    ResolvedIndex,
    ResolvedLifecycle,
    ResolvedPlatform,
    ResolvedRelation,
    ResolvedRole,
    ResolvedTransition,
    ResolvedValue,
    Verb,
)
from engine.forge.targets import names
from engine.kernel.errors import InvalidInput


def resolve(blueprint: Blueprint) -> ResolvedPlatform:
    """Take every open decision of a Blueprint. Equal Blueprints give equal results.

    Raises `InvalidInput`, with `path` naming the place, for what can't be laid out: two names that
    become the same identifier, bounds that exclude each other, a pattern that doesn't compile, a
    reference to nothing, or required relations that form a circle.
    """
    order = _dependency_order(blueprint)
    taken = _Taken()
    classes = {name: taken.class_name(name, f"entities.{name}") for name in blueprint.entities}
    enums = {
        name: _enum(name, spec, taken.class_name(class_name(name), f"enums.{name}"))
        for name, spec in blueprint.enums.items()
    }
    states = {
        name: _state_enum(name, entity.lifecycle, taken)
        for name, entity in blueprint.entities.items()
        if entity.lifecycle is not None
    }
    roles = _roles(blueprint)
    resolver = _EntityResolver(blueprint, order, classes, enums, states, roles, taken)
    return ResolvedPlatform(
        name=blueprint.name,
        package="app",
        titles=titles_of(blueprint.title, names.sentence(blueprint.name)),
        description=blueprint.description,
        sector=blueprint.sector.value,
        compliance=tuple(blueprint.compliance),
        database=blueprint.stack.database,
        frontend=blueprint.stack.frontend,
        roles=roles,
        enums=(*enums.values(), *states.values()),
        entities=tuple(resolver.entity(name) for name in order),
    )


class _Taken:
    """Names already given away, by kind; a second claim is an error that names both places."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, str], str] = {}

    def claim(self, kind: str, name: str, path: str) -> str:
        other = self._claims.setdefault((kind, name), path)
        if other != path:
            raise InvalidInput(
                f"{path} and {other} would share the {kind} {name!r}.",
                mend="Rename one of them or give it another English plural.",
                path=path,
            )
        return name

    def class_name(self, name: str, path: str) -> str:
        candidate = name
        while ("class", candidate) in self._claims or names.is_taken_class(candidate):
            candidate += "Record" if path.startswith("entities") else "Kind"
        return self.claim("class", candidate, path)

    def table(self, name: str, path: str) -> str:
        candidate = names.identifier(name)
        while ("table", candidate) in self._claims or names.is_taken_table(candidate):
            candidate = names.identifier(candidate, "records")
        return self.claim("table", candidate, path)


def _roles(blueprint: Blueprint) -> tuple[ResolvedRole, ...]:
    admin = blueprint.roles.get(ADMIN)
    title = admin.title if admin else Text(en="Administrator", ar="مدير النظام")
    return (
        ResolvedRole(ADMIN, "ADMIN", titles_of(title, "Administrator"), False),
        *(
            ResolvedRole(
                name,
                name.upper(),
                titles_of(role.title, names.sentence(name)),
                role.self_registration,
            )
            for name, role in blueprint.roles.items()
            if name != ADMIN
        ),
    )


def _enum(name: str, spec: EnumSpec, owned: str) -> ResolvedEnum:
    values = tuple(_value(value, text) for value, text in spec.values.items())
    return ResolvedEnum(name, owned, titles_of(spec.title, names.sentence(name)), values)


def _value(name: str, text: Text) -> ResolvedValue:
    return ResolvedValue(name, name.upper(), titles_of(text, names.sentence(name)))


def _state_enum(entity: str, lifecycle: Lifecycle, taken: _Taken) -> ResolvedEnum:
    values = tuple(_value(name, state.title) for name, state in lifecycle.states.items())
    name = state_class(entity, lifecycle.field)
    owned = taken.class_name(name, f"entities.{entity}.lifecycle")
    title = names.sentence(f"{entity} {lifecycle.field}")
    return ResolvedEnum(snake_case(name), owned, Titles(title, title), values)


def _dependency_order(blueprint: Blueprint) -> tuple[str, ...]:
    """Entities after those they refer to; circles are broken at an optional reference."""
    needs: dict[str, set[str]] = {}
    wants: dict[str, set[str]] = {}
    for name, entity in blueprint.entities.items():
        for key, relation in entity.relations.items():
            if relation.to not in blueprint.entities:
                path = f"entities.{name}.relations.{key}.to"
                raise InvalidInput(f"There is no entity {relation.to!r}.", path=path)
        relations = entity.relations.values()
        needs[name] = {relation.to for relation in relations if relation.required}
        wants[name] = needs[name] | {relation.to for relation in relations if relation.to != name}
    left = list(blueprint.entities)
    order: list[str] = []
    while left:
        ready = next((name for name in left if wants[name].issubset(order)), None)
        ready = ready or next((name for name in left if needs[name].issubset(order)), None)
        if ready is None:
            raise InvalidInput(
                f"The required relations of {', '.join(left)} form a circle: "
                "no first record could ever be created.",
                mend="Make one of these relations optional.",
                path=f"entities.{left[0]}.relations",
            )
        left.remove(ready)
        order.append(ready)
    return tuple(order)


def _stem(relation: str) -> str:
    return relation.removesuffix("_ids").removesuffix("_id")


def _index(kind: str, table: str, entity: Entity, members: Sequence[str]) -> ResolvedIndex:
    fields, columns = [], []
    for member in members:
        if member in entity.relations:
            stored = entity.relations[member].stored_as or member
            fields.append(f"{_stem(member)}_id")
            columns.append(f"{_stem(stored)}_id")
        else:
            spec = entity.fields.get(member)
            fields.append(member)
            columns.append((spec.stored_as if spec else None) or member)
    name = names.identifier(kind, table, *columns)
    return ResolvedIndex(name, tuple(columns), tuple(fields))


def _canonical(source: str) -> str:
    node = read(source)
    assert isinstance(node, Node)
    return canonical(node)


@dataclass(frozen=True, slots=True)
class _EntityResolver:
    blueprint: Blueprint
    order: tuple[str, ...]
    classes: Mapping[str, str]
    enums: Mapping[str, ResolvedEnum]
    states: Mapping[str, ResolvedEnum]
    roles: tuple[ResolvedRole, ...]
    taken: _Taken

    def entity(self, name: str) -> ResolvedEntity:
        entity = self.blueprint.entities[name]
        path = f"entities.{name}"
        titles = titles_of(entity.title, names.sentence(name))
        plural_snake = "_".join(names.words(entity.plural.en or "")) or table_name(name)
        stored = entity.stored_as or name
        table = self.taken.table(table_name(stored), path)
        access = self._access(entity)
        telling = {telling_member(entity, members) for members in entity.unique}
        return ResolvedEntity(
            name=name,
            class_name=self.classes[name],
            module=self.taken.claim("module", names.module(snake_case(name)), path),
            snake=snake_case(name),
            plural_snake=plural_snake,
            table=table,
            route=self._route(name, plural_snake, path),
            titles=titles,
            plural_titles=Titles(
                entity.plural.en or names.sentence(plural_snake), entity.plural.ar or titles.ar
            ),
            description=titles_of(entity.description, titles.en),
            columns=tuple(
                self._column(name, key, spec, table, key in telling)
                for key, spec in entity.fields.items()
                if spec.computed is None
            ),
            computed=tuple(
                self._computed(name, self._column(name, key, spec, table, False), spec.computed)
                for key, spec in entity.fields.items()
                if spec.computed is not None
            ),
            relations=tuple(
                self._relation(name, key, relation, table, key in telling)
                for key, relation in entity.relations.items()
            ),
            lifecycle=self._lifecycle(name, entity.lifecycle, table, access),
            access=access,
            display=self._display(entity),
            search=tuple(entity.search),
            unique_sets=tuple(_index("uq", table, entity, each) for each in entity.unique),
            indexes=tuple(
                _index("ix", table, entity, each)
                for each in entity.indexes
                # A reference has an index anyway.
                if len(each) > 1 or each[0] not in entity.relations
            ),
        )

    def _route(self, name: str, plural_snake: str, path: str) -> str:
        route = self.taken.claim("route", plural_snake.replace("_", "-"), path)
        if names.is_taken_route(route):
            raise InvalidInput(
                f"The route {route!r} of {name} is used by the platform itself.",
                mend=f"Rename {name} or give it another English plural.",
                path=path,
            )
        return route

    def _claim_field(self, entity: str, field: str, path: str) -> None:
        if field in BASE_FIELDS or names.is_taken_attribute(field):
            raise InvalidInput(f"The name {field!r} is reserved.", mend="Rename it.", path=path)
        self.taken.claim(f"field of {entity}", field, path)

    def _column(
        self, name: str, key: str, spec: FieldSpec, table: str, telling: bool
    ) -> ResolvedColumn:
        path = f"entities.{name}.fields.{key}"
        self._claim_field(name, key, path)
        enum = None
        if spec.type is FieldType.ENUM:
            enum = self.enums.get(spec.enum or "")
            if enum is None:
                raise InvalidInput(f"There is no enum {spec.enum!r}.", path=f"{path}.enum")
        bounds = bounds_of(spec, path)
        allowed = tuple(value.name for value in enum.values) if enum else ()
        write_only = is_write_only(spec)
        return ResolvedColumn(
            name=key,
            type=spec.type,
            titles=titles_of(spec.title, names.sentence(key)),
            required=spec.required,
            unique=spec.unique,
            distinct=spec.unique or telling,
            default=default_of(spec, bounds, allowed, path),
            enum=enum,
            minimum=bounds.minimum,
            maximum=bounds.maximum,
            min_length=bounds.min_length,
            max_length=bounds.max_length,
            pattern=bounds.pattern,
            precision=bounds.precision,
            scale=bounds.scale,
            currency=spec.currency if spec.type is FieldType.MONEY else None,
            data_class=spec.data_class,
            write_only=write_only,
            filters=() if write_only else field_filters(key, spec.type),
            column=spec.stored_as or key,
            unique_name=names.identifier("uq", table, spec.stored_as or key),
        )

    def _computed(self, name: str, column: ResolvedColumn, source: str) -> ResolvedComputed:
        spec = self.blueprint.entities[name].fields[column.name]
        wanted = computed_type(self.blueprint, spec, f"entities.{name}.fields.{column.name}")
        term = compiled(source, record_scope(self.blueprint, name), wanted)
        type = term.type
        shown = replace(
            column,
            required=not type.nullable,
            max_length=None,
            minimum=None,
            maximum=None,
            filters=(),
            column="",
            unique_name="",
        )
        if column.scale is not None:
            shown = replace(shown, precision=max(whole_digits(type), 1) + column.scale)
        elif column.type is FieldType.INTEGER:
            shown = replace(shown, minimum=math.ceil(type.low), maximum=math.floor(type.high))
        return ResolvedComputed(shown, _canonical(source), term)

    def _relation(
        self, name: str, key: str, relation: Relation, table: str, telling: bool
    ) -> ResolvedRelation:
        path = f"entities.{name}.relations.{key}"
        many = relation.kind is RelationKind.MANY_TO_MANY
        stem, stored = _stem(key), _stem(relation.stored_as or key)
        field = f"{names.singular(stem)}_ids" if many else f"{stem}_id"
        self._claim_field(name, field, path)
        owner = self.blueprint.entities[name].stored_as or name
        link = self.taken.table(link_table(owner, stored), path) if many else ""
        source_column = f"{snake_case(owner)}_id"
        target_column = f"{names.singular(stored)}_id"
        if source_column == target_column:
            target_column = f"other_{target_column}"
        column = target_column if many else f"{stored}_id"
        if many:
            self._claim_field(name, stem, path)
        return ResolvedRelation(
            name=key,
            attribute=stem,
            field=field,
            kind=relation.kind,
            target=relation.to,
            titles=titles_of(relation.title, names.sentence(stem)),
            required=relation.required,
            distinct=relation.kind is RelationKind.ONE_TO_ONE or telling,
            on_delete=relation.on_delete,
            deferred=self.order.index(relation.to) > self.order.index(name),
            column="" if many else column,
            table=link,
            source_column=source_column,
            target_column=target_column,
            constraint_name=names.identifier("fk", link or table, column),
            index_name=names.identifier("ix", link or table, column),
            unique_name=names.identifier("uq", table, column),
            filters=() if many else (Filter(field, "eq"),),
        )

    def _access(self, entity: Entity) -> dict[str, dict[Verb, Scope | None]]:
        matrix: dict[str, dict[Verb, Scope | None]] = {ADMIN: dict.fromkeys(VERBS, Scope.ALL)}
        for role in self.roles[1:]:
            access = entity.access.get(role.name)
            matrix[role.name] = {
                "create": Scope(access.create) if access and access.create else None,
                "read": access.read if access else None,
                "update": access.update if access else None,
                "delete": access.delete if access else None,
            }
        return matrix

    def _lifecycle(
        self,
        name: str,
        lifecycle: Lifecycle | None,
        table: str,
        access: Mapping[str, Mapping[Verb, Scope | None]],
    ) -> ResolvedLifecycle | None:
        if lifecycle is None:
            return None
        path = f"entities.{name}.lifecycle"
        self._claim_field(name, lifecycle.field, f"{path}.field")
        values = {value.name: value for value in self.states[name].values}

        def state(key: str, where: str) -> ResolvedValue:
            if key not in values:
                raise InvalidInput(f"There is no state {key!r}.", path=f"{path}.{where}")
            return values[key]

        for key in lifecycle.transitions:
            if names.is_taken_transition(key):
                message = f"The name {key!r} is reserved."
                raise InvalidInput(message, mend="Rename it.", path=f"{path}.transitions.{key}")
        transitions = tuple(
            ResolvedTransition(
                name=key,
                titles=titles_of(move.title, names.sentence(key)),
                sources=tuple(state(one, f"transitions.{key}.from") for one in move.from_),
                target=state(move.to, f"transitions.{key}.to"),
                roles=(
                    ADMIN,
                    *(
                        role.name
                        for role in self.roles[1:]
                        if role.name in move.roles and access[role.name]["read"]
                    ),
                ),
                guard=self._guard(name, move.guard),
            )
            for key, move in lifecycle.transitions.items()
        )
        return ResolvedLifecycle(
            field=lifecycle.field,
            enum=self.states[name],
            initial=state(lifecycle.initial, "initial"),
            transitions=transitions,
            filters=field_filters(lifecycle.field, FieldType.ENUM),
        )

    def _guard(self, entity: str, text: str | None) -> ResolvedGuard | None:
        if text is None:
            return None
        term = compiled(text, record_scope(self.blueprint, entity))
        return ResolvedGuard(_canonical(text), term)

    @staticmethod
    def _display(entity: Entity) -> str:
        stored = {key: spec for key, spec in entity.fields.items() if spec.computed is None}
        texts = [key for key, spec in stored.items() if spec.type is FieldType.STRING]
        return entity.display or (texts[0] if texts else "id")
