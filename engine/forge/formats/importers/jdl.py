"""The JHipster Domain Language as a draft."""

from __future__ import annotations

import re
from itertools import pairwise

from lark import Lark, Token, Tree

from engine.forge.blueprint.model import FieldType, OnDelete, RelationKind
from engine.forge.formats.draft import (
    Draft,
    DraftEntity,
    DraftEnum,
    DraftField,
    DraftRelation,
    DraftValue,
)
from engine.forge.formats.importers.grammar import (
    load_grammar,
    parsed,
    place_of,
    tokens,
    trees,
)
from engine.forge.formats.report import Place

Node = Tree[Token]
_TYPES = {
    "String": FieldType.STRING, "Integer": FieldType.INTEGER, "Long": FieldType.INTEGER,
    "BigDecimal": FieldType.DECIMAL, "Float": FieldType.DECIMAL, "Double": FieldType.DECIMAL,
    "Boolean": FieldType.BOOLEAN, "LocalDate": FieldType.DATE, "LocalTime": FieldType.TIME,
    "Instant": FieldType.INSTANT, "ZonedDateTime": FieldType.INSTANT, "UUID": FieldType.UUID,
    "TextBlob": FieldType.TEXT, "Duration": FieldType.DURATION,
}  # fmt: skip
_BINARY = frozenset({"Blob", "AnyBlob", "ImageBlob", "ByteBuffer"})
_DECIMALS = {
    "BigDecimal": "JHipster keeps 21 digits; here it has 18, 2 after the point",
    "Float": "a floating-point number becomes a decimal of 18 digits, 6 after the point",
    "Double": "a floating-point number becomes a decimal of 18 digits, 6 after the point",
}
_BOUNDS = {"min": "min", "max": "max", "minlength": "min_length", "maxlength": "max_length"}
_BUILT = "how the application is built is chosen by the target"
_BETWEEN = re.compile(r"(?:\s+|//[^\n]*|/\*(?!\*)(?:[^*]|\*(?!/))*\*/)*")
_TEXTS = (FieldType.STRING, FieldType.TEXT)


