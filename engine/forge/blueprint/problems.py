"""Problems of a Blueprint: where they are, what is wrong, and which word was probably meant."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict

Path = tuple[str | int, ...]

MAX_SHOWN = 40
"""Longest piece of the reader's own text that a message repeats, in characters."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")


class Problem(BaseModel):
    """One problem as the reader of a document sees it.

    `path` is dotted (`entities.Patient.fields.age.type`) for documents and a JSON pointer
    (`/entities/Patient/fields/age/type`) for data; `line` and `column` count from 1 and are `None`
    for data. `suggestion` is the word that was probably meant, ready to be put in its place.
    `rule` is the stable name of what was broken, one of `RULES`, and `mend` what to do about it.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    line: int | None = None
    column: int | None = None
    message: str
    suggestion: str | None = None
    rule: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem before it is placed.

    `at` says whether the key or the value at `path` is wrong. `absent` is the path that the
    document ought to have, when the problem is a reference to something not declared. Without a
    `suggestion`, the name in `among` that is closest to `word` is one; it is looked for late,
    because that is slow and few of many problems are shown. `rule` is one of `RULES`.
    """

    path: Path
    message: str
    suggestion: str | None = None
    severity: Literal["error", "warning"] = "error"
    at: Literal["key", "value"] = "value"
    absent: Path | None = None
    word: str = ""
    among: Collection[str] = ()
    rule: str = "sense"

    def meant(self) -> str | None:
        """The word that was probably meant."""
        return self.suggestion or closest(self.word, self.among)


def dotted(path: Path) -> str:
    """`path` for a person: `entities.Order.lifecycle.transitions.pay.from[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part[:MAX_SHOWN], ensure_ascii=False)}]"
    return text


def pointer(path: Path) -> str:
    """`path` as a JSON pointer (RFC 6901); the whole document is the empty string."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def quoted(value: object) -> str:
    """The reader's own text in a message: one line, bounded, with control characters escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}…"
    return "`" + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + "`"


def closest(word: str, known: Collection[str]) -> str | None:
    """The known word that `word` was probably meant to be, if one is near enough."""
    if not known or not 0 < len(word) <= MAX_SHOWN:
        return None
    plain = {_folded(name): name for name in reversed(list(known))}
    if found := plain.get(_folded(word)):
        return found
    near = get_close_matches(_folded(word), list(plain), n=1, cutoff=0.6)
    return plain[near[0]] if near else None


def listed(words: Iterable[str], most: int = 14) -> str:
    """Words as a phrase: `a`, `b` or `c`; a long list is cut openly."""
    known = list(words)
    shown = [f"`{word}`" for word in known[:most]]
    if len(known) > most:
        return f"{', '.join(shown)} or one of {len(known) - most} more"
    return f"{', '.join(shown[:-1])} or {shown[-1]}" if len(shown) > 1 else "".join(shown)


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """The sentence for a name that nothing declares."""
    names = list(known)
    has = f"there is {listed(names, 8)}" if names else "none is declared"
    return f"there is no {what} {quoted(word)}; {has}"


def _folded(word: str) -> str:
    return re.sub(r"[\s_-]+", "", word).lower()
