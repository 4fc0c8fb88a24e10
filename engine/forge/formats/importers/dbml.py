"""DBML as a draft."""

from __future__ import annotations

import re
import textwrap
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, Tree
from sqlglot import exp
from sqlglot.errors import SqlglotError

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
from engine.forge.formats.importers.sql.types import Mapped, map_type, word_of_the_language
from engine.forge.formats.report import Note, Place

Node = Tree[Token]
_HOME = "public"
_DRAWN = "it says how a diagram is drawn"
_DELETES = {"cascade": OnDelete.CASCADE, "set null": OnDelete.SET_NULL}
_BACK = {">": "<", "<": ">", "-": "-", "<>": "<>"}


@cache
def _grammar() -> Lark:
    return load_grammar("dbml.lark")


class DbmlImporter:
    """DBML as dbdiagram.io and the `dbml` tools read it."""

    name = "dbml"
    suffixes = (".dbml",)

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The tables, enums and references; what is drawn or grouped is accounted for."""
        return _Reader(parsed(_grammar(), text)).draft


class _Reader:
    def __init__(self, tree: Node) -> None:
        self.draft = Draft("dbml")
        self.tables: dict[str, DraftEntity] = {}
        self.partials = {_name(next(trees(node, "name"))): node for node in trees(tree, "partial")}
        for node in trees(tree, "project"):
            self._project(node)
        for node in trees(tree, "enum"):
            self._enum(node)
        for node in trees(tree, "table"):
            self._table(node)
        self._inline = [pair for node in trees(tree, "table") for pair in self._inner_refs(node)]
        for node in trees(tree, "ref"):
            name = "".join(_name(each) for each in trees(node, "name"))
            for edge in trees(node, "edge"):
                self._edge(edge, name)
        for source, value in self._inline:
            first, second = source, _endpoint(next(trees(value, "endpoint")))
            operator = str(next(tokens(value, "OPERATOR")))
            self._reference(first, operator, second, value, {})
        for name, node in self.partials.items():
            self.draft.tell("carried", ("table partial", name), place_of(node))
        for kind, node in [(each.data, each) for each in trees(tree, "group", "sticky", "records")]:
            words = {"group": _DRAWN, "sticky": _DRAWN, "records": "records are not part of it"}
            what = _path(next(trees(node, "path", "name")))
            self.draft.drop(str(kind), what, place_of(node), words[str(kind)])

    def _project(self, node: Node) -> None:
        self.draft.name = "".join(_path(each) for each in trees(node, "path"))
        if self.draft.name:
            what = ("project", self.draft.name)
            self.draft.tell("carried", what, place_of(node), path="name")
        for each in trees(node, "property"):
            name = str(next(tokens(each, "NAME")))
            self.draft.drop("property", name, place_of(each), "the target chooses its database")
        for each in trees(node, "note"):
            self.draft.description = _string(each)[:5_000]
            what = ("note", self.draft.description[:80])
            self.draft.tell("carried", what, place_of(each), path="description")

    def _enum(self, node: Node) -> None:
        values = []
        for member in trees(node, "member"):
            name, place = _name(next(trees(member, "name"))), place_of(member)
            label = ""
            for words, value, at in _settings(member):
                if words == "note":
                    label = str(value)
                else:
                    self.draft.drop("setting", f"{name}: {words}", at, _DRAWN)
            values.append(DraftValue(name, place, label))
        name = _path(next(trees(node, "path")))
        self.draft.add_enum(DraftEnum(name, values, place_of(node)))

    def _table(self, node: Node) -> None:
        full = _path(next(trees(node, "path")))
        alias = "".join(_name(each) for each in trees(node, "name"))
        place = place_of(node)
        if full.lower() in self.tables:
            self.draft.drop("table", full, place, "it is declared before")
            return
        # An alias in the form of a class is the better name: tables are named in the plural.
        is_class = alias[:1].isupper() and len(alias) > 1 and not alias.isupper()
        entity = DraftEntity(alias if is_class else full, place, plural=not is_class)
        self.tables[full.lower()] = entity
        if alias:
            self.tables.setdefault(alias.lower(), entity)
            if not is_class:
                what = f"{full} as {alias}"
                self.draft.drop("alias", what, place, "aliases are short names inside the text")
        self.draft.add(entity)
        self._body(entity, node)

    def _body(self, entity: DraftEntity, node: Node) -> None:
        for words, value, at in _settings(node):
            if words == "note":
                entity.label = str(value)
                self.draft.tell("carried", ("note", entity.name), at)
            else:
                self.draft.drop("setting", f"{entity.name}: {words}", at, _DRAWN)
        for note in trees(node, "note"):
            entity.label = _string(note)
            self.draft.tell("carried", ("note", entity.name), place_of(note))
        for each in trees(node, "injected"):
            name = _name(next(trees(each, "name")))
            partial = self.partials.get(name)
            if partial is None or node.data == "partial":
                reason = f"there is no table partial `{name[:40]}`"
                self.draft.drop("partial", f"{entity.name}: {name}", place_of(each), reason)
            else:
                self._body(entity, partial)
                self.draft.tell("carried", ("partial", f"{entity.name}: {name}"), place_of(each))
        for column in trees(node, "column"):
            self._column(entity, column)
        for group in trees(node, "indexes"):
            for index in trees(group, "index"):
                self._index(entity, index)
        for group in trees(node, "checks"):
            for check in trees(group, "check"):
                what = f"{entity.name}: {next(tokens(check, 'EXPR'))[:80]}"
                reason = "no constraint of a single field says this"
                self.draft.drop("check", what, place_of(check), reason)

    def _column(self, entity: DraftEntity, node: Node) -> None:
        name, place = _name(next(trees(node, "name"))), place_of(node)
        what = ("column", f"{entity.name}.{name}")
        if entity.find(name) is not None:
            self.draft.drop(*what, place, "it is declared before")
            return
        written = _type(next(trees(node, "type")))
        enum = next(
            (each for each in self.draft.enums if each.name.lower() == written.lower()), None
        )
        mapped = Mapped(FieldType.ENUM, {}) if enum else _mapped(written)
        if mapped.type is None:
            self.draft.drop(*what, place, mapped.reason or "", mapped.mend)
            return
        field = DraftField(name, mapped.type, place, constraints=dict(mapped.constraints))
        field.enum, field.generated = enum.name if enum else None, mapped.generated
        if mapped.reason:
            field.note(mapped.reason, mapped.mend)
        entity.add(field)
        for words, value, _ in _settings(node):
            self._setting(field, words, value)

    @staticmethod
    def _setting(field: DraftField, words: str, value: Any) -> None:
        match words:
            case "pk" | "primary key":
                field.key = True
            case "not null":
                field.required = True
            case "null" | "ref":
                pass
            case "unique":
                field.unique = True
            case "increment":
                field.generated = True
            case "note":
                field.label = str(value)
            case "default":
                is_expression = isinstance(value, Token) and value.type == "EXPR"
                field.generated = field.generated or is_expression
                field.default = None if is_expression or str(value) == "null" else str(value)
            case _:
                field.note(f"`{words}` has no word in the language")

    def _index(self, entity: DraftEntity, node: Node) -> None:
        listed = [each for part in trees(node, "columns") for each in trees(part, "name")]
        names = [_name(each) for each in [*trees(node, "name"), *listed]]
        computed = [*tokens(node, "EXPR")]
        computed += [each for part in trees(node, "columns") for each in tokens(part, "EXPR")]
        settings = {words: value for words, value, _ in _settings(node)}
        place = place_of(node)
        primary = bool({"pk", "primary key"} & set(settings))
        notes = [
            Note(f"`{words}: {str(value)[:40]}`: how it is stored is chosen by the target")
            for words, value in settings.items()
            if words not in ("pk", "primary key", "unique", "name")
            and (words, str(value)) != ("type", "btree")
        ]
        if primary or "unique" in settings:
            columns = () if computed else tuple(names)
            entity.uniques.append(DraftUnique(columns, place, primary, notes))
        elif computed:
            what = f"{entity.name} ({', '.join([*names, *map(str, computed)])})"
            reason = "it is over expressions, whereas fields are indexed"
            self.draft.drop("index", what, place, reason)
        else:
            entity.indexes.append(DraftIndex(tuple(names), place, notes))

    def _inner_refs(self, table: Node) -> list[tuple[tuple[str, list[str]], Node]]:
        """The references inside columns: where they begin, and the setting's value."""
        found = []
        full = _path(next(trees(table, "path")))
        for column in trees(table, "column"):
            name = _name(next(trees(column, "name")))
            for settings in trees(column, "settings"):
                for setting in trees(settings, "setting"):
                    for value in trees(setting, "value"):
                        if any(True for _ in trees(value, "endpoint")):
                            found.append(((full, [name]), value))
        return found

    def _edge(self, node: Node, name: str) -> None:
        first, second = (_endpoint(each) for each in trees(node, "endpoint"))
        operator = str(next(tokens(node, "OPERATOR")))
        options = {words: str(value).lower() for words, value, _ in _settings(node)}
        self._reference(first, operator, second, node, options)

    def _reference(
        self,
        first: tuple[str, list[str]],
        operator: str,
        second: tuple[str, list[str]],
        node: Node,
        options: dict[str, str],
    ) -> None:
        place = place_of(node)
        if operator == "<":
            first, operator, second = second, ">", first
        source, target = self.tables.get(first[0].lower()), self.tables.get(second[0].lower())
        what = f"{first[0]}.{','.join(first[1])} {operator} {second[0]}.{','.join(second[1])}"
        if source is None or target is None:
            missing = first[0] if source is None else second[0]
            reason = f"there is no table `{missing[:40]}` in the source"
            self.draft.drop("reference", what, place, reason)
            return
        if operator == "-" and _is_key(source, first[1]) and not _is_key(target, second[1]):
            first, source, second, target = second, target, first, source
        relation = DraftRelation(target.name, place=place, word="reference")
        if operator == "<>":
            relation.kind = RelationKind.MANY_TO_MANY
            relation.name = target.name
        else:
            relation.columns = tuple(first[1])
            relation.kind = RelationKind.ONE_TO_ONE if operator == "-" else RelationKind.MANY_TO_ONE
            if not _is_key(target, second[1]):
                names = ", ".join(second[1])
                relation.note(f"it refers by the built-in `id` instead of by {names}")
        self._options(relation, options)
        source.relations.append(relation)

    @staticmethod
    def _options(relation: DraftRelation, options: dict[str, str]) -> None:
        for words, value in options.items():
            if words == "delete":
                relation.on_delete = _DELETES.get(value, OnDelete.RESTRICT)
                if value not in (*_DELETES, "restrict", "no action"):
                    relation.note(f"`delete: {value[:40]}` becomes `restrict`")
            elif words == "update" and value in ("no action", "restrict"):
                continue
            elif words == "update":
                relation.note(f"`update: {value[:40]}` means nothing to a built-in `id`")
            else:
                relation.note(f"`{words}`: {_DRAWN}")


