"""Example strings for a regular expression.

Generated tests need values that a field's pattern accepts, of a chosen length and different from
each other. The standard library's parser gives the pattern as a tree; here each node knows, as a
bit mask, the lengths it can produce, so a string of an exact length is built without searching.
What the tree can't decide (assertions, anchors in the middle) is decided by matching the result:
every string returned has been checked with `re.fullmatch`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from re import _constants as op
from re import _parser as parser
from typing import Any, Protocol

LONGEST = 320
_MASK = (1 << (LONGEST + 1)) - 1
_ALPHABET = string.ascii_uppercase + string.digits + string.ascii_lowercase + "-_.+:/@#% "
_RANGE_PART = 48
_ATTEMPTS_PER_LENGTH = 64


class PatternNotSampled(ValueError):
    """The pattern uses something the sampler doesn't know, or no string of that length exists."""


def matching(pattern: str, *, shortest: int, longest: int, count: int) -> list[str]:
    """Up to `count` different strings that match the whole pattern, the shortest first.

    Lengths lie between `shortest` and `longest` (at most `LONGEST`). The same arguments always
    give the same strings. Raises `PatternNotSampled` when there is none.
    """
    found: dict[str, None] = {}
    for candidate in _candidates(pattern, shortest, longest):
        if candidate not in found and re.fullmatch(pattern, candidate):
            found[candidate] = None
            if len(found) == count:
                break
    if not found:
        raise PatternNotSampled(
            f"no example of {shortest} to {longest} characters was found for {pattern!r}"
        )
    return list(found)


def matching_length(pattern: str, length: int) -> str | None:
    """A string of exactly this length that matches, or nothing."""
    try:
        return matching(pattern, shortest=length, longest=length, count=1)[0]
    except PatternNotSampled:
        return None


def not_matching(pattern: str, *, shortest: int, longest: int) -> str | None:
    """A string of an allowed length that the pattern refuses, or nothing when it takes all."""
    try:
        model = matching(pattern, shortest=shortest, longest=longest, count=1)[0]
    except PatternNotSampled:
        model = "a" * max(shortest, 1)
    changed = [f"{model[:-1]}{mark}" for mark in "!~é0a" if model]
    whole = [mark * len(model) for mark in "!~é0a" if model]
    return next((text for text in changed + whole if not re.fullmatch(pattern, text)), None)


def _candidates(pattern: str, shortest: int, longest: int) -> Iterator[str]:
    root = _tree(pattern)
    lengths = [n for n in range(shortest, min(longest, LONGEST) + 1) if root.lengths >> n & 1]
    # A pattern with assertions may refuse whole rounds, so every length gets its turn.
    for length in lengths:
        for number in range(_ATTEMPTS_PER_LENGTH):
            yield root.build(length, _Choices(number))


class _Choices:
    """The decisions of one string, read off a number as digits of a mixed radix."""

    def __init__(self, number: int) -> None:
        self._rest = number

    def take(self, options: int) -> int:
        self._rest, digit = divmod(self._rest, options)
        return digit


class _Node(Protocol):
    @property
    def lengths(self) -> int: ...

    def build(self, length: int, choices: _Choices) -> str: ...


@dataclass(frozen=True)
class _Chars:
    options: str

    @property
    def lengths(self) -> int:
        return 0b10 if self.options else 0

    def build(self, length: int, choices: _Choices) -> str:
        return self.options[choices.take(len(self.options))]


@dataclass(frozen=True)
class _Sequence:
    parts: tuple[_Node, ...]

    @cached_property
    def _after(self) -> list[int]:
        """For each position, the lengths that the parts from there on can produce."""
        masks = [1]
        for part in reversed(self.parts):
            masks.append(_sums(part.lengths, masks[-1]))
        return masks[::-1]

    @property
    def lengths(self) -> int:
        return self._after[0]

    def build(self, length: int, choices: _Choices) -> str:
        built = []
        for part, rest in zip(self.parts, self._after[1:], strict=True):
            own = _first_split(part.lengths, rest, length)
            built.append(part.build(own, choices))
            length -= own
        return "".join(built)


