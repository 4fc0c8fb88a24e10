"""From the names of a source to those of the language: well-formed, free and never reserved."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterable

from engine.forge.blueprint.model import Text
from engine.forge.blueprint.names import (
    CLASS_WORDS,
    DEVICES,
    LIBRARY_WORDS,
    LIST_PARAMETERS,
    SQL_WORDS,
    TABLE_WORDS,
    TYPE_WORDS,
    plural,
    snake_case,
)
from engine.forge.targets import names as generated

LONGEST = 40
LONGEST_TITLE = 200
_SINGULARS = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "feet": "foot",
    "teeth": "tooth", "analyses": "analysis", "diagnoses": "diagnosis", "movies": "movie",
    "cookies": "cookie", "species": "species", "news": "news", "series": "series", "ties": "tie",
    "buses": "bus", "lenses": "lens", "gases": "gas", "indices": "index", "staff": "staff",
    "calories": "calorie", "process": "process",
}  # fmt: skip
# Letters by sound, so that a name written in Arabic only gets a stable one in ASCII.
_LETTERS = str.maketrans(
    {
        "ا": "a", "أ": "a", "إ": "i", "آ": "a", "ٱ": "a", "ب": "b", "ت": "t", "ث": "th", "ج": "j",
        "ح": "h", "خ": "kh", "د": "d", "ذ": "dh", "ر": "r", "ز": "z", "س": "s", "ش": "sh",
        "ص": "s", "ض": "d", "ط": "t", "ظ": "z", "ع": "a", "غ": "gh", "ف": "f", "ق": "q", "ك": "k",
        "ل": "l", "م": "m", "ن": "n", "ه": "h", "ة": "h", "و": "w", "ي": "y", "ى": "a", "ئ": "y",
        "ؤ": "w", "ء": "", "ß": "ss", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "œ": "oe",
    }
)  # fmt: skip
_ARABIC = re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]")
_UNPRINTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def ascii_words(text: str) -> list[str]:
    """The words of a name in lower-case ASCII; letters of other alphabets by their sound."""
    if text.isascii():
        return generated.words(text)
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).translate(_LETTERS))
    return generated.words("".join(c for c in plain if not unicodedata.combining(c)))


def singular(word: str) -> str:
    """The singular of a snake-case word as far as it can be told."""
    head, underscore, last = word.rpartition("_")
    if last in _SINGULARS:
        last = _SINGULARS[last]
    elif last.endswith("uses") and last[-5:-4] not in ("o", "a") and len(last) > 5:
        last = last[:-2]
    else:
        last = generated.singular(last)
    return head + underscore + last


def member(text: str, fallback: str = "value") -> str:
    """The snake-case name of a field, relation, enum or value."""
    words = ascii_words(text)
    if not words or words[0][0].isdigit():
        words.insert(0, fallback)
    return "_".join(words)[:LONGEST].rstrip("_")


def type_name(text: str, *, is_plural: bool = False) -> str:
    """The name of an entity, in the singular if it `is_plural`."""
    if not is_plural and re.fullmatch("[A-Z][A-Za-z0-9]{0,39}", text) and not text.isupper():
        return text
    words = member(text, "record").split("_")
    words[-1] = singular(words[-1]) if is_plural else words[-1]
    return "".join(word.capitalize() for word in words)[:LONGEST]


def slug(text: str, fallback: str = "imported") -> str:
    words = ascii_words(text)
    while words and words[0][0].isdigit():
        words.pop(0)
    name = "-".join(words)[:LONGEST].rstrip("-")
    if len(name) < 2:
        return fallback
    return f"{name[: LONGEST - 9]}-platform" if DEVICES.fullmatch(name) else name


def title(text: str | Text) -> Text:
    """One line for people; `English | Arabic` is both, and a text with Arabic in it is Arabic."""
    if isinstance(text, Text):
        return text
    line = " ".join(_UNPRINTED.sub(" ", text).split())[:LONGEST_TITLE].strip()
    first, bar, second = (part.strip() for part in line.partition(" | "))
    if bar and first and second and _ARABIC.search(second) and not _ARABIC.search(first):
        return Text(en=first, ar=second)
    if not line:
        return Text()
    return Text(ar=line) if _ARABIC.search(line) else Text(en=line)


def prose(text: str) -> str:
    """Text of any length without what a Blueprint may not hold."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_UNPRINTED.sub(" ", line.replace("\t", " ")) for line in lines)[:20_000]


