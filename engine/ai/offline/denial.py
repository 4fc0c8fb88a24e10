"""What a description says that it doesn't want.

Words are decisive here: a sentence and its negation are near each other in every embedding, so
similarity never decides what is left out.
"""

from __future__ import annotations

from engine.ai.extraction.tokens import Token
from engine.ai.extraction.vocabulary import AR_STOPS, HAVE, STOPS
from engine.ai.lexicon.arabic import fold

_ENGLISH = frozenset({"without", "no", "excluding", "except", "omit", "skip", "minus"})
_REFUSALS = (("not", "need"), ("not", "want"), ("don't", "need"), ("don't", "want"),
             ("doesn't", "need"), ("dont", "need"), ("dont", "want"), ("no", "need"),
             ("not", "include"), ("not", "including"))  # fmt: skip
_ARABIC = frozenset(map(fold, ("بدون", "دون", "بلا", "باستثناء", "عدا")))
_ARABIC_REFUSALS = tuple(
    (fold(first), fold(second))
    for first in ("لا", "ولا", "غير", "من")
    for second in ("نريد", "أريد", "نحتاج", "أحتاج", "يوجد", "تحتاج", "حاجة", "غير", "يحتاج", "دون")
)
_JOINERS = frozenset({"or", "nor", "and", "any", "a", "an", "the", "for", "to", "of"})
_ARABIC_JOINERS = frozenset(map(fold, ("أو", "لا", "ولا", "أي", "إلى", "و")))
_NEVER_DENIED = frozenset({"show", "longer", "one", "later", "more", "matter", "code"})
_MOST = 7


def split(sentences: list[list[Token]]) -> tuple[list[list[Token]], list[list[str]]]:
    """The sentences without what is denied, and the denied words, one list per place."""
    kept: list[list[Token]] = []
    denied: list[list[str]] = []
    for sentence in sentences:
        rest: list[Token] = []
        index = 0
        while index < len(sentence):
            length = _opening(sentence, index)
            if not length:
                rest.append(sentence[index])
                index += 1
                continue
            end = _end(sentence, index + length)
            words = [token.text for token in sentence[index + length : end] if not token.is_mark]
            if words:
                denied.append(words)
            rest.append(Token(",", ",", is_mark=True))
            index = end
        kept.append(rest)
    return [sentence for sentence in kept if sentence], denied


def _opening(sentence: list[Token], index: int) -> int:
    """How many words open a denial here; 0 if none does."""
    key = sentence[index].key
    following = sentence[index + 1].key if index + 1 < len(sentence) else ""
    pair = (key, following)
    if pair in _REFUSALS or pair in _ARABIC_REFUSALS:
        return 2
    if (key in _ENGLISH and following not in _NEVER_DENIED) or key in _ARABIC:
        return 1
    return 0


def _end(sentence: list[Token], start: int) -> int:
    """A denial reaches to the next mark, or to a word that begins something else."""
    index = start
    while index < len(sentence) and index - start < _MOST:
        token = sentence[index]
        if token.is_mark:
            break
        if token.is_arabic:
            if token.key in AR_STOPS and token.key not in _ARABIC_JOINERS:
                break
        elif token.key in HAVE or (token.key in STOPS and token.key not in _JOINERS | {"online"}):
            break
        index += 1
    return index
