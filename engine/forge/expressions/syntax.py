"""The syntax of expressions: from text to a tree, and where it goes wrong.

    or            lowest, grouped from the left
    and
    not           prefix
    = != < <= > >= in [...] is null, is not null      they don't chain
    + -           grouped from the left
    * /           grouped from the left
    -             prefix
    literals, names, function(arguments), (…)         highest

A tree compares by what it means: places are not part of equality. Reading takes time linear in the
text, and recursion is bounded by `MAX_NESTING`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from engine.forge.blueprint.problems import closest, listed, quoted

MAX_LENGTH = 500
MAX_NESTING = 20
MAX_NODES = 100
MAX_LITERAL_DIGITS = 30
MAX_LITERAL_SCALE = 18

Path = tuple[str, ...]

WORDS = ("and", "or", "not", "in", "is", "null", "true", "false")
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")

LEVELS = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys((*COMPARISONS, "in", "is null", "is not null"), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/"), 6),
    "negate": 7,
}
"""How tightly each operator binds; everything else binds tighter."""

_MEANT = {
    "==": "=", "===": "=", "!==": "!=", "<>": "!=", "&&": "and", "||": "or", "&": "and",
    "|": "or", "!": "not", "≤": "<=", "≥": ">=", "≠": "!=", "×": "*", "÷": "/", "=>": ">=",
    "=<": "<=", "−": "-",
}  # fmt: skip
_MEANT_WORDS = {"none": "null", "nil": "null", "undefined": "null", "yes": "true", "no": "false"}

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>[0-9]+(?:\.[0-9]+)?)
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark><=|>=|!=(?!=)|[-+*/()\[\],.]|<(?!>)|>|=(?![=<>]))
    |(?P<other>===?|!==|<>|&&?|\|\|?|=[<>]|[!≤≥≠×÷−]|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in an expression: `length` characters from `offset` on, counted from 0.

    `suggestion` is the word that was probably meant, ready to be put in their place.
    """

    offset: int
    length: int
    message: str
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression and its place in the text."""

    start: int = field(default=0, compare=False, kw_only=True)
    end: int = field(default=0, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant: a whole number, a decimal, a text, a truth value or null."""

    value: int | Decimal | str | bool | None

    def __eq__(self, other: object) -> bool:
        # 1, 1.0 and true are different constants, though Python calls them equal.
        if not isinstance(other, Literal):
            return NotImplemented
        return (type(self.value), str(self.value)) == (type(other.value), str(other.value))

    def __hash__(self) -> int:
        return hash((type(self.value), str(self.value)))


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A field, or a field reached over relations: `total`, `customer.name`, `input.reason`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """An operator of `LEVELS` with its operands.

    `in` has the tested value first and then the items of the list.
    """

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function with its arguments."""

    function: str
    arguments: tuple[Node, ...]


class Refused(Exception):
    """Internal: reading stops here."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def read(text: str) -> Node | Fault:
    """The tree of an expression, or the first place where it is none."""
    try:
        return _Parser(text).whole()
    except Refused as refused:
        return refused.fault


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        message = f"an expression has at most {MAX_LENGTH} characters; this one has {len(text)}"
        raise Refused(Fault(MAX_LENGTH, len(text) - MAX_LENGTH, message))
    found: list[_Token] = []
    for match in _TOKEN.finditer(text):
        token = _Token(match.lastgroup or "", match.group(), match.start())
        if token.kind == "other":
            raise Refused(_unexpected_mark(token))
        if token.kind == "text" and (bad := _CONTROL.search(token.text)):
            message = f"the character U+{ord(bad.group()):04X} is not allowed in a text"
            raise Refused(Fault(token.start + bad.start(), 1, message))
        if token.kind == "name" and found and found[-1].kind == "number":
            before = found[-1]
            if before.end == token.start:
                written = quoted(before.text + token.text)
                message = f"{written} is neither a number nor a name"
                length = token.end - before.start
                raise Refused(Fault(before.start, length, message))
        found.append(token)
    tokens = [token for token in found if token.kind != "space"]
    return [*tokens, _Token("end", "", len(text))]


