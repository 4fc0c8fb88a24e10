"""Whether the guards of transitions are conditions that a record can be asked."""

from __future__ import annotations

from collections.abc import Iterator

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import Finding, Path
from engine.forge.expressions.canonical import names
from engine.forge.expressions.checking import check
from engine.forge.expressions.scopes import record_scope
from engine.forge.expressions.syntax import Fault, read


def check_guards(blueprint: Blueprint) -> Iterator[Finding]:
    """Findings about guards of a Blueprint that makes sense otherwise."""
    for entity, spec in blueprint.entities.items():
        moves = spec.lifecycle.transitions if spec.lifecycle else {}
        for name, move in moves.items():
            if move.guard is not None:
                at = ("entities", entity, "lifecycle", "transitions", name, "guard")
                yield from _guard(blueprint, entity, at, move.guard)


def placed(blueprint: Blueprint, entity: str, at: Path, source: str, fault: Fault) -> Finding:
    """A fault of the expression `source` on records of `entity`, which stands at `at`."""
    word = source[fault.offset : fault.offset + fault.length]
    message = f"{fault.message} (at character {fault.offset + 1} of the expression)"
    # A name that the document declares elsewhere, but wrongly, is not to blame here.
    known = word in blueprint.entities[entity].fields
    absent = None if known else ("entities", entity, "fields", word)
    return Finding(at, message, fault.suggestion, absent=absent, rule="expression-fault")


def read_computed(blueprint: Blueprint, entity: str, at: Path, source: str) -> Iterator[Finding]:
    """Findings for the computed fields that the expression names: none can read another's."""
    node = read(source)
    asked = set() if isinstance(node, Fault) else {path[0] for path in names(node)}
    for name, spec in blueprint.entities[entity].fields.items():
        if spec.computed is not None and name in asked:
            message = f"`{name}` is computed itself, and can't be read: write its expression here"
            yield Finding(at, message, f"({spec.computed})", rule="expression-reads-computed")


def _guard(blueprint: Blueprint, entity: str, at: Path, guard: str) -> Iterator[Finding]:
    if unreadable := [*read_computed(blueprint, entity, at, guard)]:
        yield from unreadable
        return
    for fault in check(guard, record_scope(blueprint, entity)).faults:
        yield placed(blueprint, entity, at, guard, fault)
