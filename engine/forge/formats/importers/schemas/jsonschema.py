"""JSON Schema (draft 4 to 2020-12) as a draft."""

from __future__ import annotations

from engine.forge.blueprint.problems import Path
from engine.forge.formats.draft import Draft
from engine.forge.formats.importers.schemas.document import Source
from engine.forge.formats.importers.schemas.objects import Objects, named
from engine.forge.formats.report import Note

_ROOT_KEYS = ("$schema", "$id", "id", "$comment", "title", "description")


class JsonSchemaImporter:
    """One document: its root, if that is an object, and its `$defs` or `definitions`."""

    name = "jsonschema"
    suffixes = (".schema.json", ".json")

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The object schemas as entities. Other documents are never fetched."""
        draft = Draft("jsonschema")
        source = Source(text, draft)
        names: dict[Path, str] = {}
        for base in (("$defs",), ("definitions",)):
            names |= dict(named(source, base))
        objects = Objects(draft, source, names)
        title = source.data.get("title")
        if objects.is_object(()):
            names[()] = title if isinstance(title, str) and title.strip() else "Root"
        draft.name = str(title or "")
        for key in _ROOT_KEYS:
            value = source.data.get(key)
            if value is None:
                continue
            kept = key in ("title", "description")
            note = None if kept else Note("the language has a version of its own")
            what = ("keyword", f"{key}: {str(value)[:80]}")
            place = source.place((key,))
            draft.tell("carried" if kept else "dropped", what, place, note)
        ordered = sorted(names, key=lambda path: (source.place(path), len(path)))
        entities = [
            path for path in ordered if objects.is_object(path) and not _is_ref(source, path)
        ]
        objects.read(entities, [path for path in ordered if path not in entities])
        return draft


def _is_ref(source: Source, path: Path) -> bool:
    value = source.at(path)
    return isinstance(value, dict) and "$ref" in value
