"""Python expressions for the values of the resolved model, as the generated modules write them."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from uuid import UUID

from engine.forge.blueprint.model import FieldType
from engine.forge.expressions.printers import Names
from engine.forge.expressions.printers.python import is_decimal, print_python
from engine.forge.expressions.types import Kind
from engine.forge.fields import (
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    TEXT_PATTERNS,
    Titles,
    seconds_of,
)
from engine.forge.resolve import ResolvedColumn, ResolvedComputed, ResolvedEnum
from engine.forge.targets.names import words

_PART = 70
"""Characters of a literal that still fit one indented line."""

_PHRASE = 40
_DECIMALS = (FieldType.DECIMAL, FieldType.MONEY)
_STRINGS = (*(FieldType.STRING, FieldType.EMAIL, FieldType.PHONE, FieldType.URL, FieldType.SLUG),)
_ANNOTATIONS = {
    **dict.fromkeys((*_STRINGS, FieldType.TEXT), "str"),
    **dict.fromkeys(_DECIMALS, "Decimal"),
    FieldType.INTEGER: "int",
    FieldType.BOOLEAN: "bool",
    FieldType.DATE: "dt.date",
    FieldType.TIME: "dt.time",
    FieldType.INSTANT: "dt.datetime",
    FieldType.UUID: "UUID",
    FieldType.DURATION: "dt.timedelta",
    FieldType.JSON: "dict[str, Any] | list[Any]",
}
_SQL_TYPES = {
    FieldType.TEXT: "sa.Text()",
    FieldType.INTEGER: "sa.BigInteger()",
    FieldType.BOOLEAN: "sa.Boolean()",
    FieldType.DATE: "sa.Date()",
    FieldType.TIME: "sa.Time()",
    FieldType.UUID: "sa.Uuid()",
    FieldType.DURATION: "Seconds()",
    FieldType.JSON: "sa.JSON(none_as_null=True)",
}
_VALUES = {
    Kind.TEXT: "str",
    Kind.ENUM: "str",
    Kind.BOOLEAN: "bool",
    Kind.DATE: "dt.date",
    Kind.TIME: "dt.time",
    Kind.INSTANT: "dt.datetime",
}
_BODY_TYPES = {
    FieldType.STRING: "Text",
    FieldType.TEXT: "Text",
    FieldType.EMAIL: "Email",
    FieldType.PHONE: "Phone",
    FieldType.URL: "Url",
    FieldType.INTEGER: "Integer",
    FieldType.BOOLEAN: "Boolean",
    FieldType.DATE: "Date",
    FieldType.TIME: "Time",
    FieldType.INSTANT: "Instant",
    FieldType.UUID: "UUID",
    FieldType.SLUG: "Slug",
    FieldType.DURATION: "Duration",
    FieldType.JSON: "Json",
}
_READ_AS_SENT = (
    *(FieldType.DATE, FieldType.TIME, FieldType.INSTANT, FieldType.DURATION, FieldType.JSON),
)
SCHEMA_NAMES = frozenset({*_BODY_TYPES.values(), "IntegerFilter", "SearchText", "DecimalText"})


def value_of(computed: ResolvedComputed, names: Names) -> tuple[str, str]:
    """The expression of a computed field, and the type of its value without None.

    Where answers hold decimals it is one, as decimals are written as they are.
    """
    term, wanted = computed.term, computed.shown.type
    source = print_python(term, names)
    if term.type.kind is not Kind.NUMBER:
        return source, _VALUES[term.type.kind]
    if is_decimal(term):
        return source, "Decimal"
    if wanted not in _DECIMALS:
        return source, "int"
    return f"{'widened' if term.type.nullable else 'Decimal'}({source})", "Decimal"


def literal(value: object) -> str:
    """A value as Python source; text in double quotes, in parts when it is long."""
    if not isinstance(value, str):
        return repr(value)
    parts = [_quoted(value[at : at + _PART]) for at in range(0, len(value), _PART)]
    return parts[0] if len(parts) == 1 else f"({' '.join(parts)})" if parts else '""'


def _quoted(text: str) -> str:
    quoted = repr(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in text else quoted


def raw_literal(pattern: str) -> str:
    """A regular expression as Python source, raw where that is possible."""
    plain = pattern.isprintable() and '"' not in pattern and not pattern.endswith("\\")
    short = len(pattern) <= _PART
    return f'r"{pattern}"' if plain and short and "\\" in pattern else literal(pattern)


def annotation(column: ResolvedColumn) -> str:
    """The type of the attribute, without None."""
    return column.enum.class_name if column.enum else _ANNOTATIONS[column.type]


def default(column: ResolvedColumn) -> str | None:
    """The default as an expression of the attribute's type, or None without one."""
    value = column.default
    if value is None:
        return None
    text = str(value)
    if column.enum is not None:
        return enum_member(column.enum, text)
    match column.type:
        case FieldType.DECIMAL | FieldType.MONEY:
            return f'Decimal("{text}")'
        case FieldType.DATE:
            day = dt.date.fromisoformat(text)
            return f"dt.date({day.year}, {day.month}, {day.day})"
        case FieldType.TIME:
            time = dt.time.fromisoformat(text)
            return f"dt.time({time.hour}, {time.minute}, {time.second})"
        case FieldType.INSTANT:
            return f'dt.datetime.fromisoformat("{text}")'
        case FieldType.UUID:
            return f'UUID("{text}")'
        case FieldType.DURATION:
            return f"dt.timedelta(seconds={seconds_of(text)})"
        case _:
            return literal(value)


