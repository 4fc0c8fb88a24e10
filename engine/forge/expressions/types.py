"""The types of values, and the names that an expression may use.

Every number carries the interval that it lies in and its digits after the point. So it is known
beforehand how many digits each step needs: nothing overflows while an expression is evaluated, on
no target, and a quotient is known to exist when its divisor can't be zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from engine.forge.fields import LARGEST_INTEGER, SMALLEST_INTEGER

MAX_DIGITS = 60
"""Digits that a number may need on the way: what every target computes exactly."""

MAX_SCALE = 30
"""Digits after the point that a number may need on the way."""

MAX_ROWS = 10**9
"""Related records that a sum is laid out for."""


class Kind(StrEnum):
    """What a value is. Whole numbers, decimals and amounts of money are all numbers."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    ENUM = "enum"
    DATE = "date"
    TIME = "time"
    INSTANT = "instant"
    UUID = "uuid"
    NULL = "null"
    UNKNOWN = "unknown"


ORDERED = (Kind.NUMBER, Kind.DATE, Kind.TIME, Kind.INSTANT)
"""Texts are not: each database, Python and JavaScript order them differently."""


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value, and whether it may be null.

    Of numbers: `low`, `high` (both inclusive), `scale` (digits after the point) and `currency`,
    which is None for plain numbers and empty for money whose currency isn't named; `decimal` marks
    fields that hold decimals, whatever their scale. Of enums: their `name` and `members`. Of texts
    whose every possible value is written in the expression: `members`. `constant` says that it is
    written as a literal, and so takes the type of what it stands beside.
    """

    kind: Kind
    nullable: bool = False
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    scale: int = 0
    currency: str | None = None
    name: str = ""
    members: frozenset[str] | None = None
    constant: bool = False
    decimal: bool = False

    @property
    def optional(self) -> Type:
        return self if self.nullable else replace(self, nullable=True)

    @property
    def given(self) -> Type:
        return replace(self, nullable=False) if self.nullable else self

    def within(self, low: int | Decimal, high: int | Decimal) -> Type:
        """The number with narrower bounds."""
        return replace(self, low=Fraction(low), high=Fraction(high))

    @property
    def digits(self) -> int:
        """Digits before and after the point of the longest value."""
        return whole_digits(self) + self.scale

    def __str__(self) -> str:
        """As a person calls it."""
        if self.kind is Kind.NUMBER:
            if self.currency is not None:
                return f"money in {self.currency}" if self.currency else "money"
            return "decimal" if self.scale else "integer"
        return f"enum `{self.name}`" if self.kind is Kind.ENUM else self.kind.value


def whole_digits(type: Type) -> int:
    largest = int(max(abs(type.low), abs(type.high)))
    return len(str(largest)) if largest else 0


def number(low: Fraction, high: Fraction, scale: int, currency: str | None = None) -> Type:
    return Type(Kind.NUMBER, low=low, high=high, scale=scale, currency=currency)


def integer(low: int = SMALLEST_INTEGER, high: int = LARGEST_INTEGER) -> Type:
    """A whole number within these bounds; 64 bits without them."""
    return number(Fraction(low), Fraction(high), 0)


def decimal(precision: int, scale: int) -> Type:
    """An exact decimal of so many digits, `scale` of them after the point."""
    most = Fraction(10**precision - 1, 10**scale)
    return replace(number(-most, most, scale), decimal=True)


def money(currency: str, precision: int, scale: int) -> Type:
    """An amount of one currency."""
    return replace(decimal(precision, scale), currency=currency)


def enum(name: str, members: Iterable[str]) -> Type:
    return Type(Kind.ENUM, name=name, members=frozenset(members))


TEXT = Type(Kind.TEXT)
BOOLEAN = Type(Kind.BOOLEAN)
DATE = Type(Kind.DATE)
TIME = Type(Kind.TIME)
INSTANT = Type(Kind.INSTANT)
UUID = Type(Kind.UUID)
NULL = Type(Kind.NULL, nullable=True, constant=True)
UNKNOWN = Type(Kind.UNKNOWN)
"""The type of what was already found wrong; it fits everywhere, so that one fault is one."""


@dataclass(frozen=True, slots=True)
class ToOne:
    """A relation to at most one record of `shape`; to none when it is `nullable`."""

    shape: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """The names of one kind of record. `many` maps to-many relations to the shapes behind them."""

    fields: Mapping[str, Type]
    one: Mapping[str, ToOne] = field(default_factory=dict)
    many: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression can see.

    `record` is the shape of the record at hand, among `shapes`; None where there is none. `input`
    is what the caller of an operation sends, `user` what is known of the signed-in person. The
    names `input` and `user` always mean these.
    """

    record: str | None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    input: Mapping[str, Type] = field(default_factory=dict)
    user: Mapping[str, Type] = field(default_factory=dict)

    def root(self, name: str) -> Mapping[str, Type] | None:
        """The values under `input` and `user`."""
        return {"input": self.input, "user": self.user}.get(name)
