"""Columns of SQL: their types and defaults in the terms of a draft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from engine.forge.blueprint.model import FieldType
from engine.forge.formats.draft import DraftField

T = exp.DataType.Type
_INTEGERS = {
    T.TINYINT, T.SMALLINT, T.MEDIUMINT, T.INT, T.BIGINT, T.INT128, T.INT256, T.UTINYINT,
    T.USMALLINT, T.UMEDIUMINT, T.UINT, T.UBIGINT, T.SERIAL, T.SMALLSERIAL, T.BIGSERIAL,
}  # fmt: skip
_UNSIGNED = {T.UTINYINT, T.USMALLINT, T.UMEDIUMINT, T.UINT, T.UBIGINT}
_SERIALS = {T.SERIAL, T.SMALLSERIAL, T.BIGSERIAL}
_FLOATS = {T.FLOAT, T.DOUBLE, T.UDOUBLE}
_DECIMALS = {T.DECIMAL, T.DECIMAL32, T.DECIMAL64, T.DECIMAL128, T.BIGDECIMAL, T.UDECIMAL}
_SHORT = {T.CHAR, T.NCHAR, T.VARCHAR, T.NVARCHAR, T.BPCHAR, T.NAME}
_LONG = {T.TEXT, T.TINYTEXT, T.MEDIUMTEXT, T.LONGTEXT}
_MOMENTS = {T.DATETIME, T.DATETIME2, T.DATETIME64, T.SMALLDATETIME, T.TIMESTAMP, T.TIMESTAMPNTZ}
_ZONED = {T.TIMESTAMPTZ, T.TIMESTAMPLTZ}
_MONEY = {T.MONEY, T.SMALLMONEY}
_BINARY = {
    T.BINARY, T.VARBINARY, T.BLOB, T.LONGBLOB, T.MEDIUMBLOB, T.TINYBLOB, T.IMAGE, T.ROWVERSION,
}  # fmt: skip
_PLAIN = {
    T.BOOLEAN: FieldType.BOOLEAN, T.DATE: FieldType.DATE, T.DATE32: FieldType.DATE,
    T.TIME: FieldType.TIME, T.UUID: FieldType.UUID,
}  # fmt: skip
_SEVERAL = {T.ARRAY, T.LIST, T.MAP, T.STRUCT, T.OBJECT, T.NESTED, T.SET}
_WORDS = {
    "email": FieldType.EMAIL, "phone": FieldType.PHONE, "url": FieldType.URL,
    "instant": FieldType.INSTANT, "string": FieldType.STRING, "citext": FieldType.TEXT,
    "integer": FieldType.INTEGER, "money": FieldType.MONEY, "slug": FieldType.SLUG,
    "duration": FieldType.DURATION, "json": FieldType.JSON, "jsonb": FieldType.JSON,
}  # fmt: skip
_WITHOUT_LENGTH = (
    *(FieldType.MONEY, FieldType.INTEGER, FieldType.DURATION, FieldType.JSON, FieldType.INSTANT),
)
_NO_BINARY = "the language holds no binary data"
_A_LIST = "a list of values becomes JSON, by which lists are neither sorted nor filtered"
_MONTHS = "a duration has days, hours, minutes and seconds, and no months, whose length varies"
_SECONDS = "a time of day is kept to the second"
_FOLDED = "small and capital letters differ here, whereas not in the source"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a type becomes. Without a `type` the column can't be taken over, for the `reason`."""

    type: FieldType | None
    constraints: dict[str, Any]
    generated: bool = False
    enum: tuple[str, ...] = ()
    named: str = ""
    reason: str | None = None
    mend: str | None = None


def map_type(kind: exp.DataType) -> Mapped:
    """The type of the language for one of SQL. `named` is the name of a declared type."""
    this = kind.this
    numbers = [int(each.name) for each in kind.expressions if each.name.isdigit()]
    if this in _INTEGERS:
        return _integer(this, numbers)
    if this in _DECIMALS:
        mapped = _decimal(numbers)
        if this is T.UDECIMAL:
            mapped.constraints["min"] = 0
        return mapped
    if this in _FLOATS:
        reason = "a floating-point number becomes a decimal of 18 digits, 6 after the point"
        return Mapped(FieldType.DECIMAL, {"precision": 18, "scale": 6}, reason=reason)
    if this in _MONEY:
        return Mapped(
            FieldType.MONEY, {}, reason="the source names no currency", mend="Add `currency`."
        )
    if this in _SHORT or this in _LONG:
        return _text(this, numbers)
    if this in _MOMENTS:
        reason = "it has no time zone in the source; it is taken as UTC"
        return Mapped(FieldType.INSTANT, {}, reason=reason)
    if this in _ZONED:
        return Mapped(FieldType.INSTANT, {})
    if this in _PLAIN:
        rounded = this is T.TIME and any(numbers)
        return Mapped(_PLAIN[this], {}, reason=_SECONDS if rounded else None)
    return _special(kind, numbers)


