"""Example values of fields, and how many rows they leave room for."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.forge.blueprint.model import FieldType
from engine.forge.blueprint.source import load
from engine.forge.fields import seconds_of
from engine.forge.resolve import ResolvedColumn, resolve
from engine.forge.testing.rooms import PLENTY, Room, rooms
from engine.forge.testing.values import SAMPLES, values

BLUEPRINTS = Path(__file__).parents[2] / "integration" / "blueprints"
NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY)
TEXTS = (FieldType.STRING, FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL)


def columns() -> dict[str, ResolvedColumn]:
    platform = resolve(load((BLUEPRINTS / "every-type.yaml").read_text("utf-8")).blueprint)
    return {
        f"{entity.name}.{column.name}": column
        for entity in platform.entities
        for column in entity.columns
    }


COLUMNS = columns()
_ORDER: dict[FieldType, Callable[[Any], Any]] = {
    **dict.fromkeys(NUMBERS, lambda value: Decimal(str(value))),
    FieldType.DURATION: seconds_of,
}


@pytest.fixture(params=COLUMNS)
def column(request: pytest.FixtureRequest) -> ResolvedColumn:
    return COLUMNS[request.param]


def inside(column: ResolvedColumn, value: object) -> bool:
    """Whether the column's own limits allow the value; what they don't speak of is allowed."""
    if column.type in NUMBERS:
        try:
            number = Decimal(str(value))
        except ArithmeticError:
            return False
        exponent = number.as_tuple().exponent
        places = -exponent if isinstance(exponent, int) else PLENTY
        assert column.minimum is not None
        assert column.maximum is not None
        return places <= (column.scale or 0) and column.minimum <= number <= column.maximum
    if column.type in TEXTS:
        assert column.max_length is not None
        return (
            isinstance(value, str)
            and column.min_length <= len(value) <= column.max_length
            and (column.pattern is None or re.fullmatch(column.pattern, value) is not None)
        )
    if column.enum is not None:
        return value in {one.name for one in column.enum.values}
    return True


def test_samples_are_valid_different_and_ascending(column: ResolvedColumn) -> None:
    samples = values(column, 12).samples

    assert samples
    assert all(inside(column, value) for value in samples)
    assert all(samples.count(value) == 1 for value in samples)
    if column.type is not FieldType.JSON:
        assert samples == tuple(sorted(samples, key=_ORDER.get(column.type, str)))


def test_unique_columns_have_as_many_samples_as_are_asked_for() -> None:
    assert len(values(COLUMNS["Bounded.code"], 30).samples) == 30
    assert len(values(COLUMNS["Bounded.day"], 30).samples) == 30
    assert len(values(COLUMNS["Scarce.flag"], 30).samples) == 2
    assert len(values(COLUMNS["Plain.a_date"], 30).samples) == SAMPLES


def test_accepted_values_are_inside(column: ResolvedColumn) -> None:
    assert [case for case in values(column).accepted if not inside(column, case.value)] == []


def test_rejected_values_are_outside(column: ResolvedColumn) -> None:
    rejected = values(column).rejected

    assert rejected
    if column.type in (*NUMBERS, *TEXTS) or column.enum is not None:
        assert [case for case in rejected if inside(column, case.value)] == []


@pytest.mark.parametrize(
    ("name", "accepted", "rejected"),
    [
        ("Bounded.exact", {"shortest": "aaa", "longest": "aaa"}, {"too short": "aa"}),
        ("Bounded.count", {"smallest": -5, "largest": 100}, {"too small": -6, "too large": 101}),
        ("Bounded.whole", {"largest": -3}, {"too large": -2}),
        ("Bounded.ratio", {"smallest": "0.5000"}, {"too small": "0.4999", "too large": "1.2501"}),
        ("Bounded.dinars", {"smallest": "0.005"}, {"too small": "0.004"}),
        ("Bounded.yen", {"largest": "1000000"}, {"too many places": "1.1"}),
        ("Bounded.site", {"longest": "https://example.com/".ljust(90, "a")}, {}),
        ("Defaulted.count", {"smallest": 0}, {"too small": -1, "a fraction": 1.5}),
    ],
)
def test_limits_are_hit_exactly(
    name: str, accepted: dict[str, object], rejected: dict[str, object]
) -> None:
    examples = values(COLUMNS[name])

    taken = {case.name: case.value for case in examples.accepted}
    refused = {case.name: case.value for case in examples.rejected}
    assert accepted.items() <= taken.items()
    assert rejected.items() <= refused.items()


def test_room_follows_from_scarce_values() -> None:
    platform = resolve(load((BLUEPRINTS / "scarce.yaml").read_text("utf-8")).blueprint)

    room = rooms(platform, 30)

    assert room["Person"].free >= PLENTY
    # Five grades: the standing row, the spare one, and three more.
    assert room["Grading"] == Room(spare=True, free=3)
    # Six lockers: its own two, one for the spare key, and three more for lockers or for keys.
    assert room["Locker"] == Room(spare=True, free=3)
    assert room["Key"] == Room(spare=True, free=3)
    assert room["Switch"] == Room(spare=True, free=1)


def test_single_row_leaves_no_room() -> None:
    platform = resolve(load((BLUEPRINTS / "every-type.yaml").read_text("utf-8")).blueprint)

    room = rooms(platform, 12)

    assert room["Single"] == Room(spare=False, free=0)
    assert room["Scarce"] == Room(spare=True, free=0)
    assert room["Plain"].free >= PLENTY
