"""The type of a field from the keywords of a schema."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from engine.forge.blueprint.model import FieldType

_FORMATS = {
    "date": FieldType.DATE, "date-time": FieldType.INSTANT, "time": FieldType.TIME,
    "uuid": FieldType.UUID, "email": FieldType.EMAIL, "idn-email": FieldType.EMAIL,
    "uri": FieldType.URL, "url": FieldType.URL, "iri": FieldType.URL, "phone": FieldType.PHONE,
    "decimal": FieldType.DECIMAL, "duration": FieldType.DURATION,
}  # fmt: skip
_BINARY = frozenset({"binary", "byte", "base64"})
_PLAIN_FORMATS = frozenset({"int32", "int64", "password", "string", "float", "double", "currency"})
_KNOWN = frozenset(
    {
        "type", "format", "title", "description", "default", "enum", "nullable",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
        "pattern", "writeOnly", "$ref", "anyOf", "oneOf", "allOf", "x-webnova-field",
        "x-webnova-relation", "x-enum-descriptions",
    }
)  # fmt: skip
_LIMITS = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
        "pattern", "enum",
    }
)  # fmt: skip
SHORT = 255
A_LIST = "a list of values becomes JSON, by which lists are neither sorted nor filtered"
MONTHS = "a duration has days, hours, minutes and seconds, and no months, whose length varies"
_OWN_FORM = "its pattern is left out: the type has a form of its own"
WHY = {
    "readOnly": "`readOnly`: whoever may create or change a record may send it",
    "default": "a relation has no default",
}
"""What is said of a keyword, unless it is that the language has no word for it."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What the keywords say; without a `type` the property can't be held, for the `reason`."""

    type: FieldType | None
    constraints: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    mend: str | None = None


def field_type(schema: dict[str, Any]) -> Typed:
    """The type and the constraints of a field."""
    values = schema.get("enum")
    texts = [each for each in values if each is not None] if isinstance(values, list) else []
    if texts and all(isinstance(each, str) for each in texts):
        return Typed(FieldType.ENUM)
    kinds = schema.get("type")
    kind = next((each for each in kinds if each != "null"), None) if isinstance(kinds, list) else (
        kinds
    )  # fmt: skip
    if isinstance(kinds, list) and len([each for each in kinds if each != "null"]) > 1:
        return Typed(FieldType.TEXT, reason="a value of several types becomes text")
    if kind == "boolean":
        return Typed(FieldType.BOOLEAN)
    if kind in ("integer", "number"):
        return _number(schema, kind)
    if kind == "string" or (kind is None and ("format" in schema or "maxLength" in schema)):
        return _string(schema)
    if kind == "object":
        return Typed(FieldType.JSON)
    if kind == "array":
        return Typed(FieldType.JSON, reason=A_LIST, mend="Make it an entity of its own.")
    return Typed(FieldType.TEXT, reason="the source names no single type; it becomes text")


def _number(schema: dict[str, Any], kind: str) -> Typed:
    """A bound that excludes itself becomes the nearest number inside."""
    scale = 0 if kind == "integer" else _scale(schema.get("multipleOf"))
    step = 10.0 ** -(6 if scale is None else scale) if scale != 0 else 1
    constraints: dict[str, Any] = {}
    for name, plain, key, sign in (
        ("min", "minimum", "exclusiveMinimum", 1),
        ("max", "maximum", "exclusiveMaximum", -1),
    ):
        value, exclusive = _number_in(schema, plain), _number_in(schema, key)
        if exclusive is not None:
            value = round(exclusive + sign * step, 6)
        elif schema.get(key) is True and value is not None:
            value = round(value + sign * step, 6)
        if value is not None:
            constraints[name] = value
    if kind == "integer":
        return Typed(FieldType.INTEGER, constraints)
    constraints |= {"precision": 18, "scale": 6 if scale is None else scale}
    reason = "a number becomes a decimal of 18 digits, 6 after the point"
    return Typed(FieldType.DECIMAL, constraints, reason if scale is None else None)


def _scale(step: object) -> int | None:
    """The digits after the point of a step such as 0.01."""
    match = re.fullmatch(r"0\.(0{0,5}1)|1e-0?([1-6])|1(?:\.0)?", str(step))
    if not match:
        return None
    return len(match[1]) if match[1] else int(match[2] or 0)


def _string(schema: dict[str, Any]) -> Typed:
    form = schema.get("format")
    if form in _BINARY or schema.get("contentEncoding"):
        return Typed(
            None,
            reason="the language holds no binary data",
            mend="Keep the address of the file instead.",
        )
    constraints: dict[str, Any] = {}
    kind = _FORMATS.get(str(form), FieldType.STRING)
    reason = None
    if form is not None and form not in _FORMATS and form not in _PLAIN_FORMATS:
        reason = f"the format `{str(form)[:40]}` has no word in the language; any text is taken"
    own = _OWN_FORM if "pattern" in schema else None
    if kind in (FieldType.DATE, FieldType.INSTANT, FieldType.TIME, FieldType.UUID):
        return Typed(kind, reason=own)
    if kind is FieldType.DURATION:
        return Typed(kind, reason=f"{MONTHS}; {own}" if own else MONTHS)
    if kind is FieldType.DECIMAL:
        return Typed(kind, {"precision": 18, "scale": 6})
    for key, name in (("minLength", "min_length"), ("maxLength", "max_length")):
        value = schema.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            constraints[name] = value
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and kind in (FieldType.STRING, FieldType.PHONE):
        constraints["pattern"], told = _whole(pattern)
        reason = reason or told
    elif pattern is not None:
        reason = _OWN_FORM
    if kind is FieldType.STRING and constraints.get("max_length", SHORT + 1) > SHORT:
        if "max_length" not in constraints and reason is None:
            reason = "a text has at most 10,000 characters, unlimited in the source"
        kind = FieldType.TEXT
    return Typed(kind, constraints, reason)


def _whole(pattern: str) -> tuple[str, str | None]:
    """A pattern of JSON Schema may match a part; one of the language matches the whole text."""
    begins, ends = pattern.startswith("^"), re.search(r"(?<!\\)(\\\\)*\$$", pattern) is not None
    inner = pattern[1 if begins else 0 : -1 if ends else None]
    if "|" in inner and (begins or ends):
        inner = f"({inner})" if "(" not in inner else pattern.strip("^$")
    if not begins:
        inner = f".*{inner}"
    if not ends:
        inner = f"{inner}.*"
    return inner, None if begins and ends else "its pattern is anchored to the whole text"


def noted_keywords(schema: dict[str, Any]) -> list[str]:
    """Keywords that the language has no word for."""
    return [
        key
        for key in schema
        if key not in _KNOWN and not (key == "multipleOf" and _scale(schema[key]) is not None)
    ]


def combined(schema: dict[str, Any]) -> list[str]:
    """Keywords that combine several schemas, null aside, where the type says what is held."""
    found = []
    for key in ("anyOf", "oneOf", "allOf"):
        parts = schema.get(key)
        real = [each for each in parts or [] if each != {"type": "null"}]
        if isinstance(parts, list) and len(real) > 1 and "type" in schema:
            found.append(key)
    return found


def constraining(schema: dict[str, Any]) -> list[str]:
    """Keywords that limit what a value may be."""
    return [key for key in schema if key in _LIMITS]


def _number_in(schema: dict[str, Any], key: str) -> int | float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