class JdlImporter:
    """JDL of JHipster 6 to 8."""

    name = "jdl"
    suffixes = (".jdl", ".jh")

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The entities, enums and relationships; options of JHipster are accounted for."""
        docs: list[Token] = []
        parser = _parser(docs)
        return _Reader(text, parsed(parser, text), docs).draft


def _parser(docs: list[Token]) -> Lark:
    def keep(token: Token) -> Token:
        docs.append(token)
        return token

    return load_grammar("jdl.lark", DOC=keep)


class _Reader:
    def __init__(self, text: str, tree: Node, docs: list[Token]) -> None:
        self.draft = Draft("jdl")
        self.lines = text.split("\n")
        # By what follows them, and by the line that they stand on.
        self.docs = {doc.start_pos or 0: doc for doc in docs}
        self.before = {_following(text, doc): doc for doc in docs}
        self.beside: dict[int, list[Token]] = {}
        for doc in docs:
            self.beside.setdefault(doc.line or 0, []).append(doc)
        self.constants: dict[str, str] = {}
        for node in trees(tree, "constant"):
            name, number = tokens(node, "NAME", "NUMBER")
            self.constants[str(name)] = str(number)
            self.draft.tell("carried", ("constant", str(name)), place_of(node))
        for node in trees(tree, "enum"):
            self._enum(node)
        for node in trees(tree, "entity"):
            self._entity(node)
        for node in trees(tree, "relationships"):
            for relation in trees(node, "relation"):
                self._relation(str(next(tokens(node, "KIND"))), relation)
            self._annotations(node, "relationship")
        for node in trees(tree, "application", "deployment"):
            self._block(str(node.data), next(trees(node, "block")))
        for node in trees(tree, "option", "use"):
            self.draft.drop("option", self._line(place_of(node)), place_of(node), _BUILT)
        for doc in self.docs.values():
            reason = "it stands before nothing that has a text"
            self.draft.drop("comment", _plain(doc), place_of(doc), reason)

    def _line(self, place: Place) -> str:
        return self.lines[(place.line or 1) - 1].strip()

    def _doc(self, node: Node) -> str:
        """The documentation right before the construct, or else after it on its last line."""
        doc = self.before.pop(node.meta.start_pos, None)
        if doc is None:
            beside = self.beside.get(node.meta.end_line, [])
            doc = next(
                (each for each in beside if (each.start_pos or 0) >= node.meta.end_pos), None
            )
        if doc is None or self.docs.pop(doc.start_pos or 0, None) is None:
            return ""
        text = _plain(doc)
        if doc.line != node.meta.line:
            self.draft.tell("carried", ("comment", text), place_of(doc))
        return text

    def _enum(self, node: Node) -> None:
        self._annotations(node, "enum")
        values = []
        label = self._doc(node)
        for value in trees(node, "value"):
            text = "".join(each.strip("()\"' ") for each in tokens(value, "LABEL"))
            name = str(next(tokens(value, "NAME")))
            values.append(DraftValue(name, place_of(value), text or self._doc(value)))
        name = str(next(tokens(node, "NAME")))
        self.draft.add_enum(DraftEnum(name, values, place_of(node), label))

    def _entity(self, node: Node) -> None:
        name = str(next(tokens(node, "NAME")))
        if self.draft.entity(name) is not None:
            self.draft.drop("entity", name, place_of(node), "it is declared before")
            return
        self._annotations(node, name)
        entity = DraftEntity(name, place_of(node), word="entity", label=self._doc(node))
        for table in trees(node, "table"):
            called = str(next(tokens(table, "NAME")))
            self.draft.drop(
                "table name", called, place_of(table), "tables are called after their entities"
            )
        self.draft.add(entity)
        for body in trees(node, "body"):
            for field in trees(body, "field"):
                self._field(entity, field)

    def _field(self, entity: DraftEntity, node: Node) -> None:
        name, kind = (str(each) for each in tokens(node, "NAME"))
        what = ("field", f"{entity.name}.{name}")
        place = place_of(node)
        label = self._doc(node)
        if kind in _BINARY:
            mend = "Keep the address of the file instead."
            self.draft.drop(*what, place, "the language holds no binary data", mend)
            return
        if entity.find(name) is not None:
            self.draft.drop(*what, place, "it is declared before")
            return
        field = DraftField(name, _TYPES.get(kind, FieldType.TEXT), place, "field", label=label)
        if self.draft.enum(kind) is not None:
            field.type, field.enum = FieldType.ENUM, kind
        elif kind not in _TYPES:
            field.note(f"there is no type or enum `{kind[:40]}`; it becomes text")
        if kind in _DECIMALS:
            scale = 2 if kind == "BigDecimal" else 6
            field.constraints |= {"precision": 18, "scale": scale}
            field.note(_DECIMALS[kind])
        entity.add(field)
        self._validations(field, node)
        self._annotations(node, f"{entity.name}.{name}", field)

    def _validations(self, field: DraftField, node: Node) -> None:
        field.required = any(True for _ in trees(node, "required"))
        field.unique = any(True for _ in trees(node, "unique"))
        for bound in trees(node, "bound"):
            word, number = (str(each) for each in bound.children)
            value = self.constants.get(number, number)
            attribute = _BOUNDS.get(word)
            if attribute is None or not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]+)?", value):
                field.note(f"`{word}({number[:40]})` has no word in the language")
            elif "length" in attribute and field.type in _TEXTS:
                size = int(float(value))
                if attribute == "min_length" or size > 0:
                    field.constraints[attribute] = size
            else:
                field.constraints[attribute] = float(value) if "." in value else int(value)
        for pattern in trees(node, "pattern"):
            written = str(pattern.children[0])
            inner = written[written.index("/") + 1 : written.rindex("/")].replace("\\/", "/")
            field.constraints["pattern"] = inner.removeprefix("^").removesuffix("$")

    def _annotations(self, node: Node, source: str, field: DraftField | None = None) -> None:
        for each in trees(node, "annotation"):
            name = str(next(tokens(each, "NAME")))
            if field is not None and name.lower() == "id":
                field.key = True
                continue
            self.draft.drop("annotation", f"{source} @{name}", place_of(each), _BUILT)

    def _relation(self, kind: str, node: Node) -> None:
        first, second = (_Side(side) for side in trees(node, "side"))
        owner, other = (second, first) if kind == "OneToMany" else (first, second)
        what = f"{first.entity} {kind} {second.entity}"
        entity = self.draft.entity(owner.entity)
        label = self._doc(node)
        if entity is None:
            reason = f"there is no entity `{owner.entity[:40]}` in the source"
            self.draft.drop("relationship", what, place_of(node), reason)
            return
        relation = DraftRelation(
            other.entity,
            name=owner.name or other.entity,
            place=place_of(node),
            word=f"relationship {kind}",
            kind={
                "OneToOne": RelationKind.ONE_TO_ONE,
                "ManyToMany": RelationKind.MANY_TO_MANY,
            }.get(kind, RelationKind.MANY_TO_ONE),
            required=owner.required,
            label=label,
        )
        if other.name:
            relation.note(f"the way back, `{other.name}`, is a filter on the list of records")
        if other.required:
            relation.note(f"that every {other.entity} has one can't be required from afar")
        if owner.display or other.display:
            shown = owner.display or other.display
            relation.note(f"`{shown}` is shown for a record if it is the entity's `display`")
        for options in trees(node, "with_options"):
            names = ", ".join(str(each) for each in tokens(options, "NAME"))
            relation.note(f"`with {names}`: {_BUILT}")
        self._deletion(relation, node)
        entity.relations.append(relation)

    def _deletion(self, relation: DraftRelation, node: Node) -> None:
        sides = list(trees(node, "side"))
        inner = [injected for side in sides for injected in trees(side, "injected")]
        for each in [found for part in (node, *inner) for found in trees(part, "annotation")]:
            name = str(next(tokens(each, "NAME")))
            value = " ".join(str(v) for v in tokens(each, "STRING", "NUMBER")).strip("\"'")
            if name == "OnDelete" and value in ("CASCADE", "SET NULL"):
                on = {"CASCADE": OnDelete.CASCADE, "SET NULL": OnDelete.SET_NULL}
                relation.on_delete = on[value]
            else:
                relation.note(f"`@{name}`: {_BUILT}")

    def _block(self, word: str, block: Node) -> None:
        """Settings of an application, one account for each line of them."""
        words = list(block.scan_values(lambda value: isinstance(value, Token)))
        for one, following in pairwise(words):
            if one == "baseName" and not self.draft.name:
                self.draft.name = str(following).strip("\"',")
                self.draft.tell("carried", ("name", self.draft.name), place_of(one), path="name")
        told = {entry.line for entry in self.draft.entries}
        begin, end = block.meta.line, block.meta.end_line
        for number in range(begin, end + 1):
            text = self.lines[number - 1].strip()
            if number not in told and text.strip("{} "):
                self.draft.drop(word, text, Place(number, 1), _BUILT)


class _Side:
    """One side of a relationship: the entity, and the field that leads to the other side."""

    def __init__(self, node: Node) -> None:
        self.entity = str(next(tokens(node, "NAME")))
        self.name, self.display, self.required = "", "", False
        for injected in trees(node, "injected"):
            self.name = "".join(tokens(injected, "NAME"))
            self.required = any(True for _ in trees(injected, "required"))
            for display in trees(injected, "display"):
                self.display = str(next(tokens(display, "NAME")))


def _following(text: str, doc: Token) -> int:
    """Where the next construct after a comment begins."""
    match = _BETWEEN.match(text, doc.end_pos or 0)
    return match.end() if match else len(text)


def _plain(doc: Token) -> str:
    lines = (line.strip().lstrip("*").strip() for line in str(doc)[3:-2].split("\n"))
    return " ".join(line for line in lines if line)
