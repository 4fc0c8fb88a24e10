"""Events that were stored in an older shape are read in today's."""

from __future__ import annotations

from typing import Any, Self

import pytest

from engine.kernel.contracts import Catalogue, Document, Event
from engine.kernel.errors import UnknownEvent


def _split_name(data: dict[str, Any]) -> dict[str, Any]:
    first, _, last = data.pop("name").partition(" ")
    return {**data, "first": first, "last": last}


class Hired(Event):
    type = "person.hired"
    schema_version = 3
    upcasts = {1: _split_name, 2: lambda data: {**data, "country": "SA"}}

    first: str
    last: str
    country: str


class Person(Document):
    kind = "person"
    events = (Hired,)
    first: str

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert isinstance(event, Hired)
        return cls(first=event.first)


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (1, {"name": "Huda Saleh"}),
        (2, {"first": "Huda", "last": "Saleh"}),
        (3, {"first": "Huda", "last": "Saleh", "country": "SA"}),
        (None, {"first": "Huda", "last": "Saleh", "country": "SA"}),
    ],
)
def test_every_older_version_is_read(version: int | None, data: dict[str, Any]) -> None:
    before = dict(data)
    read = Catalogue([Person]).decode("person.hired", data, version)
    assert read == Hired(first="Huda", last="Saleh", country="SA")
    assert data == before, "what is stored is never changed"


@pytest.mark.parametrize(("type", "version"), [("person.hired", 4), ("person.fired", 1)])
def test_what_is_not_known_is_named(type: str, version: int) -> None:
    with pytest.raises(UnknownEvent, match=type):
        Catalogue([Person]).decode(type, {}, version)


def test_a_version_without_a_way_up_is_refused_at_the_start() -> None:
    class Gap(Event):
        type = "gap.made"
        schema_version = 3
        upcasts = {1: lambda data: data}

    class Holder(Person):
        kind = "holder"
        events = (Gap,)

    with pytest.raises(ValueError, match=r"gap\.made"):
        Catalogue([Holder])


def test_an_event_can_not_call_personal_what_it_has_not() -> None:
    class Named(Event):
        type = "person.named"
        personal = {"name": "person"}
        name: str

    class Register(Document):
        kind = "register"
        events = (Named,)

    with pytest.raises(ValueError, match="personal"):
        Catalogue([Register])