def _integer(this: Any, numbers: list[int]) -> Mapped:
    if this is T.TINYINT and numbers == [1]:
        return Mapped(FieldType.BOOLEAN, {})
    bounds = {"min": 0} if this in _UNSIGNED else {}
    reason = "an integer has at most 64 bits" if this in (T.INT128, T.INT256) else None
    return Mapped(FieldType.INTEGER, bounds, generated=this in _SERIALS, reason=reason)


def _decimal(numbers: list[int]) -> Mapped:
    if not numbers:
        reason = "it has any number of digits in the source; here 18, and 6 after the point"
        mend = "Set `precision` and `scale`."
        return Mapped(FieldType.DECIMAL, {"precision": 18, "scale": 6}, reason=reason, mend=mend)
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    return Mapped(FieldType.DECIMAL, {"precision": precision, "scale": scale})


def _text(this: Any, numbers: list[int]) -> Mapped:
    if this is T.TINYTEXT:
        return Mapped(FieldType.STRING, {"max_length": 255})
    if this is T.NAME:
        return Mapped(FieldType.STRING, {"max_length": 63})
    if numbers:
        kind = FieldType.TEXT if this in _LONG else FieldType.STRING
        return Mapped(kind, {"max_length": max(1, numbers[0])})
    if this in (T.CHAR, T.NCHAR):
        return Mapped(FieldType.STRING, {"max_length": 1})
    return Mapped(
        FieldType.TEXT, {}, reason="a text has at most 10,000 characters, unlimited in the source"
    )


def _special(kind: exp.DataType, numbers: list[int]) -> Mapped:
    this = kind.this
    if str(this.value).startswith("ENUM"):
        return Mapped(FieldType.ENUM, {}, enum=tuple(each.name for each in kind.expressions))
    if this is T.BIT and numbers in ([], [1]):
        return Mapped(FieldType.BOOLEAN, {})
    if this is T.YEAR:
        return Mapped(FieldType.INTEGER, {"min": 1901, "max": 2155})
    if this is T.INTERVAL or isinstance(this, exp.Interval):
        return Mapped(FieldType.DURATION, {}, reason=_MONTHS)
    if this is T.TIMETZ:
        return Mapped(FieldType.TIME, {}, reason="a time of day has no zone here")
    if this in _SEVERAL:
        return Mapped(FieldType.JSON, {}, reason=_A_LIST, mend="Make it an entity of its own.")
    if this in _BINARY:
        return Mapped(None, {}, reason=_NO_BINARY, mend="Keep the address of the file instead.")
    name = _type_name(kind)
    found = word_of_the_language(name, numbers)
    if found is not None:
        return found
    reason = f"the language has no type `{name.lower()[:40]}`; it becomes text"
    return Mapped(FieldType.TEXT, {}, named=name, reason=reason)


def word_of_the_language(name: str, numbers: list[int]) -> Mapped | None:
    """The type for a word of the language itself, such as `email`, or None for any other."""
    found = _WORDS.get(name.lower())
    if found is None:
        return None
    if name.lower() == "citext":
        return Mapped(found, {}, reason=_FOLDED)
    has_length = bool(numbers) and found not in _WITHOUT_LENGTH
    return Mapped(found, {"max_length": max(1, numbers[0])} if has_length else {})


def _type_name(kind: exp.DataType) -> str:
    declared = kind.args.get("kind")
    if isinstance(declared, exp.Expression):
        return declared.sql().rpartition(".")[2].strip('"`')
    return str(declared or kind.this.value).rpartition(".")[2].strip('"`')


def bare(node: exp.Expression | None) -> exp.Expression | None:
    """The node without parentheses and casts."""
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return node


def literal(node: exp.Expression | None) -> str | bool | None:
    """The value of a constant; None when it is no constant."""
    node = bare(node)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return str(node.this)
    if isinstance(node, exp.Neg) and isinstance(value := literal(node.this), str):
        return f"-{value}"
    return None


def set_default(field: DraftField, node: exp.Expression | None) -> None:
    """Take over a default: a constant, or a value that the database makes by itself."""
    inner = bare(node)
    if inner is None or isinstance(inner, exp.Null):
        return
    value = literal(inner)
    if value is not None:
        if field.type is FieldType.BOOLEAN and isinstance(value, str):
            value = {"1": "true", "0": "false"}.get(value, value)
        field.default = value
        return
    field.generated = True
