"""TypeScript source over plain values, as JSON has them: `record.paid && record.due_on >= today`.

Decimals are strings, whole numbers `number`, `bigint` or strings; dates, times and instants are
ISO 8601 strings (an instant may be a `Date`), uuids strings in lower case, enums strings; null is
null, or left out. The source reads `now` (an instant) and `today` (a date) where it asks for them,
and needs the names of the runtime `values.ts`. Numbers of the result are `Exact`, instants
microseconds as `bigint`.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

from engine.forge.expressions.printers import Names
from engine.forge.expressions.syntax import Path
from engine.forge.expressions.terms import Term
from engine.forge.expressions.types import Kind

# How tightly JavaScript's operators bind.
_IF, _OR, _AND, _EQUAL, _ORDER, _SUM, _NOT, _ATOM = range(1, 9)

_CONVERTED = {Kind.NUMBER: "exact", Kind.INSTANT: "instant", Kind.TIME: "time"}
_ARITHMETIC = {"+": "plus", "-": "minus", "*": "times"}
_FUNCTIONS = {
    "length": "length", "lower": "lower", "upper": "upper", "trim": "trim", "date": "dateOf",
    "year": "yearOf", "days_between": "daysBetween", "add_days": "addDays",
}  # fmt: skip


def of_record(path: Path) -> str:
    """A path as properties of `record`, or of `input` and `user`."""
    return ".".join(path) if path[0] in ("input", "user") else f"record.{'?.'.join(path)}"


PROPERTIES = Names(of_record, lambda relation: f"record.{relation}")


def print_typescript(term: Term, names: Names = PROPERTIES) -> str:
    """The expression as TypeScript source."""
    return _Printer(names).source(term, _IF)


class _Printer:
    def __init__(self, names: Names) -> None:
        self.names = names

    def source(self, term: Term, level: int) -> str:
        """The term, in brackets where it binds less tightly than `level`."""
        text, own = self._printed(term)
        return f"({text})" if own < level else text

    def _printed(self, term: Term) -> tuple[str, int]:
        operation, arguments = term.operation, term.arguments
        if operation == "literal":
            return _literal(term.value), _ATOM
        if operation == "name":
            return self._name(term), _ATOM
        if operation in ("and", "or"):
            own, mark = (_AND, "&&") if operation == "and" else (_OR, "||")
            left, right = (self.source(each, own) for each in arguments)
            return f"{left} {mark} {right}", own
        if operation == "not":
            return f"!{self.source(arguments[0], _NOT)}", _NOT
        if operation in ("is null", "is not null"):
            mark = "===" if operation == "is null" else "!=="
            return f"{self.source(arguments[0], _ORDER)} {mark} null", _EQUAL
        if operation == "if":
            condition = self.source(arguments[0], _OR)
            then, otherwise = (self.source(each, _OR) for each in arguments[1:])
            return f"{condition} ? {then} : {otherwise}", _IF
        if operation in ("=", "!=", "<", "<=", ">", ">="):
            return self._comparison(term)
        return self._call(term)

    def _name(self, term: Term) -> str:
        source = self.names.value(term.value)
        if term.guarded:
            source = f"given({source})"
        convert = _CONVERTED.get(term.type.kind)
        if term.type.nullable:
            return f"{convert}OrNull({source})" if convert else f"({source} ?? null)"
        return f"{convert}({source})" if convert else source

    def _comparison(self, term: Term) -> tuple[str, int]:
        operation = term.operation
        first, second = term.arguments
        if Kind.NUMBER not in (first.type.kind, second.type.kind):
            mark, own = {"=": ("===", _EQUAL), "!=": ("!==", _EQUAL)}.get(
                operation, (operation, _ORDER)
            )
            left, right = (self.source(each, own + 1) for each in term.arguments)
            return f"{left} {mark} {right}", own
        if operation in ("=", "!="):
            values = ", ".join(self.source(each, _IF) for each in term.arguments)
            return (f"same({values})", _ATOM) if operation == "=" else (f"!same({values})", _NOT)
        left, right = self.source(first, _ATOM), self.source(second, _IF)
        return f"{left}.compare({right}) {operation} 0", _ORDER

    def _call(self, term: Term) -> tuple[str, int]:
        operation, arguments = term.operation, term.arguments
        if operation in ("count", "sum"):
            return self._aggregate(term), _ATOM
        if operation in (*_ARITHMETIC, "/", "negate", "abs", "round"):
            return self._arithmetic(term), _ATOM
        if operation in ("contains", "starts_with"):
            method = "includes" if operation == "contains" else "startsWith"
            text, part = self.source(arguments[0], _ATOM), self.source(arguments[1], _IF)
            return f"{text}.{method}({part})", _ATOM
        if operation == "concat":
            return " + ".join(self.source(each, _SUM + 1) for each in arguments), _SUM
        if operation == "coalesce":
            return f"({' ?? '.join(self.source(each, _NOT) for each in arguments)})", _ATOM
        values = [self.source(each, _IF) for each in arguments]
        if operation == "in":
            name = "oneNumber" if arguments[0].type.kind is Kind.NUMBER else "oneOf"
            return f"{name}({values[0]}, [{', '.join(values[1:])}])", _ATOM
        if operation in ("min", "max"):
            numbers = term.type.kind is Kind.NUMBER
            names = ("smallest", "largest") if numbers else ("first", "last")
            return f"{names[operation == 'max']}({', '.join(values)})", _ATOM
        if operation in ("today", "now"):
            return ("today" if operation == "today" else "instant(now)"), _ATOM
        return f"{_FUNCTIONS[operation]}({', '.join(values)})", _ATOM

    def _arithmetic(self, term: Term) -> str:
        operation = term.operation
        first = self.source(term.arguments[0], _ATOM)
        if operation in ("negate", "abs"):
            return f"{first}.{'negated' if operation == 'negate' else 'abs'}()"
        if operation == "round":
            return f"{first}.rounded({term.value})"
        second = self.source(term.arguments[1], _IF)
        if operation == "/":
            source = f"{first}.dividedBy({second}, {term.value})"
            return source if term.type.nullable else f"given({source})"
        return f"{first}.{_ARITHMETIC[operation]}({second})"

    def _aggregate(self, term: Term) -> str:
        rows = self.names.rows(term.value[0])
        if term.operation == "count":
            return f"exact({rows}.length)"
        return f"total({rows}.map((row) => row.{term.value[1]}))"


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dt.datetime):
        return f'instant("{value.isoformat().replace("+00:00", "Z")}")'
    if isinstance(value, dt.time):
        return f'"{value.isoformat("seconds")}"'
    if isinstance(value, dt.date):
        return f'"{value.isoformat()}"'
    return f'"{value}"' if isinstance(value, UUID) else f'exact("{Decimal(value):f}")'