@dataclass(frozen=True)
class _Either:
    branches: tuple[_Node, ...]

    @cached_property
    def lengths(self) -> int:
        mask = 0
        for branch in self.branches:
            mask |= branch.lengths
        return mask

    def build(self, length: int, choices: _Choices) -> str:
        able = [branch for branch in self.branches if branch.lengths >> length & 1]
        return able[choices.take(len(able))].build(length, choices)


@dataclass(frozen=True)
class _Repeat:
    part: _Node
    least: int
    most: int

    @cached_property
    def _powers(self) -> list[int]:
        """The lengths of 0, 1, 2 … repetitions, until none fits any more."""
        masks = [1]
        while len(masks) <= min(self.most, LONGEST) and masks[-1]:
            masks.append(_sums(masks[-1], self.part.lengths))
        return masks

    @cached_property
    def lengths(self) -> int:
        mask = 0
        for power in self._powers[self.least :]:
            mask |= power
        return mask

    def build(self, length: int, choices: _Choices) -> str:
        powers = self._powers
        times = next(n for n in range(self.least, len(powers)) if powers[n] >> length & 1)
        built = []
        for left in range(times - 1, -1, -1):
            own = _first_split(self.part.lengths, powers[left], length)
            built.append(self.part.build(own, choices))
            length -= own
        return "".join(built)


def _sums(first: int, second: int) -> int:
    if first.bit_count() > second.bit_count():
        first, second = second, first
    mask = 0
    while first:
        low = first & -first
        mask |= second * low
        first ^= low
    return mask & _MASK


def _first_split(own: int, rest: int, length: int) -> int:
    return next(n for n in range(length + 1) if own >> n & 1 and rest >> (length - n) & 1)


@lru_cache(maxsize=256)
def _tree(pattern: str) -> _Node:
    try:
        return _sequence(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternNotSampled(f"the pattern {pattern!r} can't be read: {error}") from error


def _sequence(items: Iterable[tuple[Any, Any]]) -> _Sequence:
    return _Sequence(tuple(_node(code, argument) for code, argument in items))


def _node(code: Any, argument: Any) -> _Node:
    if code is op.LITERAL:
        return _Chars(chr(argument))
    if code is op.NOT_LITERAL:
        return _Chars(_ALPHABET.replace(chr(argument), ""))
    if code is op.ANY:
        return _Chars(_ALPHABET)
    if code is op.IN:
        return _Chars(_set(argument))
    if code is op.BRANCH:
        return _Either(tuple(_sequence(branch) for branch in argument[1]))
    if code is op.SUBPATTERN:
        return _sequence(argument[3])
    if code is op.ATOMIC_GROUP:
        return _sequence(argument)
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, most, part = argument
        return _Repeat(_sequence(part), int(least), int(most))
    if code in (op.AT, op.ASSERT, op.ASSERT_NOT):
        return _Sequence(())
    raise PatternNotSampled(f"the construct {code} isn't known to the sampler")


def _set(items: Sequence[tuple[Any, Any]]) -> str:
    negated = bool(items) and items[0][0] is op.NEGATE
    members = items[1:] if negated else items
    if negated:
        return "".join(c for c in _ALPHABET if not any(_in(c, *item) for item in members))
    listed: dict[str, None] = {}
    for code, argument in members:
        if code is op.LITERAL:
            listed[chr(argument)] = None
        elif code is op.RANGE:
            low, high = argument
            listed.update(dict.fromkeys(map(chr, range(low, min(high, low + _RANGE_PART) + 1))))
        else:
            listed.update(dict.fromkeys(c for c in _ALPHABET if _in(c, code, argument)))
    # A blank at the edge may be stripped by the application, so blanks are the last resort.
    shown = [c for c in listed if not c.isspace()] or list(listed)
    return "".join(sorted(shown, key=lambda c: not c.isalnum()))


_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}


def _in(character: str, code: Any, argument: Any) -> bool:
    if code is op.LITERAL:
        return character == chr(argument)
    if code is op.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    return re.fullmatch(_CATEGORIES[argument], character) is not None
