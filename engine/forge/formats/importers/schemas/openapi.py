"""OpenAPI 3.x as a draft: what the described API keeps records of."""

from __future__ import annotations

import re
from typing import Any

from engine.forge.blueprint.problems import Path
from engine.forge.formats.contract import refuse
from engine.forge.formats.draft import Draft
from engine.forge.formats.importers.schemas.document import Source
from engine.forge.formats.importers.schemas.objects import ENTITY, Objects, named
from engine.forge.formats.report import Note

_BASE: Path = ("components", "schemas")
_FORMS = re.compile(
    r"(.+?)(Create|Update|Patch|Put|Read|Input|Output|Request|Response|In|Out|Base|Dto|DTO)"
)
_ANSWERS = ("Read", "Response", "Output", "Out", "Dto", "DTO", "Base", "Create", "Input", "In")
_ERRORS = re.compile(r".*(Error|Problem|Exception|ErrorDetail|ProblemDetail|Fault)s?")
_OWN_API = "the platform makes the addresses of its API from its entities"
_OWN_FORM = "a form of `{}` for requests or answers, of which the platform makes its own"


class OpenApiImporter:
    """OpenAPI 3.0 and 3.1, in YAML or JSON."""

    name = "openapi"
    suffixes = (".openapi.yaml", ".openapi.json", ".yaml", ".yml")

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The object schemas of `components` as entities; addresses are accounted for."""
        draft = Draft("openapi")
        source = Source(text, draft)
        version = str(source.data.get("openapi") or "")
        if not re.match(r"3\.", version):
            mend = "Convert Swagger 2.0 to OpenAPI 3 first." if "swagger" in source.data else None
            refuse("this is no OpenAPI 3 document: it has no `openapi: 3…`", source.place(()), mend)
        self._head(draft, source, version)
        names = dict(named(source, _BASE))
        objects = Objects(draft, source, names)
        entities, forms = self._entities(source, objects, names)
        for path, (name, reason) in forms.items():
            draft.drop("schema", name, source.place(path), reason)
            names.pop(path)
        for path, name in entities.items():
            names[path] = name
        known = set(entities) | set(forms)
        aliases = [path for path in names if path not in known]
        by_name = {name: path for path, (name, _) in forms.items()}
        creating = {
            path: by_name[f"{name}Create"]
            for path, name in entities.items()
            if f"{name}Create" in by_name
        }
        objects.read(list(entities), aliases, creating)
        self._rest(draft, source)
        return draft

    @staticmethod
    def _head(draft: Draft, source: Source, version: str) -> None:
        draft.tell("carried", ("version", version), source.place(("openapi",)))
        info = source.data.get("info")
        for key, value in info.items() if isinstance(info, dict) else ():
            place = source.place(("info", key))
            if key == "title" and isinstance(value, str):
                draft.title = value
                draft.tell("carried", ("title", value), place, path="title")
            elif key == "description" and isinstance(value, str) and len(value) <= 5_000:
                draft.description = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", value)
                draft.tell("carried", ("description", value[:80]), place, path="description")
            else:
                reason = "a Blueprint says nothing of this kind about itself"
                draft.drop("info", f"{key}: {str(value)[:80]}", place, reason)

    def _entities(
        self, source: Source, objects: Objects, names: dict[Path, str]
    ) -> tuple[dict[Path, str], dict[Path, tuple[str, str]]]:
        """The schemas that are kinds of record with their names, and the others with a reason.

        In a document that marks its entities only those are; elsewhere forms of one thing for
        requests and answers are told by their endings, and pages and errors by what they hold.
        """
        marked = {path: _mark(source, path) for path in names}
        plain = {
            path: name for path, name in names.items() if marked[path] or objects.is_object(path)
        }
        if any(marked.values()):
            reason = "it belongs to what every platform has"
            chosen = {path: marked[path] for path in plain if marked[path]}
            rest = {path: (name, reason) for path, name in plain.items() if path not in chosen}
            rest |= {
                path: (name, reason)
                for path, name in names.items()
                if path not in plain and _mark(source, path) == "" and _is_own(source, path)
            }
            return chosen, rest
        known = set(plain.values())
        chosen = {}
        forms: dict[Path, tuple[str, str]] = {}
        groups: dict[str, dict[str, Path]] = {}
        for path, name in plain.items():
            match = _FORMS.fullmatch(name)
            if _ERRORS.fullmatch(name):
                forms[path] = (name, "an error is no kind of record")
            elif _is_page(source, path):
                forms[path] = (name, "a page of a list, which every list has already")
            elif match and match[1] in known:
                forms[path] = (name, _OWN_FORM.format(match[1]))
            elif match:
                groups.setdefault(match[1], {})[match[2]] = path
            else:
                chosen[path] = name
        for stem, members in groups.items():
            best = next((each for each in _ANSWERS if each in members), next(iter(members)))
            chosen[members[best]] = stem
            for ending, path in members.items():
                if ending != best:
                    forms[path] = (f"{stem}{ending}", _OWN_FORM.format(stem))
        return {path: chosen[path] for path in plain if path in chosen}, forms

    @staticmethod
    def _rest(draft: Draft, source: Source) -> None:
        """Everything beside the schemas."""
        paths = source.data.get("paths")
        for address, item in paths.items() if isinstance(paths, dict) else ():
            draft.drop("path", address, source.place(("paths", address)), _OWN_API)
            for verb in item if isinstance(item, dict) else ():
                place = source.place(("paths", address, verb))
                draft.drop("operation", f"{verb} {address}", place, _OWN_API)
        for key in source.data:
            if key not in ("openapi", "info", "components", "paths"):
                draft.drop("section", key, source.place((key,)), _OWN_API)
        components = source.data.get("components")
        for key, value in components.items() if isinstance(components, dict) else ():
            for name in value if key != "schemas" and isinstance(value, dict) else ():
                place = source.place(("components", key, name))
                draft.tell("dropped", (key, name), place, Note(_OWN_API))


def _mark(source: Source, path: Path) -> str:
    schema: Any = source.at(path)
    mark = schema.get(ENTITY) if isinstance(schema, dict) else None
    return mark["name"] if isinstance(mark, dict) and isinstance(mark.get("name"), str) else ""


def _is_own(source: Source, path: Path) -> bool:
    """Whether no schema that is marked could be using it: the enums of the platform itself."""
    schema: Any = source.at(path)
    return not (isinstance(schema, dict) and "x-webnova-enum" in schema)


def _is_page(source: Source, path: Path) -> bool:
    """Whether the object holds one list of references and otherwise only numbers and links."""
    schema: Any = source.at(path)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return False
    lists, others = 0, 0
    for value in properties.values():
        items = value.get("items") if isinstance(value, dict) else None
        if isinstance(items, dict) and "$ref" in items:
            lists += 1
        elif not isinstance(value, dict) or value.get("type") not in ("integer", "boolean"):
            others += 1
    names = {name.lower() for name in properties}
    paging = {"total", "count", "limit", "offset", "page", "next", "previous", "cursor", "hasmore",
              "total_count", "totalcount", "next_cursor", "pagination", "has_more"}  # fmt: skip
    return lists == 1 and bool(names & paging) and others <= 3
