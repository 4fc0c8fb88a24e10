"""Names that a Blueprint gives, and what they become in generated code.

A name turns into a class, an attribute, a column, a table, a path and a file. The functions here
are the one definition of those forms; `check_names` refuses names that would break or meet there.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Iterator

from engine.forge.blueprint.model import Blueprint, Entity, RelationKind
from engine.forge.blueprint.problems import Finding, Path

MAX_IDENTIFIER = 63
"""Longest identifier that Postgres keeps whole, in bytes."""

SYSTEM_COLUMNS = ("id", "owner_id", "created_at", "updated_at")
ADMIN = "admin"

# Reserved in Postgres or SQLite where a column name may stand.
SQL_WORDS = frozenset(
    """
    all alter analyse analyze and any array as asc asymmetric autoincrement between both by case
    cast check collate collation column commit concurrently constraint create cross
    current_catalog current_date current_role current_schema current_time current_timestamp
    current_user default deferrable delete desc distinct do drop else end escape except exists
    false fetch for foreign freeze from full glob grant group having ilike in index indexed
    initially inner insert intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not nothing notnull null offset on only or order outer overlaps placing
    primary raise references regexp returning right rollback row rowid select session_user set
    similar some symmetric system_user table tablesample then to trailing transaction true union
    unique update user using values variadic verbose when where window with xmin xmax ctid oid
    tableoid cmin cmax
    """.split()  # noqa: SIM905
)
LIBRARY_WORDS = frozenset(
    """
    metadata registry query copy json dict schema schema_json construct validate parse_obj
    parse_raw parse_file from_orm update_forward_refs sa dt orm mapped_column type_annotation_map
    """.split()  # noqa: SIM905
)
TYPE_WORDS = frozenset(
    """
    str int float bool bytes list set tuple object super self cls property classmethod
    staticmethod
    """.split()  # noqa: SIM905
)
LIST_PARAMETERS = frozenset({"limit", "offset", "sort", "cursor", "q"})
CLASS_WORDS = (
    frozenset(
        """
    User Token Base Role Session Enum StrEnum Any Annotated Literal Mapped Decimal BaseModel Field
    FastAPI APIRouter Depends Request Response HTTPException Settings Problem Engine AsyncSession
    Self Protocol Callable Sequence Iterator Text String Integer Numeric Boolean Date Time DateTime
    Uuid UUID Path ForeignKey UniqueConstraint CheckConstraint
    """.split()  # noqa: SIM905
    )
    | {name for name in dir(builtins) if name[:1].isupper()}
)
TABLE_WORDS = frozenset({"users", "tokens", "auth", "health", "alembic_version"})
DEVICES = re.compile(r"con|aux|nul|prn|(com|lpt)[0-9]")
"""Names that no file or folder can have on Windows."""
ROUTE_WORDS = frozenset(
    """
    create read get list update replace patch delete transition transitions history events owner
    search import export bulk new edit
    """.split()  # noqa: SIM905
)

_IRREGULAR = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "foot": "feet",
    "tooth": "teeth", "staff": "staff", "equipment": "equipment", "series": "series",
    "analysis": "analyses", "diagnosis": "diagnoses",
}  # fmt: skip


def snake_case(type_name: str) -> str:
    """`OrderItem` as `order_item`, `HTTPServer` as `http_server`: for files and functions."""
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", type_name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).lower()


def class_name(member: str) -> str:
    """`blood_type` as `BloodType`: for the class of an enum."""
    return "".join(word.capitalize() for word in member.split("_"))


def plural(word: str) -> str:
    """The English plural of a snake-case word; its last part is changed."""
    head, underscore, last = word.rpartition("_")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif re.search(r"[^aeiou]y$", last):
        last = f"{last[:-1]}ies"
    elif re.search(r"(s|x|z|ch|sh)$", last):
        last = f"{last}es"
    else:
        last = f"{last}s"
    return head + underscore + last


def table_name(entity: str) -> str:
    """`OrderItem` as `order_items`; its part of an address has hyphens instead."""
    return plural(snake_case(entity))


def column_name(relation: str) -> str:
    """The column of a to-one relation."""
    return f"{relation}_id"


def link_table(entity: str, relation: str) -> str:
    """The table that joins the two sides of a many-to-many relation."""
    return f"{snake_case(entity)}_{relation}"


def state_class(entity: str, state_field: str) -> str:
    """The class of an entity's lifecycle states: `AppointmentStatus`."""
    return f"{entity}{class_name(state_field)}"


