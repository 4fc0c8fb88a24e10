"""The reference of the Blueprint language as a Markdown page, derived from its models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.forge.blueprint.constraints import constraints_of
from engine.forge.blueprint.model import FieldType
from engine.forge.blueprint.schema import schema


@dataclass(frozen=True, slots=True)
class TypeNote:
    """What a field of the type holds, and an example as YAML has it (None where there is none)."""

    holds: str
    example: str | int | float | bool | None


FIELD_TYPES: dict[FieldType, TypeNote] = {
    FieldType.STRING: TypeNote("A line of text, of 255 characters unless said otherwise.", "Noura"),
    FieldType.TEXT: TypeNote("A longer text, of 10,000 characters unless said otherwise.", "Notes"),
    FieldType.INTEGER: TypeNote("A whole number of 64 bits.", 5),
    FieldType.DECIMAL: TypeNote(
        "An exact decimal of up to 18 digits. JSON carries it as text, so that nobody rounds it.",
        1.25,
    ),
    FieldType.MONEY: TypeNote(
        "An exact amount in one currency, with as many places as its minor unit has.", 19.5
    ),
    FieldType.BOOLEAN: TypeNote("Yes or no.", True),
    FieldType.DATE: TypeNote("A day of the calendar (ISO 8601).", "2026-01-31"),
    FieldType.TIME: TypeNote("A time of day, to the second.", "09:30"),
    FieldType.INSTANT: TypeNote(
        "A moment with its offset (RFC 3339); kept and answered in UTC.", "2026-01-31T09:30:00Z"
    ),
    FieldType.UUID: TypeNote("A UUID (RFC 9562).", "5a3c9b1e-0000-4000-8000-000000000009"),
    FieldType.EMAIL: TypeNote("An email address.", "noura@example.com"),
    FieldType.PHONE: TypeNote("A telephone number of 7 to 15 digits.", "+966501234567"),
    FieldType.URL: TypeNote("An address of the web.", "https://example.com/about"),
    FieldType.SLUG: TypeNote("Lower-case words with hyphens, for addresses.", "spring-sale"),
    FieldType.DURATION: TypeNote(
        "A length of time in days, hours, minutes and seconds (ISO 8601).", "PT1H30M"
    ),
    FieldType.JSON: TypeNote(
        "Any JSON object or list that every reader keeps exactly (RFC 7493). Lists are neither"
        " sorted nor filtered by it.",
        None,
    ),
    FieldType.ENUM: TypeNote("One of the values of an enum.", None),
}


def language_page() -> str:
    """The whole language: each part, its keys, and the types of fields. Ends with a newline."""
    document = schema()
    parts = document["$defs"]
    lines = [
        "# The Blueprint language, version 1",
        "",
        "A Blueprint is one YAML or JSON document. Keys that are not listed here are refused.",
        "Names of fields, relations, roles, enums and states are `snake_case`, of entities",
        "`PascalCase`, of the platform and its environments `with-hyphens`.",
        "",
        "Editors that understand JSON Schema complete and check a Blueprint when its first line is",
        "`# yaml-language-server: $schema=blueprint.schema.json`.",
        *_part("Blueprint", document),
    ]
    for name, part in parts.items():
        if "properties" in part:
            lines += _part(name, part)
        elif name == FieldType.__name__:
            lines += _types()
        else:
            lines += _choices(name, part)
    return "\n".join(lines) + "\n"


def _part(name: str, part: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"## {name}", "", _text(part["description"]), "")
    yield from ("| key | holds | when left out | |", "|---|---|---|---|")
    needed = part.get("required", [])
    for key, value in part["properties"].items():
        default = "required" if key in needed else _default(value.get("default"))
        yield f"| `{key}` | {_kind(value)} | {default} | {_text(value['description'])} |"


def _choices(name: str, part: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"## {name}", "", _text(part["description"]), "")
    yield ", ".join(f"`{value}`" for value in part["enum"])


def _types() -> Iterator[str]:
    yield from ("", f"## {FieldType.__name__}", "", "What a field can hold.", "")
    yield from ("| type | holds | for example | may have |", "|---|---|---|---|")
    for kind, note in FIELD_TYPES.items():
        example = "" if note.example is None else f"`{_plain(note.example)}`"
        own = ", ".join(f"`{name}`" for name in constraints_of(kind))
        yield f"| `{kind}` | {note.holds} | {example} | {own} |"


def _kind(value: dict[str, Any]) -> str:
    """The type of a key, in a few words."""
    if "$ref" in value:
        name = str(value["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        kinds = [_kind(one) for one in value["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{one}`" for one in value["enum"])
    match value.get("type"):
        case "array":
            return f"list of {_kind(value['items'])}"
        case "object":
            inner = [*value.get("patternProperties", {}).values()]
            inner = inner or [value["additionalProperties"]]
            return f"{_kind(inner[0])} by name"
        case kind:
            return str(kind)


def _default(value: Any) -> str:
    if value in (None, "", []) or isinstance(value, dict):
        return ""
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
