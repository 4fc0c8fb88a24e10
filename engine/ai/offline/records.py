"""Kinds of record that no archetype describes, made from what the text says about them."""

from __future__ import annotations

from functools import lru_cache

from engine.ai.extraction.naming import Concept
from engine.ai.lexicon import lexicon
from engine.ai.offline.draft import Draft
from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import (
    Blueprint,
    Entity,
    FieldSpec,
    FieldType,
    Lifecycle,
    State,
    Transition,
)
from engine.forge.blueprint.names import SYSTEM_COLUMNS, snake_case

# States of the records that an act leaves, and the moves: name, from, to, done by staff only?
_BOOKED = (
    ("requested", "confirmed", "completed", "cancelled"),
    (
        ("confirm", ("requested",), "confirmed", True),
        ("complete", ("confirmed",), "completed", True),
        ("cancel", ("requested", "confirmed"), "cancelled", False),
    ),
)
_DECIDED = (
    ("submitted", "approved", "rejected"),
    (
        ("approve", ("submitted",), "approved", True),
        ("reject", ("submitted",), "rejected", True),
    ),
)
_STATES = {
    "Reservation": _BOOKED, "Booking": _BOOKED, "Order": _BOOKED, "Rental": _BOOKED,
    "Loan": _BOOKED, "Application": _DECIDED, "Request": _DECIDED, "Adoption": _DECIDED,
    "Registration": _DECIDED, "MaintenanceRequest": _BOOKED, "Appointment": _BOOKED,
}  # fmt: skip
_TIMED = frozenset({"Reservation", "Booking", "Rental", "Appointment", "Meeting", "Lesson"})
_DATES = (FieldType.DATE, FieldType.INSTANT, FieldType.TIME)
_NAMES = frozenset({"name", "full_name", "title", "code", "number", "subject"})


@lru_cache(maxsize=2_000)
def _is_free(entity: str, member: str) -> bool:
    """Do the checks of the language accept these names?"""
    sample = Entity(fields={member: FieldSpec(type=FieldType.STRING)})
    return not errors(Blueprint(name="sample", entities={entity: sample}))


def entity_name(name: str) -> str:
    """`name`, or a like one that no generated class or table needs."""
    likes = (name, f"{name[:34]}Record", f"{name[:34]}Entry", f"Kept{name[:34]}")
    return next((like for like in likes if _is_free(like, "sample")), f"Kept{name[:34]}")


def member_name(name: str) -> str:
    """`name`, or a like one that isn't reserved in Python, SQL or the generated classes."""
    if name != "status" and _is_free("Sample", name[:40]):
        return name[:40]
    return f"{name.removeprefix('model_')[:34]}_value"


def relation_name(entity: str) -> str:
    name = snake_case(entity)[:36]
    taken = f"{name}_id" in SYSTEM_COLUMNS or member_name(name) != name
    return f"{name[:34]}_link" if taken else name


def bare_entity(concept: Concept) -> Entity:
    return Entity(title=concept.title, plural=concept.plural)


def complete(draft: Draft, name: str, concept: Concept) -> None:
    """Give a new record what each of its kind has: a name, a date, a lifecycle."""
    fields = lexicon().fields
    entity = draft.entities[name]
    named = any(key in _NAMES or key.endswith(("_name", "_number")) for key in entity.fields)
    if concept.kind == "person" and not named:
        _first(draft, name, "full_name", fields["full_name"])
    elif concept.kind in {"place", "thing"} and not named:
        _first(draft, name, "name", fields["name"])
    elif concept.kind == "paper" and not named:
        _first(draft, name, "title", fields["title"])
    elif concept.kind == "act":
        if concept.name in _TIMED and not draft.has_type(name, *_DATES):
            draft.add_field(name, "starts_at", _required(fields["starts_at"]))
            draft.add_field(name, "ends_at", fields["ends_at"])
        elif not draft.has_type(name, *_DATES):
            draft.add_field(name, "date", _required(fields["date"]))
        draft.add_field(name, "notes", fields["notes"])
    if concept.name in _STATES and draft.entities[name].lifecycle is None:
        draft.entities[name] = draft.entities[name].model_copy(
            update={"lifecycle": _lifecycle(concept.name, draft.entities[name])}
        )


def _required(spec: FieldSpec) -> FieldSpec:
    return spec.model_copy(update={"required": True})


def _first(draft: Draft, entity: str, name: str, spec: FieldSpec) -> None:
    old = draft.entities[entity]
    fields = {name: _required(spec), **old.fields}
    draft.entities[entity] = old.model_copy(update={"fields": fields})


def _lifecycle(kind: str, entity: Entity) -> Lifecycle:
    states, moves = _STATES[kind]
    staff = [role for role, rule in entity.access.items() if rule.update == "all"]
    readers = [role for role, rule in entity.access.items() if rule.read]
    return Lifecycle(
        initial=states[0],
        states={state: State(title=lexicon().text(state)) for state in states},
        transitions={
            move: Transition(
                title=lexicon().text(move),
                from_=list(origin),
                to=to,
                roles=staff if by_staff else readers,
            )
            for move, origin, to, by_staff in moves
        },
    )