def check_names(blueprint: Blueprint) -> Iterator[Finding]:
    """Findings for names that are reserved or that two things would share."""
    yield from _platform(blueprint)
    yield from _classes(blueprint)
    yield from _tables(blueprint)
    for name, entity in blueprint.entities.items():
        path: Path = ("entities", name)
        yield from _members(path, entity)
        if entity.lifecycle:
            yield from _lifecycle(path, name, entity)
    yield from _same_letters(("roles",), blueprint.roles)
    yield from _same_letters(("integrations",), blueprint.integrations)
    for name, spec in blueprint.enums.items():
        yield from _same_letters(("enums", name, "values"), spec.values)


def _platform(blueprint: Blueprint) -> Iterator[Finding]:
    if DEVICES.fullmatch(blueprint.name):
        message = f"`{blueprint.name}` can't be the name of a folder on every system"
        yield Finding(
            ("name",), message, f"{blueprint.name}-platform", rule="platform-name-reserved"
        )
    for name in blueprint.roles:
        if name == ADMIN:
            message = "`admin` always exists and may do everything; it can't be declared again"
            yield Finding(("roles", name), message, at="key", rule="role-reserved")
        elif keyword.iskeyword(name):
            message = f"`{name}` is a reserved word of Python"
            yield Finding(("roles", name), message, f"{name}_role", at="key", rule="role-reserved")


def _classes(blueprint: Blueprint) -> Iterator[Finding]:
    """Entities, enums and lifecycles become classes of one module tree."""
    taken: dict[str, str] = {}
    for name, path, what in _class_names(blueprint):
        own = len(path) == 2
        if own and (name in CLASS_WORDS or DEVICES.fullmatch(name.lower())):
            has = "a system" if DEVICES.fullmatch(name.lower()) else "every platform, or Python,"
            message = f"{what} is reserved: {has} has a `{name}`"
            yield Finding(path, message, _other_name(path, name), at="key", rule="class-reserved")
            continue
        folded = name.lower()
        if folded in taken:
            message = f"{what} and {taken[folded]} become the same class `{name}`"
            yield Finding(path, message, _other_name(path, name), at="key", rule="class-shared")
        else:
            taken[folded] = what
    for name in blueprint.entities:
        for ending in ("Create", "Update", "Read"):
            if name.endswith(ending) and name.removesuffix(ending) in blueprint.entities:
                message = (
                    f"entity `{name}` is reserved: it is the class for requests or answers of"
                    f" `{name.removesuffix(ending)}`"
                )
                yield Finding(
                    ("entities", name), message, f"{name}Record", at="key", rule="class-reserved"
                )


def _class_names(blueprint: Blueprint) -> Iterator[tuple[str, Path, str]]:
    for name in blueprint.entities:
        yield name, ("entities", name), f"entity `{name}`"
    for name in blueprint.enums:
        yield class_name(name), ("enums", name), f"enum `{name}`"
    for name, entity in blueprint.entities.items():
        if entity.lifecycle:
            path = ("entities", name, "lifecycle", "field")
            yield state_class(name, entity.lifecycle.field), path, f"the lifecycle of `{name}`"


def _other_name(path: Path, name: str) -> str | None:
    if path[0] == "entities" and len(path) == 2:
        return f"{name}Record"
    return f"{path[1]}_kind" if path[0] == "enums" else None


def _tables(blueprint: Blueprint) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name in blueprint.entities:
        path: Path = ("entities", name)
        # An English plural names the table and the address, whatever the entity is called.
        own = re.findall("[a-z0-9]+", snake_case(blueprint.entities[name].plural.en or ""))
        table = "_".join(own) or table_name(name)
        if table in TABLE_WORDS and name not in CLASS_WORDS:
            message = f"entity `{name}` is reserved: every platform has a table `{table}`"
            yield Finding(path, message, f"{name}Record", at="key", rule="table-reserved")
        forms = {table.replace("_", ""), snake_case(name).replace("_", "")}
        met = [taken[form] for form in sorted(forms) if form in taken]
        if met and met[0].lower() != name.lower():
            message = f"entities `{met[0]}` and `{name}` would share the table `{table}`"
            yield Finding(path, message, f"{name}Record", at="key", rule="table-shared")
        taken |= dict.fromkeys(forms, name)
    for name, entity in blueprint.entities.items():
        for relation, spec in entity.relations.items():
            if spec.kind is not RelationKind.MANY_TO_MANY:
                continue
            path = ("entities", name, "relations", relation)
            link = link_table(name, relation)
            owner = taken.setdefault(link.replace("_", ""), f"{name}.{relation}")
            if len(link) > MAX_IDENTIFIER:
                message = f"the table `{link}` of this relation has more than {MAX_IDENTIFIER}"
                yield Finding(
                    path,
                    f"{message} characters; use a shorter name",
                    at="key",
                    rule="table-too-long",
                )
            elif owner != f"{name}.{relation}":
                message = f"the table `{link}` of this relation is also the table of `{owner}`"
                yield Finding(path, message, f"{relation}_links", at="key", rule="table-shared")


