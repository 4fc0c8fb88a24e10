"""Patterns of Arabic descriptions."""

from __future__ import annotations

from engine.ai.extraction.facts import Deed, Facts
from engine.ai.extraction.naming import Concept, Phrase, concept_of, unit_kind
from engine.ai.extraction.tokens import COMMAS, Token, written
from engine.ai.extraction.vocabulary import (
    AR_ACTS,
    AR_AFTER_VERB,
    AR_EACH,
    AR_FILLERS,
    AR_GENERIC,
    AR_HAVE,
    AR_MANAGE,
    AR_STOPS,
    AR_TOPIC,
    OPTIONAL,
    UNIQUE,
)
from engine.ai.lexicon import arabic, lexicon

_COUNT = "عدد"
_NOT_KEPT = frozenset(
    arabic.fold(word)
    for word in [
        "دفع",
        "الدفع",
        "مدفوعات",
        "رسائل",
        "تنبيهات",
        "إشعارات",
        "خرائط",
        "تذكير",
        "دخول",
        "بريد",
        "مدى",
    ]
)
_YA_ADJECTIVES = ("يومي", "يدوي", "يمني", "ياباني", "يابس", "يسري", "يمين")
_CLAUSES = frozenset({"حيث", "بحيث", "كما", "ثم"})


def acceptable(phrase: Phrase) -> bool:
    """Can the phrase name something, or is it filler?"""
    words = list(phrase.words)
    if lexicon().noun_names(words) or lexicon().field_name(words):
        return True
    first = set(arabic.stems(phrase.words[0]))
    if first & (AR_GENERIC | AR_STOPS):
        return False
    return all(len(arabic.fold(word)) > 2 for word in phrase.words)