def _unexpected_mark(token: _Token) -> Fault:
    if token.text in "'\"":
        return Fault(token.start, 1, f"the text that begins with {token.text} is not closed")
    meant = _MEANT.get(token.text)
    if meant is not None:
        message = f"{quoted(token.text)} is written `{meant}`"
        return Fault(token.start, len(token.text), message, meant)
    if token.text.isalpha():
        message = f"{quoted(token.text)}: names are English identifiers, and texts are quoted"
        return Fault(token.start, 1, message)
    return Fault(token.start, 1, f"{quoted(token.text)} has no meaning here")


class _Parser:
    """Precedence climbing over the tokens."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.nodes = 0
        self.depth = 0

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise Refused(Fault(0, 0, "the expression is empty"))
        node = self._expression(1)
        if self._next.kind != "end":
            raise Refused(self._trailing())
        return node

    @property
    def _next(self) -> _Token:
        return self.tokens[self.at]

    def _take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self._next.kind in ("mark", "name") and self._next.text in texts

    def _expect(self, mark: str, why: str) -> _Token:
        if not self._is(mark):
            self._fail(f"`{mark}` is expected here: {why}")
        return self._take()

    def _fail(self, message: str, suggestion: str | None = None) -> None:
        token = self._next
        raise Refused(Fault(token.start, len(token.text), message, suggestion))

    def _count(self, start: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            message = f"an expression has at most {MAX_NODES} parts; split it"
            raise Refused(Fault(start, 1, message))

    def _operation(self, operator: str, *operands: Node, start: int | None = None) -> Operation:
        first = operands[0].start if start is None else start
        self._count(first)
        return Operation(operator, operands, start=first, end=self.tokens[self.at - 1].end)

    def _expression(self, level: int) -> Node:
        """Operators that bind at least as tightly as `level`."""
        left = self._prefix(level)
        compared = False
        while (operator := self._infix()) is not None and LEVELS[operator] >= level:
            if LEVELS[operator] == 4:
                if compared:
                    self._fail("comparisons don't chain; join two of them with `and`")
                compared = True
                left = self._comparison(left)
            else:
                self._take()
                left = self._operation(operator, left, self._expression(LEVELS[operator] + 1))
        return left

    def _infix(self) -> str | None:
        token = self._next
        if token.kind == "mark" and token.text in LEVELS:
            return token.text
        if token.kind != "name":
            return None
        if token.text == "not" and self.tokens[self.at + 1].text == "in":
            return "in"
        if token.text == "is":
            return "is null"
        return token.text if token.text in ("and", "or", "in") else None

    def _comparison(self, left: Node) -> Node:
        token = self._take()
        if token.text == "is":
            negated = self._is("not") and bool(self._take())
            if not self._is("null"):
                meant = closest(self._next.text, ("null",))
                self._fail("only `is null` and `is not null` are known; compare with `=`", meant)
            self._take()
            return self._operation("is not null" if negated else "is null", left)
        if token.text == "not":
            self._take()
            inner = self._operation("in", left, *self._items())
            return self._operation("not", inner, start=left.start)
        if token.text == "in":
            return self._operation("in", left, *self._items())
        return self._operation(token.text, left, self._expression(5))

    def _items(self) -> list[Node]:
        self._expect("[", "`in` is followed by a list such as `['a', 'b']`")
        items = [self._item()]
        while self._is(","):
            self._take()
            items.append(self._item())
        self._expect("]", "the list is not closed")
        return items

    def _item(self) -> Node:
        item = self._prefix(7)
        inner = item.operands[0] if isinstance(item, Operation) else item
        if not isinstance(inner, Literal) or inner.value is None:
            message = "a list holds only numbers, texts, `true` and `false`"
            raise Refused(Fault(item.start, item.end - item.start, message))
        return item

    def _prefix(self, level: int) -> Node:
        token = self._next
        operator = {"not": "not", "-": "negate"}.get(token.text)
        if operator is None or token.kind == "text":
            return self._primary()
        if LEVELS[operator] < level:
            self._fail("put brackets around `not …` here")
        self._take()
        operand = self._nested(LEVELS[operator], token)
        return self._operation(operator, operand, start=token.start)

    def _nested(self, level: int, opening: _Token) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            message = f"an expression is nested at most {MAX_NESTING} deep"
            raise Refused(Fault(opening.start, max(len(opening.text), 1), message))
        node = self._expression(level)
        self.depth -= 1
        return node

    def _primary(self) -> Node:
        token = self._next
        if token.kind == "number":
            return self._number(self._take())
        if token.kind == "text":
            self._take()
            self._count(token.start)
            quote = token.text[0]
            value = token.text[1:-1].replace(quote * 2, quote)
            return Literal(value, start=token.start, end=token.end)
        if self._is("("):
            opening = self._take()
            inner = self._nested(1, opening)
            self._expect(")", "a bracket is not closed")
            return inner
        if token.kind == "name":
            return self._word()
        if token.kind == "end":
            self._fail("the expression ends too early: a value is expected here")
        self._fail(f"a value is expected here, not {quoted(token.text)}")
        raise AssertionError

    def _number(self, token: _Token) -> Literal:
        self._count(token.start)
        whole, _, fraction = token.text.partition(".")
        if len(whole) + len(fraction) > MAX_LITERAL_DIGITS or len(fraction) > MAX_LITERAL_SCALE:
            message = (
                f"a number has at most {MAX_LITERAL_DIGITS} digits, {MAX_LITERAL_SCALE} of them"
                " after the point"
            )
            raise Refused(Fault(token.start, len(token.text), message))
        value = Decimal(token.text) if fraction else int(whole)
        return Literal(value, start=token.start, end=token.end)

    def _word(self) -> Node:
        token = self._take()
        if token.text in ("true", "false", "null"):
            self._count(token.start)
            value = {"true": True, "false": False, "null": None}[token.text]
            return Literal(value, start=token.start, end=token.end)
        if token.text in WORDS:
            message = f"a value is expected before `{token.text}`"
            raise Refused(Fault(token.start, len(token.text), message))
        if self._is("("):
            return self._call(token)
        path = [token.text]
        while self._is("."):
            self._take()
            if self._next.kind != "name":
                self._fail("a name is expected after the point")
            path.append(self._take().text)
        self._count(token.start)
        return Name(tuple(path), start=token.start, end=self.tokens[self.at - 1].end)

    def _call(self, name: _Token) -> Call:
        self._count(name.start)
        opening = self._take()
        arguments: list[Node] = []
        while not self._is(")"):
            if arguments:
                self._expect(",", "arguments are separated by commas and end with `)`")
            arguments.append(self._nested(1, opening))
        end = self._take().end
        return Call(name.text, tuple(arguments), start=name.start, end=end)

    def _trailing(self) -> Fault:
        token = self._next
        before = self.tokens[self.at - 1]
        known = (*WORDS, *_MEANT_WORDS)
        for each in (token, before):
            if each.kind == "name":
                meant = each.text.lower() if each.text.lower() in WORDS else None
                meant = meant or closest(each.text, known[:3])
                if meant is not None and each.text not in WORDS:
                    message = f"{quoted(each.text)} is not an operator; is `{meant}` meant?"
                    return Fault(each.start, len(each.text), message, meant)
        if token.text == ")":
            return Fault(token.start, 1, "this bracket closes nothing")
        message = f"an operator such as {listed(('and', 'or', '=', '+'))} is expected here"
        return Fault(token.start, len(token.text), f"{message}, not {quoted(token.text)}")


def meant_word(word: str) -> str | None:
    """What a name that is none of the record's was meant to be: `NULL`, `True`, `none`."""
    folded = word.lower()
    return folded if folded in WORDS else _MEANT_WORDS.get(folded)
