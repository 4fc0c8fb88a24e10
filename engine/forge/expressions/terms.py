"""Checked expressions: every part with its type, every literal with the value that it means."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from engine.forge.expressions.syntax import Path
from engine.forge.expressions.types import Kind, Type

Value = int | Decimal | str | bool | dt.date | dt.time | dt.datetime | UUID | None


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a checked expression.

    `operation` is `literal`, `name`, an operator of `syntax.LEVELS` or a function of
    `language.FUNCTIONS`. `value` is what a literal means, the path of a name or an aggregate, and
    the digits after the point of `round` and `/`. A `guarded` name may be null, but not where this
    part of the expression counts.
    """

    operation: str
    type: Type
    arguments: tuple[Term, ...] = ()
    value: Any = None
    guarded: bool = False

    def walk(self) -> Iterator[Term]:
        """This part and all parts of it."""
        yield self
        for argument in self.arguments:
            yield from argument.walk()

    @property
    def relations(self) -> frozenset[str]:
        """The to-many relations that must be queried to evaluate the expression."""
        return frozenset(t.value[0] for t in self.walk() if t.operation in ("count", "sum"))


Facts = frozenset[tuple[str, Path]]
"""What is known where a part counts: `("given", path)` is not null, `("nonzero", path)` not 0."""

_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED = {"=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def facts_of(term: Term, outcome: bool) -> Facts:
    """What is known once the condition `term` has this outcome."""
    if term.operation == "not":
        return facts_of(term.arguments[0], not outcome)
    if term.operation in ("and", "or"):
        left, right = (facts_of(each, outcome) for each in term.arguments)
        return left | right if outcome == (term.operation == "and") else left & right
    if term.operation in ("is null", "is not null"):
        there = outcome == (term.operation == "is not null")
        return _given(term.arguments[0]) if there else Facts()
    if term.operation == "in" and outcome:
        tested, *items = term.arguments
        nonzero = tested.type.kind is Kind.NUMBER and all(each.type.low != 0 for each in items)
        return _given(tested) | (_nonzero(tested) if nonzero else Facts())
    if term.operation in _OPPOSITE:
        operator = term.operation if outcome else _OPPOSITE[term.operation]
        left_term, right_term = term.arguments
        return _compared(operator, left_term, right_term) | _compared(
            _MIRRORED[operator], right_term, left_term
        )
    return Facts()


def _given(term: Term) -> Facts:
    """A path that leads to a value leads over records that are there."""
    if term.operation != "name":
        return Facts()
    path: Path = term.value
    return Facts(("given", path[:end]) for end in range(1, len(path) + 1))


def _nonzero(term: Term) -> Facts:
    return Facts({("nonzero", term.value)}) if term.operation == "name" else Facts()


def _compared(operator: str, term: Term, other: Term) -> Facts:
    given = _given(term) if operator == "=" and not other.type.nullable else Facts()
    if term.type.kind is not Kind.NUMBER or other.type.kind is not Kind.NUMBER:
        return given
    low, high = other.type.low, other.type.high
    apart = {
        "=": low > 0 or high < 0,
        "!=": low == high == 0 and not other.type.nullable,
        ">": low >= 0,
        ">=": low > 0,
        "<": high <= 0,
        "<=": high < 0,
    }[operator]
    return given | (_nonzero(term) if apart else Facts())


def retyped(term: Term, type: Type) -> Term:
    """A constant as a value of the type that it stands beside. Raises `ValueError` if it is none.

    `type` gives the kind, the name and the currency; what is known of the constant itself stays.
    """
    if term.type.kind is Kind.NULL:
        return term
    if type.kind is Kind.NUMBER:
        return replace(term, type=replace(term.type, currency=type.currency, constant=False))
    arguments = term.arguments
    if term.operation in ("if", "coalesce"):
        kept = 1 if term.operation == "if" else 0
        arguments = (*arguments[:kept], *(retyped(each, type) for each in arguments[kept:]))
    value = parsed(term.value, type) if term.operation == "literal" else term.value
    settled = replace(type, nullable=term.type.nullable, constant=False)
    return replace(term, type=settled, arguments=arguments, value=value)


def parsed(text: str, type: Type) -> Any:
    """What a quoted literal means as a value of `type`. Raises `ValueError`."""
    if type.kind is Kind.ENUM and text not in (type.members or ()):
        raise ValueError(text)
    if type.kind is Kind.DATE:
        return _exactly(dt.date.fromisoformat(text), text, 10)
    if type.kind is Kind.TIME:
        time = dt.time.fromisoformat(text)
        if time.tzinfo is not None or time.microsecond or len(text) not in (5, 8):
            raise ValueError(text)
        return time
    if type.kind is Kind.INSTANT:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None or len(text) < 17:
            raise ValueError(text)
        try:
            return moment.astimezone(dt.UTC)
        except OverflowError as error:
            raise ValueError(text) from error
    if type.kind is Kind.UUID:
        return UUID(_exactly(text, text, 36))
    return text


def _exactly(value: Any, text: str, length: int) -> Any:
    if len(text) != length:
        raise ValueError(text)
    return value
