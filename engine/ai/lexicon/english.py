"""English words: singular and plural, and identifiers."""

from __future__ import annotations

import re
from functools import lru_cache

from engine.forge.blueprint.names import plural as plural_of

_IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "leaves": "leaf", "shelves": "shelf",
    "knives": "knife", "wolves": "wolf", "halves": "half", "loaves": "loaf", "calves": "calf",
    "analyses": "analysis", "diagnoses": "diagnosis", "criteria": "criterion", "data": "data",
    "media": "media", "series": "series", "species": "species", "movies": "movie",
    "cookies": "cookie", "calories": "calorie", "buses": "bus", "viruses": "virus",
    "statuses": "status", "fishermen": "fisherman", "craftsmen": "craftsman", "lenses": "lens",
    "gases": "gas", "quizzes": "quiz", "taxes": "tax", "axes": "axis", "oxen": "ox",
    "clothes": "clothes", "goods": "goods", "premises": "premises", "salespeople": "salesperson",
    "cafes": "cafe", "zombies": "zombie", "ties": "tie", "pies": "pie", "caches": "cache",
    "houses": "house", "horses": "horse", "courses": "course", "nurses": "nurse",
    "warehouses": "warehouse", "expenses": "expense", "licenses": "license", "leases": "lease",
    "responses": "response", "databases": "database", "greenhouses": "greenhouse",
    "purchases": "purchase", "cases": "case", "bases": "base", "phrases": "phrase",
    "exercises": "exercise", "vases": "vase", "pulses": "pulse", "doses": "dose",
    "causes": "cause", "hoses": "hose", "roses": "rose", "judges": "judge",
}  # fmt: skip
_NOT_PLURAL = ("ss", "us", "is", "ous", "ics")


@lru_cache(maxsize=20_000)
def singular(word: str) -> str:
    """The singular of a lower-case word; a word that isn't a plural comes back as it is."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(_NOT_PLURAL):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(sh|ch|x|ss|zz)es$", word):
        return word[:-2]
    return word[:-1]


def is_plural(word: str) -> bool:
    return singular(word) != word


def plural(words: str) -> str:
    """The plural of a title, in its last word: `Work order` as `Work orders`."""
    head, space, last = words.rpartition(" ")
    return head + space + plural_of(last)


def words_of(type_name: str) -> str:
    """`OrderItem` as `order item`."""
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", type_name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text).lower()


def title_of(member: str) -> str:
    """`birth_date` as `Birth date`."""
    text = member.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
