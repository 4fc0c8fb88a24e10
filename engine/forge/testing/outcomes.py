"""Values of a record's fields, and what expressions on it come to with them.

There are those with which it fulfils the guard of a transition, those with which it doesn't, and
those that show what a computed field says. They are looked for among the values that its fields
take, with the reference evaluator. What is found holds on any day: a guard that asks for the date
is tried at moments far apart.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, product
from uuid import UUID

from engine.forge.blueprint.model import FieldType
from engine.forge.expressions.evaluate import Environment, evaluate
from engine.forge.expressions.terms import Term
from engine.forge.expressions.terms import Value as Plain
from engine.forge.resolve import (
    ResolvedColumn,
    ResolvedComputed,
    ResolvedEntity,
    ResolvedTransition,
)
from engine.forge.testing.literals import fits
from engine.forge.testing.rooms import values_of
from engine.forge.testing.values import Value
from engine.kernel.errors import InvalidInput

MOST_TRIED = 20_000
MOST_COMPUTED = 500
"""Combinations of values for which a computed field is worked out."""

MOST_EXAMPLES = 4
_LINE_ROOM = 70
"""Characters of the values of an example, which is shown in one line."""

_MOMENTS = tuple(dt.datetime(year, 6, 15, 12, tzinfo=dt.UTC) for year in (2000, 2026, 2100))
_FAR = {
    FieldType.DATE: ("1950-01-01", "1950-01-15", "2500-01-01", "2500-01-15"),
    FieldType.INSTANT: (
        *("1950-01-01T00:00:00Z", "1950-01-15T00:00:00Z"),
        *("2500-01-01T00:00:00Z", "2500-01-15T00:00:00Z"),
    ),
}
"""Two on either side of every moment: a guard may ask for a period that is over."""
_SOMEBODY = UUID("5a3c9b1e-0000-4000-8000-000000000001")

Values = Mapping[str, Value]
"""Values of fields as a request carries them. `True` for a relation stands for any record."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """`unready` is None when nothing was found that breaks the guard."""

    ready: Values
    unready: Values | None


def readiness(entity: ResolvedEntity, move: ResolvedTransition, distinct: int) -> Readiness:
    """Raises `InvalidInput` when no values are found that fulfil the guard: then no transition
    could ever be tested."""
    assert move.guard is not None
    outcomes: dict[bool, Values] = {}
    for sent, plain in islice(_choices(entity, move.guard.term, distinct), MOST_TRIED):
        outcome = _outcome(entity, move, plain)
        if outcome is not None:
            outcomes.setdefault(outcome, sent)
        if len(outcomes) == 2:
            break
    if True not in outcomes:
        raise InvalidInput(
            f"No values were found that let {entity.name} {move.name!r}: {move.guard.text}.",
            mend="Write a guard that records can fulfil on any day.",
            path=f"entities.{entity.name}.lifecycle.transitions.{move.name}.guard",
        )
    return Readiness(outcomes[True], outcomes.get(False))


@dataclass(frozen=True, slots=True)
class Example:
    """Once a new record has these values its computed field is answered so."""

    values: Values
    answer: Value


def examples(
    entity: ResolvedEntity, computed: ResolvedComputed, distinct: int
) -> tuple[Example, ...]:
    """A few whose answers all differ, null among them where it was found."""
    lifecycle = entity.lifecycle
    state = {lifecycle.field: lifecycle.initial.name} if lifecycle else {}
    found: dict[Value, Example] = {}
    for sent, plain in islice(_choices(entity, computed.term, distinct), MOST_COMPUTED):
        # Which records relations lead to is only known once there are any.
        related = [relation.field for relation in entity.to_one if sent.get(relation.field)]
        if len(related) > 1 or not fits(dict(sent), _LINE_ROOM):
            continue
        value = evaluate(computed.term, Environment({**plain, **state}, _MOMENTS[0]))
        answer = _answer(computed.shown, value)
        found.setdefault(answer, Example(sent, answer))
    null = [found.pop(None)] if None in found else []
    others = [*found.values()]
    step = max(1, len(others) // (MOST_EXAMPLES - 1))
    return (*null, *others[::step][: MOST_EXAMPLES - len(null)])


def _answer(shown: ResolvedColumn, value: Plain) -> Value:
    """A value as an answer carries it."""
    if isinstance(value, bool) or value is None:
        return value
    if shown.scale is not None and isinstance(value, int | Decimal):
        return f"{Decimal(value):.{shown.scale}f}"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return int(value) if isinstance(value, int | Decimal) else str(value)


def _outcome(
    entity: ResolvedEntity, move: ResolvedTransition, plain: Mapping[str, Plain]
) -> bool | None:
    """What the guard says in every state of departure and on any day; None when that differs."""
    assert move.guard is not None
    assert entity.lifecycle is not None
    said = {
        bool(evaluate(move.guard.term, Environment({**plain, **state}, now)))
        for state in ({entity.lifecycle.field: source.name} for source in move.sources)
        for now in _MOMENTS
    }
    return said.pop() if len(said) == 1 else None


def _choices(
    entity: ResolvedEntity, term: Term, distinct: int
) -> Iterator[tuple[Values, Mapping[str, Plain]]]:
    """Combinations of values of what the expression reads: as sent, and as it sees them."""
    asked = {part.value[0] for part in term.walk() if part.operation == "name"}
    names, candidates = [], []
    for column in entity.columns:
        if column.name in asked:
            names.append(column.name)
            candidates.append(_candidates(entity, column, distinct))
    for relation in entity.to_one:
        if relation.name in asked:
            names.append(relation.field)
            there: list[tuple[Value, Plain]] = [(True, _SOMEBODY)]
            candidates.append(there if relation.required else [*there, (None, None)])
    seen = {relation.field: relation.name for relation in entity.to_one}
    for chosen in product(*candidates):
        sent = {name: value for name, (value, _) in zip(names, chosen, strict=True)}
        plain = {seen.get(name, name): one for name, (_, one) in zip(names, chosen, strict=True)}
        yield sent, plain


def _candidates(
    entity: ResolvedEntity, column: ResolvedColumn, distinct: int
) -> list[tuple[Value, Plain]]:
    examples = values_of(entity, column, distinct)
    # The first samples of a distinct field stand in other rows already.
    sent: list[Value] = [*reversed(examples.samples)][: 4 if column.distinct else None]
    sent += [case.value for case in examples.accepted]
    sent += _FAR.get(column.type, ())
    sent += [] if column.required else [None]
    return [(value, _plain(column, value)) for value in sent]


def _plain(column: ResolvedColumn, value: Value) -> Plain:
    """A JSON value as expressions see it."""
    if value is None or not isinstance(value, str):
        assert value is None or isinstance(value, bool | int)
        return value
    match column.type:
        case FieldType.DECIMAL | FieldType.MONEY:
            return Decimal(value)
        case FieldType.DATE:
            return dt.date.fromisoformat(value)
        case FieldType.TIME:
            return dt.time.fromisoformat(value)
        case FieldType.INSTANT:
            return dt.datetime.fromisoformat(value)
        case FieldType.UUID:
            return UUID(value)
        case _:
            return value