def stored_default(column: ResolvedColumn) -> str | None:
    """The default as the database keeps it, for `server_default`, or None without one.

    Times and moments are written as SQLite compares them, which PostgreSQL reads as well.
    """
    value = column.default
    if value is None:
        return None
    match column.type:
        case FieldType.INTEGER:
            return f'sa.text("{value}")'
        case FieldType.BOOLEAN:
            return "sa.true()" if value else "sa.false()"
        case FieldType.DECIMAL | FieldType.MONEY:
            return f'{table_type(column)}.stored("{value}", op.get_bind().dialect)'
        case FieldType.TIME:
            return f'"{dt.time.fromisoformat(str(value)).isoformat("microseconds")}"'
        case FieldType.INSTANT:
            moment = dt.datetime.fromisoformat(str(value)).replace(tzinfo=None)
            return f'"{moment.isoformat(" ", "microseconds")}"'
        case FieldType.UUID:
            return f'"{UUID(str(value)).hex}"'
        case FieldType.DURATION:
            return f'sa.text("{seconds_of(str(value))}")'
        case _:
            return literal(value)


def table_value(column: ResolvedColumn) -> str | None:
    """The default as a migration writes it, which must not change with the application."""
    return literal(column.default) if column.enum and column.default else default(column)


def enum_member(enum: ResolvedEnum, value: str) -> str:
    member = next(one.member for one in enum.values if one.name == value)
    return f"{enum.class_name}.{member}"


def model_type(column: ResolvedColumn) -> str:
    """The column type in a model."""
    if column.enum is not None:
        return f"enum_text({column.enum.class_name})"
    if column.type is FieldType.INSTANT:
        return "UtcDateTime()"
    return table_type(column)


def table_type(column: ResolvedColumn) -> str:
    """The column type in a migration, which must not change with the application."""
    if column.enum is not None:
        return "sa.String(40)"
    if column.type in _STRINGS:
        return f"sa.String({column.max_length})"
    if column.type in _DECIMALS:
        return f"ExactDecimal({column.precision}, {column.scale})"
    if column.type is FieldType.INSTANT:
        return "sa.DateTime(timezone=True)"
    return _SQL_TYPES[column.type]


