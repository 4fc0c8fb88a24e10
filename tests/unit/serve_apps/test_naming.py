from __future__ import annotations

import re

import pytest

from serve_apps.naming import LONGEST, NUMBERED, candidates


@pytest.mark.parametrize("slug", ["clinic", "a" * LONGEST, f"{'a' * 36}-{'b' * 3}", "ab"])
def test_names_are_valid_and_different(slug: str) -> None:
    names = list(candidates(slug, "seed"))
    assert names[0] == slug
    assert len(set(names)) == len(names) == NUMBERED + 1
    for name in names:
        assert 2 <= len(name) <= LONGEST
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)


def test_the_same_seed_gives_the_same_names() -> None:
    assert list(candidates("shop", "a")) == list(candidates("shop", "a"))
    assert list(candidates("shop", "a"))[-1] != list(candidates("shop", "b"))[-1]
