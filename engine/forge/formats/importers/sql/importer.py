"""Statements of SQL DDL as a draft."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from engine.forge.blueprint.model import MAX_ENTITIES
from engine.forge.blueprint.problems import quoted
from engine.forge.formats.contract import place_at, refuse
from engine.forge.formats.draft import Draft, DraftEnum, DraftValue
from engine.forge.formats.importers.sql.tables import Tables, place_of
from engine.forge.formats.report import NOWHERE, Place
from engine.kernel.errors import InvalidInput

DIALECTS = ("postgres", "mysql", "sqlite")
_OTHER_NAMES = {"postgresql": "postgres", "mariadb": "mysql", "sqlite3": "sqlite"}
_SIGNS = (
    ("mysql", re.compile(r"`\w+`|\bAUTO_INCREMENT\b|\bENGINE\s*=", re.IGNORECASE)),
    ("sqlite", re.compile(r"\bAUTOINCREMENT\b|\bWITHOUT\s+ROWID\b|^PRAGMA\b", re.I | re.M)),
)
_COPY = re.compile(r"^COPY [^;]*FROM stdin[^;]*;\n(.*?)^\\\.$", re.I | re.M | re.S)
_META = re.compile(r"^\\[^\n]*$", re.M)
_DATA = frozenset({"INSERT", "UPDATE", "DELETE", "COPY", "REPLACE", "MERGE", "LOAD", "TRUNCATE"})
_READ = re.compile(
    r"^(CREATE( OR REPLACE)?( TEMP| TEMPORARY| UNLOGGED| GLOBAL| LOCAL| FOREIGN)* TABLE"
    r"|CREATE( UNIQUE)? INDEX|CREATE TYPE|CREATE DOMAIN|ALTER TABLE|COMMENT ON)\b"
)
_NO_DATA = "records are not part of a Blueprint"
_INSTEAD = {
    "VIEW": "a view is no kind of record",
    "TRIGGER": "what happens on a change is not part of the source's tables",
    "FUNCTION": "code of the database can't be taken over",
    "PROCEDURE": "code of the database can't be taken over",
    "SEQUENCE": "ids are given by the platform",
    "FULLTEXT": "an index of this kind is chosen by the target",
    "SPATIAL": "an index of this kind is chosen by the target",
    "SCHEMA": "every platform has one schema",
    "EXTENSION": "extensions are chosen by the target",
    "DATABASE": "every platform has a database of its own",
    "POLICY": "rights on rows are said by `access`",
}
_IDENTITY = "ids are given by the platform, and are no numbers in a row"
_PASSED = {
    "NOT": "what a Blueprint says holds for every record",
    "NULLS": "a record that leaves a part of a unique set empty agrees with none",
}
# A statement that sqlglot only half understands is judged here, not told to a terminal.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


class SqlImporter:
    """SQL DDL; `dialect` is one of `DIALECTS`, found out from the text when it is left out."""

    name = "sql"
    suffixes = (".sql", ".ddl")

    def read(self, text: str, dialect: str | None = None) -> Draft:
        """The tables, enums, keys, references and checks that the statements declare."""
        chosen = _dialect(text, dialect)
        draft = Draft("sql")
        text = _without_data(text, draft)
        reader = _Statements(draft, chosen, text)
        try:
            reader.read()
        except RecursionError:
            refuse("an expression is nested too deeply", reader.place)
        return draft


def _dialect(text: str, dialect: str | None) -> str:
    if dialect is None:
        return next((name for name, sign in _SIGNS if sign.search(text)), "postgres")
    name = _OTHER_NAMES.get(dialect.lower(), dialect.lower())
    if name not in DIALECTS:
        known = ", ".join(DIALECTS)
        refuse(f"there is no SQL dialect {quoted(dialect)}", mend=f"Use one of: {known}.")
    return name


def _without_data(text: str, draft: Draft) -> str:
    """The text with the rows and commands of a dump blanked out; lines keep their numbers."""

    def rows(match: re.Match[str]) -> str:
        head = match.group().partition("(")[0].partition(" FROM ")[0]
        draft.drop("data", head.strip(), place_at(text, match.start()), _NO_DATA)
        return "\n" * match.group().count("\n")

    def command(match: re.Match[str]) -> str:
        place = place_at(match.string, match.start())
        draft.drop("command", match.group(), place, "a command of psql declares nothing")
        return ""

    return _META.sub(command, _COPY.sub(rows, text))


class _Statements:
    """Goes through the statements one by one, so that one that is not understood hides no other."""

    def __init__(self, draft: Draft, dialect: str, text: str) -> None:
        self.draft = draft
        self.text = text
        self.dialect = Dialect.get_or_raise(dialect)
        self.tables = Tables(draft, self.dialect, text)
        self.place = NOWHERE

    def read(self) -> None:
        chunks = list(self._chunks())
        created = sum(_head(chunk).startswith("CREATE TABLE") for chunk in chunks)
        if created > 4 * MAX_ENTITIES:
            raise InvalidInput(
                f"The source declares {created} tables; a Blueprint has at most {MAX_ENTITIES} "
                "kinds of record.",
                mend="Import a part of it: every platform has a database of its own.",
            )
        for chunk in chunks:
            self.place = Place(chunk[0].line, _column(chunk[0]))
            self._statement(chunk)
        self.tables.finish()

    def _chunks(self) -> Iterator[list[Token]]:
        try:
            tokens = self.dialect.tokenize(self.text)
        except SqlglotError as error:
            found = re.search(r"line (\d+), col(?:umn)? (\d+)", str(error))
            place = Place(int(found[1]), int(found[2])) if found else NOWHERE
            refuse("a quoted text or a comment is not closed", place)
        chunk: list[Token] = []
        for token in tokens:
            if token.token_type is TokenType.SEMICOLON:
                if chunk:
                    yield chunk
                chunk = []
            else:
                chunk.append(token)
        if chunk:
            yield chunk

    def _statement(self, chunk: list[Token]) -> None:
        head = _head(chunk)
        if not _READ.match(head):
            self._other(head)
            return
        if head.startswith("CREATE DOMAIN"):
            self.tables.domain(chunk, self.place)
            return
        kept, passed = _tidied(chunk)
        for words in passed:
            place = Place(words[0].line, _column(words[0]))
            text = self._shown(words)
            reason = _PASSED.get(text.partition(" ")[0].upper(), _IDENTITY)
            self.draft.drop("option", text, place, reason)
        node = self._parsed(kept)
        if isinstance(node, exp.Create):
            self._create(node, chunk)
        elif isinstance(node, exp.Alter):
            self.tables.alter(node, chunk)
        elif isinstance(node, exp.Comment):
            self.tables.comment(node, self.place)
        elif head.startswith(("ALTER TABLE", "COMMENT ON")):
            what = self._shown(chunk)
            reason = "this change is not one of columns, keys or references"
            self.draft.drop(
                "statement", what, self.place, reason, "Import the finished schema, not its steps."
            )
        else:
            refuse(f"{quoted(head)} is not understood", self.place)

    def _parsed(self, chunk: list[Token]) -> exp.Expression | None:
        """The statement; a table without what follows its columns if that isn't understood."""
        end = _end_of_columns(chunk)
        try:
            node = self._parse(chunk)
            if not isinstance(node, exp.Command) or end is None:
                return node
        except InvalidInput:
            if end is None:
                raise
        rest = self._shown(chunk[end:])
        place = Place(chunk[end].line, _column(chunk[end]))
        node = self._parse(chunk[:end])
        self.draft.drop("option", rest, place, "how a table is stored is chosen by the target")
        return node

    def _parse(self, chunk: list[Token]) -> exp.Expression | None:
        parser = self.dialect.parser(error_level=ErrorLevel.IMMEDIATE)
        try:
            parsed = parser.parse(chunk, self.text)
        except ParseError as error:
            first: dict[str, Any] = dict(error.errors[0]) if error.errors else {}
            place = Place(first.get("line") or self.place.line, first.get("col"))
            found = first.get("highlight") or ""
            near = f" at {quoted(found)}" if found else ""
            what = str(first.get("description") or "this is not understood").rstrip(".")
            what = "something is missing" if "<class" in what else what
            refuse(f"{what[:1].lower()}{what[1:200]}{near}", place)
        except (SqlglotError, ValueError, AttributeError, TypeError, KeyError, IndexError):
            refuse(f"{quoted(_head(chunk))} is not understood", self.place)
        return parsed[0] if parsed else None  # type: ignore[return-value]

    def _create(self, node: exp.Create, chunk: list[Token]) -> None:
        kind = str(node.args.get("kind") or "").upper()
        if kind == "TABLE":
            self.tables.create(node, chunk, self.place)
        elif kind == "INDEX":
            self.tables.index(node, self.place)
        elif kind == "TYPE":
            self._type(node, chunk)
        else:
            self._other(_head(chunk))

    def _type(self, node: exp.Create, chunk: list[Token]) -> None:
        name = node.this.name
        declared = node.args.get("expression")
        if isinstance(declared, exp.DataType) and str(declared.this.value).startswith("ENUM"):
            texts = [token for token in chunk if token.token_type is TokenType.STRING]
            values = [
                DraftValue(token.text, Place(token.line, _column(token, quotes=2)))
                for token in texts
            ]
            self.draft.add_enum(DraftEnum(name, values, place_of(node, self.place)))
        else:
            self.draft.drop("type", name, self.place, "only enums are types of their own")

    def _other(self, head: str) -> None:
        first, _, rest = head.partition(" ")
        if first in _DATA:
            self.draft.drop("data", head, self.place, _NO_DATA)
            return
        noun = next((word for word in rest.split() if word in _INSTEAD), "")
        reason = _INSTEAD.get(noun, "it declares no kind of record")
        self.draft.drop(noun.lower() or "statement", head, self.place, reason)

    def _shown(self, chunk: list[Token]) -> str:
        return " ".join(self.text[chunk[0].start : chunk[-1].end + 1].split())[:120]


