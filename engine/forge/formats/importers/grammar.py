"""Texts parsed by a grammar, with what is wrong told by line and column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import LarkError, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from engine.forge.blueprint.problems import quoted
from engine.forge.formats.contract import refuse
from engine.forge.formats.report import NOWHERE, Place

MOST_NESTED = 50
_HERE = Path(__file__).parent


def load_grammar(name: str, **callbacks: Any) -> Lark:
    """The parser of the grammar beside this module; `callbacks` see tokens as they are read."""
    return Lark(
        (_HERE / name).read_text(encoding="utf-8"),
        parser="lalr",
        propagate_positions=True,
        maybe_placeholders=False,
        lexer_callbacks=callbacks,
    )


def parsed(parser: Lark, text: str) -> Tree[Token]:
    """The tree of the text, at most `MOST_NESTED` deep.

    Raises `InvalidInput` at the first place that isn't understood.
    """
    try:
        return _shallow(parser.parse(text))
    except UnexpectedToken as error:
        if error.token.type == "$END":
            refuse("the text ends too early", _end(text))
        what = quoted(str(error.token))
        refuse(f"{what} is not expected here", Place(error.line, error.column))
    except UnexpectedEOF:
        refuse("the text ends too early", _end(text))
    except UnexpectedInput as error:
        found = quoted(text[error.pos_in_stream : (error.pos_in_stream or 0) + 20])
        refuse(f"{found} is not understood", Place(error.line, error.column))
    except (LarkError, RecursionError):
        refuse("the text is nested too deeply")


def _shallow(tree: Tree[Token]) -> Tree[Token]:
    """The tree itself, so that whoever walks it may recurse."""
    level = [tree]
    for _ in range(MOST_NESTED):
        level = [each for node in level for each in node.children if isinstance(each, Tree)]
        if not level:
            return tree
    refuse("this is nested too deeply", place_of(level[0]))


def _end(text: str) -> Place:
    lines = text.split("\n")
    return Place(len(lines), len(lines[-1]) + 1)


def place_of(node: Tree[Token] | Token) -> Place:
    """Where a token or a tree begins."""
    if isinstance(node, Token):
        return Place(node.line, node.column)
    if node.meta.empty:
        return NOWHERE
    return Place(node.meta.line, node.meta.column)


def trees(node: Tree[Token], *kinds: str) -> Iterator[Tree[Token]]:
    """The direct children that are trees of one of the kinds."""
    for child in node.children:
        if isinstance(child, Tree) and child.data in kinds:
            yield child


def tokens(node: Tree[Token], *kinds: str) -> Iterator[Token]:
    """The direct children that are tokens of one of the kinds."""
    for child in node.children:
        if isinstance(child, Token) and child.type in kinds:
            yield child


def unquoted(token: str) -> str:
    """The text inside the quotes of a string, with its escapes resolved."""
    inner = str(token)[1:-1]
    for escape, letter in (('\\"', '"'), ("\\'", "'"), ("\\n", "\n"), ("\\\\", "\\")):
        inner = inner.replace(escape, letter)
    return inner
