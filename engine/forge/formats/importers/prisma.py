"""Prisma schemas as a draft."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lark import Lark, Token, Tree

from engine.forge.blueprint.model import FieldType, OnDelete, RelationKind
from engine.forge.formats.draft import (
    Draft,
    DraftEntity,
    DraftEnum,
    DraftField,
    DraftIndex,
    DraftRelation,
    DraftUnique,
    DraftValue,
)
from engine.forge.formats.importers.grammar import (
    load_grammar,
    parsed,
    place_of,
    tokens,
    trees,
    unquoted,
)
from engine.forge.formats.report import Note, Place

Node = Tree[Token]
_TYPES = {
    "String": FieldType.TEXT, "Int": FieldType.INTEGER, "BigInt": FieldType.INTEGER,
    "Float": FieldType.DECIMAL, "Decimal": FieldType.DECIMAL, "Boolean": FieldType.BOOLEAN,
    "DateTime": FieldType.INSTANT, "Json": FieldType.JSON,
}  # fmt: skip
_DIGITS = "a decimal has 18 digits here, 6 after the point"
_LIMIT = "a text has at most 10,000 characters, unlimited in the source"
_LENGTHS = frozenset({"VarChar", "Char", "NVarChar", "NChar", "Text"})
_CHOSEN = "how the database is used is chosen by the target"
_DELETES = {"Cascade": OnDelete.CASCADE, "SetNull": OnDelete.SET_NULL}
_LIST = "a field holds one value"
_A_LIST = "a list of values becomes JSON, by which lists are neither sorted nor filtered"
_OWN = "Make it an entity of its own."


class PrismaImporter:
    """The Prisma Schema Language, as `prisma format` writes it."""

    name = "prisma"
    suffixes = (".prisma",)

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The models, enums and relations; settings and storage are accounted for."""
        docs: list[Token] = []
        tree = parsed(_grammar(docs), text)
        return _Reader(tree, docs).draft


def _grammar(docs: list[Token]) -> Lark:
    def keep(token: Token) -> Token:
        docs.append(token)
        return token

    return load_grammar("prisma.lark", DOC=keep)


