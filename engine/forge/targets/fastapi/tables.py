"""Tables: what the database of a platform holds, as the models and the migrations write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.forge.blueprint.model import OnDelete
from engine.forge.resolve import (
    ResolvedEntity,
    ResolvedEnum,
    ResolvedPlatform,
    ResolvedRelation,
)
from engine.forge.targets.fastapi import expressions as write
from engine.forge.targets.names import identifier

_ACTIONS = {
    OnDelete.RESTRICT: "RESTRICT",
    OnDelete.CASCADE: "CASCADE",
    OnDelete.SET_NULL: "SET NULL",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `default` is what rows get that exist before it does: the value in the
    application (`value`) and in the database (`stored`), both as expressions. `choices` are the
    only values that it may hold, where there are such."""

    name: str
    type: str
    required: bool
    value: str | None = None
    stored: str | None = None
    choices: tuple[str, ...] = ()

    def line(self) -> str:
        return f'sa.Column("{self.name}", {self.type}, nullable={not self.required})'


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key to the id of another table."""

    name: str
    column: str
    target: str
    on_delete: str | None

    def line(self) -> str:
        action = f', ondelete="{self.on_delete}"' if self.on_delete else ""
        return (
            f'sa.ForeignKeyConstraint(["{self.column}"], ["{self.target}.id"],'
            f' name="{self.name}"{action})'
        )


@dataclass(frozen=True, slots=True)
class Index:
    """An index of some columns. A `constraint` is a unique one that belongs to the table."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    constraint: bool = False

    @property
    def listed(self) -> str:
        return ", ".join(f'"{column}"' for column in self.columns)

    def line(self) -> str:
        """The argument of a table's definition."""
        if self.constraint:
            return f'sa.UniqueConstraint({self.listed}, name="{self.name}")'
        return f'sa.Index("{self.name}", {self.listed})'


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `later` holds the keys to tables that are created after it."""

    name: str
    primary: tuple[str, ...]
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] = ()
    later: tuple[Key, ...] = ()
    indexes: tuple[Index, ...] = ()

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def key(self, column: str) -> Key | None:
        return next((key for key in (*self.keys, *self.later) if key.column == column), None)

    def index(self, name: str) -> Index | None:
        return next((index for index in self.indexes if index.name == name), None)

    @property
    def lines(self) -> tuple[str, ...]:
        """The arguments that create it."""
        primary = ", ".join(f'"{column}"' for column in self.primary)
        return (
            *(column.line() for column in self.columns),
            f'sa.PrimaryKeyConstraint({primary}, name="{identifier("pk", self.name)}")',
            *(key.line() for key in self.keys),
            *(index.line() for index in self.indexes if index.constraint),
        )


def on_delete(relation: ResolvedRelation) -> str:
    """What the database does when the target goes. Of a to-many relation only the link can go."""
    if relation.many and relation.on_delete is not OnDelete.RESTRICT:
        return _ACTIONS[OnDelete.CASCADE]
    return _ACTIONS[relation.on_delete]


def tables(platform: ResolvedPlatform) -> tuple[Table, ...]:
    """Every table of the platform in the order of creation."""
    return (
        _users(platform),
        *(_entity_table(platform, entity) for entity in platform.entities),
        *(
            _link_table(platform, entity, relation)
            for entity in platform.entities
            for relation in entity.to_many
        ),
    )


def _users(platform: ResolvedPlatform) -> Table:
    roles = tuple(role.name for role in platform.roles)
    return Table(
        name="users",
        primary=("id",),
        columns=(
            Column("email", "sa.String(254)", required=True),
            Column("password_hash", "sa.String(200)", required=True),
            Column("role", "sa.String(40)", required=True, choices=roles),
            Column("active", "sa.Boolean()", required=True),
            *_dated(),
        ),
        indexes=(Index("uq_users_email", ("email",), unique=True, constraint=True),),
    )


def _entity_table(platform: ResolvedPlatform, entity: ResolvedEntity) -> Table:
    columns = [
        Column(
            column.column,
            write.table_type(column),
            column.required,
            write.table_value(column),
            write.stored_default(column),
            _names(column.enum),
        )
        for column in entity.columns
    ]
    columns += [
        Column(relation.column, "sa.Uuid()", relation.required) for relation in entity.to_one
    ]
    if entity.lifecycle is not None:
        initial = write.literal(entity.lifecycle.initial.name)
        name = entity.lifecycle.field
        states = _names(entity.lifecycle.enum)
        columns.append(Column(name, "sa.String(40)", True, initial, initial, states))
    owner = Key(identifier("fk", entity.table, "owner_id"), "owner_id", "users", None)
    keys = [_key(platform, relation) for relation in entity.to_one if not relation.deferred]
    return Table(
        name=entity.table,
        primary=("id",),
        columns=(*columns, Column("owner_id", "sa.Uuid()", required=True), *_dated()),
        keys=(owner, *keys),
        later=tuple(_key(platform, relation) for relation in entity.to_one if relation.deferred),
        indexes=(
            Index(identifier("ix", entity.table, "owner_id"), ("owner_id",)),
            *entity_indexes(entity),
        ),
    )


def entity_indexes(entity: ResolvedEntity) -> Iterator[Index]:
    """What the Blueprint asks to be unique, and what is searched by."""
    for column in entity.columns:
        if column.unique:
            yield Index(column.unique_name, (column.column,), unique=True, constraint=True)
    for relation in entity.to_one:
        if relation.unique:
            yield Index(relation.unique_name, (relation.column,), unique=True, constraint=True)
    for each in entity.unique_sets:
        yield Index(each.name, each.columns, unique=True, constraint=True)
    for relation in entity.to_one:
        if not relation.unique:
            yield Index(relation.index_name, (relation.column,))
    for each in entity.indexes:
        yield Index(each.name, each.columns)


def _link_table(
    platform: ResolvedPlatform, entity: ResolvedEntity, relation: ResolvedRelation
) -> Table:
    source = relation.source_column
    return Table(
        name=relation.table,
        primary=(source, relation.target_column),
        columns=(
            Column(source, "sa.Uuid()", required=True),
            Column(relation.target_column, "sa.Uuid()", required=True),
        ),
        keys=(
            Key(identifier("fk", relation.table, source), source, entity.table, "CASCADE"),
            _key(platform, relation),
        ),
        indexes=(Index(relation.index_name, (relation.target_column,)),),
    )


def _key(platform: ResolvedPlatform, relation: ResolvedRelation) -> Key:
    column = relation.target_column if relation.many else relation.column
    target = platform.entity(relation.target).table
    return Key(relation.constraint_name, column, target, on_delete(relation))


def _names(enum: ResolvedEnum | None) -> tuple[str, ...]:
    return tuple(value.name for value in enum.values) if enum else ()


def _dated() -> tuple[Column, ...]:
    return (
        Column("id", "sa.Uuid()", required=True),
        Column("created_at", "sa.DateTime(timezone=True)", required=True),
        Column("updated_at", "sa.DateTime(timezone=True)", required=True),
    )
