"""From a draft field to a field of the language, with a note for everything that differs."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from engine.forge.blueprint.constraints import EXACT, check_field
from engine.forge.blueprint.model import Blueprint, FieldSpec, FieldType
from engine.forge.fields import LARGEST_PRECISION, LONGEST_UNIQUE
from engine.forge.formats.building.names import LONGEST_TITLE, is_plain, says_more, title
from engine.forge.formats.draft import DraftField
from engine.forge.formats.report import Note

LONGEST_TEXT = 10_000
_TEXTS = frozenset(
    {
        *(FieldType.STRING, FieldType.TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL),
        FieldType.SLUG,
    }
)
_TRUE, _FALSE = frozenset({"true", "t", "yes", "1", "b'1'"}), frozenset({"false", "f", "no", "0"})
_ROUNDS = 12


def field_spec(
    draft: DraftField,
    name: str,
    around: Blueprint,
    enum: tuple[str, dict[str, str]] | None,
) -> tuple[FieldSpec, list[Note]]:
    """The field called `name`, and what of the draft it can't say.

    `around` holds the enums. `enum` is the name of the field's own, with the names of its values
    by what the source calls them.
    """
    notes = list(draft.notes)
    attributes = {key: value for key, value in draft.constraints.items() if value is not None}
    _clamp(draft, attributes, notes)
    label = draft.label or (draft.name if says_more(draft.name, name) else "")
    if isinstance(label, str) and len(label) > LONGEST_TITLE:
        notes.append(Note(f"its text is cut to the {LONGEST_TITLE} characters of a title"))
    attributes |= {"type": draft.type, "title": title(label)}
    attributes |= {"required": draft.required, "unique": draft.unique}
    if enum is not None:
        attributes["enum"] = enum[0]
    if draft.default is not None:
        value = _default(draft, enum[1] if enum else {})
        if value is None:
            notes.append(Note(f"the default {_shown(draft.default)} is no {draft.type.value}"))
        else:
            attributes["default"] = value
    spec = _valid(attributes, around, notes)
    if draft.generated and spec.default is None and not draft.key:
        notes.append(
            Note(
                "the source computes a value for it, which the language can't say",
                "Give it a default or have the caller send it.",
            )
        )
    return spec, notes


def _clamp(draft: DraftField, attributes: dict[str, Any], notes: list[Note]) -> None:
    """Bring lengths and digits within what the language holds."""
    longest = attributes.get("max_length")
    limit = LONGEST_UNIQUE if draft.unique else LONGEST_TEXT
    if draft.type in _TEXTS and longest is not None and longest > limit:
        attributes["max_length"] = limit
        kind = "unique text" if draft.unique else "text"
        notes.append(Note(f"a {kind} has at most {limit:,} characters, not {longest:,}"))
    precision, scale = attributes.get("precision"), attributes.get("scale")
    if precision is not None and precision > LARGEST_PRECISION:
        attributes["precision"] = LARGEST_PRECISION
        notes.append(Note(f"a decimal has at most {LARGEST_PRECISION} digits, not {precision}"))
    if scale is not None:
        fits = max(0, min(scale, attributes.get("precision") or LARGEST_PRECISION))
        if fits != scale:
            attributes["scale"] = fits
            notes.append(Note(f"{fits} digits after the point are possible, not {scale}"))
    pattern = attributes.get("pattern")
    if pattern is not None and not is_plain(pattern):
        del attributes["pattern"]
        notes.append(Note("`pattern` is left out: it holds characters that can't be written"))
    for bound in ("min", "max"):
        value = attributes.get(bound)
        if value is not None and (value != value or abs(value) > EXACT):
            del attributes[bound]
            notes.append(Note(f"`{bound}` {value:g} can't be held exactly"))


def _valid(attributes: dict[str, Any], around: Blueprint, notes: list[Note]) -> FieldSpec:
    """The field without what the language refuses; each refusal is a note."""
    for _ in range(_ROUNDS):
        try:
            spec = FieldSpec(**attributes)
        except ValidationError as error:
            found = error.errors()[0]
            wrong = [(str(found["loc"][0]), found["msg"][:1].lower() + found["msg"][1:])]
        else:
            wrong = [
                (str(finding.path[-1]) if len(finding.path) > 1 else "", finding.message)
                for finding in check_field(around, ("field",), spec)
                if finding.severity == "error"
            ]
            if not wrong:
                return spec
        attribute, message = wrong[0]
        if attributes.pop(attribute, None) is None:
            break
        notes.append(Note(f"`{attribute}` is left out: {message}"))
    kept = {key: attributes[key] for key in ("title", "required") if key in attributes}
    notes.append(Note("its constraints contradict each other and are left out"))
    kind = attributes["type"] if attributes["type"] is not FieldType.ENUM else FieldType.STRING
    return FieldSpec(type=kind, **kept)


def _default(draft: DraftField, values: dict[str, str]) -> str | int | bool | float | None:
    """The default as the JSON value of its type; None when it is none."""
    value = draft.default
    if draft.type is FieldType.ENUM:
        return values.get(str(value))
    if draft.type is FieldType.BOOLEAN:
        word = str(value).strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    if draft.type is FieldType.INTEGER:
        return int(str(value)) if re.fullmatch(r"[-+]?[0-9]{1,19}", str(value)) else None
    if draft.type in (FieldType.DECIMAL, FieldType.MONEY):
        if not re.fullmatch(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?", str(value)):
            return None
        number = float(str(value))
        return int(number) if number.is_integer() and abs(number) < EXACT else number
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not is_plain(text):
        return None
    if draft.type is FieldType.INSTANT:
        return re.sub(r"^(\d{4}-\d\d-\d\d) (?=\d)", r"\1T", text)
    return text


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return f"`{text[:60]}{'…' if len(text) > 60 else ''}`"
