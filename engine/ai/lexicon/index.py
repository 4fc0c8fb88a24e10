"""Phrases found again in text under any of their inflected forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from engine.ai.lexicon import arabic, english

Value = TypeVar("Value")
MAX_WORDS = 5


@lru_cache(maxsize=20_000)
def stems(word: str) -> tuple[str, ...]:
    """Possible dictionary forms of one written word of either language, most literal first."""
    if arabic.is_arabic(word):
        return arabic.stems(word)
    lower = word.lower().removesuffix("'s").removesuffix("’s")
    return tuple(dict.fromkeys((lower, english.singular(lower))))


class PhraseIndex(Generic[Value]):
    """Values under phrases of one to `MAX_WORDS` words, looked up with inflection undone."""

    def __init__(self) -> None:
        self._values: dict[str, list[Value]] = {}
        self._prefixes: set[str] = set()

    def add(self, phrase: str, value: Value) -> None:
        parts = [_base(word) for word in phrase.replace("-", " ").split()]
        for end in range(1, len(parts)):
            self._prefixes.add(" ".join(parts[:end]))
        values = self._values.setdefault(" ".join(parts), [])
        if value not in values:
            values.append(value)

    def get(self, words: Sequence[str]) -> list[Value]:
        """The values of the phrase that is exactly `words`; the most literal reading wins."""
        heads = [""]
        for index, word in enumerate(words):
            step = [f"{head} {stem}".strip() for head in heads for stem in stems(word)]
            if index == len(words) - 1:
                return next((self._values[key] for key in step if key in self._values), [])
            heads = [key for key in step if key in self._prefixes]
        return []

    def begins(self, word: str) -> bool:
        """Does any phrase begin with this word?"""
        return any(stem in self._values or stem in self._prefixes for stem in stems(word))

    def find(self, words: Sequence[str]) -> Iterator[tuple[int, int, list[Value]]]:
        """Start, end and values of each phrase in `words`: longest first, no overlap."""
        start = 0
        while start < len(words):
            length, values = self._longest(words[start : start + MAX_WORDS])
            if length:
                yield start, start + length, values
            start += max(1, length)

    def _longest(self, words: Sequence[str]) -> tuple[int, list[Value]]:
        best: tuple[int, list[Value]] = (0, [])
        heads = [""]
        for index, word in enumerate(words):
            step = [f"{head} {stem}".strip() for head in heads for stem in stems(word)]
            found = next((self._values[key] for key in step if key in self._values), None)
            if found is not None:
                best = (index + 1, found)
            heads = [key for key in step if key in self._prefixes]
            if not heads:
                break
        return best


def _base(word: str) -> str:
    if arabic.is_arabic(word):
        return arabic.without_article(arabic.fold(word))
    return word.lower()
