"""SQLAlchemy 2 source, for a `WHERE` or a column: `sa.and_(Invoice.total > Decimal("0"), …)`.

What `names.value` gives is a mapped attribute or a correlated scalar subquery; paths under `input`
and `user` are values of the process and become parameters. The source reads the variables `now`
and `today` where it asks for them, and needs `sa`, `dt`, `Decimal`, `UUID` and, as `q`, the
runtime `queries.py`. Plain comparisons of columns stay plain, so that indexes serve them; numbers
inside a calculation go through `q`.

The result is true or false, never null, wherever its type isn't nullable. Databases must get dates
as they are: a driver that makes the first and the last one infinite has to be told not to.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.forge.expressions.checking.arithmetic import guard_digits
from engine.forge.expressions.printers import Names
from engine.forge.expressions.printers.literals import python_literal
from engine.forge.expressions.terms import Term
from engine.forge.expressions.types import Kind, Type

_PROCESS = frozenset({"input", "user"})
_ORDER = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_CALCULATIONS = {"+": "plus", "-": "minus", "*": "times", "negate": "negative", "abs": "absolute"}
_WHOLE_RESULTS = {"length": "length", "year": "year_of", "days_between": "days_between"}
_OTHERS = {
    "lower": "lower", "upper": "upper", "trim": "trim", "contains": "contains",
    "starts_with": "starts_with", "concat": "concat", "date": "date_of",
}  # fmt: skip
_KINDS = {
    Kind.NUMBER: "q.NUMBER",
    Kind.TEXT: "q.TEXT",
    Kind.ENUM: "q.TEXT",
    Kind.BOOLEAN: "q.BOOLEAN",
    Kind.DATE: "q.DATE",
    Kind.TIME: "q.TIME",
    Kind.INSTANT: "q.INSTANT",
    Kind.UUID: "q.IDENTIFIER",
}


def print_sqlalchemy(term: Term, names: Names) -> str:
    """The expression as a SQLAlchemy element."""
    return _Printer(names).source(term)


class _Printer:
    def __init__(self, names: Names) -> None:
        self.names = names

    def source(self, term: Term) -> str:
        """An SQL element for the term; a number in the form of calculations."""
        if term.type.kind is Kind.NUMBER:
            return self._number(term)
        operation, arguments = term.operation, term.arguments
        if operation == "literal":
            return _literal(term.value, term.type)
        if operation == "name":
            return self._name(term)
        if operation in ("and", "or", "not"):
            return f"sa.{operation}_({', '.join(self.source(each) for each in arguments)})"
        if operation in ("is null", "is not null"):
            method = "is_" if operation == "is null" else "is_not"
            tested = self._operand(arguments[0])
            return f"{_bracketed(tested, arguments[0])}.{method}(None)"
        if operation in ("=", "!="):
            return self._equal(term)
        if operation in _ORDER:
            return self._order(term)
        if operation == "in":
            return self._in(term)
        return self._call(term)

    def _name(self, term: Term) -> str:
        source = self.names.value(term.value)
        if not _is_value(term):
            return source
        if term.type.kind is Kind.NUMBER:
            return f"q.exact({source}, {term.type.scale})"
        return f"q.value({source}, {_KINDS[term.type.kind]})"

    def _operand(self, term: Term) -> str:
        """The term where it is only tested: columns stay as they are."""
        return self._name(term) if term.operation == "name" else self.source(term)

    def _pair(self, term: Term) -> tuple[str, str, bool]:
        """Both sides of a comparison, and whether they compare as they are."""
        left, right = term.arguments
        if left.type.kind is not Kind.NUMBER and right.type.kind is not Kind.NUMBER:
            plain = _is_column(left) and right.operation == "literal"
            other = python_literal(right.value) if plain and not _truth(right) else None
            return self.source(left), other or self.source(right), True
        if _comparable(left, right):
            other = _constant(right, left) if not _is_column(right) else self._name(right)
            return self._name(left), other, True
        return self._number(left), self._number(right), False

    def _equal(self, term: Term) -> str:
        left, right, _ = self._pair(term)
        one, other = term.arguments
        right = _bracketed(right, other)
        equal = term.operation == "="
        if not one.type.nullable and not other.type.nullable:
            return f"{_bracketed(left, one)} {'==' if equal else '!='} {right}"
        if _is_column(one) and not other.type.nullable:
            # Unlike IS NOT DISTINCT FROM, an index serves this.
            if equal:
                return f"sa.and_({left}.is_not(None), {left} == {right})"
            return f"sa.or_({left}.is_(None), {left} != {right})"
        method = "is_not_distinct_from" if equal else "is_distinct_from"
        return f"{_bracketed(left, one)}.{method}({right})"

    def _order(self, term: Term) -> str:
        left, right, plain = self._pair(term)
        if not plain:
            return f'q.compare({left}, "{term.operation}", {right})'
        return f"{left} {term.operation} {right}"

    def _in(self, term: Term) -> str:
        tested, *items = term.arguments
        number = tested.type.kind is Kind.NUMBER
        if number and all(_comparable(tested, item) for item in items):
            left, listed = self._name(tested), [_constant(item, tested) for item in items]
        elif number:
            left = self._number(tested)
            listed = [f'Decimal("{_decimal(item)}")' for item in items]
        else:
            left = self.source(tested)
            listed = [python_literal(item.value) for item in items]
        source = f"{_bracketed(left, tested)}.in_([{', '.join(listed)}])"
        if not tested.type.nullable:
            return source
        if _is_column(tested):
            return f"sa.and_({left}.is_not(None), {source})"
        return f"sa.func.coalesce({source}, sa.false())"

    def _number(self, term: Term) -> str:
        """A number in the form of calculations."""
        operation, arguments = term.operation, term.arguments
        if operation == "literal":
            return _literal(term.value, term.type)
        if operation == "name":
            source = self._name(term)
            return source if _is_value(term) else f"q.number({source}, {term.type.scale})"
        if operation in ("count", "sum"):
            return self._aggregate(term)
        if operation in ("if", "coalesce"):
            return self._choice(term)
        values = [self.source(each) for each in arguments]
        if operation in _WHOLE_RESULTS:
            return f"q.number(q.{_WHOLE_RESULTS[operation]}({', '.join(values)}), 0)"
        if operation == "round":
            return f"q.rounded({values[0]}, {term.value})"
        if operation == "/":
            guard = guard_digits(arguments[0].type, arguments[1].type, term.value)
            return f"q.divide({values[0]}, {values[1]}, {term.value}, {guard})"
        if operation in ("min", "max"):
            name = "smallest" if operation == "min" else "largest"
            return f"q.{name}({', '.join(values)})"
        return f"q.{_CALCULATIONS[operation]}({', '.join(values)})"

    def _choice(self, term: Term) -> str:
        arguments = term.arguments
        if term.operation == "if":
            then, otherwise = (self._branch(each, term.type) for each in arguments[1:])
            return f"sa.case(({self.source(arguments[0])}, {then}), else_={otherwise})"
        values = ", ".join(self._branch(each, term.type) for each in arguments)
        return f"sa.func.coalesce({values})"

    def _branch(self, term: Term, type: Type) -> str:
        """One of several values that the result may be; null gets their type."""
        if term.type.kind is Kind.NULL and term.operation == "literal":
            number = type.kind is Kind.NUMBER
            return "q.exact(None, 0)" if number else f"q.value(None, {_KINDS[type.kind]})"
        return self.source(term)

    def _aggregate(self, term: Term) -> str:
        rows = self.names.rows(term.value[0])
        if term.operation == "count":
            return f"q.number(q.count_of({rows}), 0)"
        kind = rows.partition(",")[0]
        column = f"q.number({kind}.{term.value[1]}, {term.type.scale})"
        return f"q.sum_of({rows}, {column})"

    def _call(self, term: Term) -> str:
        operation, arguments = term.operation, term.arguments
        if operation in ("if", "coalesce"):
            return self._choice(term)
        if operation in ("today", "now"):
            return f"q.value({operation}, {'q.DATE' if operation == 'today' else 'q.INSTANT'})"
        values = ", ".join(self.source(each) for each in arguments)
        if operation in ("min", "max"):
            return f"q.{'first' if operation == 'min' else 'last'}({values})"
        return f"q.{_OTHERS.get(operation, operation)}({values})"


def _literal(value: Any, type: Type) -> str:
    if isinstance(value, bool):
        return "sa.true()" if value else "sa.false()"
    if type.kind is Kind.NUMBER:
        return f"q.exact({python_literal(value, decimal=True)}, {type.scale})"
    return f"q.value({python_literal(value)}, {_KINDS[type.kind]})"


def _truth(term: Term) -> bool:
    return isinstance(term.value, bool)


def _is_value(term: Term) -> bool:
    return term.operation == "name" and term.value[0] in _PROCESS


def _is_column(term: Term) -> bool:
    return term.operation == "name" and not _is_value(term)


def _comparable(left: Term, right: Term) -> bool:
    """Whether a numeric column compares with a column or a literal as the database keeps them."""
    if not _is_column(left):
        return False
    if _is_column(right):
        return left.type.scale == right.type.scale
    inner = right.arguments[0] if right.operation == "negate" else right
    if inner.operation != "literal" or right.type.scale > left.type.scale:
        return False
    # A driver casts what it binds to the column's own type, which must be able to hold it.
    return left.type.low <= right.type.low <= left.type.high


def _constant(term: Term, column: Term) -> str:
    """A numeric literal as the column binds it."""
    return f'Decimal("{_decimal(term)}")' if column.type.decimal else _decimal(term)


def _decimal(term: Term) -> str:
    if term.operation == "negate":
        inner = f"{Decimal(term.arguments[0].value):f}"
        return inner.removeprefix("-") if inner.startswith("-") else f"-{inner}"
    return f"{Decimal(term.value):f}"


def _bracketed(source: str, term: Term) -> str:
    """Brackets around what Python would read differently before an operator or a point."""
    compared = term.operation in _ORDER
    return f"({source})" if compared else source