def _is_key(entity: DraftEntity, columns: list[str]) -> bool:
    keys = {field.name for field in entity.fields if field.key}
    keys |= {name for unique in entity.uniques if unique.primary for name in unique.columns}
    return bool(columns) and set(columns) <= (keys or {"id"})


@lru_cache(maxsize=1024)
def _mapped(written: str) -> Mapped:
    """The type by its name in the language, or else by that of SQL."""
    match = re.fullmatch(r"([a-z]+)(?:\(([0-9]{1,6})\))?", written)
    own = word_of_the_language(match[1], [int(match[2])] if match[2] else []) if match else None
    if own is not None and written != "money":
        return own
    try:
        return map_type(exp.DataType.build(written, dialect="postgres", udt=True))
    except (SqlglotError, ValueError, RecursionError):
        reason = f"the language has no type `{written[:40]}`; it becomes text"
        return Mapped(FieldType.TEXT, {}, reason=reason)


def _type(node: Node) -> str:
    words = ".".join(_name(each) for each in trees(node, "name")).removeprefix(f"{_HOME}.")
    return words + "".join(str(each) for each in tokens(node, "TYPE_ARGS", "ARRAY"))


def _name(node: Node) -> str:
    token = node.children[0]
    assert isinstance(token, Token)
    return unquoted(token) if token.type == "QUOTED" else str(token)