class _Reader:
    def __init__(self, tree: Node, docs: list[Token]) -> None:
        self.draft = Draft("prisma")
        self.docs = {doc.line or 0: doc for doc in docs}
        self.models = {str(next(tokens(node, "NAME"))): node for node in trees(tree, "model")}
        for node in trees(tree, "settings"):
            self._settings(node)
        for node in trees(tree, "enum"):
            self._enum(node)
        for node in trees(tree, "model"):
            self._model(node)
        self._relations()
        for doc in self.docs.values():
            reason = "it stands before nothing that has a text"
            self.draft.drop("comment", str(doc).strip("/ "), place_of(doc), reason)

    def _doc(self, node: Node) -> str:
        """The documentation on the lines right above, or else on the same line."""
        lines: list[str] = []
        line = node.meta.line - 1
        while (doc := self.docs.get(line)) is not None and (doc.column or 0) <= node.meta.column:
            lines.insert(0, str(self.docs.pop(line)).strip("/ "))
            self.draft.tell("carried", ("comment", lines[0]), place_of(doc))
            line -= 1
        beside = self.docs.get(node.meta.end_line)
        if not lines and beside is not None and (beside.start_pos or 0) >= node.meta.end_pos:
            lines.append(str(self.docs.pop(node.meta.end_line)).strip("/ "))
        return " ".join(lines)

    def _settings(self, node: Node) -> None:
        name = " ".join(str(each) for each in tokens(node, "SETTINGS", "NAME"))
        self.draft.drop("settings", name, place_of(node), _CHOSEN)
        for each in trees(node, "property"):
            what = f"{name}: {next(tokens(each, 'NAME'))}"
            self.draft.drop("setting", what, place_of(each), _CHOSEN)

    def _enum(self, node: Node) -> None:
        name = str(next(tokens(node, "NAME")))
        values = []
        label = self._doc(node)
        for member in trees(node, "member"):
            value = DraftValue(str(next(tokens(member, "NAME"))), place_of(member))
            for attribute, arguments, place in _attributes(member):
                mapped = _string(arguments.get(""))
                if attribute == "map" and mapped:
                    self.draft.drop("attribute", f"{name}.{value.name} @map", place, _CHOSEN)
            value.label = self._doc(member)
            values.append(value)
        for each in trees(node, "block_attribute"):
            self.draft.drop("attribute", f"{name} @@{_dotted(each)}", place_of(each), _CHOSEN)
        self.draft.add_enum(DraftEnum(name, values, place_of(node), label))

    def _model(self, node: Node) -> None:
        name, word = str(next(tokens(node, "NAME"))), str(next(tokens(node, "MODEL")))
        place = place_of(node)
        if word == "view" or self.draft.entity(name) is not None:
            reason = "a view is no kind of record" if word == "view" else "it is declared before"
            self.draft.drop(word, name, place, reason)
            return
        entity = DraftEntity(name, place, word, label=self._doc(node))
        self.draft.add(entity)
        for field in trees(node, "field"):
            self._field(entity, field)
        for each in trees(node, "block_attribute"):
            self._block(entity, each)

    def _block(self, entity: DraftEntity, node: Node) -> None:
        name, place = _dotted(node), place_of(node)
        arguments = _arguments(node)
        if name in ("id", "unique", "index"):
            listed = tuple(_names(arguments.get("fields", arguments.get(""))))
            notes = _laid_out(arguments)
            if name == "index":
                entity.indexes.append(DraftIndex(listed, place, notes))
            else:
                entity.uniques.append(DraftUnique(listed, place, name == "id", notes))
            return
        self.draft.drop("attribute", f"{entity.name} @@{name}", place, _CHOSEN)

    def _field(self, entity: DraftEntity, node: Node) -> None:
        name, place = str(next(tokens(node, "NAME"))), place_of(node)
        kind = next(trees(node, "type"))
        written = "".join(str(each) for each in tokens(kind, "NAME")) or "Unsupported"
        modifier = "".join(str(each) for each in tokens(kind, "MODIFIER"))
        if written in self.models:
            return
        what = ("field", f"{entity.name}.{name}")
        if entity.find(name) is not None:
            self.draft.drop(*what, place, "it is declared before", _OWN)
            return
        if written in ("Bytes", "Unsupported"):
            reason = "the language holds no binary data and no types of one database"
            self.draft.drop(*what, place, reason)
            return
        field = DraftField(name, _TYPES.get(written, FieldType.TEXT), place, "field")
        field.required = modifier != "?"
        if "[]" in modifier:
            field.type, field.required = FieldType.JSON, False
            field.note(_A_LIST, _OWN)
        elif self.draft.enum(written) is not None:
            field.type, field.enum = FieldType.ENUM, written
        elif written not in _TYPES:
            field.note(f"there is no type, model or enum `{written[:40]}`; it becomes text")
        if field.type is FieldType.DECIMAL:
            _digits(field, written)
        entity.add(field)
        for attribute, arguments, _ in _attributes(node):
            _attribute(field, attribute, arguments)
        if field.type is FieldType.TEXT and "max_length" not in field.constraints:
            field.note(_LIMIT)
        field.label = self._doc(node)

    def _relations(self) -> None:
        """Relations last, when every model is known; a pair of lists is one many-to-many."""
        seen: set[tuple[str, str, str]] = set()
        for entity in list(self.draft.entities):
            for field in trees(self.models[entity.name], "field"):
                kind = next(trees(field, "type"))
                target = "".join(str(each) for each in tokens(kind, "NAME"))
                if target in self.models:
                    self._relation(entity, field, target, seen)

    def _relation(
        self, entity: DraftEntity, node: Node, target: str, seen: set[tuple[str, str, str]]
    ) -> None:
        name, place = str(next(tokens(node, "NAME"))), place_of(node)
        what = ("relation", f"{entity.name}.{name}")
        many = any("[]" in each for each in tokens(next(trees(node, "type")), "MODIFIER"))
        label = self._doc(node)
        arguments: dict[str, Any] = {}
        relation = DraftRelation(target, name, place, label=label)
        for attribute, given, _ in _attributes(node):
            if attribute == "relation":
                arguments = given
            else:
                relation.note(f"`@{attribute}`: {_CHOSEN}")
        fields = _names(arguments.get("fields"))
        role = _string(arguments.get("name", arguments.get("")))
        if fields:
            relation.columns = tuple(fields)
            self._owning(relation, entity, arguments)
            entity.relations.append(relation)
        elif many and self._is_list(target, entity.name, role, beside=name):
            first, second = sorted((entity.name, target))
            if (first, second, role) in seen:
                self.draft.tell("carried", what, place)
                return
            seen.add((first, second, role))
            relation.kind = RelationKind.MANY_TO_MANY
            entity.relations.append(relation)
        elif self.draft.entity(target) is not None and self._word(target) == "type":
            relation.kind = RelationKind.ONE_TO_ONE
            relation.note("a composite type becomes an entity of its own")
            if many:
                self.draft.drop(*what, place, _LIST, _OWN)
            else:
                entity.relations.append(relation)
        else:
            reason = f"the way back from `{target}` is a filter on the list of its records"
            self.draft.drop(*what, place, reason)

    def _word(self, model: str) -> str:
        return str(next(tokens(self.models[model], "MODEL")))

    def _is_list(self, model: str, of: str, role: str, *, beside: str) -> bool:
        """Whether the model has a list of `of` with the same role, other than `beside` itself."""
        for field in trees(self.models[model], "field"):
            if model == of and str(next(tokens(field, "NAME"))) == beside:
                continue
            kind = next(trees(field, "type"))
            names = [str(each) for each in tokens(kind, "NAME")]
            is_list = any("[]" in each for each in tokens(kind, "MODIFIER"))
            given = [args for word, args, _ in _attributes(field) if word == "relation"]
            roles = [_string(args.get("name", args.get(""))) for args in given] or [""]
            if names == [of] and is_list and role in roles:
                return True
        return False

    def _owning(
        self, relation: DraftRelation, entity: DraftEntity, arguments: dict[str, Any]
    ) -> None:
        action = "".join(_names([arguments.get("onDelete")]))
        relation.on_delete = _DELETES.get(action, OnDelete.RESTRICT)
        if action not in (*_DELETES, "", "Restrict", "NoAction"):
            relation.note(f"`onDelete: {action[:40]}` becomes `restrict`")
        optional = any(
            not field.required for column in relation.columns if (field := entity.find(column))
        )
        if not action and optional:
            relation.on_delete = OnDelete.SET_NULL
        if "onUpdate" in arguments:
            relation.note("`onUpdate` means nothing to a built-in `id`")
        target = self.draft.entity(relation.target)
        keys = {field.name for field in target.fields if field.key} if target else set()
        referenced = _names(arguments.get("references"))
        if target is not None and not set(referenced) <= (keys | {"id"}):
            composite = {name for each in target.uniques if each.primary for name in each.columns}
            if not set(referenced) <= composite:
                names = ", ".join(referenced)
                relation.note(f"it refers by the built-in `id` instead of by {names}")


