"""Whether the values of computed fields follow from their record, and fit what is declared."""

from __future__ import annotations

from collections.abc import Iterator

from engine.forge.blueprint.guards import placed, read_computed
from engine.forge.blueprint.model import Blueprint, DataClass, FieldSpec, FieldType
from engine.forge.blueprint.problems import Finding, Path, dotted, listed
from engine.forge.expressions.canonical import names
from engine.forge.expressions.checking import check
from engine.forge.expressions.scopes import computed_type, record_scope
from engine.forge.expressions.syntax import Fault, read
from engine.forge.expressions.terms import Term
from engine.forge.fields import LARGEST_INTEGER, SMALLEST_INTEGER, is_write_only

_INSTEAD = {
    "required": "it is null exactly where its expression is",
    "unique": "it isn't stored, so nothing can compare it; make what it reads unique",
    "default": "its expression always says its value; use `coalesce(…, …)` there",
    "min": "nobody sends it; use `max(…, …)` in its expression, or bound what it reads",
    "max": "nobody sends it; use `min(…, …)` in its expression, or bound what it reads",
    "min_length": "nobody sends it, and an answer can't be refused",
    "max_length": "nobody sends it, and an answer can't be refused",
    "pattern": "nobody sends it, and an answer can't be refused",
    "precision": "it has as many digits before the point as its expression needs",
    "stored_as": "it isn't stored",
}
"""The keys that say nothing of a computed field, and why."""

_SWITCHES = ("required", "unique")

_TYPES = (
    *(FieldType.STRING, FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY),
    *(FieldType.BOOLEAN, FieldType.DATE, FieldType.TIME, FieldType.INSTANT, FieldType.ENUM),
)
_CLOCK = ("now", "today")


def check_computed_field(path: Path, spec: FieldSpec) -> Iterator[Finding]:
    """Findings about the keys beside `computed`; `path` is the field's place in the Blueprint."""
    for key, why in _INSTEAD.items():
        value = getattr(spec, key)
        if value or (value is not None and key not in _SWITCHES):
            message = f"`{key}` doesn't apply to a computed field: {why}"
            yield Finding((*path, key), message, at="key", rule="computed-key-misplaced")
    if spec.type not in _TYPES:
        message = f"a `{spec.type}` can't be computed, only {listed(_TYPES)}"
        yield Finding((*path, "type"), message, rule="computed-type")
    if spec.data_class is DataClass.SECRET:
        message = "a computed field is there to be given back, which a secret never is"
        yield Finding((*path, "data_class"), message, rule="computed-secret")


def check_computed(blueprint: Blueprint) -> Iterator[Finding]:
    """Findings about the expressions of a Blueprint that makes sense otherwise."""
    for name, entity in blueprint.entities.items():
        for field, spec in entity.fields.items():
            if spec.computed is not None:
                path = ("entities", name, "fields", field)
                yield from _expression(blueprint, path, spec, spec.computed)


def _expression(
    blueprint: Blueprint, path: Path, spec: FieldSpec, source: str
) -> Iterator[Finding]:
    entity, at = str(path[1]), (*path, "computed")
    unreadable = [*_secrets(blueprint, path, source), *read_computed(blueprint, entity, at, source)]
    if unreadable:
        yield from unreadable
        return
    wanted = computed_type(blueprint, spec, dotted(path))
    checked = check(source, record_scope(blueprint, entity), wanted)
    for fault in checked.faults:
        yield placed(blueprint, entity, at, source, fault)
    if checked.term is not None:
        yield from _value(at, spec, checked.term)
        yield from _sensitive(blueprint, path, spec, checked.term)


def _secrets(blueprint: Blueprint, path: Path, source: str) -> Iterator[Finding]:
    node = read(source)
    asked = set() if isinstance(node, Fault) else {each[0] for each in names(node)}
    for name, spec in blueprint.entities[str(path[1])].fields.items():
        if name in asked and is_write_only(spec):
            message = f"`{name}` is secret; a value that follows from it would give it away"
            yield Finding((*path, "computed"), message, rule="computed-reads-secret")


def _value(at: Path, spec: FieldSpec, term: Term) -> Iterator[Finding]:
    clocks = sorted({part.operation for part in term.walk()} & {*_CLOCK})
    if clocks:
        message = (
            f"`{clocks[0]}()` isn't known of the record: its value would change while the record"
            " stays the same"
        )
        yield Finding(at, message, rule="computed-clock")
    low, high = term.type.low, term.type.high
    if spec.type is FieldType.INTEGER and (low < SMALLEST_INTEGER or high > LARGEST_INTEGER):
        message = (
            "this may need more than the 64 bits of an integer; give what it reads a `min` and a"
            " `max`, or make the field a `decimal` with `scale: 0`"
        )
        yield Finding(at, message, rule="computed-too-large")


def _sensitive(blueprint: Blueprint, path: Path, spec: FieldSpec, term: Term) -> Iterator[Finding]:
    """Sensitive data stays what it is in a value that follows from it."""
    fields = blueprint.entities[str(path[1])].fields
    held: dict[DataClass, str] = {}
    for part in term.walk():
        name = part.value[0] if part.operation == "name" else ""
        if name in fields and (kind := fields[name].data_class) is not None:
            held.setdefault(kind, name)
    if held and spec.data_class not in held:
        kind, name = next(iter(held.items()))
        message = f"this reads `{name}`, which holds {kind} data; say `data_class: {kind}` here too"
        yield Finding(path, message, at="key", rule="computed-data-class")
