"""Reading expressions, writing them again, and what is wrong with the ones that can't be read."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.forge.expressions.canonical import canonical, names, rename
from engine.forge.expressions.syntax import (
    MAX_LENGTH,
    MAX_NESTING,
    MAX_NODES,
    Call,
    Fault,
    Literal,
    Name,
    Node,
    Operation,
    read,
)

IDENTIFIERS = st.sampled_from(["a", "total", "due_on", "today", "order_2", "IN", "nots"])
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=6)
NUMBERS = st.integers(0, 10**20) | st.decimals(0, 10**6, places=3).map(
    lambda number: Decimal(f"{number:.3f}")
)
LITERALS = st.builds(Literal, NUMBERS | TEXTS | st.booleans() | st.none())
ITEMS = st.builds(Literal, NUMBERS | TEXTS | st.booleans()) | st.builds(
    lambda number: Operation("negate", (Literal(number),)), NUMBERS
)
LEAVES = LITERALS | st.builds(
    lambda path: Name(tuple(path)), st.lists(IDENTIFIERS, min_size=1, max_size=3)
)


def _larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    binary = ["and", "or", "=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"]
    unary = ["not", "negate", "is null", "is not null"]
    return (
        st.builds(lambda o, a, b: Operation(o, (a, b)), st.sampled_from(binary), inner, inner)
        | st.builds(lambda o, a: Operation(o, (a,)), st.sampled_from(unary), inner)
        | st.builds(
            lambda a, items: Operation("in", (a, *items)),
            inner,
            st.lists(ITEMS, min_size=1, max_size=3),
        )
        | st.builds(
            lambda f, a: Call(f, tuple(a)),
            st.sampled_from(["if", "round", "today"]),
            st.lists(inner, max_size=3),
        )
    )


TREES = st.recursive(LEAVES, _larger, max_leaves=12)


def parsed(text: str) -> Node:
    node = read(text)
    assert not isinstance(node, Fault), node
    return node


def fault(text: str) -> Fault:
    node = read(text)
    assert isinstance(node, Fault), node
    return node


@settings(deadline=None)
@given(TREES)
def test_reading_the_canonical_form_gives_the_same_tree(tree: Node) -> None:
    text = canonical(tree)
    node = read(text)
    if isinstance(node, Fault):
        assert "at most" in node.message, text
    else:
        assert node == tree and canonical(node) == text


@given(st.text(st.sampled_from("ab1.'\"()[],=<>!+-*/ \n") | st.characters(), max_size=60))
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    node = read(text)
    if isinstance(node, Fault):
        assert node.message
        assert 0 <= node.offset <= len(text) and node.offset + node.length <= len(text)
    else:
        assert read(canonical(node)) == node


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a+b*c-(d)", "a + b * c - d"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a+b)*-c", "(a + b) * -c"),
        ("not(a and(b or not c))", "not (a and (b or not c))"),
        ("(not a)=b", "(not a) = b"),
        ("(a is null)=(b=c)", "(a is null) = (b = c)"),
        ("x not in [1,-2]", "not x in [1, -2]"),
        ("a and(b and c)", "a and (b and c)"),
        ("if( a , 1.50,'it''s' )", 'if(a, 1.50, "it\'s")'),
        ('"say ""hi"" it\'s"', "'say \"hi\" it''s'"),
        ("customer . name  is  not\nnull", "customer.name is not null"),
        ("- -a", "--a"),
    ],
)
def test_the_canonical_form_has_no_bracket_too_many(text: str, form: str) -> None:
    assert canonical(parsed(text)) == form


@pytest.mark.parametrize(
    ("text", "offset", "length", "words", "suggestion"),
    [
        ("", 0, 0, "is empty", None),
        ("  ", 0, 0, "is empty", None),
        ("a == b", 2, 2, "written `=`", "="),
        ("a && b", 2, 2, "written `and`", "and"),
        ("a <> b", 2, 2, "written `!=`", "!="),
        ("!a", 0, 1, "written `not`", "not"),
        ("a AND b", 2, 3, "is `and` meant", "and"),
        ("a andd b", 2, 4, "is `and` meant", "and"),
        ("a b", 2, 1, "an operator", None),
        ("a +", 3, 0, "ends too early", None),
        ("a = = b", 4, 1, "a value is expected here, not `=`", None),
        ("a < b < c", 6, 1, "don't chain", None),
        ("a = not b", 4, 3, "put brackets", None),
        ("a not b", 2, 3, "an operator", None),
        ("(a", 2, 0, "not closed", None),
        ("a)", 1, 1, "closes nothing", None),
        ("'a", 0, 1, "not closed", None),
        ("'a\tb'", 2, 1, "U+0009", None),
        ("1a", 0, 2, "neither a number nor a name", None),
        ("a.", 2, 0, "after the point", None),
        ("a is nul", 5, 3, "`is null`", "null"),
        ("a in (1)", 5, 1, "`in` is followed by a list", None),
        ("a in [b]", 6, 1, "a list holds only", None),
        ("a in [null]", 6, 4, "a list holds only", None),
        ("a in []", 6, 1, "a value is expected", None),
        ("f(a b)", 4, 1, "separated by commas", None),
        ("f(a,", 4, 0, "ends too early", None),
        ("سعر > 1", 0, 1, "English identifiers", None),
        ("a # b", 2, 1, "has no meaning", None),
        ("1" * 31, 0, 31, "at most 30 digits", None),
        ("0." + "1" * 19, 0, 21, "18 of them", None),
    ],
)
def test_each_fault_has_its_place(
    text: str, offset: int, length: int, words: str, suggestion: str | None
) -> None:
    found = fault(text)
    assert words in found.message
    assert (found.offset, found.length, found.suggestion) == (offset, length, suggestion)


def test_size_and_nesting_are_bounded() -> None:
    assert "at most 500 characters" in fault("a" * (MAX_LENGTH + 1)).message
    chain = " or ".join(["a"] * (MAX_NODES // 2))
    assert not isinstance(read(chain), Fault)
    assert "at most 100 parts" in fault("-".join(["1"] * (MAX_NODES // 2 + 1))).message
    deep = "(" * MAX_NESTING + "a" + ")" * MAX_NESTING
    assert not isinstance(read(deep), Fault)
    for opening, closing in (("(", ")"), ("abs(", ")"), ("not ", ""), ("-", "")):
        text = opening * (MAX_NESTING + 1) + "a" + closing * (MAX_NESTING + 1)
        assert "nested at most 20" in fault(text).message


def test_constants_of_different_types_are_different() -> None:
    assert len({Literal(1), Literal(True), Literal(Decimal("1.0")), Literal("1")}) == 4


def test_names_and_renaming() -> None:
    node = parsed("total > customer.limit and count(lines) > 0 or customer is null")
    assert names(node) == {("total",), ("customer", "limit"), ("lines",), ("customer",)}
    renamed = rename(
        node,
        {
            ("total",): ("amount",),
            ("customer",): ("buyer",),
            ("customer", "limit"): ("customer", "most"),
            ("limit",): ("wrong",),
        },
    )
    assert canonical(renamed) == ("amount > customer.most and count(lines) > 0 or buyer is null")
    assert rename(node, {}) == node
