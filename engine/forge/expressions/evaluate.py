"""The reference evaluator: what a checked expression means, on Python values.

It computes with fractions, so that every digit is exact and rounding is done once, where the
language says so. Printers must agree with it on every expression and every record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from engine.forge.expressions.terms import Term, Value

_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
_UPPER = str.maketrans({chr(code): chr(code - 32) for code in range(ord("a"), ord("z") + 1)})
_FIRST, _LAST = dt.date.min.toordinal(), dt.date.max.toordinal()


@dataclass(frozen=True, slots=True)
class Environment:
    """The values that an expression is evaluated with.

    `values` holds them by dotted path (`total`, `customer.name`, `input.reason`, `user.id`): whole
    numbers as `int`, decimals as `Decimal`, enums as `str`, instants as aware `datetime`. `rows`
    holds the records behind each to-many relation. `now` is aware.
    """

    values: Mapping[str, Value]
    now: dt.datetime
    rows: Mapping[str, Sequence[Mapping[str, Value]]] = field(default_factory=dict)


def evaluate(term: Term, environment: Environment) -> Value:
    """The value of the expression; numbers with as many digits after the point as their type has.

    Never fails on values that their types describe.
    """
    value = _value(term, environment)
    found: Value = _plain(value, term.type.scale) if isinstance(value, Fraction) else value
    return found


def _plain(value: Fraction, scale: int) -> int | Decimal:
    units = value * 10**scale
    assert units.denominator == 1
    if not scale:
        return int(units)
    sign, digits = int(units < 0), tuple(map(int, str(abs(units.numerator))))
    return Decimal((sign, digits, -scale))


def _value(term: Term, environment: Environment) -> Any:
    operation = term.operation
    if operation == "literal":
        return _number(term.value)
    if operation == "name":
        return _number(environment.values[".".join(term.value)])
    if operation in ("and", "or"):
        left = _value(term.arguments[0], environment)
        if left == (operation == "or"):
            return left
        return _value(term.arguments[1], environment)
    if operation == "if":
        chosen = 1 if _value(term.arguments[0], environment) else 2
        return _value(term.arguments[chosen], environment)
    if operation in ("count", "sum"):
        return _aggregate(term, environment)
    if operation == "now":
        return environment.now.astimezone(dt.UTC)
    if operation == "today":
        return environment.now.astimezone(dt.UTC).date()
    values = [_value(each, environment) for each in term.arguments]
    if operation in ("/", "round"):
        return _rounded(term, values)
    return _FUNCTIONS[operation](*values)


def _number(value: Any) -> Any:
    plain = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return Fraction(value) if plain else value


def _rounded(term: Term, values: list[Fraction]) -> Fraction | None:
    if term.operation == "/":
        if values[1] == 0:
            return None
        return half_up(values[0] / values[1], term.value)
    return half_up(values[0], term.value)


def half_up(value: Fraction, digits: int) -> Fraction:
    """The nearest value with so many digits after the point; half-way goes away from zero."""
    units = abs(value) * 10**digits + Fraction(1, 2)
    nearest = Fraction(units.numerator // units.denominator, 10**digits)
    return nearest if value >= 0 else -nearest


def _aggregate(term: Term, environment: Environment) -> Fraction:
    rows = environment.rows[term.value[0]]
    if term.operation == "count":
        return Fraction(len(rows))
    values = [_number(row[term.value[1]]) for row in rows]
    return sum((each for each in values if each is not None), Fraction(0))


def _add_days(day: dt.date, days: Fraction) -> dt.date:
    ordinal = day.toordinal() + int(days)
    return dt.date.fromordinal(max(_FIRST, min(_LAST, ordinal)))


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not value,
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": lambda value, *items: value in items,
    "is null": lambda value: value is None,
    "is not null": lambda value: value is not None,
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "negate": lambda value: -value,
    "length": lambda text: Fraction(len(text)),
    "lower": lambda text: text.translate(_LOWER),
    "upper": lambda text: text.translate(_UPPER),
    "trim": lambda text: text.strip(" "),
    "contains": lambda text, part: part in text,
    "starts_with": lambda text, part: text.startswith(part),
    "concat": lambda *texts: "".join(texts),
    "coalesce": _first,
    "abs": abs,
    "min": min,
    "max": max,
    "date": lambda moment: moment.astimezone(dt.UTC).date(),
    "year": lambda day: Fraction(day.year),
    "days_between": lambda first, second: Fraction((second - first).days),
    "add_days": _add_days,
}
