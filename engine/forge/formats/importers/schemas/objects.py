"""Object schemas become entities, their properties fields and relations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from engine.forge.blueprint.model import DataClass, FieldType, OnDelete, RelationKind, Text
from engine.forge.blueprint.problems import Path
from engine.forge.formats.building.names import singular
from engine.forge.formats.draft import (
    Draft,
    DraftEntity,
    DraftEnum,
    DraftField,
    DraftRelation,
    DraftValue,
    Label,
)
from engine.forge.formats.importers.schemas.document import Source
from engine.forge.formats.importers.schemas.shapes import Shapes, label_of, letters_of
from engine.forge.formats.importers.schemas.values import (
    WHY,
    combined,
    constraining,
    field_type,
    noted_keywords,
)

RELATION = "x-webnova-relation"
FIELD = "x-webnova-field"
ENTITY = "x-webnova-entity"
ENUM = "x-webnova-enum"
_REMOTE = "references are followed inside the document only, and never in circles"
_ONE_TEXT = "its title is taken, and its description left out: there is room for one text"
_OF_LISTS = frozenset({"items", "minItems", "maxItems", "uniqueItems", "properties", "required"})
_ENTITY_KEYS = frozenset(
    {
        "type", "properties", "required", "title", "description", "allOf", "$ref", "$schema", "$id",
        "$defs", "definitions", "$anchor", ENTITY,
    }
)  # fmt: skip


class Objects(Shapes):
    """Turns the named schemas of a document into a draft.

    `names` maps the paths of all named schemas to their names; entities, enums and aliases are
    told apart by what they are. Objects inside objects become entities of their own.
    """

    def __init__(self, draft: Draft, source: Source, names: dict[Path, str]) -> None:
        self.draft = draft
        super().__init__(source)
        self.names = names
        self.entities: dict[Path, str] = {}
        self.enums: dict[Path, str] = {}
        self._by_words: dict[str, str] = {}
        self._forms: dict[Path, Path] = {}

    def read(
        self, entities: list[Path], aliases: list[Path], forms: dict[Path, Path] | None = None
    ) -> None:
        """Fill the draft: `entities` are objects, `aliases` everything else that has a name.

        `forms` has the schemas of requests that create records of an entity, which say more about
        its properties than the schema of answers does.
        """
        self._forms = forms or {}
        for path in aliases:
            self._alias(path)
        for path in entities:
            self.entities[path] = self.names[path]
            self._by_words.setdefault(letters_of(self.names[path]), self.names[path])
            label = ""
            self.draft.add(
                DraftEntity(self.names[path], self.source.place(path), "schema", label=label)
            )
        for path in entities:
            entity = self.draft.entity(self.names[path])
            assert entity is not None
            self._fill(entity, path)

    def _alias(self, path: Path) -> None:
        name, place = self.names[path], self.source.place(path)
        schema = self.source.at(path)
        values = schema.get("enum") if isinstance(schema, dict) else None
        texts = isinstance(values, list) and all(isinstance(each, str) for each in values)
        if isinstance(schema, dict) and values and texts:
            self._enum(name, path, schema)
            self.enums[path] = self.draft.enums[-1].name
        elif isinstance(schema, dict) and self.source.resolve(path) is not None:
            kind = str(schema.get("type") or "schema")
            self.draft.tell("carried", (f"{kind} schema", name), place)
        else:
            self.draft.drop("schema", name, place, _REMOTE)

    def _enum(self, name: str, path: Path, schema: dict[str, Any]) -> None:
        told = schema.get(ENUM)
        extension = told if isinstance(told, dict) else {}
        texts = extension.get("values") or schema.get("x-enum-descriptions") or []
        values = []
        for index, value in enumerate(schema["enum"]):
            label: Label = ""
            if isinstance(texts, dict):
                label = _text(texts.get(value)) if isinstance(value, str) else ""
            elif isinstance(texts, list) and index < len(texts):
                label = _text(texts[index])
            if isinstance(value, str):
                place = self.source.place((*path, "enum", index))
                values.append(DraftValue(value, place, label))
        about = _text(extension.get("title")) if extension else label_of(schema, name)
        called = extension.get("name")
        self.draft.add_enum(
            DraftEnum(
                called if isinstance(called, str) else name, values, self.source.place(path), about
            )
        )

    def _fill(self, entity: DraftEntity, path: Path) -> None:
        shape = self.shape(path)
        if path in self._forms:
            form = self.shape(self._forms[path])
            shape.required = (shape.required - set(form.properties)) | form.required
            shape.properties |= form.properties
        entity.label = entity.label or shape.label
        for name, place in shape.properties.items():
            self.property(entity, name, place, required=name in shape.required)
        found = self.source.resolve(path)
        schema = self.source.at(found) if found is not None else None
        for key, value in schema.items() if isinstance(schema, dict) else ():
            if key in _ENTITY_KEYS or (key == "additionalProperties" and value is False):
                continue
            at = self.source.place((*(found or ()), key))
            what = f"{entity.name} {key}"
            self.draft.drop("keyword", what, at, "the language has no word for it")
        if isinstance(schema, dict) and _says_two(schema):
            at = self.source.place((*(found or ()), "description"))
            self.draft.drop("keyword", f"{entity.name} description", at, _ONE_TEXT)

    def property(self, entity: DraftEntity, name: str, path: Path, *, required: bool) -> None:
        """Add one property as a field, a relation or an entity of its own."""
        place = self.source.place(path)
        what = ("property", f"{entity.name}.{name}")
        schema, found, nullable = self.inner(path)
        if schema is None or found is None:
            self.draft.drop(*what, place, _REMOTE, "Put what it refers to into the document.")
            return
        wanted = schema.get(RELATION)
        outer = self.source.at(path)
        if isinstance(outer, dict) and isinstance(outer.get(RELATION), dict):
            wanted = outer[RELATION]
        if isinstance(wanted, dict):
            self._declared(entity, wanted, path, required and not nullable)
        elif found in self.entities or self.is_object(found):
            self._nested(entity, name, path, found, required=required and not nullable)
        elif schema.get("type") == "array" or "items" in schema:
            self._list(entity, name, path, schema, found, required=required and not nullable)
        else:
            self._scalar(entity, name, path, schema, found, required=required and not nullable)

    def _declared(
        self, entity: DraftEntity, wanted: dict[str, Any], path: Path, required: bool
    ) -> None:
        """A relation that the document itself names as one."""
        kind, deletes = wanted.get("kind"), wanted.get("on_delete")
        relation = DraftRelation(
            str(wanted.get("to")),
            name=str(wanted.get("name") or path[-1]),
            place=self.source.place(path),
            word="property",
            required=required if wanted.get("required") is None else wanted["required"] is True,
        )
        if kind in tuple(RelationKind):
            relation.kind = RelationKind(kind)
        if deletes in tuple(OnDelete):
            relation.on_delete = OnDelete(deletes)
        relation.label = _text(wanted.get("title"))
        self._beside(relation, path)
        entity.relations.append(relation)

    def _nested(
        self, entity: DraftEntity, name: str, path: Path, found: Path, *, required: bool
    ) -> None:
        kind = RelationKind.MANY_TO_ONE
        if found not in self.entities:
            target = f"{entity.name}{name[:1].upper()}{name[1:]}"
            if self.draft.entity(target) is not None or len(self.draft.entities) > 400:
                reason = "an object inside an object, whose name is taken"
                what = ("property", f"{entity.name}.{name}")
                self.draft.drop(*what, self.source.place(path), reason)
                return
            inner = DraftEntity(target, self.source.place(path), "object")
            inner.notes = []
            self.entities[found] = target
            self.draft.add(inner)
            self._fill(inner, found)
            kind = RelationKind.ONE_TO_ONE
        outer = self.source.at(path)
        label = label_of(outer, name) if isinstance(outer, dict) else ""
        relation = DraftRelation(
            self.entities[found],
            name=name,
            place=self.source.place(path),
            word="property",
            kind=kind,
            required=required,
            label=label if kind is RelationKind.MANY_TO_ONE else "",
        )
        if found != path:
            self._beside(relation, path)
        entity.relations.append(relation)

    def _beside(self, relation: DraftRelation, path: Path) -> None:
        """Note the keywords beside a reference that a relation has no word for."""
        around = self.source.at(path)
        for keyword in noted_keywords(around) if isinstance(around, dict) else ():
            if keyword not in _OF_LISTS:
                relation.note(WHY.get(keyword, f"`{keyword}` has no word in the language"))
        if isinstance(around, dict) and "default" in around:
            relation.note(WHY["default"])

    def _list(
        self,
        entity: DraftEntity,
        name: str,
        path: Path,
        schema: dict[str, Any],
        found: Path,
        *,
        required: bool,
    ) -> None:
        what, place = ("property", f"{entity.name}.{name}"), self.source.place(path)
        _, inner, _ = self.inner((*found, "items"))
        target = self.entities.get(inner) if inner is not None else None
        if target is None and (match := re.fullmatch(r"(.+?)_?(ids|Ids|IDs)", name)):
            target = self._by_words.get(letters_of(match[1]))
        elif target is not None and self._refers_back(inner, entity.name):
            reason = f"the way back from `{target}` is a filter on the list of its records"
            self.draft.drop(*what, place, reason)
            return
        if target is not None:
            relation = DraftRelation(target, name=re.sub("_?(ids|Ids|IDs)$", "s", name))
            relation.place, relation.word = place, "property"
            relation.kind, relation.label = RelationKind.MANY_TO_MANY, label_of(schema, name)
            least = schema.get("minItems")
            relation.required = isinstance(least, int) and least > 0
            for key in ("maxItems", "uniqueItems"):
                if key in schema and schema[key] not in (True,):
                    relation.note(f"`{key}` has no word in the language")
            self._beside(relation, found)
            entity.relations.append(relation)
        elif inner is not None and self.is_object(inner):
            self._parts(entity, name, inner, place)
        else:
            self._scalar(entity, name, path, schema, found, required=required)

    def _parts(self, entity: DraftEntity, name: str, inner: Path, place: Any) -> None:
        """Objects in a list: each is a record that belongs to this one."""
        target = f"{entity.name}{singular(name)[:1].upper()}{singular(name)[1:]}"
        if self.draft.entity(target) is not None or len(self.draft.entities) > 400:
            reason = "a list of objects, whose name is taken"
            self.draft.drop("property", f"{entity.name}.{name}", place, reason)
            return
        part = DraftEntity(target, place, "property")
        part.notes = []
        self.entities[inner] = target
        self.draft.add(part)
        back = DraftRelation(entity.name, name=entity.name, place=place, word="list of objects")
        back.required, back.on_delete = True, OnDelete.CASCADE
        back.note("a list of objects becomes an entity whose records belong to this one")
        part.relations.append(back)
        self._fill(part, inner)

    def _refers_back(self, path: Path | None, name: str) -> bool:
        """Whether the schema has a single reference to the entity `name`, or its id."""
        if path is None:
            return False
        for key, place in self.shape(path).properties.items():
            _, found, _ = self.inner(place)
            if found is not None and self.entities.get(found) == name:
                return True
            match = re.fullmatch(r"(.+?)_?(id|Id|ID)", key)
            if match and letters_of(match[1]) == letters_of(name):
                return True
        return False

    def _scalar(
        self,
        entity: DraftEntity,
        name: str,
        path: Path,
        schema: dict[str, Any],
        found: Path,
        *,
        required: bool,
    ) -> None:
        place = self.source.place(path)
        what = ("property", f"{entity.name}.{name}")
        outer = self.source.at(path)
        around = outer if isinstance(outer, dict) else schema
        label = label_of(around, name) or (
            label_of(schema, name) if found not in self.enums else ""
        )
        match = re.fullmatch(r"(.+?)_?(id|Id|ID)", name)
        target = self._by_words.get(letters_of(match[1])) if match else None
        if target is not None and match is not None and "enum" not in schema:
            relation = DraftRelation(target, name=match[1], place=place, word="property")
            relation.required, relation.label = required, label
            self._beside(relation, path)
            entity.relations.append(relation)
            return
        mapped = field_type(schema)
        if mapped.type is None:
            self.draft.drop(*what, place, mapped.reason or "", mapped.mend)
            return
        each = DraftField(name, mapped.type, place, "property", required=required, label=label)
        each.constraints = dict(mapped.constraints)
        each.key = name in ("id", "_id")
        if mapped.reason:
            each.note(mapped.reason, mapped.mend)
        default = around.get("default", schema.get("default"))
        each.default = default if not isinstance(default, dict | list) else None
        if isinstance(default, dict | list):
            each.note("a default is one value")
        self._enum_of(entity, each, schema, found)
        _tell(each, around, schema)
        entity.add(each)

    def _enum_of(
        self, entity: DraftEntity, each: DraftField, schema: dict[str, Any], found: Path
    ) -> None:
        if each.type is not FieldType.ENUM:
            return
        if found not in self.enums:
            name = f"{entity.name}_{each.name}"
            self._enum(name, found, schema)
            self.enums[found] = self.draft.enums[-1].name
        each.enum = self.enums[found]


def _tell(each: DraftField, around: dict[str, Any], schema: dict[str, Any]) -> None:
    """Keywords beside the type: some have a word in the language, the others are noted."""
    extension = around.get(FIELD)
    if isinstance(extension, dict):
        _take_extension(each, extension)
    if around.get("writeOnly") is True or schema.get("format") == "password":
        each.constraints["data_class"] = DataClass.SECRET
    for keyword in dict.fromkeys(noted_keywords(around) + noted_keywords(schema)):
        if keyword != "items":
            each.note(WHY.get(keyword, f"`{keyword}` has no word in the language"))
    if "enum" in schema and each.type is not FieldType.ENUM:
        each.note("`enum` is left out: the values of an enum are texts")
    for keyword in combined(schema):
        each.note(f"`{keyword}` of several schemas has no word in the language")
    for keyword in constraining(around) if around is not schema else ():
        each.note(f"`{keyword}` beside a reference or a combination is left out")
    if _says_two(around):
        each.note(_ONE_TEXT)


def _says_two(schema: dict[str, Any]) -> bool:
    """Whether title and description both say something, and not the same."""
    texts = [schema.get(key) for key in ("title", "description")]
    told = {text.strip() for text in texts if isinstance(text, str) and text.strip()}
    return len(told) > 1


def _take_extension(each: DraftField, extension: dict[str, Any]) -> None:
    """What a document made by `webnova` says beyond JSON Schema."""
    if extension.get("type") in tuple(FieldType):
        each.type = FieldType(extension["type"])
    each.unique = extension.get("unique") is True
    if isinstance(extension.get("required"), bool):
        each.required = extension["required"]
    each.notes.clear()
    keys = ("min", "max", "min_length", "max_length", "pattern", "precision", "scale", "currency")
    each.constraints = {key: extension[key] for key in keys if key in extension}
    if extension.get("data_class") in tuple(DataClass):
        each.constraints["data_class"] = DataClass(extension["data_class"])
    if "default" in extension:
        each.default = extension["default"]
    each.label = _text(extension.get("title"))


def _text(value: object) -> Label:
    """A text of one language, or of both as a document made by `webnova` has it."""
    if isinstance(value, dict):
        told = {key: value[key] for key in ("en", "ar") if isinstance(value.get(key), str)}
        try:
            return Text(**told) if told else ""
        except ValidationError:
            return " ".join(told.values())
    return value if isinstance(value, str) else ""


def named(source: Source, base: Path) -> Iterator[tuple[Path, str]]:
    """The named schemas under `base`, in the order of the document."""
    found = source.at(base)
    for name in found if isinstance(found, dict) else {}:
        yield (*base, name), name