class ArabicReader:
    """Reads sentences one after another; what a pronoun refers to is kept between them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._owner: str | None = None
        self._actor: Concept | None = None

    def read(self, sentence: list[Token]) -> None:
        for index, token in enumerate(sentence):
            if token.text == ":":
                self._after_colon(sentence, index)
            if not token.is_arabic:
                continue
            if token.key in AR_EACH:
                self._each(sentence, index)
            elif token.key in AR_HAVE:
                self._have(sentence, index)
            elif token.key in AR_MANAGE:
                self._entities(sentence, index + 1)
            if token.key in AR_ACTS:
                self._act(sentence, index)
            if token.key in AR_TOPIC:
                self._topic(sentence, index)

    def _each(self, sentence: list[Token], index: int) -> None:
        owner, after = owner_at(sentence, index + 1)
        if owner is None or not acceptable(owner):
            return
        name = self._facts.entity(concept_of(owner), written(sentence[index:after]))
        self._owner = name
        start = after
        while start < len(sentence) and (
            sentence[start].key in AR_FILLERS | AR_HAVE or sentence[start].text in {":", ","}
        ):
            start += 1
        self._members(name, sentence, start)
        for phrase in items_ending_at(sentence, index):
            self._member(name, phrase)

    def _members(self, owner: str, sentence: list[Token], start: int) -> None:
        for phrase in list_at(sentence, start)[0]:
            self._member(owner, phrase)

    def _member(self, owner: str, phrase: Phrase) -> None:
        if acceptable(phrase):
            self._facts.member(owner, phrase)

    def _have(self, sentence: list[Token], index: int) -> None:
        if any(token.key in AR_EACH for token in sentence[max(0, index - 3) : index]):
            return
        start = index + 1
        while start < len(sentence) and sentence[start].key in {"علي"}:
            start += 1
        subject = _subject_before(sentence, index)
        if subject is None:
            if self._owner and index and sentence[index].joined:
                self._members(self._owner, sentence, start)
            return
        if set(arabic.stems(subject.words[0])) & (AR_TOPIC | AR_GENERIC):
            self._entities(sentence, start)
        elif acceptable(subject):
            owner = self._facts.entity(concept_of(subject), subject.text)
            self._owner = owner
            self._members(owner, sentence, start)

    def _entities(self, sentence: list[Token], start: int, *, weak: bool = False) -> None:
        phrases, _ = list_at(sentence, start)
        for phrase in phrases:
            if acceptable(phrase) and _is_kept(phrase, weak):
                self._owner = self._facts.entity(concept_of(phrase), phrase.text)

    def _after_colon(self, sentence: list[Token], index: int) -> None:
        phrases, after = list_at(sentence, index + 1)
        if len(phrases) > 1 and (after >= len(sentence) or sentence[after].is_mark):
            self._entities(sentence, index + 1, weak=True)

    def _topic(self, sentence: list[Token], index: int) -> None:
        phrase, _ = phrase_at(sentence, index + 1)
        if phrase and acceptable(phrase) and sentence[index + 1].key not in AR_MANAGE:
            self._facts.topics.append(concept_of(phrase))

    def _act(self, sentence: list[Token], index: int) -> None:
        first = index + 1
        if first < len(sentence) and sentence[first].key in AR_AFTER_VERB:
            first += 1
        subject, after = owner_at(sentence, first)
        if subject is not None and acceptable(subject):
            actor = concept_of(subject)
            if actor.kind != "person":
                return
            start = after
        elif self._actor is not None:
            actor, start = self._actor, first
        else:
            return
        self._actor = actor
        for position, phrase in enumerate(list_at(sentence, start)[0][:3]):
            if acceptable(phrase) and _is_kept(phrase, weak=position > 0):
                span = f"{written(sentence[index:start])} {phrase.text}"
                thing = concept_of(phrase)
                act = AR_ACTS[sentence[index].key]
                self._facts.deeds.append(Deed(actor, act, thing, span))


def _is_field(phrase: Phrase) -> bool:
    words = list(phrase.words)
    return phrase.counted or (
        lexicon().field_name(words) is not None and not lexicon().noun_names(words)
    )


def _is_kept(phrase: Phrase, weak: bool) -> bool:
    if set(arabic.stems(phrase.words[0])) & _NOT_KEPT or _is_field(phrase):
        return False
    known = bool(lexicon().noun_names(list(phrase.words)))
    return known or not weak or arabic.is_definite(phrase.words[0])


def _is_word(token: Token) -> bool:
    return (
        token.is_arabic
        and token.key not in AR_STOPS
        and token.key not in AR_EACH
        and token.key not in AR_HAVE
        and token.key not in AR_ACTS
        and not _is_verb(token)
    )


def _is_verb(token: Token) -> bool:
    """An unknown word with the ya of the present tense; nouns that begin so are in the lexicon."""
    key = token.key
    if key.startswith(_YA_ADJECTIVES):
        return False
    return len(key) > 3 and key[0] == "ي" and not lexicon().knows(token.text)


def owner_at(sentence: list[Token], start: int) -> tuple[Phrase | None, int]:
    """The one noun that begins at `start`: the longest known one, or a word and its adjective."""
    index = start
    longest: tuple[Phrase | None, int] = (None, start)
    words: list[str] = []
    while index < len(sentence) and len(words) < 3:
        token = sentence[index]
        if not _is_word(token) or (words and token.joined):
            break
        words.append(token.text)
        index += 1
        if (
            len(words) == 1
            or lexicon().noun_names(words)
            or (len(words) == 2 and longest[1] == start + 1 and _is_adjective(words))
        ):
            longest = (Phrase(tuple(words)), index)
    return longest


def _is_adjective(words: list[str]) -> bool:
    """Does the second word describe the first (وحدة سكنية), rather than being the next noun?"""
    first, second = (arabic.fold(word) for word in words)
    if lexicon().noun_names([words[1]]) or lexicon().field_name([words[1]]):
        return False
    agrees = arabic.is_definite(words[0]) == arabic.is_definite(words[1])
    return agrees and (
        (first.endswith("ه") and second.endswith("يه")) or second.endswith(("ائي", "ايي", "وي"))
    )


def phrase_at(sentence: list[Token], start: int) -> tuple[Phrase | None, int]:
    """A noun with what qualifies it, and where it ends; None if there is none."""
    index, words = start, list[str]()
    unit: str | None = None
    unique = optional = counted = False
    while index < len(sentence) and len(words) < 3:
        token = sentence[index]
        if not _is_word(token) or (index > start and token.joined):
            break
        stems = set(arabic.stems(token.text))
        if words and token.key[0] == "ب" and unit_kind(token.text):
            unit, index = token.text.removeprefix("بال"), index + 1
            break
        if words and stems & UNIQUE:
            unique = True
        elif words and stems & OPTIONAL:
            optional = True
        elif token.key == _COUNT and not words and _continues(sentence, index):
            counted = True
        else:
            words.append(token.text)
        index += 1
    if not words:
        return None, start
    return Phrase(tuple(words), unit, counted, unique, optional), index


def _continues(sentence: list[Token], index: int) -> bool:
    after = index + 1
    return after < len(sentence) and _is_word(sentence[after]) and not sentence[after].joined


def list_at(sentence: list[Token], start: int) -> tuple[list[Phrase], int]:
    """The noun phrases from `start`, joined by commas and waw, and where they end."""
    found: list[Phrase] = []
    index = end = start
    while index < len(sentence) and len(found) < 20:
        if found and sentence[index].key in AR_MANAGE | _CLAUSES:
            break
        phrase, after = phrase_at(sentence, index)
        if phrase is None:
            break
        if after < len(sentence) and sentence[after].key in AR_HAVE and found:
            break
        found.append(phrase)
        index = end = after
        if index < len(sentence) and sentence[index].key in COMMAS:
            index += 1
            if index < len(sentence) and sentence[index].key == "و":
                index += 1
            continue
        if index < len(sentence) and sentence[index].key in {"و", "او"}:
            index += 1
            continue
        if index >= len(sentence) or not sentence[index].joined:
            break
    return found, end


def _subject_before(sentence: list[Token], end: int) -> Phrase | None:
    for start in range(max(0, end - 3), end):
        if not _is_word(sentence[start]):
            continue
        phrase, after = phrase_at(sentence, start)
        if phrase is not None and after == end:
            return phrase
    return None


def items_ending_at(sentence: list[Token], end: int) -> list[Phrase]:
    """The list that ends right before `end` and begins after a preposition or at the start."""
    for start in range(max(0, end - 10), end):
        opened = start == 0 or sentence[start - 1].key in AR_MANAGE | {"مع", "تحديد", "معرفه"}
        if not opened or not _is_word(sentence[start]):
            continue
        found, after = list_at(sentence, start)
        if found and after == end and all(_is_field(phrase) for phrase in found):
            return found
    return []
