"""The type that values share which are compared or chosen between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.forge.blueprint.problems import closest, listed, quoted
from engine.forge.expressions.terms import Term, retyped
from engine.forge.expressions.types import NULL, Kind, Type

_EXAMPLES = {
    Kind.DATE: "a date such as '2026-01-31'",
    Kind.TIME: "a time such as '09:30'",
    Kind.INSTANT: "an instant with its offset, such as '2026-01-31T09:30:00Z'",
    Kind.UUID: "a uuid such as '123e4567-e89b-12d3-a456-426614174000'",
}


@dataclass(frozen=True, slots=True)
class Met:
    """The common type, null if any value may be, and the values with constants taken to it."""

    type: Type
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Apart:
    """Why values have nothing in common; `at` is the index of the one that doesn't fit."""

    at: int
    message: str
    suggestion: str | None = None


def meet(terms: Sequence[Term]) -> Met | Apart:
    """What the values have in common, or why nothing.

    A constant takes the type of what it stands beside: a quoted literal becomes a date, a member
    of an enum …, a number an amount of money.
    """
    settled = [t for t in terms if not t.type.constant]
    typed = [t for t in terms if t.type.kind is not Kind.NULL]
    if not typed:
        return Met(NULL, tuple(terms))
    lead = (settled or typed)[0].type
    found: list[Term] = []
    for at, term in enumerate(terms):
        other = term.type
        if other.constant and other.kind is not Kind.NULL and settled:
            if not _takes(lead, other):
                return Apart(at, _apart(lead, other))
            try:
                term = retyped(term, lead)
            except ValueError:
                return _no_value(at, lead, other)
        elif other.kind is not Kind.NULL and not _alike(lead, other):
            return Apart(at, _apart(lead, other))
        found.append(term)
    return Met(_common([t.type for t in found]), tuple(found))


def _takes(type: Type, constant: Type) -> bool:
    return type.kind is constant.kind or (
        constant.kind is Kind.TEXT and type.kind in (Kind.ENUM, *_EXAMPLES)
    )


def _alike(one: Type, other: Type) -> bool:
    named = one.kind in (Kind.ENUM, Kind.UUID) and (one.name and other.name)
    same = one.name == other.name if named else True
    return one.kind is other.kind and one.currency == other.currency and same


def _common(types: Sequence[Type]) -> Type:
    typed = [type for type in types if type.kind is not Kind.NULL]
    members = typed[0].members
    if typed[0].kind is Kind.TEXT:
        known = [type.members for type in typed if type.members is not None]
        members = frozenset().union(*known) if len(known) == len(typed) else None
    return replace(
        typed[0],
        nullable=any(type.nullable for type in types),
        low=min(type.low for type in typed),
        high=max(type.high for type in typed),
        scale=max(type.scale for type in typed),
        members=members,
        constant=all(type.constant for type in types),
    )


def _apart(one: Type, other: Type) -> str:
    if one.kind is other.kind is Kind.NUMBER:
        if one.currency and other.currency:
            return f"`{one.currency}` and `{other.currency}` are different currencies"
        return f"{one} and {other} don't go together; only a number that is written out fits both"
    if one.kind is other.kind is Kind.UUID:
        return f"one is the id of a `{one.name}`, the other of a `{other.name}`"
    if {one.kind, other.kind} == {Kind.ENUM, Kind.TEXT}:
        return "an enum fits only its own values, written out; a text may be anything"
    return f"{one} and {other} don't go together"


def _no_value(at: int, type: Type, constant: Type) -> Apart:
    words = sorted(constant.members or ())
    if type.kind is not Kind.ENUM:
        return Apart(at, f"{quoted(words[0])} is not {_EXAMPLES[type.kind]}")
    members = sorted(type.members or ())
    wrong = next(word for word in words if word not in members)
    meant = closest(wrong, members)
    hint = f"is `{meant}` meant?" if meant else f"there is {listed(members, 8)}"
    suggestion = f"'{meant}'" if meant and len(words) == 1 else None
    return Apart(at, f"{quoted(wrong)} is no value of enum `{type.name}`; {hint}", suggestion)
