"""The Blueprint language, version 1: what a platform is, in one bilingual document.

These models are the only description of the language: the published JSON Schema, the validator's
messages and the generator all derive from them. A Blueprint that these models accept is
well-formed; `engine.forge.blueprint.checks` decides whether it also makes sense (every name that
is used is declared, every transition leads somewhere, no relation can't be satisfied).

Names are keys, so that YAML itself shows a name declared twice. Order is meaning-free but kept.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LANGUAGE_VERSION: Literal["1"] = "1"
MAX_ENTITIES = 200
MAX_FIELDS = 100
MAX_SETS = 10
MAX_MEMBERS = 5
MAX_SEARCHED = 10

Slug = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)
]
TypeName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=40)]
MemberName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=40)
]
# One line: a title is written into comments, tables and file headers of the generated code.
Words = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
    ),
]
Prose = Annotated[
    str,
    StringConstraints(max_length=20_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"),
]


Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Part(BaseModel):
    """Base of every part of a Blueprint: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Text(Part):
    """A text in both languages of the platform; either falls back to the other."""

    en: Words | None = None
    """In English."""
    ar: Words | None = None
    """In Arabic."""

    def in_language(self, language: Literal["en", "ar"], fallback: str) -> str:
        first, second = (self.en, self.ar) if language == "en" else (self.ar, self.en)
        return first or second or fallback


class FieldType(StrEnum):
    """What a field holds, and so its column, its input and its validation."""

    STRING = "string"
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    INSTANT = "instant"
    UUID = "uuid"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    SLUG = "slug"
    DURATION = "duration"
    JSON = "json"
    ENUM = "enum"


class DataClass(StrEnum):
    """What kind of sensitive data a field holds."""

    PII = "pii"
    PHI = "phi"
    PCI = "pci"
    SECRET = "secret"


class FieldSpec(Part):
    """One typed field. Constraints that don't apply to the type are errors, not ignored."""

    type: FieldType
    """What it holds."""
    title: Text = Text()
    """Its label; from the name when left out."""
    required: bool = False
    """Must every record have it?"""
    unique: bool = False
    """May no two records have the same value?"""
    default: str | int | bool | float | None = None
    """The value of a record that is created without it, in the form in which JSON carries it."""
    enum: MemberName | None = None
    """Name of the enum, for type `enum`."""
    min: float | None = None
    """Smallest value, for numbers."""
    max: float | None = None
    """Largest value, for numbers."""
    min_length: int | None = Field(None, ge=0, le=10_000)
    """Fewest characters, for texts; 1 for a required one when left out."""
    max_length: int | None = Field(None, ge=1, le=10_000)
    """Most characters, for texts."""
    pattern: str | None = Field(None, max_length=200)
    """Regular expression that the whole text matches: what means the same in Python, JavaScript
    and engines of linear time, so no look-around and no back reference."""
    precision: int | None = Field(None, ge=1, le=18)
    """Digits in all, for decimals; 14 when left out."""
    scale: int | None = Field(None, ge=0, le=18)
    """Digits after the point, for decimals; 2 when left out."""
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    """ISO 4217, for money; its minor unit is the number of digits after the point."""
    data_class: DataClass | None = None
    """What kind of sensitive data it holds. A `secret` is accepted and never given back."""
    computed: Expression | None = None
    """What its value follows from: an expression of the record's other fields, such as
    `unit_price * quantity`. It is worked out for every answer, never stored and never sent."""
    stored_as: MemberName | None = None
    """The former name, after it got another one: what is stored stays where it is, without a
    migration, and the version before goes on working beside this one."""


class RelationKind(StrEnum):
    """How many records stand on either side."""

    MANY_TO_ONE = "many_to_one"
    ONE_TO_ONE = "one_to_one"
    MANY_TO_MANY = "many_to_many"


class OnDelete(StrEnum):
    """What happens to this row when the row it points to is deleted."""

    RESTRICT = "restrict"
    CASCADE = "cascade"
    SET_NULL = "set_null"


