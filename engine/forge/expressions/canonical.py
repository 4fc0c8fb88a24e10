"""Expressions as text again: the canonical form, renaming, and what an expression depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from engine.forge.expressions.syntax import LEVELS, Call, Literal, Name, Node, Operation, Path

_HIGHEST = 8


def canonical(node: Node) -> str:
    """The expression with one space around operators and no bracket too many.

    Reading it gives the same tree. Equal trees give equal texts.
    """
    return _text(node, 1)


def names(node: Node) -> frozenset[Path]:
    """Every path that the expression reads, those of `count` and `sum` among them."""
    return frozenset(each.path for each in _walk(node) if isinstance(each, Name))


def rename(node: Node, mapping: Mapping[Path, Path]) -> Node:
    """The expression with paths renamed: the longest prefix of each that `mapping` knows.

    `{("total",): ("amount",)}` renames a field, `{("customer", "name"): ("customer", "title")}` a
    field of a related record. Places in the new tree are those of the old text.
    """
    if isinstance(node, Name):
        for end in range(len(node.path), 0, -1):
            if (new := mapping.get(node.path[:end])) is not None:
                return replace(node, path=(*new, *node.path[end:]))
        return node
    if isinstance(node, Operation):
        return replace(node, operands=tuple(rename(each, mapping) for each in node.operands))
    if isinstance(node, Call):
        return replace(node, arguments=tuple(rename(each, mapping) for each in node.arguments))
    return node


def _walk(node: Node) -> Iterator[Node]:
    yield node
    parts: tuple[Node, ...] = ()
    if isinstance(node, Operation):
        parts = node.operands
    elif isinstance(node, Call):
        parts = node.arguments
    for part in parts:
        yield from _walk(part)


def _text(node: Node, level: int) -> str:
    if isinstance(node, Name):
        return ".".join(node.path)
    if isinstance(node, Call):
        return f"{node.function}({', '.join(_text(each, 1) for each in node.arguments)})"
    if isinstance(node, Literal):
        return _literal(node.value)
    assert isinstance(node, Operation)
    own = LEVELS[node.operator]
    text = _operation(node, own)
    return f"({text})" if own < level else text


def _operation(node: Operation, own: int) -> str:
    first, *rest = node.operands
    if node.operator == "not":
        return f"not {_text(first, own)}"
    if node.operator == "negate":
        return f"-{_text(first, own)}"
    # Comparisons don't chain, so both sides bind tighter; others group from the left.
    left = _text(first, own + 1 if own == LEVELS["="] else own)
    if node.operator in ("is null", "is not null"):
        return f"{left} {node.operator}"
    if node.operator == "in":
        return f"{left} in [{', '.join(_text(each, _HIGHEST - 1) for each in rest)}]"
    return f"{left} {node.operator} {_text(rest[0], own + 1)}"


def _literal(value: int | Decimal | str | bool | None) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        quote = '"' if "'" in value and '"' not in value else "'"
        return f"{quote}{value.replace(quote, quote * 2)}{quote}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
