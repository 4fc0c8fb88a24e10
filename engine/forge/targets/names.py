"""Identifiers that are safe in generated code, tables and addresses.

`engine.forge.blueprint.names` defines the forms of a name and refuses what is reserved; this
module adds what a target needs beyond them: lengths that a database keeps and names that generated
modules need for themselves.
"""

from __future__ import annotations

import builtins
import hashlib
import keyword
import re

from engine.forge.blueprint.names import LIBRARY_WORDS, MAX_IDENTIFIER, TYPE_WORDS

_ATTRIBUTES = frozenset(
    LIBRARY_WORDS
    | TYPE_WORDS
    | {"limit", "offset", "sort", "q", "sa", "dt", "orm", "mapped_column", "type_annotation_map"}
)
_TRANSITIONS = frozenset({"list", "create", "get", "update", "delete"})
_CLASSES = frozenset(
    """
    APIRouter Annotated Any Base Body Boolean CanCreate CanDelete CanRead CanUpdate ClassVar
    Current CurrentSession Date Decimal DecimalText Depends Duration Email ExactDecimal Field
    Grant Instant Integer IntegerFilter Json JsonValue KINDS ListQuery Literal Mapped Page Phone
    Query REFERENCES RIGHTS Record RecordView Reference Request RequestBody Response Role STRICT
    Scope SearchQuery SearchText Seconds Session Slug TRANSITIONS Text Time Transition TypedDict
    UUID Url User UtcDateTime Verb
    """.split()  # noqa: SIM905
)
_MODULES = frozenset(
    """
    auth base errors expressions fields health json logs main records sa startup user users
    """.split()  # noqa: SIM905
)
_ROUTES = frozenset({"auth", "users", "health"})
_TABLES = frozenset({"users", "alembic_version"})


def words(text: str) -> list[str]:
    """The lower-case ASCII words of a text in any case style: `HTTPOrder` gives http, order."""
    spaced = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", spaced)
    return re.findall(r"[a-z0-9]+", spaced.lower())


def sentence(name: str) -> str:
    """A name as a person reads it: `full_name` gives `Full name`."""
    text = " ".join(words(name))
    return text[:1].upper() + text[1:]


def singular(word: str) -> str:
    """The singular of a regular English plural in snake case; other words stay as they are."""
    head, underscore, last = word.rpartition("_")
    if last.endswith("ies") and len(last) > 4:
        last = f"{last[:-3]}y"
    elif re.search(r"(ss|x|z|ch|sh)es$", last):
        last = last[:-2]
    elif re.search(r"[^su]s$", last) and last != "series":
        last = last[:-1]
    return head + underscore + last


def identifier(*parts: str) -> str:
    """The parts joined by `_`, cut to what PostgreSQL keeps, still distinct by a digest."""
    name = "_".join(parts)
    if len(name) <= MAX_IDENTIFIER:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_IDENTIFIER - 9]}_{digest}"


def is_taken_attribute(name: str) -> bool:
    """Whether Python, or a base class of generated models, needs this name for itself."""
    return keyword.iskeyword(name) or name in _ATTRIBUTES or name.startswith("model_")


def is_taken_transition(name: str) -> bool:
    """Whether a transition of this name would be called like one of the other actions."""
    return name in _TRANSITIONS


def is_taken_class(name: str) -> bool:
    """Whether generated modules need this name for themselves."""
    return name in _CLASSES


def module(name: str) -> str:
    """A module name from a snake-case name; never a word of Python's own or a module that always
    exists."""
    taken = keyword.iskeyword(name) or name in _MODULES or hasattr(builtins, name)
    return f"{name}_record" if taken else name


def is_taken_route(route: str) -> bool:
    """Whether the platform itself answers under this path segment."""
    return route in _ROUTES


def is_taken_table(table: str) -> bool:
    """Whether the platform itself keeps a table of this name."""
    return table in _TABLES
