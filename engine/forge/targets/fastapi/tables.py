"""Tables: the same columns, keys, constraints and indexes for the models and the migration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.forge.blueprint.model import OnDelete
from engine.forge.names import identifier
from engine.forge.resolve import ResolvedEntity, ResolvedPlatform, ResolvedRelation
from engine.forge.targets.fastapi import expressions as write

_ACTIONS = {
    OnDelete.RESTRICT: "RESTRICT",
    OnDelete.CASCADE: "CASCADE",
    OnDelete.SET_NULL: "SET NULL",
}


@dataclass(frozen=True, slots=True)
class TableIndex:
    name: str
    column: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the migration; `lines` are the arguments that create it."""

    name: str
    lines: tuple[str, ...]
    indexes: tuple[TableIndex, ...] = ()


@dataclass(frozen=True, slots=True)
class DeferredKey:
    """A foreign key to a table that is created later."""

    table: str
    name: str
    target: str
    column: str
    on_delete: str


def on_delete(relation: ResolvedRelation) -> str:
    """What the database does when the target goes. Of a to-many relation only the link can go."""
    if relation.many and relation.on_delete is not OnDelete.RESTRICT:
        return _ACTIONS[OnDelete.CASCADE]
    return _ACTIONS[relation.on_delete]


def value_check(column: str, values: Iterable[str]) -> str:
    """The condition that a column holds one of these values, which are plain names."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


def constraints(entity: ResolvedEntity) -> Iterator[str]:
    """The unique and check constraints of a table, as expressions."""
    for column in entity.columns:
        if column.unique:
            yield f'sa.UniqueConstraint("{column.name}", name="{column.unique_name}")'
    for relation in entity.to_one:
        if relation.unique:
            yield f'sa.UniqueConstraint("{relation.field}", name="{relation.unique_name}")'
    for column in entity.columns:
        if column.enum is not None:
            check = value_check(column.name, [one.name for one in column.enum.values])
            yield f'sa.CheckConstraint({write.literal(check)}, name="{column.check_name}")'
    if entity.lifecycle is not None:
        states = [state.name for state in entity.lifecycle.enum.values]
        check = value_check(entity.lifecycle.field, states)
        name = entity.lifecycle.check_name
        yield f'sa.CheckConstraint({write.literal(check)}, name="{name}")'


def tables(platform: ResolvedPlatform) -> tuple[Table, ...]:
    """Every table of the platform in the order of creation."""
    links = [
        _link_table(platform, entity, relation)
        for entity in platform.entities
        for relation in entity.to_many
    ]
    return (
        _users(platform),
        *(_entity_table(platform, entity) for entity in platform.entities),
        *links,
    )


def deferred_keys(platform: ResolvedPlatform) -> tuple[DeferredKey, ...]:
    return tuple(
        DeferredKey(
            table=entity.table,
            name=relation.constraint_name,
            target=platform.entity(relation.target).table,
            column=relation.field,
            on_delete=on_delete(relation),
        )
        for entity in platform.entities
        for relation in entity.to_one
        if relation.deferred
    )


def revision(created: Iterable[Table], deferred: Iterable[DeferredKey]) -> str:
    """The migration's identifier. It follows from the tables, so that a database made by another
    set of tables is recognised instead of being taken for this one."""
    digest = hashlib.sha256(repr((tuple(created), tuple(deferred))).encode()).hexdigest()
    return f"0001_{digest[:8]}"


def _users(platform: ResolvedPlatform) -> Table:
    check = value_check("role", [role.name for role in platform.roles])
    return Table(
        "users",
        (
            _column("email", "sa.String(254)", required=True),
            _column("password_hash", "sa.String(200)", required=True),
            _column("role", "sa.String(40)", required=True),
            _column("active", "sa.Boolean()", required=True),
            *_dated("users"),
            'sa.UniqueConstraint("email", name="uq_users_email")',
            f'sa.CheckConstraint({write.literal(check)}, name="ck_users_role")',
        ),
    )


def _entity_table(platform: ResolvedPlatform, entity: ResolvedEntity) -> Table:
    columns = [
        _column(column.name, write.table_type(column), required=column.required)
        for column in entity.columns
    ]
    columns += [
        _column(relation.field, "sa.Uuid()", required=relation.required)
        for relation in entity.to_one
    ]
    if entity.lifecycle is not None:
        columns.append(_column(entity.lifecycle.field, "sa.String(40)", required=True))
    owner_key = identifier("fk", entity.table, "owner_id")
    keys = [f'sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="{owner_key}")']
    keys += [
        _key(relation.field, platform.entity(relation.target), relation)
        for relation in entity.to_one
        if not relation.deferred
    ]
    indexes = [TableIndex(identifier("ix", entity.table, "owner_id"), "owner_id")]
    indexes += [
        TableIndex(relation.index_name, relation.field)
        for relation in entity.to_one
        if not relation.unique
    ]
    return Table(
        entity.table,
        (
            *columns,
            _column("owner_id", "sa.Uuid()", required=True),
            *_dated(entity.table),
            *keys,
            *constraints(entity),
        ),
        tuple(indexes),
    )


def _link_table(
    platform: ResolvedPlatform, entity: ResolvedEntity, relation: ResolvedRelation
) -> Table:
    source, target = relation.source_column, relation.target_column
    source_key = identifier("fk", relation.table, source)
    primary_key = identifier("pk", relation.table)
    return Table(
        relation.table,
        (
            _column(source, "sa.Uuid()", required=True),
            _column(target, "sa.Uuid()", required=True),
            f'sa.PrimaryKeyConstraint("{source}", "{target}", name="{primary_key}")',
            f'sa.ForeignKeyConstraint(["{source}"], ["{entity.table}.id"], name="{source_key}",'
            ' ondelete="CASCADE")',
            _key(target, platform.entity(relation.target), relation),
        ),
        (TableIndex(relation.index_name, target),),
    )


def _key(column: str, target: ResolvedEntity, relation: ResolvedRelation) -> str:
    return (
        f'sa.ForeignKeyConstraint(["{column}"], ["{target.table}.id"],'
        f' name="{relation.constraint_name}", ondelete="{on_delete(relation)}")'
    )


def _column(name: str, kind: str, *, required: bool) -> str:
    return f'sa.Column("{name}", {kind}, nullable={not required})'


def _dated(table: str) -> tuple[str, ...]:
    return (
        _column("id", "sa.Uuid()", required=True),
        _column("created_at", "sa.DateTime(timezone=True)", required=True),
        _column("updated_at", "sa.DateTime(timezone=True)", required=True),
        f'sa.PrimaryKeyConstraint("id", name="{identifier("pk", table)}")',
    )
