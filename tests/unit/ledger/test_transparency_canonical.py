"""The bytes that stand for an event: one form, and no two events with the same."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.kernel.contracts import Recorded, canonical_json
from engine.ledger.transparency.canonical import SAFE, event_bytes, event_of, simple

EVENT = Recorded(
    tenant="acme",
    xid=741,
    position=12,
    kind="platform",
    id="clinic",
    version=1,
    event_id="01980000-0000-7000-8000-000000000000",
    type="platform.requested",
    schema_version=1,
    data={"name": "clinic", "ar": "عيادة", "n": 1.0},
    metadata={"caller": "token:1"},
    at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)


def with_data(value: Any) -> bytes:
    return event_bytes(replace(EVENT, data={"v": value}))


def test_the_form_is_fixed() -> None:
    assert event_bytes(EVENT).decode() == (
        '{"at":"2026-01-02T03:04:05.000006Z","data":{"ar":"عيادة","n":1,"name":"clinic"},'
        '"event_id":"01980000-0000-7000-8000-000000000000","exact":[],"id":"clinic",'
        '"kind":"platform","metadata":{"caller":"token:1"},"schema_version":1,"tenant":"acme",'
        '"type":"platform.requested","version":1}'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "other"},
        {"kind": "run"},
        {"id": "clinics"},
        {"version": 2},
        {"event_id": "01980000-0000-7000-8000-000000000001"},
        {"type": "platform.failed"},
        {"schema_version": 2},
        {"data": {}},
        {"metadata": {}},
        {"at": EVENT.at + timedelta(microseconds=1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_counts(change: dict[str, Any]) -> None:
    assert event_bytes(replace(EVENT, **change)) != event_bytes(EVENT)


def test_the_place_in_the_database_does_not() -> None:
    assert event_bytes(replace(EVENT, xid=1, position=1)) == event_bytes(EVENT)


def test_the_instant_counts_and_not_its_time_zone() -> None:
    elsewhere = EVENT.at.astimezone(timezone(timedelta(hours=3)))
    assert event_bytes(replace(EVENT, at=elsewhere)) == event_bytes(EVENT)
    with pytest.raises(ValueError, match="time zone"):
        event_bytes(replace(EVENT, at=EVENT.at.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (SAFE, "9007199254740991"),
        (-SAFE, "-9007199254740991"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (True, "true"),
        ("\u2028\x7f\n/", '"\u2028\x7f\\n/"'),
    ],
)
def test_values_have_the_form_of_rfc_8785(value: Any, text: str) -> None:
    assert f'"data":{{"v":{text}}}' in with_data(value).decode()


def test_keys_are_sorted_by_utf_16() -> None:
    data = json.loads(with_data({"\ue000": 1, "\U0001f600": 2, "a": 3}))["data"]["v"]
    assert list(data) == ["a", "\U0001f600", "\ue000"]


LARGE = st.integers(min_value=SAFE + 1) | st.integers(max_value=-SAFE - 1)


@given(LARGE)
def test_a_number_beyond_doubles_is_kept_exactly_and_marked(number: int) -> None:
    content = json.loads(with_data([0, {"a/b~": number}]))
    assert content["exact"] == ["/data/v/1/a~1b~0"]
    assert int(content["data"]["v"][1]["a/b~"], 16) == number
    # Its neighbour, which is the same double, and the text that stands for it are others.
    assert with_data(number) != with_data(number + 1)
    assert with_data(number) != with_data(hex(number))


def test_numbers_of_any_size_and_none_at_all_have_bytes() -> None:
    made = {with_data(value) for value in (10**5000, 10**5000 + 1, float("inf"), float("-inf"))}
    assert len(made) == 4


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def same(one: Any, two: Any) -> bool:
    """Equal as JSON values: numbers by value, and truth values are no numbers."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    return isinstance(one, bool) == isinstance(two, bool) and one == two


@given(JSON, JSON)
def test_different_values_never_share_their_bytes(one: Any, two: Any) -> None:
    assume(not same(one, two))
    assert with_data(one) != with_data(two)
    assert with_data(one) == with_data(one)


@given(JSON)
def test_an_event_comes_back_from_its_bytes_as_it_was(value: Any) -> None:
    event = replace(EVENT, data={"v": value}, xid=0, position=0)
    again = event_of(event_bytes(event).decode())
    assert event_bytes(again) == event_bytes(event)
    assert same(again.data["v"], value)
    assert replace(again, data={}) == replace(event, data={})


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"exact": ["/data/9"], "data": []}', "null"])
def test_what_is_no_event_is_told_as_such(text: str) -> None:
    with pytest.raises(ValueError):
        event_of(text)


TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda parts: st.lists(parts) | st.dictionaries(TEXT, parts),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_simple_has_the_same_bytes_by_either_way(value: Any) -> None:
    if simple(value):
        assert canonical_json(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 'ä\x7f\u2028\x01"\\/', None, True, SAFE, -SAFE]}, True),
        ({"ä": 1}, False),
        ([1.0], False),
        ([SAFE + 1], False),
        ((1,), False),
    ],
)
def test_which_values_are_simple(value: Any, expected: bool) -> None:
    assert simple(value) is expected
    if expected:
        assert canonical_json(value).encode() == rfc8785.dumps(value)
