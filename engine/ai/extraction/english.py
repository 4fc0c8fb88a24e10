"""Patterns of English descriptions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from engine.ai.extraction.facts import Deed, Facts
from engine.ai.extraction.naming import Concept, Phrase, concept_of, unit_kind
from engine.ai.extraction.tokens import COMMAS, Token, written
from engine.ai.extraction.vocabulary import (
    ACTS,
    EACH,
    GENERIC,
    HAVE,
    MANAGE,
    OF_HEADS,
    OPTIONAL,
    SKIPPED,
    STOPS,
    TOPIC,
    UNIQUE,
)
from engine.ai.lexicon import english, lexicon

_MODALS = frozenset({"can", "may", "must", "should", "will", "who", "to", "also", "then", "could"})
_FILLERS = frozenset(
    """
    , : we i it they you the system platform app also there is are must should can will want need to
    know
    """.split()  # noqa: SIM905
)
_BEFORE_MANAGE = frozenset(
    {"to", "and", "for", "that", "which", "we", "you", "i", "can", "who", "or", "then", "they"}
)
_POSSESSIVE = frozenset({"its", "their", "his", "her", "whose"})
_NOT_KEPT = frozenset(
    """
    payment notification reminder sms email map login dashboard support access alert message search
    chat mada card video call help
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Item:
    """One noun phrase of a list; `owned` tells of "its" or "their" before it."""

    phrase: Phrase
    owned: bool


def act_of(key: str) -> str | None:
    """The base form of a verb that the vocabulary knows, from any of its present forms."""
    for base in (key, key.removesuffix("s"), key.removesuffix("es")):
        if base in ACTS:
            return base
    if key.endswith("ies") and f"{key[:-3]}y" in ACTS:
        return f"{key[:-3]}y"
    return None


def acceptable(phrase: Phrase) -> bool:
    """Can the phrase name something, or is it filler?"""
    head = english.singular(phrase.words[-1].lower())
    known = bool(lexicon().noun_names(list(phrase.words)) or lexicon().field_name([*phrase.words]))
    if known:
        return True
    if head in GENERIC or phrase.words[-1].lower() in GENERIC:
        return False
    return all(
        len(word) > 2 and re.search(r"[aeiouy]", word.lower()) and not word.lower().endswith("ly")
        for word in phrase.words
    )


