"""Tables of SQL with their columns, keys, references, comments and changes."""

from __future__ import annotations

from typing import Any

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token

from engine.forge.blueprint.model import FieldType, OnDelete
from engine.forge.formats.draft import (
    Draft,
    DraftEntity,
    DraftField,
    DraftIndex,
    DraftRelation,
    DraftUnique,
)
from engine.forge.formats.importers.sql.checks import add_enum, take_check
from engine.forge.formats.importers.sql.indexes import (
    HASHED,
    bare_name,
    index_notes,
    length_notes,
    method_of,
    names_of,
    shown,
    unique_notes,
)
from engine.forge.formats.importers.sql.types import Mapped, map_type, set_default
from engine.forge.formats.report import NOWHERE, Note, Place

_HOME = frozenset({"", "public", "dbo", "main"})
_ON_DELETE = {"CASCADE": OnDelete.CASCADE, "SET NULL": OnDelete.SET_NULL}
_STEPS = "Import the finished schema, not its steps."
_C = exp.ColumnConstraint


def place_of(node: exp.Expression, otherwise: Place = NOWHERE) -> Place:
    """Where the first name of the node stands."""
    for each in node.find_all(exp.Identifier, bfs=False):
        meta = each.meta
        if "line" in meta:
            return Place(meta["line"], max(1, meta["col"] - (meta["end"] - meta["start"])))
    return otherwise