def _head(chunk: list[Token]) -> str:
    """The first words of a statement in upper case, as far as they say what it is."""
    words = " ".join(" ".join(token.text.split()) for token in chunk[:6])
    return words.upper()[:120]


def _column(token: Token, quotes: int = 0) -> int:
    """sqlglot counts to the end of a token."""
    return max(1, token.col - (token.end - token.start))


def _tidied(chunk: list[Token]) -> tuple[list[Token], list[list[Token]]]:
    """What sqlglot knows, and the words that it doesn't: the options of an identity, and how far a
    constraint is kept. All are to be accounted for."""
    kept: list[Token] = []
    passed: list[list[Token]] = []
    is_index = _head(chunk).startswith(("CREATE INDEX", "CREATE UNIQUE INDEX"))
    depth = 0
    for token in chunk:
        word = token.text.upper()
        if depth or (word == "(" and kept and kept[-1].text.upper() == "IDENTITY"):
            passed[-1:] = [[*passed[-1], token]] if depth else [*passed[-1:], [token]]
            depth += {"(": 1, ")": -1}.get(word, 0)
        elif word in ("VALID", "ENFORCED") and kept and kept[-1].text.upper() == "NOT":
            passed.append([kept.pop(), token])
        elif word == "DISTINCT" and is_index and _ends_with(kept, "NULLS", "NOT"):
            passed.append([*kept[-2:], token])
            del kept[-2:]
        else:
            kept.append(token)
    return kept, passed


def _ends_with(chunk: list[Token], *words: str) -> bool:
    return tuple(token.text.upper() for token in chunk[-len(words) :]) == words


def _end_of_columns(chunk: list[Token]) -> int | None:
    """The index of what follows the closing parenthesis of a table's columns, if anything does."""
    if not _head(chunk).startswith("CREATE") or "TABLE" not in _head(chunk).split():
        return None
    depth = 0
    for index, token in enumerate(chunk):
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.text in "()" else 0
        if depth == 0 and token.text == ")":
            return index + 1 if index + 1 < len(chunk) else None
    return None
