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


class Part(BaseModel):
    """Base of every part of a Blueprint: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Part):
    """A text in both languages of the platform; either falls back to the other."""

    en: Words | None = None
    ar: Words | None = None

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
    title: Text = Text()
    required: bool = False
    unique: bool = False
    default: str | int | bool | float | None = None
    enum: MemberName | None = Field(None, description="Name of the enum, for type `enum`.")
    min: float | None = Field(None, description="Smallest value, for numbers.")
    max: float | None = Field(None, description="Largest value, for numbers.")
    min_length: int | None = Field(None, ge=0, le=10_000)
    max_length: int | None = Field(None, ge=1, le=10_000)
    pattern: str | None = Field(
        None, max_length=200, description="Regular expression (whole text)."
    )
    precision: int | None = Field(None, ge=1, le=18, description="Digits in all, for decimals.")
    scale: int | None = Field(None, ge=0, le=18, description="Digits after the point.")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217, for money.")
    data_class: DataClass | None = None


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
    kind: RelationKind = RelationKind.MANY_TO_ONE
    title: Text = Text()
    required: bool = False
    on_delete: OnDelete = OnDelete.RESTRICT


class Scope(StrEnum):
    """Which rows: every one, or only those the caller created."""

    ALL = "all"
    OWN = "own"


class Access(Part):
    """What a role may do with an entity; a verb that is left out is not allowed."""

    create: Literal[Scope.ALL] | None = None
    read: Scope | None = None
    update: Scope | None = None
    delete: Scope | None = None


class State(Part):
    """One state of a lifecycle."""

    title: Text = Text()


class Transition(Part):
    """A named move between states, allowed to the listed roles (and always to `admin`)."""

    title: Text = Text()
    from_: Annotated[list[MemberName], Field(alias="from", min_length=1)]
    to: MemberName
    roles: list[MemberName] = []

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Lifecycle(Part):
    """A state machine on the entity; its state is a read-only field named by `field`."""

    field: MemberName = "status"
    initial: MemberName
    states: Annotated[dict[MemberName, State], Field(min_length=1, max_length=30)]
    transitions: Annotated[dict[MemberName, Transition], Field(max_length=60)] = {}


UniqueSet = Annotated[list[MemberName], Field(min_length=2, max_length=MAX_MEMBERS)]
Indexed = Annotated[list[MemberName], Field(min_length=1, max_length=MAX_MEMBERS)]


class Entity(Part):
    """A kind of record. Every one also has `id`, `owner_id`, `created_at` and `updated_at`."""

    title: Text = Text()
    plural: Text = Text()
    description: Text = Text()
    fields: Annotated[dict[MemberName, FieldSpec], Field(max_length=MAX_FIELDS)] = {}
    relations: Annotated[dict[MemberName, Relation], Field(max_length=30)] = {}
    access: Annotated[dict[MemberName, Access], Field(max_length=30)] = {}
    lifecycle: Lifecycle | None = None
    display: MemberName | None = Field(None, description="Field that names a record to a person.")
    search: Annotated[list[MemberName], Field(max_length=MAX_SEARCHED)] = Field(
        [], description="Texts in which a list finds the words of its parameter `q`."
    )
    unique: Annotated[list[UniqueSet], Field(max_length=MAX_SETS)] = Field(
        [],
        description="Sets of fields, to-one relations and the state field: no two records agree in"
        " all of a set. A record that leaves one of them empty agrees with none.",
    )
    indexes: Annotated[list[Indexed], Field(max_length=MAX_SETS)] = Field(
        [], description="Fields, to-one relations and the state field that are searched together."
    )


class Role(Part):
    """A role of the platform's users. `admin` always exists and may do everything."""

    title: Text = Text()
    self_registration: bool = Field(False, description="May people sign up with this role?")


class EnumSpec(Part):
    """A closed list of values, each with its text."""

    title: Text = Text()
    values: Annotated[dict[MemberName, Text], Field(min_length=1, max_length=100)]


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
    methods: list[Slug] = Field([], description="For payments: mada, apple-pay, card …")
    purpose: Text = Text()


class Stack(Part):
    """The target that code is generated for."""

    backend: Literal["fastapi"] = "fastapi"
    database: Literal["sqlite", "postgres"] = "sqlite"
    api: Literal["rest"] = "rest"
    auth: Literal["jwt"] = "jwt"


class Environment(Part):
    """Settings of one place where the platform runs."""

    database: Literal["sqlite", "postgres"] = "sqlite"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Blueprint(Part):
    """The whole document."""

    webnova: Literal["1"] = Field(LANGUAGE_VERSION, description="Version of the language.")
    name: Slug
    title: Text = Text()
    description: Prose = ""
    sector: Sector = Sector.GENERAL
    compliance: list[Literal["gdpr", "pdpl", "hipaa", "pci-dss"]] = []
    stack: Stack = Stack()
    roles: Annotated[dict[MemberName, Role], Field(max_length=30)] = {}
    enums: Annotated[dict[MemberName, EnumSpec], Field(max_length=100)] = {}
    entities: Annotated[dict[TypeName, Entity], Field(min_length=1, max_length=MAX_ENTITIES)]
    integrations: Annotated[dict[MemberName, Integration], Field(max_length=30)] = {}
    environments: Annotated[dict[Slug, Environment], Field(max_length=10)] = {
        "local": Environment()
    }
    assumptions: Annotated[list[Text], Field(max_length=100)] = Field(
        [], description="What was assumed where the description was silent."
    )
