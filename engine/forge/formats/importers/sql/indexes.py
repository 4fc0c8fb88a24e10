"""What indexes and unique constraints of SQL say beyond their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from engine.forge.formats.report import Note

_NULLS = Note(
    "a record that leaves a part empty agrees with none here, whereas in the source with others"
)
HASHED = Note("an index by hash becomes one that is ordered too")
_ORDER = Note("the order within an index is chosen by the target")


def bare_name(node: exp.Expression) -> str:
    """The column that the node names; empty for an expression."""
    inner: Any = node
    while isinstance(inner, exp.Ordered | exp.Paren | exp.ColumnPrefix | exp.Opclass | exp.Collate):
        inner = inner.this
    if isinstance(inner, exp.Column | exp.Identifier) or _is_beginning(inner):
        return str(inner.name)
    return ""


def _is_beginning(node: exp.Expression) -> bool:
    """Whether this is `name(10)` of MySQL, which sqlglot takes for a function."""
    given = node.expressions if isinstance(node, exp.Anonymous) else []
    return len(given) == 1 and isinstance(given[0], exp.Literal) and not given[0].is_string


def names_of(nodes: Sequence[exp.Expression]) -> list[str]:
    """The columns, or none at all when one of them is an expression."""
    names = [bare_name(each) for each in nodes]
    return names if all(names) else []


def shown(nodes: Sequence[exp.Expression]) -> str:
    """The parts of an index as its source has them; sqlglot adds an order of its own."""
    return ", ".join(each.sql().removesuffix(" NULLS LAST") for each in nodes)


def method_of(params: exp.Expression) -> str:
    using = params.args.get("using")
    return str(using.name if isinstance(using, exp.Expression) else using or "").lower()


def length_notes(columns: Sequence[exp.Expression]) -> list[Note]:
    """MySQL can index the beginning of a text."""
    if any(_is_beginning(each) for part in columns for each in part.find_all(exp.Anonymous)) or any(
        part.find(exp.ColumnPrefix) is not None for part in columns
    ):
        return [Note("the whole of a text counts, not its beginning")]
    return []


def index_notes(params: exp.Expression, *, nulls_last: bool) -> list[Note]:
    """How the index is laid out, as far as the target decides that. `nulls_last` says whether that
    is where nulls are, unless something else is written."""
    columns = params.args.get("columns") or []
    notes = length_notes(columns)
    if any(isinstance(each, exp.Ordered) and _ordered(each, nulls_last) for each in columns):
        notes.append(_ORDER)
    if any(each.find(exp.Opclass, exp.Collate) is not None for each in columns):
        notes.append(Note("how its texts are compared is chosen by the target"))
    if params.args.get("include"):
        notes.append(Note("what it holds beside its columns is chosen by the target"))
    if params.args.get("with_storage") or params.args.get("tablespace"):
        notes.append(Note("where and how it is stored is chosen by the target"))
    if params.args.get("partition_by") or params.args.get("on"):
        notes.append(Note("its partitions are chosen by the target"))
    return notes


def unique_notes(node: exp.Expression) -> list[Note]:
    notes = [_NULLS] if node.args.get("nulls") else []
    if node.args.get("on_conflict"):
        notes.append(Note("what happens on a conflict is that the record is refused"))
    options = " ".join(str(each) for each in node.args.get("options") or []).lower()
    if options:
        notes.append(Note(f"`{options[:60]}`: it is checked at once"))
    return notes


def _ordered(node: exp.Ordered, nulls_last: bool) -> bool:
    """Whether an order was written; sqlglot fills `nulls_first` in by itself."""
    return bool(node.args.get("desc") or (nulls_last and node.args.get("nulls_first")))
