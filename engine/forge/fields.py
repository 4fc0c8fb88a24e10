"""Fields, resolved: effective bounds, lengths, patterns, defaults and filters of one field."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from engine.forge.blueprint.model import DataClass, Entity, FieldSpec, FieldType, Text
from engine.kernel.errors import InvalidInput

SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1
LARGEST_PRECISION = 18
"""Digits of a decimal: what a 64-bit integer of minor units holds exactly on every database."""

LONGEST_UNIQUE = 600
"""Characters of a unique text: four bytes each still fit one entry of a B-tree index page."""

EMAIL_PATTERN = r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$"
PHONE_PATTERN = r"^\+?[0-9]{7,15}$"
URL_PATTERN = r"^https?://[^\s\u0000]+$"
SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"

_CLOCK = r"T([0-9]{1,4}H([0-9]{1,4}M)?([0-9]{1,5}S)?|[0-9]{1,4}M([0-9]{1,5}S)?|[0-9]{1,5}S)"
DURATION_PATTERN = rf"^P([0-9]{{1,5}}D({_CLOCK})?|{_CLOCK})$"
"""A duration of ISO 8601 in days, hours, minutes and seconds, whose lengths don't vary."""
_DURATION_PART = re.compile(r"([0-9]+)([DHMS])")
_SECONDS = {"D": 86_400, "H": 3_600, "M": 60, "S": 1}