def _laid_out(arguments: dict[str, Any]) -> list[Note]:
    """What an index says of its order and storage; names of it and in code mean nothing here."""
    notes = []
    listed = arguments.get("fields", arguments.get(""))
    calls = listed.children if isinstance(listed, Tree) else []
    if any(isinstance(each, Tree) and each.data == "call" for each in calls):
        notes.append(Note("the order and the length within an index are chosen by the target"))
    for word, value in arguments.items():
        if word in ("type", "clustered", "ops") and "".join(_names(value)) != "BTree":
            notes.append(Note(f"`{word}: {''.join(_names(value))[:40]}`: {_CHOSEN}"))
    return notes


def _digits(field: DraftField, written: str) -> None:
    if written in ("Float", "Decimal"):
        field.constraints |= {"precision": 18, "scale": 6}
        field.note(_DIGITS)


def _attribute(field: DraftField, name: str, arguments: dict[str, Any]) -> None:
    """Take over one attribute of a field."""
    native = name.removeprefix("db.") if name.startswith("db.") else ""
    if native and field.type is FieldType.JSON:
        return
    if name == "id":
        field.key = True
    elif name == "unique":
        field.unique = True
    elif name == "default":
        _default(field, arguments.get("", arguments.get("value")))
    elif name == "updatedAt":
        field.generated = True
    elif native:
        _native(field, native, [str(each) for each in arguments.get("*", [])])
    elif name == "map":
        field.note("columns are called after their fields")
    else:
        field.note(f"`@{name}` has no word in the language")


