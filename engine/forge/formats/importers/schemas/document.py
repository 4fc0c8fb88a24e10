"""A YAML or JSON document with the places of its parts, and local references in it."""

from __future__ import annotations

from typing import Any

from engine.forge.blueprint import reader
from engine.forge.blueprint.problems import Path, dotted, pointer
from engine.forge.formats.contract import refuse
from engine.forge.formats.draft import Draft
from engine.forge.formats.report import NOWHERE, Place

MOST_STEPS = 40
"""References that are followed from one to the next."""


class Source:
    """The data of a document. References to other documents are never followed."""

    def __init__(self, text: str, draft: Draft) -> None:
        """Raises `InvalidInput` at the first place that is no YAML or JSON."""
        document = reader.read(text)
        for place, finding in document.findings:
            at = Place(place.line, place.column)
            if document.fatal:
                refuse(finding.message, at)
            draft.drop("value", dotted(finding.path) or "document", at, finding.message)
        if not isinstance(document.data, dict):
            refuse("an object is expected at the top", Place(1, 1))
        self.data: dict[str, Any] = document.data
        self._keys, self._values = document.keys, document.values

    def place(self, path: Path) -> Place:
        """Where the part stands: its key if it has one."""
        for end in range(len(path), -1, -1):
            found = self._keys.get(path[:end]) or self._values.get(path[:end])
            if found is not None:
                return Place(found.line, found.column)
        return NOWHERE

    def at(self, path: Path) -> Any:
        """The value at the path, or None."""
        value: Any = self.data
        for part in path:
            inside = isinstance(value, list) and isinstance(part, int)
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif inside and 0 <= int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value

    def target(self, reference: object) -> Path | None:
        """The path that a local reference points to; None for any other."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        if reference in ("#", "#/"):
            return ()
        if not reference.startswith("#/"):
            return self._anchors().get(reference[1:])
        path: list[str | int] = []
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~").replace("%20", " ")
            inside = isinstance(self.at(tuple(path)), list)
            path.append(int(key) if inside and key.isdigit() else key)
        return tuple(path)

    def _anchors(self) -> dict[str, Path]:
        """What `$anchor` names, by its name."""
        found: dict[str, Path] = {}
        for path in self._values:
            if path and path[-1] == "$anchor" and isinstance(name := self.at(path), str):
                found[name] = path[:-1]
        return found

    def resolve(self, path: Path) -> Path | None:
        """The path of the schema itself, once all references are followed; None for a loop,
        for a reference that leads out of the document and for one that leads nowhere."""
        for _ in range(MOST_STEPS):
            value = self.at(path)
            if not isinstance(value, dict):
                return None
            if "$ref" not in value:
                return path
            target = self.target(value["$ref"])
            if target is None:
                return None
            path = target
        return None


def shown(path: Path) -> str:
    """The path as an account names it."""
    return pointer(path) or "/"
