"""What schemas describe, once references and combinations are followed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.forge.blueprint.problems import Path
from engine.forge.formats.building.names import ascii_words
from engine.forge.formats.importers.schemas.document import Source


@dataclass(slots=True)
class Shape:
    """The properties of an object schema, each with its path, and which must be there."""

    properties: dict[str, Path] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    label: str = ""


class Shapes:
    """Reads schemas of a document. References are followed inside it only, loops are not."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def is_object(self, path: Path) -> bool:
        """Whether the schema describes an object with properties of its own."""
        found = self.source.resolve(path)
        schema = self.source.at(found) if found is not None else None
        if not isinstance(schema, dict):
            return False
        if isinstance(schema.get("properties"), dict) and schema["properties"]:
            return True
        parts = schema.get("allOf")
        if not isinstance(parts, list) or len(found or ()) > 30:
            return False
        inner = [(*(found or ()), "allOf", index) for index in range(len(parts))]
        return any(each != path and self._has_properties(each) for each in inner)

    def _has_properties(self, path: Path) -> bool:
        found = self.source.resolve(path)
        schema = self.source.at(found) if found is not None else None
        return isinstance(schema, dict) and isinstance(schema.get("properties"), dict)

    def shape(self, path: Path, depth: int = 0) -> Shape:
        """All properties, those of the parts of `allOf` included."""
        shape = Shape()
        found = self.source.resolve(path)
        schema = self.source.at(found) if found is not None else None
        if found is None or not isinstance(schema, dict) or depth > 8:
            return shape
        parts = schema.get("allOf")
        for index in range(len(parts) if isinstance(parts, list) else 0):
            inner = self.shape((*found, "allOf", index), depth + 1)
            shape.properties |= inner.properties
            shape.required |= inner.required
            shape.label = shape.label or inner.label
        properties = schema.get("properties")
        for name in properties if isinstance(properties, dict) else {}:
            shape.properties[name] = (*found, "properties", name)
        required = schema.get("required")
        shape.required |= {each for each in required or [] if isinstance(each, str)}
        shape.label = label_of(schema, str(found[-1]) if found else "") or shape.label
        return shape

    def inner(self, path: Path) -> tuple[dict[str, Any] | None, Path | None, bool]:
        """The schema behind references and `anyOf` with null, and whether it may be null."""
        nullable = False
        for _ in range(8):
            found = self.source.resolve(path)
            schema = self.source.at(found) if found is not None else None
            if found is None or not isinstance(schema, dict):
                return None, None, nullable
            kinds = schema.get("type")
            nullable = nullable or schema.get("nullable") is True
            nullable = nullable or (isinstance(kinds, list) and "null" in kinds)
            options = _options(schema)
            real = [each for each in options if each[2] != {"type": "null"}]
            nullable = nullable or len(real) < len(options)
            if len(real) != 1 or self.is_object(found):
                return schema, found, nullable
            path = (*found, real[0][0], real[0][1])
        return None, None, nullable


def _options(schema: dict[str, Any]) -> list[tuple[str, int, Any]]:
    """The parts of `anyOf`, `oneOf` and `allOf`."""
    found: list[tuple[str, int, Any]] = []
    for key in ("anyOf", "oneOf", "allOf"):
        parts = schema.get(key)
        if isinstance(parts, list):
            found += [(key, index, part) for index, part in enumerate(parts)]
    return found


def label_of(schema: dict[str, Any], name: str) -> str:
    """What the schema says to people, unless that is its name again."""
    for key in ("title", "description"):
        text = schema.get(key)
        if isinstance(text, str) and text.strip() and letters_of(text) != letters_of(name):
            return text
    return ""


def letters_of(text: str) -> str:
    return "".join(ascii_words(text)) or text
