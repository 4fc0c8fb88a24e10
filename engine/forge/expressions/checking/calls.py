"""Checking of function calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.forge.blueprint.problems import closest, listed, quoted
from engine.forge.expressions.checking.arithmetic import rounded
from engine.forge.expressions.checking.meeting import Apart, meet
from engine.forge.expressions.language import (
    AGGREGATES,
    FUNCTIONS,
    LARGEST_ROUNDING,
    OTHER_FUNCTIONS,
)
from engine.forge.expressions.syntax import Call, Literal, Name, Node
from engine.forge.expressions.terms import Facts, Term, facts_of
from engine.forge.expressions.types import (
    BOOLEAN,
    DATE,
    INSTANT,
    MAX_ROWS,
    ORDERED,
    TEXT,
    UNKNOWN,
    Kind,
    Scope,
    Type,
    integer,
)

_LONGEST_TEXT = 10**9
_DAYS = 3_652_058
"""From 0001-01-01 to 9999-12-31."""

_INTEGER = integer()
_SIGNATURES: dict[str, tuple[tuple[Type, ...], Type]] = {
    "today": ((), DATE),
    "now": ((), INSTANT),
    "length": ((TEXT,), integer(0, _LONGEST_TEXT)),
    "lower": ((TEXT,), TEXT),
    "upper": ((TEXT,), TEXT),
    "trim": ((TEXT,), TEXT),
    "contains": ((TEXT, TEXT), BOOLEAN),
    "starts_with": ((TEXT, TEXT), BOOLEAN),
    "date": ((INSTANT,), DATE),
    "year": ((DATE,), integer(1, 9999)),
    "days_between": ((DATE, DATE), integer(-_DAYS, _DAYS)),
    "add_days": ((DATE, _INTEGER), DATE),
}
"""Functions that take these types and give that one."""


class Calls:
    """The part of the checker that knows functions."""

    scope: Scope

    def term(self, node: Node, facts: Facts) -> Term:
        raise NotImplementedError

    def truth(self, node: Node, facts: Facts) -> Term:
        raise NotImplementedError

    def given(self, term: Term, node: Node) -> Term:
        raise NotImplementedError

    def fault(self, node: Node, message: str, suggestion: str | None = None) -> Term:
        raise NotImplementedError

    def apart(self, nodes: Sequence[Node], apart: Apart) -> Term:
        """A fault at the one of the values that doesn't fit the others."""
        return self.fault(nodes[apart.at], apart.message, apart.suggestion)

    def _call(self, node: Call, facts: Facts) -> Term:
        function = FUNCTIONS.get(node.function)
        if function is None:
            return self._no_function(node)
        count = len(node.arguments)
        if count < function.least or (function.most is not None and count > function.most):
            return self.fault(node, f"write it as `{function.usage}`")
        if node.function in AGGREGATES:
            return self._aggregate(node)
        if node.function == "if":
            return self._if(node, facts)
        terms = [self.term(each, facts) for each in node.arguments]
        if any(each.type.kind is Kind.UNKNOWN for each in terms):
            return Term("literal", UNKNOWN)
        if node.function == "coalesce":
            return self._choice(node, terms)
        terms = [self.given(t, at) for t, at in zip(terms, node.arguments, strict=True)]
        if any(each.type.kind is Kind.UNKNOWN for each in terms):
            return Term("literal", UNKNOWN)
        special: dict[str, Callable[[Call, list[Term]], Term]] = {
            "round": self._round,
            "abs": self._abs,
            "min": self._choice,
            "max": self._choice,
            "concat": self._concat,
        }
        if node.function in special:
            return special[node.function](node, terms)
        return self._plain(node, terms)

    def _no_function(self, node: Call) -> Term:
        name = node.function
        meant = OTHER_FUNCTIONS.get(name.lower()) or closest(name, tuple(FUNCTIONS))
        hint = f"is `{meant}` meant?" if meant else f"there is {listed(FUNCTIONS, 30)}"
        at = replace(node, end=node.start + len(name))
        return self.fault(at, f"there is no function {quoted(name)}; {hint}", meant)

    def _plain(self, node: Call, terms: list[Term]) -> Term:
        wanted, result = _SIGNATURES[node.function]
        found = []
        for term, at, type in zip(terms, node.arguments, wanted, strict=True):
            met = meet([term, Term("name", type, value=())])
            whole = type.kind is not Kind.NUMBER or term.type.scale == 0
            if isinstance(met, Apart) or not whole:
                usage = FUNCTIONS[node.function].usage
                return self.fault(at, f"this is {term.type}; write it as `{usage}`")
            found.append(met.terms[0])
        return Term(node.function, result, tuple(found))

    def _concat(self, node: Call, terms: list[Term]) -> Term:
        for term, at in zip(terms, node.arguments, strict=True):
            if term.type.kind is not Kind.TEXT:
                return self.fault(at, f"`concat` joins texts, and this is {term.type}")
        return Term("concat", TEXT, tuple(terms))

    def _round(self, node: Call, terms: list[Term]) -> Term:
        number, digits = node.arguments
        if terms[0].type.kind is not Kind.NUMBER:
            return self.fault(number, f"`round` takes a number, and this is {terms[0].type}")
        places = digits.value if isinstance(digits, Literal) else None
        if not isinstance(places, int) or isinstance(places, bool) or places > LARGEST_ROUNDING:
            message = f"write the digits after the point out, from 0 to {LARGEST_ROUNDING}"
            return self.fault(digits, message)
        return Term("round", rounded(terms[0].type, places), (terms[0],), places)

    def _abs(self, node: Call, terms: list[Term]) -> Term:
        type = terms[0].type
        if type.kind is not Kind.NUMBER:
            return self.fault(node.arguments[0], f"`abs` takes a number, and this is {type}")
        return Term("abs", replace(type, low=type.low * 0, high=max(-type.low, type.high),
                                   constant=False), tuple(terms))  # fmt: skip

    def _choice(self, node: Call, terms: list[Term]) -> Term:
        met = meet(terms)
        if isinstance(met, Apart):
            return self.apart(node.arguments, met)
        if node.function != "coalesce" and met.type.kind not in ORDERED:
            message = f"`{node.function}` takes numbers, dates, times or instants; this is"
            return self.fault(node, f"{message} {met.type}")
        nullable = all(each.type.nullable for each in terms)
        return Term(node.function, replace(met.type, nullable=nullable), met.terms)

    def _if(self, node: Call, facts: Facts) -> Term:
        condition = self.truth(node.arguments[0], facts)
        branches = [
            self.term(each, facts | facts_of(condition, outcome))
            for each, outcome in zip(node.arguments[1:], (True, False), strict=True)
        ]
        if any(each.type.kind is Kind.UNKNOWN for each in (condition, *branches)):
            return Term("literal", UNKNOWN)
        met = meet(branches)
        if isinstance(met, Apart):
            return self.apart(node.arguments[1:], met)
        return Term("if", met.type, (condition, *met.terms))

    def _aggregate(self, node: Call) -> Term:
        argument = node.arguments[0]
        record = self.scope.record
        many = self.scope.shapes[record].many if record is not None else {}
        usage = FUNCTIONS[node.function].usage
        if not isinstance(argument, Name) or len(argument.path) != 1 + (node.function == "sum"):
            return self.fault(argument, f"write it as `{usage}`")
        relation = argument.path[0]
        if relation not in many:
            meant = closest(relation, tuple(many))
            hint = f"is `{meant}` meant?" if meant else f"there is {listed(many, 8) or 'none'}"
            at = replace(argument, end=argument.start + len(relation))
            message = f"there is no to-many relation {quoted(relation)}; {hint}"
            return self.fault(at, message, meant)
        if node.function == "count":
            return Term("count", integer(0, MAX_ROWS), (), argument.path)
        fields = self.scope.shapes[many[relation]].fields
        type = fields.get(argument.path[1])
        if type is None or type.kind is not Kind.NUMBER:
            numeric = [name for name, each in fields.items() if each.kind is Kind.NUMBER]
            meant = closest(argument.path[1], numeric)
            hint = f"is `{meant}` meant?" if meant else f"there is {listed(numeric, 8) or 'none'}"
            message = f"{quoted(argument.path[1])} is no number of {quoted(relation)}; {hint}"
            at = replace(argument, start=argument.end - len(argument.path[1]))
            return self.fault(at, message, meant)
        low, high = (min(type.low, 0 * type.low), max(type.high, 0 * type.high))
        total = replace(type.given, low=low * MAX_ROWS, high=high * MAX_ROWS)
        return Term("sum", total, (), argument.path)