def body_type(column: ResolvedColumn) -> str:
    """The type in a request's body, with all its constraints, without None."""
    if column.enum is not None:
        base, constraints = column.enum.class_name, []
    elif column.type in _DECIMALS:
        bounds = _bound("least", column.minimum, _smallest(column))
        bounds += _bound("most", column.maximum, _largest(column))
        base, constraints = "Decimal", [decimal_text(column, *bounds)]
    elif _has_own_pattern(column):
        base, constraints = "Text", []
    else:
        base, constraints = _BODY_TYPES[column.type], []
    if arguments := _constraints(column):
        constraints.append(f"Field({', '.join(arguments)})")
    return f"Annotated[{', '.join((base, *constraints))}]" if constraints else base


def _constraints(column: ResolvedColumn) -> list[str]:
    arguments = []
    if column.min_length:
        arguments.append(f"min_length={column.min_length}")
    if column.max_length is not None:
        arguments.append(f"max_length={column.max_length}")
    if column.pattern is not None and _has_own_pattern(column):
        arguments.append(f"pattern={raw_literal(column.pattern)}")
    if column.type is FieldType.INTEGER:
        arguments += _bound("ge", column.minimum, _smallest(column))
        arguments += _bound("le", column.maximum, _largest(column))
    return arguments + labels(column.titles, column.name)


def _has_own_pattern(column: ResolvedColumn) -> bool:
    return column.pattern is not None and column.pattern != TEXT_PATTERNS.get(column.type)


def _bound(name: str, value: int | Decimal | None, widest: int | Decimal) -> list[str]:
    if value is None or value == widest:
        return []
    text = f'Decimal("{value}")' if isinstance(value, Decimal) else str(value)
    return [f"{name}={text}"]


def _largest(column: ResolvedColumn) -> int | Decimal:
    if column.precision is None or column.scale is None:
        return LARGEST_INTEGER
    return Decimal(10) ** (column.precision - column.scale) - Decimal(1).scaleb(-column.scale)


def _smallest(column: ResolvedColumn) -> int | Decimal:
    return SMALLEST_INTEGER if column.precision is None else -_largest(column)


def labels(titles: Titles, name: str) -> list[str]:
    """The titles as arguments of `Field`, where they say more than the name does."""
    given = []
    if words(titles.en) != words(name):
        given.append(f"title={literal(titles.en)}")
    if titles.ar != titles.en:
        given.append(f"description={literal(titles.ar)}")
    return given


def decimal_text(column: ResolvedColumn, *bounds: str) -> str:
    digits, places = f"digits={column.precision}", f"places={column.scale}"
    return f"DecimalText({', '.join((digits, places, *bounds))})"


def read_type(column: ResolvedColumn) -> str:
    """The type in an answer, without None."""
    if column.enum is not None:
        return column.enum.class_name
    if column.type in _DECIMALS:
        return f"Annotated[Decimal, {decimal_text(column)}]"
    if column.type in _READ_AS_SENT:
        return _BODY_TYPES[column.type]
    return _ANNOTATIONS[column.type]


def computed_type(shown: ResolvedColumn) -> str:
    """The type of a computed field in an answer, marked as one that isn't sent."""
    kind = read_type(shown)
    read_only = 'Field(json_schema_extra={"readOnly": True})'
    if not shown.required:
        return f"Annotated[{kind} | None, {read_only}]"
    if kind.startswith("Annotated["):
        return f"{kind.removesuffix(']')}, {read_only}]"
    return f"Annotated[{kind}, {read_only}]"


def filter_type(column: ResolvedColumn) -> str:
    """The type in a list's query, without None."""
    if column.type is FieldType.INTEGER:
        return "IntegerFilter"
    if column.type in (*_STRINGS, FieldType.TEXT):
        return "SearchText"
    return read_type(column)


def phrase(text: str) -> str:
    """A few words of prose, for a heading inside a line of code."""
    words_of_it = prose(text)
    return words_of_it if len(words_of_it) <= _PHRASE else f"{words_of_it[:_PHRASE].rstrip()}…"


def prose(text: str) -> str:
    """A text that is safe inside a docstring, a comment, Markdown or a quoted TOML value."""
    return re.sub(r'[\s"\\`<>{}|\x00-\x1f\x7f]+', " ", text).strip().rstrip(".")