class Tables:
    """Collects what statements say of tables. Names are compared without their case."""

    def __init__(self, draft: Draft, dialect: Dialect, text: str) -> None:
        self.draft = draft
        self.dialect = dialect
        self.text = text
        self._known: dict[str, DraftEntity] = {}
        self._domains: dict[str, exp.ColumnDef] = {}
        self._named: list[tuple[DraftField, str]] = []
        self._targets: list[tuple[DraftRelation, list[str]]] = []

    def create(self, node: exp.Create, chunk: list[Token], place: Place) -> None:
        schema = node.this
        table = schema.this if isinstance(schema, exp.Schema) else schema
        name = _name(table)
        at = place_of(table, place)
        if not isinstance(schema, exp.Schema) or not schema.expressions:
            reason = "its columns are not declared here"
            self.draft.drop("table", name, at, reason, "Declare its columns one by one.")
            return
        if name.lower() in self._known:
            self.draft.drop("table", name, at, "it is declared before", "Remove one of the two.")
            return
        entity = DraftEntity(name, at, plural=True)
        self._known[name.lower()] = entity
        self.draft.add(entity)
        parts = [
            exp.ColumnDef(this=part) if isinstance(part, exp.Identifier) else part
            for part in schema.expressions
        ]
        for part in parts:
            if isinstance(part, exp.ColumnDef):
                self._column(entity, part)
        for part in parts:
            if not isinstance(part, exp.ColumnDef):
                self._constraint(entity, part, place_of(part, at))
        self._options(entity, node, Place(chunk[-1].line, None))

    def alter(self, node: exp.Alter, chunk: list[Token]) -> None:
        place = Place(chunk[0].line, chunk[0].col)
        entity = self._known.get(_name(node.this).lower())
        for action in node.args.get("actions") or [node]:
            at = place_of(action, place)
            if entity is None:
                reason = "its table is not declared before"
                self.draft.drop("change", _name(node.this), at, reason)
            elif isinstance(action, exp.ColumnDef):
                self._column(entity, action)
            elif isinstance(action, exp.AddConstraint):
                for part in action.expressions:
                    self._constraint(entity, part, place_of(part, at))
            elif isinstance(action, exp.AlterColumn) and self._alter_column(entity, action):
                name = f"{entity.name}.{action.name}"
                self.draft.tell("carried", ("default", name), at)
            else:
                what = f"{entity.name}: {action.sql()[:120]}"
                self.draft.drop("change", what, at, "steps of a migration are not followed", _STEPS)

    def _alter_column(self, entity: DraftEntity, action: exp.AlterColumn) -> bool:
        field = _find(entity, action.name)
        default = action.args.get("default")
        if field is None or default is None:
            return False
        set_default(field, default)
        return True

    def index(self, node: exp.Create, place: Place) -> None:
        index = node.this
        table = index.args.get("table")
        at = place_of(index, place)
        entity = self._known.get(_name(table).lower()) if table is not None else None
        params = index.args.get("params")
        columns = params.args.get("columns") or []
        unique, partial = bool(node.args.get("unique")), params.args.get("where") is not None
        nulls_last = self.dialect.NULL_ORDERING == "nulls_are_large"
        what = ("unique index" if unique else "index", index.name)
        if entity is None:
            self.draft.drop(*what, at, "its table is not declared before")
        elif unique and partial:
            reason = "a field is unique among all records, not among some"
            self.draft.drop(*what, at, reason)
        elif unique:
            notes = index_notes(params, nulls_last=nulls_last)
            names = self._written(entity, names_of(columns))
            entity.uniques.append(DraftUnique(names, at, notes=notes))
        else:
            notes = index_notes(params, nulls_last=nulls_last)
            notes += [Note("it is over all records, not over some")] if partial else []
            self._index(entity, columns, at, notes, method_of(params))

    def _index(
        self, entity: DraftEntity, columns: list[Any], at: Place, notes: list[Note], method: str
    ) -> None:
        names = names_of(columns)
        what = ("index", f"{entity.name} ({shown(columns)[:80]})")
        if method not in ("", "btree", "hash"):
            self.draft.drop(*what, at, f"an index by `{method[:40]}` is chosen by the target")
        elif not names:
            self.draft.drop(*what, at, "it is over expressions, whereas fields are indexed")
        else:
            kept = [*notes, *([HASHED] if method == "hash" else [])]
            entity.indexes.append(DraftIndex(self._written(entity, names), at, kept))

    def comment(self, node: exp.Comment, place: Place) -> None:
        text = node.args["expression"].name if node.args.get("expression") else ""
        kind, this = str(node.args.get("kind") or "").upper(), node.this
        if kind == "TABLE":
            entity = self._known.get(_name(this).lower())
            if entity is not None:
                entity.label = text
                self.draft.tell("carried", ("comment", entity.name), place)
                return
        if kind == "COLUMN" and isinstance(this, exp.Column):
            parts = [each.name for each in (this.args.get("db"), this.args.get("table")) if each]
            entity = self._known.get(_qualified(parts[:-1], parts[-1] if parts else ""))
            field = _find(entity, this.name) if entity else None
            if field is not None:
                field.label = text
                what = ("comment", f"{this.table}.{this.name}")
                self.draft.tell("carried", what, place)
                return
        reason = "what it is about is not in the Blueprint"
        self.draft.drop("comment", this.sql()[:120], place, reason)

    def domain(self, chunk: list[Token], place: Place) -> None:
        """A domain is read like the column that it stands for."""
        words = [token.text.upper() for token in chunk]
        begin = words.index("AS") + 1 if "AS" in words else 3
        name = chunk[begin - 2].text if "AS" in words else chunk[min(2, len(chunk) - 1)].text
        rest = self.text[chunk[min(begin, len(chunk) - 1)].start : chunk[-1].end + 1]
        rest = rest.replace("VALUE", "value")
        sql = f"CREATE TABLE d (value {rest})"
        try:
            parser = self.dialect.parser(error_level=ErrorLevel.IMMEDIATE)
            parsed = parser.parse(self.dialect.tokenize(sql), sql)[0]
        except SqlglotError:
            self.draft.drop("domain", name, place, "its type is not understood")
            return
        column = parsed.find(exp.ColumnDef) if parsed is not None else None
        if column is None:
            self.draft.drop("domain", name, place, "its type is not understood")
            return
        self._domains[name.lower()] = column
        self.draft.tell("carried", ("domain", name), place)

    def finish(self) -> None:
        """Settle what depends on statements that may come later."""
        for field, name in self._named:
            enum = next((each for each in self.draft.enums if each.name.lower() == name), None)
            if enum is not None:
                field.type, field.enum = FieldType.ENUM, enum.name
                field.notes = [each for each in field.notes if "no type" not in each.reason]
        for relation, columns in self._targets:
            target = self._known.get(relation.target.lower())
            if target is None:
                continue
            relation.target = target.name
            keys = [field.name.lower() for field in target.fields if field.key]
            keys += [
                each.lower() for unique in target.uniques if unique.primary
                for each in unique.columns
            ]  # fmt: skip
            if columns and set(columns) - set(keys):
                names = ", ".join(columns)
                relation.note(f"it refers by the built-in `id` instead of by {names}")

    def _column(self, entity: DraftEntity, node: exp.ColumnDef) -> None:
        name = node.name
        place = place_of(node, entity.place)
        what = ("column", f"{entity.name}.{name}")
        if _find(entity, name) is not None:
            self.draft.drop(*what, place, "it is declared before", "Remove one of the two.")
            return
        kind = node.args.get("kind")
        mapped = map_type(kind) if isinstance(kind, exp.DataType) else Mapped(
            FieldType.TEXT, {}, reason="it has no type in the source; it becomes text"
        )  # fmt: skip
        domain = self._domains.get(mapped.named.lower()) if mapped.named else None
        constraints = list(node.args.get("constraints") or [])
        if domain is not None:
            mapped = map_type(domain.args["kind"])
            constraints = [*domain.args.get("constraints", []), *constraints]
        if mapped.type is None:
            self.draft.drop(*what, place, mapped.reason or "", mapped.mend)
            return
        field = DraftField(name, mapped.type, place, constraints=dict(mapped.constraints))
        field.generated = mapped.generated
        if mapped.reason:
            field.note(mapped.reason, mapped.mend)
        entity.add(field)
        if mapped.enum:
            add_enum(self.draft, entity, field, list(mapped.enum))
        if mapped.named:
            self._named.append((field, mapped.named.lower()))
        checks = []
        for constraint in constraints:
            inner = constraint.args.get("kind") if isinstance(constraint, _C) else constraint
            if isinstance(inner, exp.CheckColumnConstraint):
                checks.append(inner)
            else:
                self._column_constraint(entity, field, inner)
        for check in checks:
            if domain is not None:
                for column in check.find_all(exp.Column):
                    if column.name == "value":
                        column.this.set("this", name)
            take_check(self.draft, entity, check.this, place, name)

    def _column_constraint(self, entity: DraftEntity, field: DraftField, node: Any) -> None:
        if isinstance(node, exp.PrimaryKeyColumnConstraint):
            field.key = True
            if self.dialect.__class__.__name__ == "SQLite" and field.type is FieldType.INTEGER:
                field.generated = True
        elif isinstance(node, exp.NotNullColumnConstraint):
            field.required = not node.args.get("allow_null")
        elif isinstance(node, exp.UniqueColumnConstraint):
            field.unique = True
        elif isinstance(node, exp.DefaultColumnConstraint):
            set_default(field, node.this)
        elif isinstance(node, exp.Reference):
            self._reference(entity, node, [field.name], field.place)
        elif isinstance(
            node, exp.AutoIncrementColumnConstraint | exp.GeneratedAsIdentityColumnConstraint
        ):
            field.generated = True
        elif isinstance(node, exp.CommentColumnConstraint):
            field.label = node.name
        elif isinstance(node, exp.ComputedColumnConstraint):
            field.note("its value is computed from others in the source", "Compute it in code.")
        elif node is not None:
            field.note(f"`{node.sql()[:60]}` has no word in the language")

    def _constraint(self, entity: DraftEntity, node: Any, place: Place) -> None:
        if isinstance(node, exp.Constraint):
            for each in node.expressions:
                self._constraint(entity, each, place)
        elif isinstance(node, exp.PrimaryKey):
            columns = self._written(entity, names_of(node.expressions))
            entity.uniques.append(DraftUnique(columns, place, primary=True))
        elif isinstance(node, exp.UniqueColumnConstraint):
            inner = node.this
            listed = inner.expressions if isinstance(inner, exp.Schema) else []
            names = names_of(listed)
            unique = DraftUnique(self._written(entity, names), place, notes=unique_notes(node))
            unique.notes += length_notes(listed)
            entity.uniques.append(unique)
        elif isinstance(node, exp.ForeignKey):
            names = [bare_name(each) for each in node.expressions]
            reference = node.args.get("reference")
            if isinstance(reference, exp.Reference):
                for option in ("delete", "update"):
                    if node.args.get(option):
                        text = f"ON {option.upper()} {node.args[option]}"
                        reference.append("options", text)
                self._reference(entity, reference, list(self._written(entity, names)), place)
        elif isinstance(node, exp.CheckColumnConstraint):
            take_check(self.draft, entity, node.this, place, entity.name)
        elif isinstance(node, exp.IndexColumnConstraint):
            method = str(node.args.get("index_type") or node.args.get("kind") or "").lower()
            self._index(entity, node.expressions, place, length_notes(node.expressions), method)
        else:
            what = f"{entity.name}: {node.sql(dialect=self.dialect)[:120]}"
            self.draft.drop("constraint", what, place, "the language has no word")

    def _reference(
        self, entity: DraftEntity, node: exp.Reference, columns: list[str], place: Place
    ) -> None:
        schema = node.this
        table = schema.this if isinstance(schema, exp.Schema) else schema
        relation = DraftRelation(
            _name(table), place=place, word="foreign key", columns=tuple(columns)
        )
        for option in node.args.get("options") or []:
            _option(relation, " ".join(str(option).upper().split()))
        entity.relations.append(relation)
        listed = schema.expressions if isinstance(schema, exp.Schema) else []
        names = [bare_name(each).lower() for each in listed]
        self._targets.append((relation, names))

    def _options(self, entity: DraftEntity, node: exp.Create, place: Place) -> None:
        properties = node.args.get("properties")
        for each in properties.expressions if properties is not None else []:
            if isinstance(each, exp.SchemaCommentProperty):
                entity.label = each.name
                self.draft.tell("carried", ("comment", entity.name), place)
            else:
                reason = "how a table is stored is chosen by the target"
                what = f"{entity.name}: {each.sql(dialect=self.dialect)[:80]}"
                self.draft.drop("option", what, place, reason)

    def _written(self, entity: DraftEntity, names: list[str]) -> tuple[str, ...]:
        """The columns as they are written where they are declared."""
        found = [_find(entity, name) for name in names]
        return tuple(
            field.name if field else name for field, name in zip(found, names, strict=True)
        )


def _option(relation: DraftRelation, option: str) -> None:
    if option.startswith("ON DELETE "):
        action = option.removeprefix("ON DELETE ")
        relation.on_delete = _ON_DELETE.get(action, OnDelete.RESTRICT)
        if action not in (*_ON_DELETE, "RESTRICT", "NO ACTION"):
            relation.note(f"`{option.lower()}` becomes `restrict`")
    elif option not in ("ON UPDATE NO ACTION", "ON UPDATE RESTRICT", "NOT DEFERRABLE"):
        relation.note(f"`{option.lower()[:60]}` means nothing to a built-in `id`")


def _find(entity: DraftEntity, name: str) -> DraftField | None:
    wanted = name.lower()
    return next((each for each in entity.fields if each.name.lower() == wanted), None)


def _name(table: Any) -> str:
    if isinstance(table, exp.Table):
        return _qualified([table.db], table.name, keep=True)
    return str(getattr(table, "name", table))


def _qualified(schemas: list[str], name: str, *, keep: bool = False) -> str:
    schema = next((each for each in schemas if each), "")
    full = name if schema.lower() in _HOME else f"{schema}.{name}"
    return full if keep else full.lower()
