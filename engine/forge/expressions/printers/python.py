"""Python source over plain values: `record.total > 0 and record.due_on >= today`.

Numbers are `int` or `Decimal`, enums text, dates `date`, instants aware `datetime`; null is None.
The source reads the variables `now` (aware, UTC) and `today` (its date) where it asks for them,
and needs `dt`, `Decimal`, `UUID` and the names of the runtime `values.py`.
"""

from __future__ import annotations

from decimal import Decimal

from engine.forge.expressions.printers import Names
from engine.forge.expressions.printers.literals import python_literal
from engine.forge.expressions.syntax import Path
from engine.forge.expressions.terms import Term
from engine.forge.expressions.types import Kind

# How tightly Python's operators bind.
_IF, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _ATOM = range(1, 10)

_CONTEXT_DIGITS = 28
"""Significant digits that Python's own decimal operators keep."""

_ORDER = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SUMS = {"+": ("add", _SUM), "-": ("subtract", _SUM), "*": ("multiply", _PRODUCT)}
_CALLS = {
    "length": "len",
    "lower": "lower",
    "upper": "upper",
    "round": "rounded",
    "/": "divide",
    "add_days": "add_days",
}
_SUFFIXES = {
    "trim": '.strip(" ")',
    "starts_with": ".startswith({})",
    "date": ".date()",
    "year": ".year",
}


def of_record(path: Path) -> str:
    """A path as attributes of `record`, or of `input` and `user`; None where a relation ends."""
    if path[0] in ("input", "user"):
        return ".".join(path)
    hops = [f"record.{'.'.join(path[:end])}" for end in range(1, len(path))]
    source = f"record.{'.'.join(path)}"
    absent = " or ".join(f"{hop} is None" for hop in hops)
    return f"(None if {absent} else {source})" if hops else source


ATTRIBUTES = Names(of_record, lambda relation: f"record.{relation}")


def print_python(term: Term, names: Names = ATTRIBUTES) -> str:
    """The expression as Python source."""
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
            return self._literal(term)
        if operation == "name":
            source = self.names.value(term.value)
            return (f"given({source})" if term.guarded else source), _ATOM
        if operation in ("and", "or"):
            own = _AND if operation == "and" else _OR
            # What binds more tightly is clear to Python, but not to every reader.
            mixed = {"or": "and", "and": "or"}[operation]
            left, right = (
                self.source(each, _NOT if each.operation == mixed else own) for each in arguments
            )
            return f"{left} {operation} {right}", own
        if operation == "not":
            return f"not {self.source(arguments[0], _NOT)}", _NOT
        if operation in ("is null", "is not null"):
            word = operation.replace("null", "None")
            return f"{self.source(arguments[0], _SUM)} {word}", _COMPARE
        if operation in _ORDER:
            return self._comparison(term), _COMPARE
        if operation == "in":
            tested, *items = (self.source(each, _SUM) for each in arguments)
            return f"{tested} in ({', '.join(items)},)", _COMPARE
        if operation in (*_SUMS, "negate", "abs"):
            return self._arithmetic(term)
        if operation == "if":
            then, otherwise = (self._branch(each, term, _OR) for each in arguments[1:])
            return f"{then} if {self.source(arguments[0], _OR)} else {otherwise}", _IF
        return self._call(term)

    def _literal(self, term: Term) -> tuple[str, int]:
        return python_literal(term.value), _ATOM

    def _comparison(self, term: Term) -> str:
        left, right = (self.source(each, _SUM) for each in term.arguments)
        # Truth values are singletons, and `== True` reads as a mistake.
        if any(isinstance(each.value, bool) for each in term.arguments):
            return f"{left} {'is' if term.operation == '=' else 'is not'} {right}"
        return f"{left} {_ORDER[term.operation]} {right}"

    def _arithmetic(self, term: Term) -> tuple[str, int]:
        operation, arguments = term.operation, term.arguments
        if term.type.digits > _CONTEXT_DIGITS:
            name = {"negate": "minus", "abs": "abs"}.get(operation) or _SUMS[operation][0]
            values = ", ".join(self.source(each, _IF) for each in arguments)
            return f"EXACT.{name}({values})", _ATOM
        if operation == "abs":
            return f"abs({self.source(arguments[0], _IF)})", _ATOM
        if operation == "negate":
            return f"-{self.source(arguments[0], _SIGN)}", _SIGN
        own = _SUMS[operation][1]
        left, right = self.source(arguments[0], own), self.source(arguments[1], own + 1)
        return f"{left} {operation} {right}", own

    def _branch(self, term: Term, whole: Term, level: int) -> str:
        """One of several values that the result may be: decimals when any of them is one."""
        if not is_decimal(whole) or is_decimal(term) or term.type.kind is Kind.NULL:
            return self.source(term, level)
        if term.operation == "literal":
            return python_literal(term.value, decimal=True)
        return f"{'widened' if term.type.nullable else 'Decimal'}({self.source(term, _IF)})"

    def _call(self, term: Term) -> tuple[str, int]:
        operation, arguments = term.operation, term.arguments
        if operation in ("count", "sum"):
            rows = self.names.rows(term.value[0])
            if operation == "count":
                return f"len({rows})", _ATOM
            return f"total(row.{term.value[1]} for row in {rows})", _ATOM
        if operation in ("coalesce", "min", "max"):
            values = [self._branch(each, term, _IF) for each in arguments]
            if operation != "coalesce":
                return f"{operation}({', '.join(values)})", _ATOM
            *rest, source = values
            for value in reversed(rest):
                source = f"coalesce({value}, {source})"
            return source, _ATOM
        if operation == "concat":
            return " + ".join(self.source(each, _SUM) for each in arguments), _SUM
        if operation == "contains":
            text, part = (self.source(each, _SUM) for each in arguments)
            return f"{part} in {text}", _COMPARE
        if operation == "days_between":
            first, second = (self.source(each, _SUM + 1) for each in arguments)
            return f"({second} - {first}).days", _ATOM
        return self._plain(term)

    def _plain(self, term: Term) -> tuple[str, int]:
        operation = term.operation
        if operation in ("today", "now"):
            return operation, _ATOM
        if operation in _SUFFIXES:
            first = self.source(term.arguments[0], _ATOM)
            rest = [self.source(each, _IF) for each in term.arguments[1:]]
            return first + _SUFFIXES[operation].format(*rest), _ATOM
        values = [self.source(each, _IF) for each in term.arguments]
        values += [str(term.value)] if operation in ("round", "/") else []
        source = f"{_CALLS[operation]}({', '.join(values)})"
        sure = operation == "/" and not term.type.nullable
        return (f"given({source})" if sure else source), _ATOM


def is_decimal(term: Term) -> bool:
    """Whether the printed number is a `Decimal`; otherwise it is an `int`, or no number."""
    if term.type.kind is not Kind.NUMBER:
        return False
    if term.operation == "name":
        return term.type.decimal
    if term.operation == "literal":
        return isinstance(term.value, Decimal)
    if term.operation in ("round", "/", "sum"):
        return True
    if term.operation in (*_SUMS, "negate", "abs") and term.type.digits > _CONTEXT_DIGITS:
        return True
    skipped = 1 if term.operation == "if" else 0
    numbers = (*_SUMS, "negate", "abs", "if", "coalesce", "min", "max")
    return term.operation in numbers and any(map(is_decimal, term.arguments[skipped:]))
