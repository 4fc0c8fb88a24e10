"""The description of a live database as a draft.

The description is JSON, as `storage.reflection` makes it; it is read by the rules of SQL, so that
a database and a dump of it give the same. This module itself connects to nothing.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlglot.dialects.dialect import Dialect

from engine.forge.formats.contract import refuse
from engine.forge.formats.draft import Draft
from engine.forge.formats.importers.sql.importer import DIALECTS, SqlImporter
from engine.forge.formats.report import NOWHERE

_PLAIN = re.compile(r"[^\s\x00-\x1f]+(?: [^\s\x00-\x1f]+)*")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Column(_Part):
    name: str
    type: str = ""
    nullable: bool = True
    default: str | None = None
    comment: str | None = None
    identity: bool = False
    computed: bool = False


class _Key(_Part):
    columns: list[str]
    table: str
    referred: list[str] = []
    on_delete: str = Field("NO ACTION", pattern="^[A-Z ]{1,20}$")
    on_update: str = Field("NO ACTION", pattern="^[A-Z ]{1,20}$")


class _Check(_Part):
    name: str | None = None
    text: str


class _Index(_Part):
    name: str | None = None
    columns: list[str] = []
    unique: bool = False
    partial: bool = False
    expressions: bool = False
    method: str = Field("", pattern="^[A-Za-z_]{0,40}$")
    included: bool = False
    sorted: bool = False
    nulls_equal: bool = False
    prefixed: bool = False


class _Table(_Part):
    name: str
    comment: str | None = None
    columns: list[_Column] = []
    primary_key: list[str] = []
    uniques: list[list[str]] = []
    nulls_equal: list[list[str]] = []
    foreign_keys: list[_Key] = []
    checks: list[_Check] = []
    indexes: list[_Index] = []


class _Enum(_Part):
    name: str
    values: list[str]


class _Database(_Part):
    dialect: str
    tables: list[_Table] = []
    enums: list[_Enum] = []
    views: list[str] = []


class DatabaseImporter:
    """What `storage.reflection.reflect` tells of a PostgreSQL, MySQL or SQLite database."""

    name = "database"
    suffixes = (".database.json",)

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The tables, keys, checks and enums; the account names them without lines."""
        try:
            found = _Database.model_validate_json(text)
        except (ValidationError, RecursionError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else None
            where = ".".join(str(part) for part in first["loc"]) if first else ""
            what = f"{where}: {first['msg']}" if first else "it is nested too deeply"
            refuse(f"this is no description of a database ({what[:200]})")
        if found.dialect not in DIALECTS:
            refuse(f"there is no dialect `{found.dialect[:40]}`")
        statements = _Statements(Dialect.get_or_raise(found.dialect), found).text()
        draft = SqlImporter().read(statements, found.dialect)
        draft.format = self.name
        _forget_places(draft)
        return draft


class _Statements:
    """The description as the DDL that would declare it; every name and text is quoted."""

    def __init__(self, dialect: Dialect, found: _Database) -> None:
        self.found = found
        self.is_mysql = found.dialect == "mysql"

    def text(self) -> str:
        parts = [
            f"CREATE TYPE {self._name(each.name)} AS ENUM ({self._texts(each.values)})"
            for each in self.found.enums
        ]
        for table in self.found.tables:
            parts.append(self._table(table))
            parts += self._indexes(table)
        if not self.is_mysql:
            parts += [part for table in self.found.tables for part in self._comments(table)]
        parts += [f"CREATE VIEW {self._name(view)} AS SELECT 1" for view in self.found.views]
        return ";\n".join(parts) + ";\n"

    def _name(self, name: str) -> str:
        quote = "`" if self.is_mysql else '"'
        return f"{quote}{name.replace(quote, quote * 2)}{quote}"

    def _names(self, names: list[str]) -> str:
        return ", ".join(self._name(name) for name in names)

    def _text(self, text: str) -> str:
        doubled = text.replace("'", "''")
        return "'" + (doubled.replace("\\", "\\\\") if self.is_mysql else doubled) + "'"

    def _texts(self, texts: list[str]) -> str:
        return ", ".join(self._text(text) for text in texts)

    def _table(self, table: _Table) -> str:
        lines = [self._column(table, column) for column in table.columns]
        if table.primary_key:
            lines.append(f"PRIMARY KEY ({self._names(table.primary_key)})")
        for columns in table.uniques:
            nulls = "NULLS NOT DISTINCT " if columns in table.nulls_equal else ""
            lines.append(f"UNIQUE {nulls}({self._names(columns)})")
        for key in table.foreign_keys:
            referred = f" ({self._names(key.referred)})" if key.referred else ""
            lines.append(
                f"FOREIGN KEY ({self._names(key.columns)}) REFERENCES {self._name(key.table)}"
                f"{referred} ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
            )
        lines += [f"CHECK ({_condition(each.text)})" for each in table.checks]
        comment = ""
        if self.is_mysql and table.comment:
            comment = f" COMMENT={self._text(table.comment)}"
        body = ",\n  ".join(lines)
        return f"CREATE TABLE {self._name(table.name)} (\n  {body}\n){comment}"

    def _column(self, table: _Table, column: _Column) -> str:
        parts = [self._name(column.name)]
        if _PLAIN.fullmatch(column.type):
            parts.append(self._type(column.type))
        if not column.nullable:
            parts.append("NOT NULL")
        if self.found.dialect == "sqlite" and table.primary_key == [column.name]:
            parts.append("PRIMARY KEY")
        if column.computed:
            parts.append("GENERATED ALWAYS AS (0) STORED")
        elif column.identity and self.found.dialect == "postgres":
            parts.append("GENERATED BY DEFAULT AS IDENTITY")
        elif column.identity and self.is_mysql:
            parts.append("AUTO_INCREMENT")
        elif column.default is not None:
            parts.append(f"DEFAULT {column.default}")
        if self.is_mysql and column.comment:
            parts.append(f"COMMENT {self._text(column.comment)}")
        return " ".join(parts)

    def _type(self, written: str) -> str:
        """The type; one that was declared in the database is quoted as its name is."""
        declared = {each.name for each in self.found.enums}
        return self._name(written.strip('"')) if written.strip('"') in declared else written

    def _indexes(self, table: _Table) -> list[str]:
        found = []
        for index in table.indexes:
            unique = "UNIQUE " if index.unique else ""
            columns = self._names(index.columns)
            if index.expressions or not columns:
                columns = f"lower({self._name('x')})"
            where = " WHERE 1 = 1" if index.partial and not self.is_mysql else ""
            name = self._name(index.name or "index")
            target = self._name(table.name)
            if index.sorted and not index.expressions and index.columns:
                columns += " DESC"
            using = ""
            if self.is_mysql and index.prefixed:
                columns = ", ".join(f"{self._name(each)}(1)" for each in index.columns)
            if self.is_mysql and index.method:
                unique = f"{index.method.upper()} "
            if self.found.dialect == "postgres":
                using = f"USING {index.method} " if index.method else ""
                where = f" INCLUDE ({columns})" * index.included + where
                where = " NULLS NOT DISTINCT" * index.nulls_equal + where
            found.append(f"CREATE {unique}INDEX {name} ON {target} {using}({columns}){where}")
        return found

    def _comments(self, table: _Table) -> list[str]:
        target = self._name(table.name)
        found = []
        if table.comment:
            found.append(f"COMMENT ON TABLE {target} IS {self._text(table.comment)}")
        for column in table.columns:
            if column.comment:
                place = f"{target}.{self._name(column.name)}"
                found.append(f"COMMENT ON COLUMN {place} IS {self._text(column.comment)}")
        return found


def _condition(text: str) -> str:
    return text.removeprefix("CHECK ").strip()


def _forget_places(draft: Draft) -> None:
    """The lines are those of the statements that were made here: nobody has seen them."""
    draft.entries = [
        entry.model_copy(update={"line": None, "column": None}) for entry in draft.entries
    ]
    for enum in draft.enums:
        enum.place = NOWHERE
        for value in enum.values:
            value.place = NOWHERE
    for entity in draft.entities:
        entity.place = NOWHERE
        for field in entity.fields:
            field.place = NOWHERE
        for relation in entity.relations:
            relation.place = NOWHERE
        for unique in entity.uniques:
            unique.place = NOWHERE
        for index in entity.indexes:
            index.place = NOWHERE