def is_plain(text: str) -> bool:
    """Whether the text holds nothing that a Blueprint may not hold."""
    return _UNPRINTED.search(text) is None


def says_more(text: str, name: str) -> bool:
    """Whether `text` tells people more than `name` does: other letters, or more of them."""
    return bool(text) and ascii_words(text) != name.split("_") and not text.isascii()


def reserved_member(name: str, *, column: bool) -> str | None:
    """Why a field (`column`) or relation can't be called `name`, or None if it can."""
    if keyword.iskeyword(name):
        return "a reserved word of Python"
    if name in LIBRARY_WORDS or name.startswith("model_"):
        return "a name that the generated classes need"
    if name in TYPE_WORDS:
        return "a built-in name of Python"
    if name in LIST_PARAMETERS:
        return "a parameter of every list"
    if (column and name in SQL_WORDS) or generated.is_taken_attribute(name):
        return "a reserved word of SQL"
    return None


def letters(name: str) -> str:
    """What names are compared by: they may not differ in underscores or case only."""
    return name.replace("_", "").lower()


class Scope:
    """Names that may not meet. `forms` gives everything that a name becomes in the scope."""

    def __init__(
        self,
        taken: Iterable[str] = (),
        forms: Callable[[str], Iterable[str]] = lambda name: (letters(name),),
        reserved: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self._taken = {letters(name) for name in taken}
        self._forms = forms
        self._reserved = reserved

    def take(self, wanted: str, other: str) -> tuple[str, str | None]:
        """`wanted`, or else `other`, or one of them with a number; and why it isn't `wanted`."""
        why = self._why_not(wanted)
        if why is None:
            return self._claim(wanted), None
        # Generated classes reserve everything that begins with `model_`.
        stem = wanted.removeprefix("model_") or "value"
        between = "" if wanted[:1].isupper() else "_"
        name, number = other.removeprefix("model_")[:LONGEST].rstrip("_"), 2
        while self._why_not(name) is not None:
            name = f"{stem[: LONGEST - 6].rstrip('_')}{between}{number}"
            number += 1
        return self._claim(name), why

    def join(self, other: Scope) -> None:
        """Share what is taken with `other`: names of both may not meet."""
        other._taken |= self._taken
        self._taken = other._taken

    def _claim(self, name: str) -> str:
        self._taken |= set(self._forms(name))
        return name

    def _why_not(self, name: str) -> str | None:
        why = self._reserved(name)
        if why is not None:
            return f"`{name}` is {why}"
        if any(form in self._taken for form in self._forms(name)):
            return f"`{name}` is taken"
        return None


def reserved_type(name: str) -> str | None:
    """Why no entity can be called `name`, or None."""
    if name in CLASS_WORDS or DEVICES.fullmatch(name.lower()) or generated.is_taken_class(name):
        return "a name that every platform, or Python, has already"
    if plural(snake_case(name)) in TABLE_WORDS:
        return "a name whose table every platform has already"
    return None


def type_forms(name: str) -> tuple[str, ...]:
    """An entity becomes a class, a table and files; requests and answers have classes too."""
    snake = snake_case(name)
    return (
        letters(name),
        letters(plural(snake)),
        *(letters(f"{name}{ending}") for ending in ("Create", "Update", "Read", "Query")),
    )


def entity_scope() -> Scope:
    return Scope(forms=type_forms, reserved=reserved_type)


def enum_scope(entities: Iterable[str]) -> Scope:
    """Enums become classes beside those of the entities."""

    def reserved(name: str) -> str | None:
        cls = "".join(word.capitalize() for word in name.split("_"))
        taken = cls in CLASS_WORDS or DEVICES.fullmatch(cls.lower())
        return "a name that every platform, or Python, has already" if taken else None

    taken = [form for name in entities for form in type_forms(name)]
    return Scope(taken=taken, reserved=reserved)
