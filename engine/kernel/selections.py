"""Typed questions about the documents of one kind, over fields that are indexed.

A kind declares its `indexed` fields. Only these can be asked for or ordered by, so that no question
reads a whole table: a field that is not indexed is refused, not slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from engine.kernel.contracts import Document
from engine.kernel.errors import InvalidInput


class Sort(StrEnum):
    """How the values of a field compare."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class OneOf:
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Both ends belong to it; None leaves an end open."""

    low: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class StartsWith:
    text: str


Condition = OneOf | Between | StartsWith


@dataclass(frozen=True, slots=True)
class Selection:
    """All conditions hold. By `order` and then id, or by id alone; after the document `after`.

    Texts are in the order of their code points. Documents without a value for `order` are left out.
    """

    where: Mapping[str, Condition] = field(default_factory=dict)
    order: str | None = None
    descending: bool = False
    after: str | None = None
    limit: int = 50


def sort_of(document: type[Document], name: str) -> Sort:
    """How a field compares. Raises `InvalidInput` for one that can't be asked for."""
    if name not in document.indexed:
        known = ", ".join(document.indexed) or "none"
        raise InvalidInput(
            f"A {document.kind} can't be looked up by {name!r}.",
            mend=f"Fields that it can be looked up by: {known}.",
        )
    return _sort(document.model_fields[name].annotation)


def value_of(document: type[Document], name: str, given: Any) -> Any:
    """A value as the field has it. Raises `InvalidInput` for one that the field never has."""
    annotation: Any = document.model_fields[name].annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        found = adapter.validate_python(given)
    except ValidationError as error:
        raise InvalidInput(
            f"{str(given)[:100]!r} is no {name} of a {document.kind}: "
            f"{error.errors(include_url=False)[0]['msg']}.",
            errors=[{"path": name, "message": "the field never has this value"}],
        ) from error
    return found.value if isinstance(found, Enum) else found


def parsed(document: type[Document], conditions: list[str]) -> dict[str, Condition]:
    """Conditions from texts: `field:value`, `field:a|b`, `field:low..high`, `field:prefix*`.

    Raises `InvalidInput` for a text that is none, or a value that the field never has.
    """
    found: dict[str, Condition] = {}
    for text in conditions:
        name, colon, rest = text.partition(":")
        if not colon or not rest or name in found:
            raise InvalidInput(
                f"{text[:100]!r} is no condition, or a second one for its field.",
                mend="Write field:value, field:a|b, field:low..high or field:prefix*.",
            )
        found[name] = _condition(document, name, rest)
    return found


def _condition(document: type[Document], name: str, rest: str) -> Condition:
    sort = sort_of(document, name)
    if sort is Sort.TEXT and rest.endswith("*"):
        return StartsWith(rest[:-1])
    low, dots, high = rest.partition("..")
    if dots:
        ends = [value_of(document, name, each) if each else None for each in (low, high)]
        return Between(*ends)
    return OneOf(tuple(value_of(document, name, each) for each in rest.split("|")))


def _sort(annotation: Any) -> Sort:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _sort(get_args(annotation)[0])
    if origin in (Union, UnionType):
        (inner,) = (each for each in get_args(annotation) if each is not NoneType)
        return _sort(inner)
    if origin is Literal:
        return Sort.TEXT
    for kind, sort in (
        (bool, Sort.FLAG),
        (str, Sort.TEXT),
        (int, Sort.INTEGER),
        (Decimal, Sort.NUMBER),
        (datetime, Sort.INSTANT),
    ):
        if isinstance(annotation, type) and issubclass(annotation, kind):
            return sort
    raise TypeError(f"values of {annotation!r} can't be indexed")
