"""Example values of one field: valid ones, those on each limit, and those just beyond it.

Everything is derived from the field's type and constraints, in the form in which JSON carries it
and the platform answers it (decimals and money as text with all their places, instants in UTC).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice, product

from engine.forge.blueprint.model import FieldType
from engine.forge.fields import duration_text
from engine.forge.resolve import ResolvedColumn
from engine.forge.testing.patterns import (
    LONGEST,
    matching,
    matching_length,
    not_matching,
)

SAMPLES, DISTINCT = 4, 16
Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]


@dataclass(frozen=True)
class Case:
    """A value and, in a few words, what is special about it."""

    name: str
    value: Value


@dataclass(frozen=True)
class Values:
    """`samples` are valid, all different, in ascending order, at least one."""

    samples: tuple[Value, ...]
    accepted: tuple[Case, ...] = ()
    rejected: tuple[Case, ...] = ()


@lru_cache(maxsize=4096)
def values(column: ResolvedColumn, distinct: int = DISTINCT) -> Values:
    """The examples for one field: for a distinct one up to `distinct` (at most 90) samples.

    Raises `PatternNotSampled` when the column's pattern admits no valid value that can be found.
    """
    if not column.distinct:
        return _BY_TYPE[column.type](column, SAMPLES)
    examples = _BY_TYPE[column.type](column, distinct)
    # Samples stand in rows already: a request that repeats one would be a conflict.
    free = tuple(case for case in examples.accepted if case.value not in examples.samples)
    return replace(examples, accepted=free)


def _texts(column: ResolvedColumn, wanted: int) -> Values:
    shortest, longest = column.min_length, column.max_length or LONGEST
    samples = _readable(column, wanted)
    if column.pattern is None:
        samples = samples or list(_words(wanted, shortest, longest))
    elif len(samples) < wanted:
        samples = matching(column.pattern, shortest=max(shortest, 1), longest=longest, count=wanted)
    accepted, rejected = [], [Case("a number instead of text", 7)]
    for name, length in (("shortest", shortest), ("longest", longest)):
        edge = _text_of_length(column, length) if length else None
        if edge is not None:
            accepted.append(Case(name, edge))
    if shortest > 0:
        rejected.append(Case("too short", _beyond(column, shortest - 1)))
    rejected.append(Case("too long", _beyond(column, longest + 1)))
    if column.pattern is not None:
        wrong = not_matching(column.pattern, shortest=max(shortest, 1), longest=longest)
        if wrong is not None:
            rejected.append(Case("against the pattern", wrong))
    rejected += _WRONG_TEXTS.get(column.type, [])
    return Values(tuple(sorted(samples)), tuple(accepted), tuple(rejected))


_READABLE = {
    FieldType.EMAIL: "person{:02d}@example.com",
    FieldType.PHONE: "+9665000000{:02d}",
    FieldType.URL: "https://example.com/page-{:02d}",
    FieldType.SLUG: "sample-{:02d}",
}
_WRONG_TEXTS = {
    FieldType.EMAIL: [Case("no domain", "person@"), Case("no @", "person.example.com")],
    FieldType.PHONE: [Case("letters", "call me now"), Case("too few digits", "+1")],
    FieldType.URL: [Case("no scheme", "example.com"), Case("a script", "javascript:alert(1)")],
    FieldType.SLUG: [Case("a blank", "spring sale"), Case("a hyphen at the end", "sale-")],
}


def _readable(column: ResolvedColumn, wanted: int) -> list[str]:
    """Samples as a person would write them, where the column takes all of them."""
    shape = _READABLE.get(column.type)
    if shape is None or column.pattern is None or column.max_length is None:
        return []
    texts = [shape.format(number) for number in range(1, wanted + 1)]
    return [
        text
        for text in texts
        if column.min_length <= len(text) <= column.max_length
        and re.fullmatch(column.pattern, text)
    ]


def _text_of_length(column: ResolvedColumn, length: int) -> str | None:
    if column.pattern is None:
        return "a" * length
    if column.type is FieldType.SLUG:
        return "a" * length
    if column.type is FieldType.URL:
        address = "https://example.com/".ljust(length, "a")[:length]
        return address if re.fullmatch(column.pattern, address) else None
    return matching_length(column.pattern, length)


def _beyond(column: ResolvedColumn, length: int) -> str:
    """A text of a forbidden length that is otherwise right, where the pattern allows one."""
    return _text_of_length(column, length) or "a" * length


def _words(count: int, shortest: int, longest: int) -> Iterator[str]:
    """Different texts without a blank at either end, in ascending order."""
    if longest >= 9:
        for number in range(1, count + 1):
            yield f"sample {number:02d}".ljust(shortest, "x")
        return
    letters = string.ascii_lowercase
    for parts in islice(product(letters, repeat=min(longest, 2)), count):
        yield "".join(parts).ljust(shortest, "x")


def _integers(column: ResolvedColumn, wanted: int) -> Values:
    low, high = int(column.minimum or 0), int(column.maximum or 0)
    start = max(low, min(1, high - wanted + 1))
    return Values(
        tuple(range(start, min(high, start + wanted - 1) + 1)),
        (Case("smallest", low), Case("largest", high)),
        (
            Case("too small", low - 1),
            Case("too large", high + 1),
            Case("a text instead of a number", "many"),
            Case("a fraction", start % 1000 + 0.5),
        ),
    )


def _decimals(column: ResolvedColumn, wanted: int) -> Values:
    """Counted in the smallest step that the places allow, so that every sum stays exact."""
    places = column.scale or 0
    unit = 10**places
    low, high = (
        int(Decimal(edge or 0).scaleb(places)) for edge in (column.minimum, column.maximum)
    )
    step = unit if high - low >= unit * (wanted - 1) else 1
    start = max(low, min(unit, high - step * (wanted - 1)))
    last = min(start + step * (wanted - 1), high)

    def text(steps: int) -> str:
        return f"{Decimal(steps).scaleb(-places):.{places}f}"

    return Values(
        tuple(map(text, range(start, last + 1, step))),
        (Case("smallest", text(low)), Case("largest", text(high))),
        (
            Case("too small", text(low - 1)),
            Case("too large", text(high + 1)),
            Case("too many places", f"{text(start)}{'' if places else '.'}1"),
            Case("a word", "many"),
            Case("not a number", "NaN"),
        ),
    )


def _booleans(column: ResolvedColumn, wanted: int) -> Values:
    return Values((False, True), (), (Case("neither", "perhaps"),))


def _dates(column: ResolvedColumn, wanted: int) -> Values:
    days = [date(2026, 1, 5) + timedelta(days=n) for n in range(wanted)]
    return Values(
        tuple(day.isoformat() for day in days),
        (Case("a leap day", "2028-02-29"),),
        (Case("a day that doesn't exist", "2026-02-30"), Case("a word", "soon")),
    )


def _times(column: ResolvedColumn, wanted: int) -> Values:
    return Values(
        tuple(f"{8 + n // 12:02d}:{n % 12 * 5:02d}:00" for n in range(wanted)),
        (Case("the first", "00:00:00"), Case("the last", "23:59:59")),
        (Case("an hour that doesn't exist", "25:00:00"), Case("a word", "noon")),
    )


def _instants(column: ResolvedColumn, wanted: int) -> Values:
    days = [date(2026, 1, 5) + timedelta(days=n) for n in range(wanted)]
    return Values(
        tuple(f"{day.isoformat()}T08:00:00Z" for day in days),
        (Case("an instant in UTC", "2026-12-31T23:59:59Z"),),
        (Case("a day that doesn't exist", "2026-02-30T08:00:00Z"), Case("a word", "soon")),
    )


def _durations(column: ResolvedColumn, wanted: int) -> Values:
    return Values(
        tuple(duration_text(900 * number) for number in range(1, wanted + 1)),
        (Case("none", "PT0S"), Case("days and seconds", "P45DT23H59M59S")),
        (
            Case("months, which differ", "P1M"),
            Case("nothing", "P"),
            Case("a word", "long"),
            Case("a number", 900),
        ),
    )


def _json(column: ResolvedColumn, wanted: int) -> Values:
    return Values(
        tuple({"part": number, "tags": ["a", "b"]} for number in range(1, wanted + 1)),
        (
            Case("an empty object", {}),
            Case("a list", [1, 2.5, "three", None, True, {}]),
            Case("the largest exact number", {"n": 2**53 - 1}),
        ),
        (
            Case("a text", "part"),
            Case("a number", 7),
            Case("a number that readers would round", {"n": 2**53}),
            Case("nested too deep", nested(21)),
        ),
    )


def nested(levels: int) -> Value:
    """A list in a list, so many levels deep."""
    value: Value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _uuids(column: ResolvedColumn, wanted: int) -> Values:
    return Values(
        tuple(f"5a3c9b1e-0000-4000-8000-{n:012d}" for n in range(1, wanted + 1)),
        (),
        (Case("not a UUID", "5a3c9b1e"),),
    )


def _choices(column: ResolvedColumn, wanted: int) -> Values:
    choices = [value.name for value in column.enum.values] if column.enum else []
    unknown = next(word for word in ("other_value", "no_such_value") if word not in choices)
    return Values(
        tuple(sorted(choices)),
        tuple(Case(choice, choice) for choice in choices),
        (Case("an unknown value", unknown),),
    )


_BY_TYPE: dict[FieldType, Callable[[ResolvedColumn, int], Values]] = {
    FieldType.STRING: _texts,
    FieldType.TEXT: _texts,
    FieldType.INTEGER: _integers,
    FieldType.DECIMAL: _decimals,
    FieldType.MONEY: _decimals,
    FieldType.BOOLEAN: _booleans,
    FieldType.DATE: _dates,
    FieldType.TIME: _times,
    FieldType.INSTANT: _instants,
    FieldType.UUID: _uuids,
    FieldType.EMAIL: _texts,
    FieldType.PHONE: _texts,
    FieldType.URL: _texts,
    FieldType.SLUG: _texts,
    FieldType.DURATION: _durations,
    FieldType.JSON: _json,
    FieldType.ENUM: _choices,
}