# ISO 4217 minor units; every other currency has two.
_MINOR_UNITS = {
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"), 0),
    **dict.fromkeys(("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
}
_TEXT_LENGTHS = {
    FieldType.STRING: 255,
    FieldType.TEXT: 10_000,
    FieldType.EMAIL: 254,
    FieldType.PHONE: 16,
    FieldType.URL: 2048,
    FieldType.SLUG: 100,
}
TEXT_PATTERNS = {
    FieldType.EMAIL: EMAIL_PATTERN,
    FieldType.PHONE: PHONE_PATTERN,
    FieldType.URL: URL_PATTERN,
    FieldType.SLUG: SLUG_PATTERN,
}
_DECIMALS = (FieldType.DECIMAL, FieldType.MONEY)
_ORDERED = (
    FieldType.INTEGER,
    *_DECIMALS,
    FieldType.DATE,
    FieldType.TIME,
    FieldType.INSTANT,
    FieldType.DURATION,
)

Operator = Literal["eq", "gte", "lte", "contains"]
_Number = TypeVar("_Number", int, Decimal)


@dataclass(frozen=True, slots=True)
class Titles:
    """A text in both languages, each filled from the other or from the name."""

    en: str
    ar: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter of a list and how it compares."""

    parameter: str
    operator: Operator


def titles_of(text: Text, fallback: str) -> Titles:
    return Titles(text.in_language("en", fallback), text.in_language("ar", fallback))


def field_filters(name: str, kind: FieldType) -> tuple[Filter, ...]:
    """The filters of a list for one field: equality, order and containment by type; none for what
    databases compare in different ways."""
    operators: list[Operator] = []
    if kind is FieldType.JSON:
        return ()
    if kind in _ORDERED:
        operators = ["gte", "lte"]
    elif kind in _TEXT_LENGTHS:
        operators = ["contains"]
    return (
        Filter(name, "eq"),
        *(Filter(f"{name}__{operator}", operator) for operator in operators),
    )


@dataclass(frozen=True, slots=True)
class FieldBounds:
    """What a value of the field must satisfy; see `ResolvedColumn` for the meanings."""

    minimum: int | Decimal | None
    maximum: int | Decimal | None
    min_length: int
    max_length: int | None
    pattern: str | None
    precision: int | None
    scale: int | None


def bounds_of(spec: FieldSpec, path: str) -> FieldBounds:
    """The effective bounds of a field. Raises `InvalidInput` naming `path`."""
    minimum, maximum, precision, scale = _numbers(spec, path)
    min_length, max_length, pattern = _texts(spec, path)
    return FieldBounds(minimum, maximum, min_length, max_length, pattern, precision, scale)


def default_of(
    spec: FieldSpec, bounds: FieldBounds, allowed: tuple[str, ...], path: str
) -> str | int | bool | None:
    """The default as the JSON value that a caller could have sent, or None without one.

    `allowed` holds the values of the field's enum. Raises `InvalidInput` naming `path`.
    """
    if spec.default is None:
        return None
    try:
        return _parse_default(spec.default, spec.type, bounds, allowed)
    except (ValueError, TypeError, OverflowError, InvalidOperation, ValidationError) as error:
        raise InvalidInput(
            f"The default {spec.default!r} is not a valid {spec.type.value}.",
            path=f"{path}.default",
        ) from error


def is_write_only(spec: FieldSpec) -> bool:
    """Whether the field is accepted and never shown."""
    return spec.data_class is DataClass.SECRET


def telling_member(entity: Entity, members: Sequence[str]) -> str | None:
    """The member of a unique set that can tell any number of records apart: a field of an open
    type before a relation, what is required before what isn't. None when there is none."""
    able = [name for name in members if name in entity.fields and _is_open(entity.fields[name])]
    able += [name for name in members if name in entity.relations]
    needed = [name for name in able if _required(entity, name)]
    return next(iter([*needed, *able]), None)


def is_text(spec: FieldSpec) -> bool:
    return spec.type in _TEXT_LENGTHS


def longest_text(spec: FieldSpec) -> int:
    """The characters that a value may have; 0 for what is no text."""
    return spec.max_length or _TEXT_LENGTHS.get(spec.type, 0)


def _is_open(spec: FieldSpec) -> bool:
    return spec.type not in (FieldType.BOOLEAN, FieldType.ENUM)


def _required(entity: Entity, name: str) -> bool:
    return (entity.fields.get(name) or entity.relations[name]).required


def _numbers(
    spec: FieldSpec, path: str
) -> tuple[int | Decimal | None, int | Decimal | None, int | None, int | None]:
    for bound in (spec.min, spec.max):
        if bound is not None and not math.isfinite(bound):
            raise InvalidInput("A bound must be a finite number.", path=path)
    if spec.type is FieldType.INTEGER:
        low = SMALLEST_INTEGER if spec.min is None else math.ceil(spec.min)
        high = LARGEST_INTEGER if spec.max is None else math.floor(spec.max)
        low, high = max(low, SMALLEST_INTEGER), min(high, LARGEST_INTEGER)
        _check_range(low, high, path)
        return low, high, None, None
    if spec.type not in _DECIMALS:
        return None, None, None, None
    scale = _MINOR_UNITS.get(spec.currency or "", 2) if spec.scale is None else spec.scale
    precision = max(14, scale) if spec.precision is None else spec.precision
    if precision > LARGEST_PRECISION or scale > precision:
        raise InvalidInput(
            f"A decimal holds at most {LARGEST_PRECISION} digits, its scale among them.",
            path=f"{path}.precision",
        )
    step = Decimal(1).scaleb(-scale)
    largest = Decimal(10) ** (precision - scale) - step
    minimum = -largest if spec.min is None else max(Decimal(str(spec.min)), -largest)
    maximum = largest if spec.max is None else min(Decimal(str(spec.max)), largest)
    _check_range(minimum, maximum, path)
    minimum = minimum.quantize(step, rounding=ROUND_CEILING)
    maximum = maximum.quantize(step, rounding=ROUND_FLOOR)
    _check_range(minimum, maximum, path)
    return minimum, maximum, precision, scale


def _check_range(low: int | Decimal, high: int | Decimal, path: str) -> None:
    if low > high:
        raise InvalidInput("No number lies between min and max.", path=path)


def _texts(spec: FieldSpec, path: str) -> tuple[int, int | None, str | None]:
    if spec.type not in _TEXT_LENGTHS:
        return 0, None, None
    longest = spec.max_length or max(_TEXT_LENGTHS[spec.type], spec.min_length or 0)
    if spec.unique:
        longest = min(longest, LONGEST_UNIQUE)
    shortest = (1 if spec.required else 0) if spec.min_length is None else spec.min_length
    if shortest > longest:
        raise InvalidInput(f"No text has {shortest} to {longest} characters.", path=path)
    if spec.pattern is None:
        return shortest, longest, TEXT_PATTERNS.get(spec.type)
    pattern = _whole(spec.pattern)
    try:
        TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
        re.compile(pattern)
    except (SchemaError, re.error) as error:
        raise InvalidInput(
            "This is not a regular expression that can be checked in linear time.",
            mend="Use character classes, groups, alternatives and repetition only.",
            path=f"{path}.pattern",
        ) from error
    return shortest, longest, pattern


def _whole(pattern: str) -> str:
    """The pattern, anchored to the whole text."""
    if "|" in pattern or pattern.endswith("\\$"):
        return f"^(?:{pattern})$"
    return f"^{pattern.removeprefix('^').removesuffix('$')}$"


def _parse_default(
    value: str | int | bool | float, kind: FieldType, bounds: FieldBounds, allowed: tuple[str, ...]
) -> str | int | bool:
    if kind is FieldType.BOOLEAN and isinstance(value, bool):
        return value
    if kind is FieldType.INTEGER and not isinstance(value, bool | str):
        if int(value) != value:
            raise ValueError(value)
        return _within(int(value), bounds)
    if kind in _DECIMALS and not isinstance(value, bool):
        number = Decimal(str(value))
        rounded = number.quantize(Decimal(1).scaleb(-(bounds.scale or 0)))
        if rounded != number:
            raise ValueError(value)
        # JSON has a zero below zero; databases and people have one zero.
        return f"{_within(rounded or abs(rounded), bounds):f}"
    if not isinstance(value, str):
        raise TypeError(value)
    if kind is FieldType.ENUM:
        return allowed[allowed.index(value)]
    if kind in _TEXT_LENGTHS:
        constraints = StringConstraints(
            min_length=bounds.min_length, max_length=bounds.max_length, pattern=bounds.pattern
        )
        adapter: TypeAdapter[str] = TypeAdapter(Annotated[str, constraints])
        return adapter.validate_python(value)
    return _parse_moment(value, kind)


def _parse_moment(value: str, kind: FieldType) -> str:
    if kind is FieldType.DATE:
        return datetime.date.fromisoformat(value).isoformat()
    if kind is FieldType.TIME:
        time = datetime.time.fromisoformat(value)
        return time.replace(microsecond=0, tzinfo=None).isoformat()
    if kind is FieldType.INSTANT:
        moment = datetime.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment.astimezone(datetime.UTC).isoformat()
    if kind is FieldType.UUID:
        return str(UUID(value))
    if kind is FieldType.DURATION:
        return duration_text(seconds_of(value))
    raise TypeError(value)


def seconds_of(duration: str) -> int:
    """The length of a duration that matches `DURATION_PATTERN`. Raises `ValueError` for others."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(duration)
    return sum(int(count) * _SECONDS[unit] for count, unit in _DURATION_PART.findall(duration))


def duration_text(seconds: int) -> str:
    """The one way in which a duration is answered, such as `P1DT2H30M`; `PT0S` for none."""
    days, rest = divmod(seconds, _SECONDS["D"])
    hours, rest = divmod(rest, _SECONDS["H"])
    minutes, left = divmod(rest, _SECONDS["M"])
    parts = ((hours, "H"), (minutes, "M"), (left, "S"))
    clock = "".join(f"{count}{unit}" for count, unit in parts if count)
    day = f"{days}D" if days else ""
    return f"P{day}{'T' if clock else ''}{clock}" if day or clock else "PT0S"


def _within(value: _Number, bounds: FieldBounds) -> _Number:
    if bounds.minimum is not None and value < bounds.minimum:
        raise ValueError(value)
    if bounds.maximum is not None and value > bounds.maximum:
        raise ValueError(value)
    return value
