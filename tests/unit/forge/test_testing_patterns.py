"""Examples of regular expressions."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.forge.testing.patterns import (
    PatternNotSampled,
    matching,
    matching_length,
    not_matching,
)

PATTERNS = [
    r"[A-Z]{2}-[0-9]{4,8}",
    r"^\+966\d{9}$",
    r"(foo|ba[rz])+x?",
    r"[^a-c]{3}",
    r"\w+@\w+\.(com|org)",
    r"(?=.*\d)[a-z0-9]{4}",
    "[\u0627-\u064a ]{2,5}",
    r"(?i:abc)[\s\S]*",
    r"(a+)+b",
    r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}",
    r"\S+?\s\D",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_examples_match_and_differ(pattern: str) -> None:
    found = matching(pattern, shortest=0, longest=60, count=12)

    assert len(set(found)) == len(found)
    assert all(re.fullmatch(pattern, text) for text in found)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_examples_are_always_the_same(pattern: str) -> None:
    first = matching(pattern, shortest=0, longest=60, count=5)

    assert matching(pattern, shortest=0, longest=60, count=5) == first


@pytest.mark.parametrize("pattern", PATTERNS)
def test_counter_example_does_not_match(pattern: str) -> None:
    wrong = not_matching(pattern, shortest=1, longest=60)

    assert wrong is None or not re.fullmatch(pattern, wrong)


def test_pattern_that_takes_everything_has_no_counter_example() -> None:
    assert not_matching(r"[\s\S]*", shortest=1, longest=9) is None


@pytest.mark.parametrize("length", [7, 8, 11])
def test_example_of_an_exact_length(length: int) -> None:
    text = matching_length(r"[A-Z]{2}-[0-9]{4,8}", length)

    assert text is not None
    assert len(text) == length


@pytest.mark.parametrize("length", [0, 6, 12])
def test_no_example_of_an_impossible_length(length: int) -> None:
    assert matching_length(r"[A-Z]{2}-[0-9]{4,8}", length) is None


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", r"a{5}", "[^\\s\\S]"])
def test_pattern_without_an_example_is_named(pattern: str) -> None:
    with pytest.raises(PatternNotSampled):
        matching(pattern, shortest=0, longest=4, count=1)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["a", "[b-e]", r"\d", "x?", "[0-9]{2}", "."]),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
            inner.map(lambda part: f"(?:{part}){{1,3}}"),
        ),
        max_leaves=6,
    )
)
def test_any_pattern_of_plain_parts_has_examples(pattern: str) -> None:
    found = matching(pattern, shortest=0, longest=200, count=3)

    assert all(re.fullmatch(pattern, text) for text in found)
