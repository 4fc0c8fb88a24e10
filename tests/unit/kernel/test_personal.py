"""Answers are opened wherever a sealed value lies in them, and each value once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError, create_model

from engine.kernel.contracts import View
from engine.kernel.personal import PersonalText, Sealed, SubjectId, opened


class Line(View):
    label: PersonalText
    more: dict[str, list[PersonalText]] = {}


class Page(View):
    personal: ClassVar[bool] = True
    items: list[Line]
    next: str | None = None


class Upper:
    """Opens a value to its place in capitals, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Sealed] = []

    async def open(self, values: Sequence[Sealed]) -> Sequence[str]:
        self.asked += values
        return [value.place.upper() for value in values]


def sealed(place: str) -> Sealed:
    return Sealed(subject="user:1", place=place, sealed="AA==")


async def test_values_are_opened_wherever_they_lie() -> None:
    page = Page(
        items=[
            Line(label=sealed("a"), more={"x": [sealed("b"), "clear"]}),
            Line(label=sealed("a")),
            Line(label="clear"),
        ]
    )
    opener = Upper()
    found = await opened(page, opener)
    assert found.items[0] == Line(label="A", more={"x": ["B", "clear"]})
    assert [line.label for line in found.items] == ["A", "A", "clear"]
    assert [value.place for value in opener.asked] == ["a", "b"]
    assert page.items[0].label == sealed("a"), "the answer that is remembered stays sealed"


async def test_an_answer_without_any_is_not_asked_about() -> None:
    opener = Upper()
    page = Page(items=[Line(label="clear")])
    assert await opened(page, opener) is page and not opener.asked


def test_a_sealed_value_survives_being_remembered() -> None:
    page = Page(items=[Line(label=sealed("a"))])
    assert Page.model_validate(page.model_dump(mode="json")) == page
    assert Line.model_json_schema()["properties"]["label"]["type"] == "string"


MODEL: Any = create_model("Named", id=(SubjectId, ...))


@pytest.mark.parametrize("id", ["user:0198c3", "token:ab", "a-b:C.d_e-f"])
def test_a_subject_is_named_by_kind_and_id(id: str) -> None:
    assert MODEL(id=id).id == id


@pytest.mark.parametrize(
    "id", ["", "user", "user:", ":1", "amal@example.com", "User:1", "user:a b", "user:" + "x" * 120]
)
def test_a_name_or_address_is_no_subject(id: str) -> None:
    with pytest.raises(ValidationError):
        MODEL(id=id)
