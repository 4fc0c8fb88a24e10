from __future__ import annotations

import pytest

from engine.ai.screening import MAX_CHARACTERS, screen
from engine.kernel.errors import InvalidInput, NotUnderstood, TooLarge


def test_text_is_normalised_but_not_changed_in_meaning() -> None:
    assert screen("  A  clinic\t with\r\n\r\n patients ") == "A clinic\nwith\npatients"
    assert screen("عيادة\u200f طبية") == "عيادة طبية"
    assert screen("cafe\u0301 menu") == "café menu"


def test_control_characters_become_spaces_and_marks_of_direction_go() -> None:
    assert screen("A\x00clinic\x1b[31m with\u202e doctors\ufeff") == "A clinic [31m with doctors"


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200f\u200b", "\x00\x00"])
def test_empty_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        screen(text)
    assert caught.value.code == "invalid_input"
    assert caught.value.mend is not None and "عيادة" in caught.value.mend


@pytest.mark.parametrize("text", ["12345", "!!! ???", "😀😀", "a b c", "1-2-3 4", "٣ ٤ ٥"])
def test_without_words_nothing_is_understood(text: str) -> None:
    with pytest.raises(NotUnderstood):
        screen(text)


def test_the_limit_is_exact() -> None:
    assert len(screen("ab " * 6_000 + "a" * 2_000)) == MAX_CHARACTERS
    with pytest.raises(TooLarge) as caught:
        screen("a" * (MAX_CHARACTERS + 1))
    assert caught.value.fields == {"limit": MAX_CHARACTERS, "length": MAX_CHARACTERS + 1}


def test_broken_unicode_is_refused() -> None:
    with pytest.raises(InvalidInput):
        screen("a clinic \ud800")
