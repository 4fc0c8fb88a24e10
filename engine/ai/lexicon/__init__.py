"""A bilingual dictionary of the nouns, fields and words that business platforms are made of.

Three tables beside this module: `nouns.txt` (kinds of record), `fields.txt` (named, typed fields)
and `words.txt` (roles, states, moves, values). `lexicon()` reads them once per process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from engine.ai.lexicon import english
from engine.ai.lexicon.index import PhraseIndex
from engine.forge.blueprint.model import DataClass, FieldSpec, FieldType, Text

CURRENCY = "SAR"


@dataclass(frozen=True)
class Noun:
    """A kind of record: `kind` is person, place, thing, act or paper."""

    name: str
    title: Text
    plural: Text
    kind: str


class Lexicon:
    """Look-up by any written form, in both languages, with inflection undone."""

    def __init__(
        self, nouns: list[list[str]], fields: list[list[str]], words: list[list[str]]
    ) -> None:
        self.nouns: dict[str, Noun] = {}
        self.fields: dict[str, FieldSpec] = {}
        self.words: dict[str, Text] = {}
        self.noun_index: PhraseIndex[str] = PhraseIndex()
        self._field_index: PhraseIndex[str] = PhraseIndex()
        for row in nouns:
            self._add_noun(row)
        for row in fields:
            self._add_field(row)
        for name, ar, *rest in words:
            self.words[name] = Text(en=rest[0] if rest else english.title_of(name), ar=ar)

    def _add_noun(self, row: list[str]) -> None:
        name, ar, en, kind = row
        forms = _listed(ar)
        title = english.title_of(english.words_of(name))
        self.nouns[name] = Noun(
            name=name,
            title=Text(en=title, ar=forms[0]),
            plural=Text(en=english.plural(title), ar=forms[1] if len(forms) > 1 else forms[0]),
            kind=kind,
        )
        for form in [english.words_of(name), *_listed(en), *forms]:
            self.noun_index.add(form, name)

    def _add_field(self, row: list[str]) -> None:
        name, kind, ar, en_cues, ar_cues = [*row, "", ""][:5]
        title = Text(en=english.title_of(name), ar=ar)
        self.fields[name] = _field_spec(name, kind, title)
        for form in [name.replace("_", " "), ar, *_listed(en_cues), *_listed(ar_cues)]:
            self._field_index.add(form, name)

    def noun_names(self, words: list[str]) -> list[str]:
        """Names of the records that exactly these words may mean, the general one first."""
        return list(self.noun_index.get(words))

    def field_name(self, words: list[str]) -> str | None:
        """Name of the field that exactly these words mean."""
        return next(iter(self._field_index.get(words)), None)

    def knows(self, word: str) -> bool:
        """Is there any entry that begins with this word?"""
        return self.noun_index.begins(word) or self._field_index.begins(word)

    def text(self, name: str) -> Text:
        """Bilingual words for a role, state, move, value or relation name."""
        if name in self.words:
            return self.words[name]
        noun = self.nouns.get("".join(part.capitalize() for part in name.split("_")))
        return noun.title if noun else Text(en=english.title_of(name))


def _listed(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(",") if part.strip()]


def rows(text: str) -> Iterator[list[str]]:
    """The rows of a table: cells between bars, `#` comments left out."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield [cell.strip() for cell in line.split("|")]


def _field_spec(name: str, kind: str, title: Text) -> FieldSpec:
    """The field that a table cell such as `decimal 0..100 s2 pii` describes."""
    type_name, *options = kind.split()
    values: dict[str, Any] = {"type": FieldType(type_name), "title": title}
    if type_name == FieldType.MONEY:
        values["currency"] = CURRENCY
    if type_name == FieldType.ENUM:
        values["enum"] = name
    for option in options:
        bounds = re.fullmatch(r"(-?\d*)\.\.(\d*)", option)
        if bounds and type_name in {FieldType.STRING, FieldType.TEXT}:
            low, high = bounds.groups()
            values |= {"min_length": int(low) or None, "max_length": int(high)}
        elif bounds:
            low, high = bounds.groups()
            values |= {"min": float(low), "max": float(high) if high else None}
        elif re.fullmatch(r"s\d", option):
            values |= {"precision": 14, "scale": int(option[1:])}
        else:
            values["data_class"] = DataClass(option)
    return FieldSpec.model_validate(values)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The dictionary of this package."""
    here = resources.files("engine.ai.lexicon")
    tables = [
        list(rows(here.joinpath(f"{table}.txt").read_text(encoding="utf-8")))
        for table in ("nouns", "fields", "words")
    ]
    return Lexicon(*tables)
