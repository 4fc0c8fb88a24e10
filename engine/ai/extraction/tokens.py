"""Words and marks of a text, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.ai.lexicon import arabic, lexicon

_PIECES = re.compile(r"[^\W_]+(?:['’](?:s|re|t)\b)?|[,،;؛.!?؟:()\n«»\"“”/&]")
_ENDS = frozenset(";؛.!?؟\n")
COMMAS = frozenset({",", "،", "/", "&"})


@dataclass(frozen=True)
class Token:
    """One word or one mark. `key` is folded or lower-case; `joined` tells that "and" was on it."""

    text: str
    key: str
    is_arabic: bool = False
    is_mark: bool = False
    joined: bool = False


def sentences(text: str) -> list[list[Token]]:
    """The sentences of a screened text; none is empty and none contains its end mark."""
    found: list[list[Token]] = [[]]
    for piece in _PIECES.findall(arabic.strip_marks(text)):
        if piece in _ENDS:
            found.append([])
        else:
            found[-1].append(_token(piece))
    return [sentence for sentence in found if sentence]


def _token(piece: str) -> Token:
    if not piece[0].isalnum():
        return Token(piece, piece, is_mark=True)
    if not arabic.is_arabic(piece):
        return Token(piece, piece.lower().replace("’", "'"))
    joined = _has_conjunction(piece)
    word = piece[1:] if joined else piece
    return Token(word, arabic.fold(word), is_arabic=True, joined=joined)


def _has_conjunction(word: str) -> bool:
    folded = arabic.fold(word)
    if not folded.startswith("و") or len(folded) < 3:
        return False
    if lexicon().knows(word):
        return False
    return lexicon().knows(word[1:]) or arabic.begins_with_and(word)


def written(tokens: Iterable[Token]) -> str:
    """The words of `tokens` as they were written."""
    return " ".join(token.text for token in tokens if not token.is_mark)