def _members(path: Path, entity: Entity) -> Iterator[Finding]:
    """Fields, relations and the state field become attributes and columns of one class."""
    taken = {_letters(name): f"the built-in field `{name}`" for name in SYSTEM_COLUMNS}
    for name in entity.fields:
        at = (*path, "fields", name)
        yield from _reserved(at, name, "value", column=True)
        yield from _take(taken, at, name, f"field `{name}`")
    for name, relation in entity.relations.items():
        at = (*path, "relations", name)
        if re.search("_ids?$", name):
            message = f"name a relation without `_id`: `{name}` gets a column of that kind anyway"
            yield Finding(
                at, message, re.sub("_ids?$", "", name), at="key", rule="relation-name-column"
            )
            continue
        yield from _reserved(at, name, "link", column=False)
        yield from _take(taken, at, name, f"relation `{name}`")
        to_many = relation.kind is RelationKind.MANY_TO_MANY
        column = f"{name}_ids" if to_many else column_name(name)
        yield from _take(taken, at, column, f"`{column}` of relation `{name}`", path[-1])
    if entity.lifecycle:
        name = entity.lifecycle.field
        at = (*path, "lifecycle", "field")
        yield from _reserved(at, name, "state", column=True)
        yield from _take(taken, at, name, f"the state field `{name}`")


def _take(
    taken: dict[str, str], path: Path, name: str, what: str, entity: str | int = ""
) -> Iterator[Finding]:
    other = taken.get(_letters(name))
    if other is None:
        taken[_letters(name)] = what
        return
    suggestion = f"{snake_case(str(entity))}_{path[-1]}"[:40] if entity else None
    at: Path = path
    yield Finding(
        at,
        f"{what} has the same name as {other}; rename one",
        suggestion,
        at="key",
        rule="member-shared",
    )


def _reserved(path: Path, name: str, suffix: str, *, column: bool) -> Iterator[Finding]:
    why = None
    if keyword.iskeyword(name):
        why = "a reserved word of Python"
    elif name in LIBRARY_WORDS or name.startswith("model_"):
        why = "a name that the generated classes need for themselves"
    elif name in TYPE_WORDS:
        why = "a built-in name of Python"
    elif name in LIST_PARAMETERS:
        why = "a parameter of every list"
    elif column and name in SQL_WORDS:
        why = "a reserved word of SQL"
    if why is not None:
        other = name.removeprefix("model_") if name.startswith("model_") else f"{name}_{suffix}"
        at: Path = path
        yield Finding(
            at, f"`{name}` is reserved: it is {why}", other[:40], at="key", rule="member-reserved"
        )


def _lifecycle(path: Path, name: str, entity: Entity) -> Iterator[Finding]:
    assert entity.lifecycle is not None
    at = (*path, "lifecycle", "transitions")
    yield from _same_letters((*path, "lifecycle", "states"), entity.lifecycle.states)
    yield from _same_letters(at, entity.lifecycle.transitions)
    for transition in entity.lifecycle.transitions:
        other = f"{transition}_{snake_case(name)}"[:40]
        if keyword.iskeyword(transition):
            message = f"`{transition}` is a reserved word of Python"
        elif transition in ROUTE_WORDS:
            message = f"`{transition}` is reserved: every entity has it as an address or action"
        elif transition in entity.relations:
            message = f"`{transition}` is also a relation of `{name}`; their addresses would meet"
        else:
            continue
        yield Finding((*at, transition), message, other, at="key", rule="transition-reserved")


def _same_letters(path: Path, names: Iterable[str]) -> Iterator[Finding]:
    """Names that differ in underscores only would meet once they are written in camel case."""
    taken: dict[str, str] = {}
    for name in names:
        first = taken.setdefault(_letters(name), name)
        if first != name:
            message = f"`{name}` and `{first}` differ in underscores only; rename one"
            yield Finding((*path, name), message, at="key", rule="underscores-only")


def _letters(name: str) -> str:
    return name.replace("_", "")