class Relation(Part):
    """A reference to another entity; to-one kinds become a column on this side."""

    to: TypeName
    """The entity that it leads to."""
    kind: RelationKind = RelationKind.MANY_TO_ONE
    """How many of these records refer to how many of the others."""
    title: Text = Text()
    """Its label; from the name when left out."""
    required: bool = False
    """Must every record have it?"""
    on_delete: OnDelete = OnDelete.RESTRICT
    """What happens to this record when the one that it refers to is deleted."""
    stored_as: MemberName | None = None
    """The former name, after it got another one: what is stored stays where it is, without a
    migration, and the version before goes on working beside this one."""


class Scope(StrEnum):
    """Which rows: every one, or only those the caller created."""

    ALL = "all"
    OWN = "own"


class Access(Part):
    """What a role may do with an entity; a verb that is left out is not allowed."""

    create: Literal[Scope.ALL] | None = None
    """May it create records? They are its own."""
    read: Scope | None = None
    """Which records it sees."""
    update: Scope | None = None
    """Which records it may change."""
    delete: Scope | None = None
    """Which records it may delete."""


class State(Part):
    """One state of a lifecycle."""

    title: Text = Text()
    """Its label; from the name when left out."""


class Transition(Part):
    """A named move between states, allowed to the listed roles (and always to `admin`)."""

    title: Text = Text()
    """The label of its button; from the name when left out."""
    from_: Annotated[list[MemberName], Field(alias="from", min_length=1)]
    """The states in which it is open."""
    to: MemberName
    """The state that it leads to."""
    roles: list[MemberName] = []
    """Who may make it, beside `admin`."""
    guard: Expression | None = None
    """A condition on the record's own fields and relations, such as `paid_on is not null`. While
    it does not hold the move is refused."""

    model_config = ConfigDict(populate_by_name=True)


class Lifecycle(Part):
    """A state machine on the entity; its state is a read-only field named by `field`."""

    field: MemberName = "status"
    """Name of the field that holds the state."""
    initial: MemberName
    """The state of a new record."""
    states: Annotated[dict[MemberName, State], Field(min_length=1, max_length=30)]
    """Every state, by name."""
    transitions: Annotated[dict[MemberName, Transition], Field(max_length=60)] = {}
    """Every move, by name."""


UniqueSet = Annotated[list[MemberName], Field(min_length=2, max_length=MAX_MEMBERS)]
Indexed = Annotated[list[MemberName], Field(min_length=1, max_length=MAX_MEMBERS)]


class Entity(Part):
    """A kind of record. Every one also has `id`, `owner_id`, `created_at` and `updated_at`."""

    title: Text = Text()
    """What one record is called; from the name when left out."""
    plural: Text = Text()
    """What many are called. The English one also names the table and the address."""
    description: Text = Text()
    """What it is for."""
    fields: Annotated[dict[MemberName, FieldSpec], Field(max_length=MAX_FIELDS)] = {}
    """Its fields, by name."""
    relations: Annotated[dict[MemberName, Relation], Field(max_length=30)] = {}
    """Its references to other entities, by name."""
    access: Annotated[dict[MemberName, Access], Field(max_length=30)] = {}
    """What each role may do with it, by the role's name. A role that isn't named may do nothing."""
    lifecycle: Lifecycle | None = None
    """The state machine of its records."""
    display: MemberName | None = None
    """The field that names a record to a person; the first `string` when left out."""
    search: Annotated[list[MemberName], Field(max_length=MAX_SEARCHED)] = []
    """Texts in which a list finds the words of its parameter `q`."""
    unique: Annotated[list[UniqueSet], Field(max_length=MAX_SETS)] = []
    """Sets of fields, to-one relations and the state field: no two records agree in all of a set.
    A record that leaves one of them empty agrees with none."""
    indexes: Annotated[list[Indexed], Field(max_length=MAX_SETS)] = []
    """Fields, to-one relations and the state field that are looked up together, often the first
    alone."""
    stored_as: TypeName | None = None
    """The former name, after it got another one: what is stored stays where it is, without a
    migration, and the version before goes on working beside this one."""