class EnglishReader:
    """Reads sentences one after another; what "it" refers to is kept between them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._owner: str | None = None
        self._actor: Concept | None = None
        self._read_to = 0

    def read(self, sentence: list[Token]) -> None:
        self._read_to = 0
        for index, token in enumerate(sentence):
            if token.is_arabic or index < self._read_to:
                continue
            if token.key in EACH:
                self._each(sentence, index)
            elif token.key in HAVE:
                self._have(sentence, index)
            if token.key in MANAGE:
                self._manage(sentence, index)
            if token.key == "with":
                self._with(sentence, index)
            if token.key in TOPIC:
                self._topic(sentence, index)
            if token.text == ":":
                self._after_colon(sentence, index)
            if act_of(token.key):
                self._act(sentence, index)

    def _each(self, sentence: list[Token], index: int) -> None:
        phrase, after = phrase_at(sentence, index + 1)
        if phrase is None or not acceptable(phrase):
            return
        owner = self._facts.entity(concept_of(phrase), written(sentence[index:after]))
        self._owner = owner
        before = sentence[index - 1].key if index else ""
        start = after
        while start < len(sentence) and sentence[start].key in _MODALS:
            start += 1
        if start < len(sentence) and sentence[start].key in {*HAVE, "with"}:
            self._members(owner, sentence, start + 1)
        elif before == "for":
            while start < len(sentence) and (
                sentence[start].key in _FILLERS or sentence[start].key in MANAGE | HAVE
            ):
                start += 1
            self._members(owner, sentence, start)
        if before == "of":
            for item in items_ending_at(sentence, index - 1):
                self._member(owner, item.phrase)

    def _members(self, owner: str, sentence: list[Token], start: int) -> None:
        items, self._read_to = list_at(sentence, start)
        for item in items:
            self._member(owner, item.phrase)

    def _member(self, owner: str, phrase: Phrase) -> None:
        if acceptable(phrase):
            self._facts.member(owner, phrase)

    def _have(self, sentence: list[Token], index: int) -> None:
        end = index
        while end and sentence[end - 1].key in _MODALS:
            end -= 1
        if end and sentence[end - 1].key in {"it", "they"} and self._owner:
            self._members(self._owner, sentence, index + 1)
            return
        subject, start = subject_before(sentence, end)
        if subject is None or (start and sentence[start - 1].key in EACH):
            return
        if english.singular(subject.words[-1].lower()) in TOPIC:
            self._entities(sentence, index + 1)
        elif acceptable(subject):
            owner = self._facts.entity(concept_of(subject), written(sentence[start:index]))
            self._owner = owner
            self._members(owner, sentence, index + 1)

    def _manage(self, sentence: list[Token], index: int) -> None:
        before = sentence[index - 1] if index else None
        if before and not before.is_mark and before.key not in _BEFORE_MANAGE:
            return
        self._entities(sentence, index + 1)

    def _entities(self, sentence: list[Token], start: int, *, weak: bool = False) -> int:
        items, after = list_at(sentence, start)
        if (
            after < len(sentence)
            and sentence[after].key in {"of", "for"}
            and all(_is_field(item.phrase) for item in items)
        ):
            owner, _ = phrase_at(sentence, after + 1)
            if owner and items and acceptable(owner):
                name = self._facts.entity(concept_of(owner), owner.text)
                self._owner = name
                for item in items:
                    self._member(name, item.phrase)
                return after
        last: str | None = None
        for item in items:
            if item.owned and last:
                self._member(last, item.phrase)
            elif acceptable(item.phrase) and _is_kept(item.phrase, weak):
                last = self._facts.entity(concept_of(item.phrase), item.phrase.text)
        if last:
            self._owner = last
        if last and after < len(sentence) and sentence[after].key in {"with", "including"}:
            self._members(last, sentence, after + 1)
        return after

    def _with(self, sentence: list[Token], index: int) -> None:
        subject, start = subject_before(sentence, index)
        if subject is None:
            return
        before = sentence[start - 1].key if start else ""
        if before in EACH or before in MANAGE or before in COMMAS | {"and"}:
            return
        if any(token.key in MANAGE | EACH for token in sentence[max(0, index - 6) : index]):
            return
        self._entities(sentence, index + 1, weak=True)

    def _topic(self, sentence: list[Token], index: int) -> None:
        before, _ = subject_before(sentence, index + 1)
        if before and len(before.words) > 1:
            words = tuple(w for w in before.words[:-1] if w.lower() not in GENERIC)
            if words and acceptable(Phrase(words)):
                self._facts.topics.append(concept_of(Phrase(words)))
        if index + 1 < len(sentence) and sentence[index + 1].key == "for":
            phrase, _ = phrase_at(sentence, index + 2)
            if phrase and acceptable(phrase) and phrase.words[0].lower() not in MANAGE:
                self._facts.topics.append(concept_of(phrase))

    def _after_colon(self, sentence: list[Token], index: int) -> None:
        items, after = list_at(sentence, index + 1)
        if len(items) > 1 and (after >= len(sentence) or sentence[after].is_mark):
            self._entities(sentence, index + 1, weak=True)

    def _act(self, sentence: list[Token], index: int) -> None:
        base = act_of(sentence[index].key)
        if base is None or index + 1 >= len(sentence):
            return
        end = index
        while end and sentence[end - 1].key in _MODALS:
            end -= 1
        subject, start = subject_before(sentence, end)
        actor: Concept | None
        if subject is not None and acceptable(subject):
            actor = concept_of(subject)
            plural = english.is_plural(subject.words[-1].lower())
            after_article = bool(start) and sentence[start - 1].key in {"a", "an", "the", "each"}
            if actor.kind != "person" or not (plural or after_article or end < index):
                return
        elif index and sentence[index - 1].key in {"and", ",", "then", "or"} and self._actor:
            actor = self._actor
        else:
            return
        self._actor = actor
        items, _ = list_at(sentence, index + 1, verbs=True)
        for item in items[:3]:
            if not acceptable(item.phrase) or not _is_kept(item.phrase, weak=True):
                continue
            span = written([*sentence[end - len(actor.text.split()) : index + 1]])
            thing = concept_of(item.phrase)
            self._facts.deeds.append(
                Deed(actor, ACTS[base], thing, f"{span} {item.phrase.text}".strip())
            )


def _is_field(phrase: Phrase) -> bool:
    words = list(phrase.words)
    return phrase.counted or (
        lexicon().field_name(words) is not None and not lexicon().noun_names(words)
    )


def _is_kept(phrase: Phrase, weak: bool) -> bool:
    if english.singular(phrase.words[-1].lower()) in _NOT_KEPT or _is_field(phrase):
        return False
    known = bool(lexicon().noun_names(list(phrase.words)))
    return known or not weak or english.is_plural(phrase.words[-1].lower())


def _is_word(token: Token) -> bool:
    return not (token.is_mark or token.is_arabic) and token.key not in STOPS


def phrase_at(sentence: list[Token], start: int) -> tuple[Phrase | None, int]:
    """The noun phrase that begins at `start`, and where it ends; None if there is none."""
    index, flags = _skip(sentence, start)
    counted = False
    of = index + 1 < len(sentence) and sentence[index + 1].key == "of"
    if of and sentence[index].key in {"number", "count", "amount"}:
        counted = sentence[index].key != "amount"
        index, _ = _skip(sentence, index + 2)
    words: list[str] = []
    while index < len(sentence) and len(words) < 4:
        token = sentence[index]
        if words and token.key == "of" and sentence[index - 1].key in OF_HEADS:
            rest, after = phrase_at(sentence, index + 1)
            if rest is None:
                break
            return _joined(words, rest, flags), after
        if not _is_word(token) or token.key in HAVE or not token.key[0].isalpha():
            break
        if words and _is_verb(sentence, index):
            break
        words.append(token.text.removesuffix("'s").removesuffix("’s"))
        index += 1
    if not words:
        return None, start
    unit = None
    measured = index + 1 < len(sentence) and sentence[index].key == "in"
    if measured and unit_kind(sentence[index + 1].key):
        index += 1
        while index < len(sentence) and unit_kind(sentence[index].key):
            unit, index = sentence[index].key, index + 1
    phrase = Phrase(
        tuple(words),
        unit=unit,
        counted=counted,
        unique="unique" in flags,
        optional="optional" in flags,
    )
    return phrase, index


def _skip(sentence: list[Token], start: int) -> tuple[int, set[str]]:
    index, flags = start, set()
    while index < len(sentence):
        key = sentence[index].key
        if key in UNIQUE:
            flags.add("unique")
        elif key in OPTIONAL:
            flags.add("optional")
        elif key not in SKIPPED:
            break
        index += 1
    return index, flags


def _joined(words: list[str], rest: Phrase, flags: set[str]) -> Phrase:
    whole = (*words, "of", *rest.words)
    if lexicon().field_name(list(whole)) or lexicon().noun_names(list(whole)):
        joined = whole
    else:
        joined = (*rest.words, *words)
    return replace(rest, words=joined[:4], unique="unique" in flags)


def _is_verb(sentence: list[Token], index: int) -> bool:
    """Is this word, after a noun, a verb rather than part of a compound?"""
    key = sentence[index].key
    if act_of(key) is None and key not in MANAGE:
        return False
    after = sentence[index + 1].key if index + 1 < len(sentence) else ""
    return english.is_plural(sentence[index - 1].key) or (
        key.endswith("s") and after in SKIPPED and after != ""
    )


def list_at(sentence: list[Token], start: int, *, verbs: bool = False) -> tuple[list[Item], int]:
    """The noun phrases from `start`, joined by commas and "and", and where they end.

    With `verbs`, a verb before a plural after "and" begins another deed, not another phrase.
    """
    items: list[Item] = []
    index = end = start
    while index < len(sentence) and len(items) < 20:
        owned = sentence[index].key in _POSSESSIVE
        phrase, after = phrase_at(sentence, index)
        if phrase is None:
            break
        if items and _starts_clause(sentence, after):
            break
        items.append(Item(phrase, owned))
        index = end = after
        separated = False
        while index < len(sentence) and (
            sentence[index].key in COMMAS or sentence[index].key in {"and", "or", "plus"}
        ):
            separated, index = True, index + 1
        if not separated:
            break
        if index < len(sentence) and sentence[index].key in EACH:
            break
        if verbs and _begins_deed(sentence, index):
            break
    return items, end


def _begins_deed(sentence: list[Token], index: int) -> bool:
    if index + 1 >= len(sentence) or sentence[index].key not in ACTS:
        return False
    return english.is_plural(sentence[index + 1].key) or sentence[index + 1].key in SKIPPED


def _starts_clause(sentence: list[Token], index: int) -> bool:
    if index >= len(sentence):
        return False
    key = sentence[index].key
    return key in HAVE or key in {"can", "may", "must", "are", "is", "will"} or bool(act_of(key))


def subject_before(sentence: list[Token], end: int) -> tuple[Phrase | None, int]:
    """The longest noun phrase that ends right before `end`, and where it starts."""
    for start in range(max(0, end - 4), end):
        if not _is_word(sentence[start]) or sentence[start].key in SKIPPED:
            continue
        phrase, after = phrase_at(sentence, start)
        if phrase is not None and after == end:
            return phrase, start
    return None, end


def items_ending_at(sentence: list[Token], end: int) -> list[Item]:
    """The longest list of noun phrases that ends right before `end`."""
    for start in range(max(0, end - 14), end):
        items, after = list_at(sentence, start)
        if items and after == end:
            return items
    return []
