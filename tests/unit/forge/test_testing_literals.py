"""Python source for data."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.forge.testing.literals import WIDTH, Call, Name, fits, source

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(DATA)
def test_source_means_the_value(value: object) -> None:
    assert eval(source(value)) == value


def test_what_fits_stays_in_one_line() -> None:
    assert source(Call("Case", {"value": 1}, ("name",))) == 'Case("name", value=1)'
    assert source((1,)) == "(1,)"
    assert source(()) == "()"


def test_what_does_not_fit_goes_one_item_per_line() -> None:
    words = tuple(f"word number {n}" for n in range(12))

    text = source(Call("Field", {"samples": words, "kind": "string"}), indent=4)

    lines = text.splitlines()
    assert lines[:3] == ["Field(", "        samples=(", '            "word number 0",']
    assert lines[-2:] == ['        kind="string",', "    )"]
    assert all(len(line) <= WIDTH for line in lines)
    ast.parse(text)


def test_long_runs_are_written_as_products() -> None:
    assert source("a" * 120) == '"a" * 120'
    assert source("AB-" + "0" * 300 + "x") == '"AB-" + "0" * 300 + "x"'


@given(st.text(alphabet="ab\"'\\\u0627\n", max_size=60))
def test_text_keeps_its_meaning_and_stays_ascii(text: str) -> None:
    written = source(text)

    assert eval(written) == text
    assert written.isascii()


def test_room_is_measured() -> None:
    assert fits("abc", 5)
    assert not fits("abc", 4)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        source(object())


def test_names_are_written_as_they_stand() -> None:
    assert source((Name("doctor.PROMISE"),)) == "(doctor.PROMISE,)"
