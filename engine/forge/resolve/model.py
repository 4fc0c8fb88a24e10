"""The types of the resolved model; `engine.forge.resolve` makes them and offers them to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from engine.forge.blueprint.model import DataClass, FieldType, OnDelete, RelationKind, Scope
from engine.forge.expressions.terms import Term
from engine.forge.fields import Filter, Titles

Verb = Literal["create", "read", "update", "delete"]
VERBS: tuple[Verb, ...] = ("create", "read", "update", "delete")
ADMIN = "admin"
BASE_FIELDS = ("id", "owner_id", "created_at", "updated_at")
API_PREFIX = "/api"


@dataclass(frozen=True, slots=True)
class ResolvedRole:
    name: str
    member: str
    titles: Titles
    self_registration: bool


@dataclass(frozen=True, slots=True)
class ResolvedValue:
    """One value of an enum: `name` on the wire and in the database, `member` in code."""

    name: str
    member: str
    titles: Titles


@dataclass(frozen=True, slots=True)
class ResolvedEnum:
    name: str
    class_name: str
    titles: Titles
    values: tuple[ResolvedValue, ...]


@dataclass(frozen=True, slots=True)
class ResolvedColumn:
    """A scalar field; `name` is used in JSON and in code, `column` in the database.

    `minimum` and `maximum` are always set for integers (64 bits at most), decimals and money
    (what `precision` and `scale` can hold); `max_length` for every kind of text. `pattern` matches
    the whole text. `default` is a JSON value (decimals as strings). A `write_only` field is
    accepted but never given back, filtered or sorted by. `distinct` says that records differ in it:
    it is unique, or it is what tells the records of a unique set apart in samples and tests.
    """

    name: str
    type: FieldType
    titles: Titles
    required: bool
    unique: bool
    distinct: bool
    default: str | int | bool | None
    enum: ResolvedEnum | None
    minimum: int | Decimal | None
    maximum: int | Decimal | None
    min_length: int
    max_length: int | None
    pattern: str | None
    precision: int | None
    scale: int | None
    currency: str | None
    data_class: DataClass | None
    write_only: bool
    filters: tuple[Filter, ...]
    column: str
    unique_name: str

    @property
    def required_on_create(self) -> bool:
        """Whether a create request must carry it."""
        return self.required and self.default is None


@dataclass(frozen=True, slots=True)
class ResolvedComputed:
    """A field whose value follows from the others: `term` is what it means, `text` how it is
    written in canonical form.

    `shown` says how answers hold it. It is `required` there unless the expression may be null, and
    `precision` is what its largest value needs. It is no column: nothing stores it, no request
    carries it, and no list is filtered or sorted by it.
    """

    shown: ResolvedColumn
    text: str
    term: Term

    @property
    def name(self) -> str:
        return self.shown.name


@dataclass(frozen=True, slots=True)
class ResolvedRelation:
    """A reference. `field` is its name in JSON: `<name>_id`, or `<singular>_ids` when `many`.

    To-one relations are the `column` in the database and the attribute `field`. To-many ones are
    called `attribute` in code and are rows of the association `table` with the columns
    `source_column` and `target_column`. `deferred` marks a reference to an entity that comes later
    in the dependency order. `distinct` is meant as for columns.
    """

    name: str
    attribute: str
    field: str
    kind: RelationKind
    target: str
    titles: Titles
    required: bool
    distinct: bool
    on_delete: OnDelete
    deferred: bool
    column: str
    table: str
    source_column: str
    target_column: str
    constraint_name: str
    index_name: str
    unique_name: str
    filters: tuple[Filter, ...]

    @property
    def many(self) -> bool:
        return self.kind is RelationKind.MANY_TO_MANY

    @property
    def unique(self) -> bool:
        return self.kind is RelationKind.ONE_TO_ONE


@dataclass(frozen=True, slots=True)
class ResolvedGuard:
    """A condition on a record: what it means, and as text in its canonical form."""

    text: str
    term: Term


@dataclass(frozen=True, slots=True)
class ResolvedTransition:
    """A named move. `roles` begins with `admin` and holds only roles that may read the entity."""

    name: str
    titles: Titles
    sources: tuple[ResolvedValue, ...]
    target: ResolvedValue
    roles: tuple[str, ...]
    guard: ResolvedGuard | None


@dataclass(frozen=True, slots=True)
class ResolvedLifecycle:
    """The state machine; `enum` holds its states, `field` is read-only for callers."""

    field: str
    enum: ResolvedEnum
    initial: ResolvedValue
    transitions: tuple[ResolvedTransition, ...]
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class ResolvedIndex:
    """An index over several `columns`, or a constraint that no two records agree in all of them.

    `fields` are the names of the same in JSON.
    """

    name: str
    columns: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResolvedEntity:
    """A kind of record.

    `access` holds, per role (every role, `admin` first), the scope of each verb or None where the
    verb isn't allowed. `route` is the path segment under `/api`; `path` the whole path. `display`
    names the JSON field that tells a person which record it is.
    """

    name: str
    class_name: str
    module: str
    snake: str
    plural_snake: str
    table: str
    route: str
    titles: Titles
    plural_titles: Titles
    description: Titles
    columns: tuple[ResolvedColumn, ...]
    computed: tuple[ResolvedComputed, ...]
    relations: tuple[ResolvedRelation, ...]
    lifecycle: ResolvedLifecycle | None
    access: Mapping[str, Mapping[Verb, Scope | None]]
    display: str
    search: tuple[str, ...]
    unique_sets: tuple[ResolvedIndex, ...]
    indexes: tuple[ResolvedIndex, ...]

    @property
    def path(self) -> str:
        return f"{API_PREFIX}/{self.route}"

    @property
    def to_one(self) -> tuple[ResolvedRelation, ...]:
        return tuple(relation for relation in self.relations if not relation.many)

    @property
    def to_many(self) -> tuple[ResolvedRelation, ...]:
        return tuple(relation for relation in self.relations if relation.many)

    @property
    def transitions(self) -> tuple[ResolvedTransition, ...]:
        return self.lifecycle.transitions if self.lifecycle else ()

    def scope(self, role: str, verb: Verb) -> Scope | None:
        return self.access[role][verb]


@dataclass(frozen=True, slots=True)
class ResolvedPlatform:
    """The whole platform. `entities` are ordered so that each comes after those it refers to."""

    name: str
    package: str
    titles: Titles
    description: str
    sector: str
    compliance: tuple[str, ...]
    database: Literal["sqlite", "postgres"]
    frontend: Literal["react", "none"]
    roles: tuple[ResolvedRole, ...]
    enums: tuple[ResolvedEnum, ...]
    entities: tuple[ResolvedEntity, ...]

    def entity(self, name: str) -> ResolvedEntity:
        return next(entity for entity in self.entities if entity.name == name)

    @property
    def self_registration_roles(self) -> tuple[ResolvedRole, ...]:
        return tuple(role for role in self.roles if role.self_registration)