def _path(node: Node) -> str:
    names = [_name(each) for each in trees(node, "name")] or [_name(node)]
    return ".".join(names).removeprefix(f"{_HOME}.")


def _endpoint(node: Node) -> tuple[str, list[str]]:
    """The table and the columns that a reference begins or ends at."""
    names = [_name(each) for each in trees(node, "name")]
    columns = [_name(each) for part in trees(node, "columns") for each in trees(part, "name")]
    if not columns:
        columns = [names.pop()] if len(names) > 1 else []
    return ".".join(names).removeprefix(f"{_HOME}."), columns


def _string(node: Node) -> str:
    return _plain(next(tokens(node, "STRING")))


def _plain(token: Token) -> str:
    if token.startswith("'''"):
        return textwrap.dedent(str(token)[3:-3].replace("\\\n", "")).strip()
    return unquoted(token)


def _settings(node: Node) -> list[tuple[str, Any, Place]]:
    """The settings in brackets: their words, their value and where they stand."""
    found: list[tuple[str, Any, Place]] = []
    for settings in trees(node, "settings"):
        for setting in trees(settings, "setting"):
            words = " ".join(str(each).lower() for each in tokens(setting, "NAME"))
            value: Any = None
            for each in trees(setting, "value"):
                inner = list(tokens(each, "STRING", "NUMBER", "EXPR", "COLOR", "NAME"))
                value = " ".join(str(token) for token in inner)
                if inner and inner[0].type == "STRING":
                    value = _plain(inner[0])
                elif inner and inner[0].type == "EXPR":
                    value = inner[0]
            found.append((words, value, place_of(setting)))
    return found