class Role(Part):
    """A role of the platform's users. `admin` always exists and may do everything."""

    title: Text = Text()
    """Its label; from the name when left out."""
    self_registration: bool = False
    """May people sign up with this role?"""


class EnumSpec(Part):
    """A closed list of values, each with its text."""

    title: Text = Text()
    """Its label; from the name when left out."""
    values: Annotated[dict[MemberName, Text], Field(min_length=1, max_length=100)]
    """The label of each value, by its name."""


class Sector(StrEnum):
    """The branch of life that the platform serves."""

    HEALTHCARE = "healthcare"
    EDUCATION = "education"
    GOVERNMENT = "government"
    COMMERCE = "commerce"
    FINANCE = "finance"
    LOGISTICS = "logistics"
    HOSPITALITY = "hospitality"
    NONPROFIT = "nonprofit"
    ENTERPRISE = "enterprise"
    REAL_ESTATE = "real_estate"
    CULTURE = "culture"
    SERVICES = "services"
    GENERAL = "general"


class IntegrationKind(StrEnum):
    """The kind of outside service."""

    PAYMENTS = "payments"
    SMS = "sms"
    EMAIL = "email"
    MAPS = "maps"
    STORAGE = "storage"
    IDENTITY = "identity"
    ANALYTICS = "analytics"
    VIDEO = "video"
    NOTIFICATIONS = "notifications"


class Integration(Part):
    """An outside service that the platform needs; named here, connected by its owner."""

    kind: IntegrationKind
    """The kind of service."""
    methods: list[Slug] = []
    """For payments: mada, apple-pay, card …"""
    purpose: Text = Text()
    """What the platform needs it for."""


class Stack(Part):
    """The target that code is generated for."""

    backend: Literal["fastapi"] = "fastapi"
    """The framework of the application."""
    database: Literal["sqlite", "postgres"] = "sqlite"
    """The database that it is made for."""
    api: Literal["rest"] = "rest"
    """How programs reach it."""
    auth: Literal["jwt"] = "jwt"
    """How callers prove who they are."""
    frontend: Literal["react", "none"] = "none"
    """The pages by which people use it."""


class Environment(Part):
    """Settings of one place where the platform runs."""

    database: Literal["sqlite", "postgres"] = "sqlite"
    """The database that it uses there."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least grave messages that are logged."""


class Blueprint(Part):
    """The whole document."""

    webnova: Literal["1"] = LANGUAGE_VERSION
    """Version of the language."""
    name: Slug
    """Name of the platform, in its address too."""
    title: Text = Text()
    """What the platform is called; from the name when left out."""
    description: Prose = ""
    """What it is for, as its owner told it."""
    sector: Sector = Sector.GENERAL
    """The branch of life that it serves."""
    compliance: list[Literal["gdpr", "pdpl", "hipaa", "pci-dss"]] = []
    """The rules that it is subject to."""
    stack: Stack = Stack()
    """What it is generated for."""
    roles: Annotated[dict[MemberName, Role], Field(max_length=30)] = {}
    """The roles of its users, by name."""
    enums: Annotated[dict[MemberName, EnumSpec], Field(max_length=100)] = {}
    """Closed lists of values, by name."""
    entities: Annotated[dict[TypeName, Entity], Field(min_length=1, max_length=MAX_ENTITIES)]
    """The kinds of record, by name."""
    integrations: Annotated[dict[MemberName, Integration], Field(max_length=30)] = {}
    """The outside services that it needs, by name."""
    environments: Annotated[dict[Slug, Environment], Field(max_length=10)] = {
        "local": Environment()
    }
    """The places where it runs, by name."""
    assumptions: Annotated[list[Text], Field(max_length=100)] = []
    """What was assumed where the description was silent."""
