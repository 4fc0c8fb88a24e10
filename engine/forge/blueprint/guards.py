"""Whether the guards of transitions are conditions that a record can be asked."""

from __future__ import annotations

from collections.abc import Iterator

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import Finding, Path
from engine.forge.expressions.checking import check
from engine.forge.expressions.scopes import record_scope


def check_guards(blueprint: Blueprint) -> Iterator[Finding]:
    """Findings about guards of a Blueprint that makes sense otherwise."""
    for entity, spec in blueprint.entities.items():
        moves = spec.lifecycle.transitions if spec.lifecycle else {}
        for name, move in moves.items():
            if move.guard is not None:
                at = ("entities", entity, "lifecycle", "transitions", name, "guard")
                yield from _guard(blueprint, entity, at, move.guard)


def _guard(blueprint: Blueprint, entity: str, at: Path, guard: str) -> Iterator[Finding]:
    for fault in check(guard, record_scope(blueprint, entity)).faults:
        word = guard[fault.offset : fault.offset + fault.length]
        message = f"{fault.message} (at character {fault.offset + 1} of the expression)"
        # A name that the document declares elsewhere, but wrongly, is not to blame here.
        known = word in blueprint.entities[entity].fields
        absent = None if known else ("entities", entity, "fields", word)
        yield Finding(at, message, fault.suggestion, absent=absent)