def _native(field: DraftField, native: str, numbers: list[str]) -> None:
    """A type of the database, which may say more than the type of Prisma."""
    if native in _LENGTHS:
        if numbers and numbers[0].isdigit():
            field.type = FieldType.STRING
            field.constraints["max_length"] = max(1, int(numbers[0]))
    elif native in ("Decimal", "Numeric") and len(numbers) == 2:
        field.constraints |= {"precision": int(numbers[0]), "scale": int(numbers[1])}
        field.notes = [each for each in field.notes if each.reason != _DIGITS]
    elif native == "Date":
        field.type = FieldType.DATE
    elif native in ("Time", "Timetz"):
        field.type = FieldType.TIME
        if any(each != "0" for each in numbers):
            field.note("a time of day is kept to the second")
    elif native in ("Uuid", "UniqueIdentifier"):
        field.type = FieldType.UUID
    elif native == "Citext":
        field.note("small and capital letters differ here, whereas not in the source")
    elif native == "Money":
        field.type = FieldType.MONEY
        field.constraints.clear()
        field.note("the source names no currency", "Add `currency`.")
    elif native not in ("Timestamptz", "Timestamp", "DateTime", "Boolean", "TinyInt",
                        "Integer", "BigInt", "SmallInt", "Int", "DoublePrecision", "Real",
                        "JsonB", "Json", "LongText", "MediumText", "Float"):  # fmt: skip
        field.note(f"`@db.{native}` has no word in the language")


def _default(field: DraftField, value: Any) -> None:
    if isinstance(value, Tree) and value.data == "call":
        field.generated = True
        if _dotted(value) in ("uuid",):
            field.type = FieldType.UUID if field.type is FieldType.TEXT else field.type
    elif isinstance(value, Tree):
        field.default = ".".join(str(each) for each in tokens(value, "NAME")) or None
        if value.data == "list":
            field.note("a list can't be a default")
    elif value is not None:
        field.default = unquoted(value) if value.type == "STRING" else str(value)


def _attributes(node: Node) -> Iterator[tuple[str, dict[str, Any], Place]]:
    for each in trees(node, "attribute"):
        yield _dotted(each), _arguments(each), place_of(each)


def _dotted(node: Node) -> str:
    return ".".join(
        str(each) for dotted in trees(node, "dotted") for each in tokens(dotted, "NAME")
    )


def _arguments(node: Node) -> dict[str, Any]:
    """The values by name; the first without a name under the empty one, all under `*`."""
    found: dict[str, Any] = {"*": []}
    for arguments in trees(node, "arguments"):
        for argument in trees(arguments, "argument"):
            *names, value = argument.children
            key = str(names[0]) if names else ""
            found.setdefault(key, value)
            if not names:
                found["*"].append(value)
    return found


def _names(value: Any) -> list[str]:
    """The names in a list; functions of an index such as `email(sort: Desc)` are their fields."""
    if isinstance(value, list):
        return [name for each in value for name in _names(each)]
    if isinstance(value, Tree):
        if value.data == "list":
            return [name for each in value.children for name in _names(each)]
        if value.data == "call":
            return [_dotted(value)]
        return [".".join(str(each) for each in tokens(value, "NAME"))]
    return [str(value)] if isinstance(value, Token) else []


def _string(value: Any) -> str:
    is_text = isinstance(value, Token) and re.match('"', value)
    return unquoted(value) if is_text else ""
