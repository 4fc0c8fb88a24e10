"""Static checking: what each part of an expression is, and why it can't be evaluated, if so.

An expression that passes can't fail while it is evaluated: types fit, nothing is null where a
value is needed, no number outgrows what each target computes exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from engine.forge.blueprint.problems import closest, listed, quoted
from engine.forge.expressions.checking import arithmetic
from engine.forge.expressions.checking.calls import Calls
from engine.forge.expressions.checking.meeting import Apart, meet
from engine.forge.expressions.language import FUNCTIONS, LARGEST_PATH
from engine.forge.expressions.syntax import (
    Call,
    Fault,
    Literal,
    Name,
    Node,
    Operation,
    meant_word,
    read,
)
from engine.forge.expressions.terms import Facts, Term, facts_of
from engine.forge.expressions.types import (
    BOOLEAN,
    NULL,
    ORDERED,
    TEXT,
    UNKNOWN,
    UUID,
    Kind,
    Scope,
    Shape,
    Type,
    number,
)
from engine.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Checked:
    """What checking found: the term, or else at least one fault, in the order of the text."""

    term: Term | None
    faults: tuple[Fault, ...]


def check(source: str | Node, scope: Scope, expected: Type | None = BOOLEAN) -> Checked:
    """Check an expression that is to give a value of `expected`; None takes any type.

    A number fits `expected` when it has no more digits after the point and can lie within its
    bounds; whether it does is for whoever stores it to check, as with any input.
    """
    node = read(source) if isinstance(source, str) else source
    if isinstance(node, Fault):
        return Checked(None, (node,))
    checker = _Checker(scope)
    term = checker.term(node, Facts())
    if expected is not None and not checker.faults:
        term = checker.fit(term, node, expected)
    if not checker.faults and term.type.kind is Kind.NULL:
        checker.fault(node, "an expression that is always null says nothing")
    if checker.faults:
        ordered = sorted(checker.faults, key=lambda fault: (fault.offset, fault.length))
        return Checked(None, tuple(ordered))
    return Checked(term, ())


def compiled(source: str | Node, scope: Scope, expected: Type | None = BOOLEAN) -> Term:
    """The checked expression.

    Raises `InvalidInput`; its field `errors` lists each fault with its place.
    """
    checked = check(source, scope, expected)
    if checked.term is None:
        errors = [
            {"offset": f.offset, "length": f.length, "message": f.message,
             "suggestion": f.suggestion}
            for f in checked.faults
        ]  # fmt: skip
        first = checked.faults[0]
        raise InvalidInput(
            f"The expression is not valid: {first.message} (at character {first.offset + 1}).",
            errors=errors,
        )
    return checked.term


class _Checker(Calls):
    """Types one expression; what is wrong is noted in `faults` and becomes `UNKNOWN`."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.faults: list[Fault] = []

    def term(self, node: Node, facts: Facts) -> Term:
        if isinstance(node, Literal):
            return _literal(node)
        if isinstance(node, Name):
            return self._name(node, facts)
        if isinstance(node, Call):
            return self._call(node, facts)
        assert isinstance(node, Operation)
        return self._operation(node, facts)

    def fault(self, node: Node, message: str, suggestion: str | None = None) -> Term:
        self.faults.append(Fault(node.start, node.end - node.start, message, suggestion))
        return Term("literal", UNKNOWN)

    def fit(self, term: Term, node: Node, expected: Type) -> Term:
        """The term as a value of `expected`; faults where it isn't one."""
        wanted = Term("name", expected, value=())
        met = meet([term, wanted])
        if isinstance(met, Apart):
            message = f"this gives {_a(term.type)}; {_a(expected)} is needed here"
            if term.type.constant and term.type.kind is Kind.TEXT:
                message = met.message
            return self.fault(node, message, met.suggestion)
        term = met.terms[0]
        if term.type.nullable and not expected.nullable:
            self.given(term, node)
        if expected.kind is Kind.NUMBER and term.type.kind is Kind.NUMBER:
            if term.type.scale > expected.scale:
                self.fault(
                    node,
                    f"this may have {term.type.scale} digits after the point, and"
                    f" {expected.scale} are kept: use `round(…, {expected.scale})`",
                )
            elif term.type.low > expected.high or term.type.high < expected.low:
                self.fault(node, "this number never lies within the bounds of where it goes")
        return term

    def given(self, term: Term, node: Node) -> Term:
        """The term where a value is needed; a fault where it may be null."""
        if not term.type.nullable:
            return term
        if term.type.kind is Kind.NULL:
            return self.fault(node, "null can't be used here; test for it with `is null`")
        if isinstance(node, Name):
            name = ".".join(node.path)
            message = f"{quoted(name)} may be null"
            mend = f"guard it with `{name} is not null and …`, or write `coalesce({name}, …)`"
        else:
            message = "this may be null"
            if term.operation == "/":
                message = "this is null when the divisor is 0"
            mend = "write `coalesce(…, …)` around it"
            if term.operation == "/":
                mend += ", or guard the divisor: `… != 0 and …`"
        return self.fault(node, f"{message}: {mend}")

    def truth(self, node: Node, facts: Facts) -> Term:
        """A condition: a boolean that is there."""
        term = self.term(node, facts)
        if term.type.kind in (Kind.UNKNOWN, Kind.BOOLEAN):
            return self.given(term, node)
        if term.type.kind is Kind.NULL:
            return self.given(term, node)
        return self.fault(node, f"a condition is needed here, and this is {_a(term.type)}")

    def _operation(self, node: Operation, facts: Facts) -> Term:
        operator, operands = node.operator, node.operands
        if operator in ("and", "or"):
            left = self.truth(operands[0], facts)
            right = self.truth(operands[1], facts | facts_of(left, operator == "and"))
            return Term(operator, BOOLEAN, (left, right))
        if operator == "not":
            return Term(operator, BOOLEAN, (self.truth(operands[0], facts),))
        if operator in ("is null", "is not null"):
            return Term(operator, BOOLEAN, (self.term(operands[0], facts),))
        terms = [self.term(each, facts) for each in operands]
        if any(each.type.kind is Kind.UNKNOWN for each in terms):
            return Term("literal", UNKNOWN)
        if operator == "in":
            return self._in(node, terms)
        if operator in ("=", "!="):
            return self._equal(node, terms)
        terms = [self.given(each, at) for each, at in zip(terms, operands, strict=True)]
        if any(each.type.kind is Kind.UNKNOWN for each in terms):
            return Term("literal", UNKNOWN)
        if operator in ("<", "<=", ">", ">="):
            return self._order(node, terms)
        return self._arithmetic(node, terms, facts)

    def _equal(self, node: Operation, terms: list[Term]) -> Term:
        if any(each.type.kind is Kind.NULL for each in terms):
            test = "is null" if node.operator == "=" else "is not null"
            return self.fault(node, f"compare with null by `{test}`")
        met = meet(terms)
        if isinstance(met, Apart):
            return self.apart(node.operands, met)
        return Term(node.operator, BOOLEAN, met.terms)

    def _order(self, node: Operation, terms: list[Term]) -> Term:
        met = meet(terms)
        if isinstance(met, Apart):
            return self.apart(node.operands, met)
        if met.type.kind not in ORDERED:
            message = f"`{node.operator}` orders numbers, dates, times and instants; this is"
            return self.fault(node, f"{message} {_a(met.type)}")
        return Term(node.operator, BOOLEAN, met.terms)

    def _in(self, node: Operation, terms: list[Term]) -> Term:
        tested, *items = terms
        if tested.type.kind is Kind.NULL:
            return self.given(tested, node.operands[0])
        if tested.type.constant:
            tested = replace(tested, type=replace(tested.type, constant=False))
        found = []
        for item, at in zip(items, node.operands[1:], strict=True):
            met = meet([tested, item])
            if isinstance(met, Apart):
                self.fault(at, met.message, met.suggestion)
            else:
                found.append(met.terms[1])
        return Term("in", BOOLEAN, (tested, *found))

    def _arithmetic(self, node: Operation, terms: list[Term], facts: Facts) -> Term:
        for term, at in zip(terms, node.operands, strict=True):
            if term.type.kind is not Kind.NUMBER:
                mend = {
                    Kind.TEXT: "; join texts with `concat(…, …)`",
                    Kind.DATE: "; use `add_days(…, …)` or `days_between(…, …)`",
                }.get(term.type.kind, "")
                operator = "-" if node.operator == "negate" else node.operator
                message = f"`{operator}` takes numbers, and this is {_a(term.type)}{mend}"
                return self.fault(at, message)
        if node.operator == "negate":
            type = replace(terms[0].type, low=-terms[0].type.high, high=-terms[0].type.low)
            return Term("negate", type, tuple(terms))
        nonzero = terms[1].operation == "name" and ("nonzero", terms[1].value) in facts
        result = arithmetic.combine(node.operator, terms[0].type, terms[1].type, nonzero=nonzero)
        if isinstance(result, str):
            return self.fault(node, result)
        value = result.scale if node.operator == "/" else None
        return Term(node.operator, result, tuple(terms), value)

    def _name(self, node: Name, facts: Facts) -> Term:
        path = node.path
        if len(path) > LARGEST_PATH:
            return self.fault(node, f"a path has at most {LARGEST_PATH} names")
        root = self.scope.root(path[0])
        if root is not None:
            if len(path) != 2:
                return self.fault(node, f"`{path[0]}` is followed by one name: {_members(root)}")
            if path[1] not in root:
                return self._unknown(node, 1, tuple(root), f"`{path[0]}` has no {{}}")
            declared: Type | None = root[path[1]]
        else:
            declared = self._walk(node, Facts())
        if declared is None:
            return Term("literal", UNKNOWN)
        found = declared if root is not None else self._walk(node, facts)
        assert found is not None
        if ("given", path) in facts:
            found = found.given
        return Term("name", found, (), path, declared.nullable and not found.nullable)

    def _walk(self, node: Name, facts: Facts) -> Type | None:
        """The type at the end of a path over to-one relations."""
        if self.scope.record is None:
            self._unknown(node, 0, ("input", "user"), "there is no record here, so no {}")
            return None
        shape, nullable = self.scope.shapes[self.scope.record], False
        for at, name in enumerate(node.path):
            last = at == len(node.path) - 1
            if last and name in shape.fields:
                type = shape.fields[name]
                return type.optional if nullable else type
            if name not in shape.one:
                self._no_member(node, at, shape)
                return None
            relation = shape.one[name]
            absent = relation.nullable and ("given", node.path[: at + 1]) not in facts
            if last:
                type = replace(UUID, name=relation.shape)
                return type.optional if nullable or relation.nullable else type
            nullable = nullable or absent
            shape = self.scope.shapes[relation.shape]
        raise AssertionError

    def _no_member(self, node: Name, at: int, shape: Shape) -> None:
        name = node.path[at]
        if name in shape.many:
            message = f"{quoted(name)} leads to many records; use `count({name})` or"
            self.fault(node, f"{message} `sum({name}.…)`")
        elif name in shape.fields:
            self.fault(node, f"{quoted(name)} is a field; nothing follows it")
        elif len(node.path) == 1 and (word := meant_word(name)) is not None:
            self.fault(node, f"{quoted(name)} is written `{word}`", word)
        elif len(node.path) == 1 and name in FUNCTIONS and FUNCTIONS[name].most == 0:
            self.fault(node, f"{quoted(name)} is a function: `{name}()`", f"{name}()")
        else:
            roots = ("input", "user") if at == 0 else ()
            known = (*shape.fields, *shape.one, *roots)
            self._unknown(node, at, known, "there is no {} here")

    def _unknown(self, node: Name, at: int, known: tuple[str, ...], sentence: str) -> Term:
        name = node.path[at]
        suggestion = closest(name, known)
        hint = f"is `{suggestion}` meant?" if suggestion else f"there is {_members(known)}"
        start, end = _segment(node, at)
        message = f"{sentence.format(quoted(name))}; {hint}"
        self.faults.append(Fault(start, end - start, message, suggestion))
        return Term("literal", UNKNOWN)


def _segment(node: Name, at: int) -> tuple[int, int]:
    """The place of one name of a path; the whole path when there are spaces in it."""
    if node.end - node.start != len(".".join(node.path)):
        return node.start, node.end
    start = node.start + sum(len(each) + 1 for each in node.path[:at])
    return start, start + len(node.path[at])


def _literal(node: Literal) -> Term:
    value = node.value
    if value is None:
        return Term("literal", NULL)
    if isinstance(value, bool):
        return Term("literal", replace(BOOLEAN, constant=True), (), value)
    if isinstance(value, str):
        return Term("literal", replace(TEXT, members=frozenset({value}), constant=True), (), value)
    scale = -int(value.as_tuple().exponent) if isinstance(value, Decimal) else 0
    type = replace(number(Fraction(value), Fraction(value), scale), constant=True)
    return Term("literal", type, (), value)


def _members(names: object) -> str:
    return listed(names, 8) or "nothing"  # type: ignore[arg-type]


def _a(type: Type) -> str:
    words = str(type)
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}" if words[0] != "m" else words
