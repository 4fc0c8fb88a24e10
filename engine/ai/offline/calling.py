"""What the platform is called."""

from __future__ import annotations

import re

from engine.ai.lexicon import arabic
from engine.forge.blueprint.names import table_name
from engine.kernel.errors import InvalidInput
from engine.kernel.ids import SLUG

_MOST = 40
_ENGLISH = re.compile(
    r"\b(?:called|named)\s+[\"“«']?([A-Za-z][\w&’' -]{1,40}?)[\"”»']?"
    r"(?=[,.;:!?\n]|\s+(?:where|that|which|for|with|is|to|and)\b|$)"
)
_QUOTED = re.compile(r"(?:باسم|اسمها|اسمه|تسمى|يسمى)\s+[«\"“]([^»\"”\n]{2,40})[»\"”]")
_BARE = re.compile(r"(?:اسمها|اسمه|تسمى|يسمى)\s+([^\s«»\"“”،؛.,:]{2,30})")
_RESERVED = frozenset({"con", "nul", "aux", "prn"})


def checked(name: str) -> str:
    """A name chosen by the caller, if it can be one. Raises `InvalidInput`."""
    if not 2 <= len(name) <= _MOST or not SLUG.fullmatch(name):
        raise InvalidInput(
            "The platform's name is not usable.",
            mend="Use 2 to 40 small letters, digits and single hyphens, beginning with a letter.",
        )
    return name


def named_in(text: str) -> str | None:
    """The proper name that the text gives the platform, as it is written there."""
    for pattern in (_ENGLISH, _QUOTED, _BARE):
        found = pattern.search(text)
        if found:
            return found.group(1).strip()
    return None


def slug(words: str) -> str | None:
    """A platform name from any words; Arabic is transliterated. None if nothing is left."""
    parts = [
        arabic.transliterate(_bare(part)) if arabic.is_arabic(part) else part.lower()
        for part in re.findall(r"[^\W_]+", words)
    ]
    parts = [re.sub(r"[^a-z0-9]", "", part) for part in parts]
    return _fitting("-".join(part for part in parts if part))


def of_entity(entity: str) -> str:
    return _fitting(table_name(entity).replace("_", "-")) or "platform"


def of_domains(names: list[str]) -> str:
    return _fitting("-".join(names)) or "platform"


def _bare(word: str) -> str:
    return word[2:] if word.startswith("ال") and len(word) > 4 else word


def _fitting(name: str) -> str | None:
    name = name[:_MOST].strip("-")
    if name in _RESERVED:
        return f"{name}-platform"
    return name if len(name) >= 2 and SLUG.fullmatch(name) else None
