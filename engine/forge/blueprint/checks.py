"""Whether a well-formed Blueprint makes sense.

Every name that is used is declared, every transition leads somewhere, every record can be created,
and no name breaks the code that comes out of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from engine.forge.blueprint.computed import check_computed, check_computed_field
from engine.forge.blueprint.constraints import check_field
from engine.forge.blueprint.guards import check_guards
from engine.forge.blueprint.model import (
    Access,
    Blueprint,
    DataClass,
    Entity,
    Lifecycle,
    OnDelete,
    Relation,
    RelationKind,
    Scope,
    Transition,
)
from engine.forge.blueprint.names import ADMIN, check_names
from engine.forge.blueprint.problems import Finding, Path, quoted, unknown
from engine.forge.blueprint.sets import check_sets
from engine.forge.blueprint.stored import check_stored

MAX_PATTERNS = 300
"""Fields with a pattern: each one costs up to some 20 ms to compile, wherever it is used."""

_WIDTH = {None: 0, Scope.OWN: 1, Scope.ALL: 2}


def check(blueprint: Blueprint) -> list[Finding]:
    """Every finding about `blueprint`; it can be generated from if none is an error.

    Takes any well-formed Blueprint, in time about linear in its size; never raises.
    """
    fields = [spec for entity in blueprint.entities.values() for spec in entity.fields.values()]
    patterns = sum(spec.pattern is not None for spec in fields)
    if patterns > MAX_PATTERNS:
        message = f"{patterns} fields have a pattern; at most {MAX_PATTERNS} may"
        return [Finding(("entities",), message, at="key", rule="patterns-exceeded")]
    findings = [*check_names(blueprint), *_lists(blueprint)]
    for name, entity in blueprint.entities.items():
        findings += _entity(blueprint, ("entities", name), entity)
    if not any(finding.severity == "error" for finding in findings):
        findings += check_computed(blueprint)
        findings += check_guards(blueprint)
    findings += check_stored(blueprint)
    findings += _cycles(blueprint)
    findings += _unused(blueprint)
    return findings


def errors(blueprint: Blueprint) -> list[Finding]:
    """The findings of `check` that are errors."""
    return [finding for finding in check(blueprint) if finding.severity == "error"]


def _entity(blueprint: Blueprint, path: Path, entity: Entity) -> Iterator[Finding]:
    for name, spec in entity.fields.items():
        yield from check_field(blueprint, (*path, "fields", name), spec)
        if spec.computed is not None:
            yield from check_computed_field((*path, "fields", name), spec)
    for name, relation in entity.relations.items():
        yield from _relation(blueprint, (*path, "relations", name), relation)
    for role, access in entity.access.items():
        yield from _access(blueprint, (*path, "access", role), role, access)
    if entity.display is not None:
        yield from _display(path, entity, entity.display)
    yield from check_sets(path, entity)
    if entity.lifecycle is not None:
        at = (*path, "lifecycle")
        yield from _lifecycle(at, entity.lifecycle)
        for name, transition in entity.lifecycle.transitions.items():
            where = (*at, "transitions", name)
            yield from _transition(where, entity.lifecycle, transition)
            yield from _transition_roles(blueprint, where, entity, transition)


def _absent(
    path: Path, message: str, absent: Path, among: Collection[str], *, rule: str
) -> Finding:
    """The finding for a name at `path` that nothing declares."""
    return Finding(path, message, absent=absent, word=str(absent[-1]), among=among, rule=rule)


def _relation(blueprint: Blueprint, path: Path, relation: Relation) -> Iterator[Finding]:
    if relation.to not in blueprint.entities:
        message = unknown("entity", relation.to, blueprint.entities)
        yield _absent(
            (*path, "to"),
            message,
            ("entities", relation.to),
            blueprint.entities,
            rule="relation-target-unknown",
        )
    if relation.kind is RelationKind.MANY_TO_MANY:
        if relation.on_delete is not OnDelete.RESTRICT:
            message = (
                f"`on_delete: {relation.on_delete}` doesn't apply to many_to_many: a record that"
                " is linked to can't be deleted before it is unlinked"
            )
            yield Finding((*path, "on_delete"), message, rule="on-delete-misplaced")
    elif relation.required and relation.on_delete is OnDelete.SET_NULL:
        message = "a required relation can't be set to null; use `restrict` or `cascade`"
        yield Finding((*path, "on_delete"), message, "restrict", rule="on-delete-contradicts")


def _roles(blueprint: Blueprint) -> list[str]:
    return [*blueprint.roles, *([] if ADMIN in blueprint.roles else [ADMIN])]


def _unknown_role(
    blueprint: Blueprint, path: Path, role: str, *, at_key: bool
) -> Iterator[Finding]:
    roles = _roles(blueprint)
    if role not in roles:
        finding = _absent(
            path, unknown("role", role, roles), ("roles", role), roles, rule="role-unknown"
        )
        yield replace(finding, at="key") if at_key else finding


def _access(blueprint: Blueprint, path: Path, role: str, access: Access) -> Iterator[Finding]:
    yield from _unknown_role(blueprint, path, role, at_key=True)
    if role == ADMIN:
        message = "`admin` may do everything already; this has no effect"
        yield Finding(path, message, severity="warning", at="key", rule="access-admin")
        return
    for verb in ("update", "delete"):
        scope = getattr(access, verb)
        if _WIDTH[scope] > _WIDTH[access.read]:
            read = access.read or "nothing"
            message = f"`{role}` may {verb} {scope} records but read {read}; widen `read`"
            yield Finding((*path, verb), message, severity="warning", rule="access-wider-than-read")


def _display(path: Path, entity: Entity, display: str) -> Iterator[Finding]:
    at = (*path, "display")
    spec = entity.fields.get(display)
    if spec is None:
        message = unknown("field", display, entity.fields)
        yield _absent(
            at, message, (*path, "fields", display), entity.fields, rule="display-unknown"
        )
    elif spec.computed is not None:
        message = f"{quoted(display)} is computed; a record is found by what is stored of it"
        yield Finding(at, message, rule="display-computed")
    elif spec.data_class in (DataClass.SECRET, DataClass.PCI):
        message = f"{quoted(display)} holds {spec.data_class} data; it can't name a record"
        yield Finding(at, message, rule="display-secret")


def _lifecycle(path: Path, lifecycle: Lifecycle) -> Iterator[Finding]:
    states = lifecycle.states
    if lifecycle.initial not in states:
        yield _unknown_state((*path, "initial"), path, lifecycle, lifecycle.initial)
        return
    reached = [lifecycle.initial]
    for state in reached:
        for transition in lifecycle.transitions.values():
            if state in transition.from_ and transition.to not in reached:
                reached.append(transition.to)
    for state in states:
        if state not in reached:
            message = f"state `{state}` is never reached from `{lifecycle.initial}`"
            yield Finding(
                (*path, "states", state),
                message,
                severity="warning",
                at="key",
                rule="state-unreachable",
            )


def _unknown_state(path: Path, lifecycle_path: Path, lifecycle: Lifecycle, state: str) -> Finding:
    message = unknown("state", state, lifecycle.states)
    return _absent(
        path, message, (*lifecycle_path, "states", state), lifecycle.states, rule="state-unknown"
    )


def _transition(path: Path, lifecycle: Lifecycle, transition: Transition) -> Iterator[Finding]:
    for index, state in enumerate(transition.from_):
        if state not in lifecycle.states:
            yield _unknown_state((*path, "from", index), path[:-2], lifecycle, state)
    if transition.to not in lifecycle.states:
        yield _unknown_state((*path, "to"), path[:-2], lifecycle, transition.to)


def _transition_roles(
    blueprint: Blueprint, path: Path, entity: Entity, transition: Transition
) -> Iterator[Finding]:
    for index, role in enumerate(transition.roles):
        at = (*path, "roles", index)
        known = role in blueprint.roles and role != ADMIN
        if known and (role not in entity.access or entity.access[role].read is None):
            message = f"`{role}` may `{path[-1]}` but can't read the record; give it `read`"
            yield Finding(at, message, severity="warning", rule="transition-role-blind")
        yield from _unknown_role(blueprint, at, role, at_key=False)


def _lists(blueprint: Blueprint) -> Iterator[Finding]:
    """Lists whose order means nothing name each thing once."""
    yield from _twice(("compliance",), blueprint.compliance)
    for name, integration in blueprint.integrations.items():
        yield from _twice(("integrations", name, "methods"), integration.methods)
    for name, entity in blueprint.entities.items():
        transitions = entity.lifecycle.transitions if entity.lifecycle else {}
        for key, transition in transitions.items():
            at = ("entities", name, "lifecycle", "transitions", key)
            yield from _twice((*at, "from"), transition.from_)
            yield from _twice((*at, "roles"), transition.roles)


def _twice(path: Path, items: Iterable[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item in seen:
            yield Finding((*path, index), f"`{item}` is listed twice", rule="listed-twice")
        seen.add(item)


def _required(blueprint: Blueprint) -> dict[str, list[tuple[str, str]]]:
    """For every entity the relations that a record of it needs, with the entity they lead to."""
    return {
        name: [
            (key, relation.to)
            for key, relation in entity.relations.items()
            if relation.required and relation.to in blueprint.entities
        ]
        for name, entity in blueprint.entities.items()
    }


def _cycles(blueprint: Blueprint) -> Iterator[Finding]:
    """Required relations that lead back to their own entity: no first record could exist.

    A depth-first search with an explicit stack; each relation that closes a cycle is one finding.
    """
    graph = _required(blueprint)
    done: set[str] = set()
    for start in graph:
        if start in done:
            continue
        trail, stack = [start], [iter(graph[start])]
        while stack:
            key, to = next(stack[-1], ("", ""))
            if not key:
                done.add(trail.pop())
                stack.pop()
            elif to in trail:
                yield _cycle(trail[trail.index(to) :], trail[-1], key)
            elif to not in done:
                trail.append(to)
                stack.append(iter(graph[to]))


def _cycle(trail: list[str], entity: str, relation: str) -> Finding:
    path = ("entities", entity, "relations", relation, "required")
    if len(trail) == 1:
        message = f"every `{entity}` requires another `{entity}`, so the first can't be created"
    else:
        names = " → ".join([*trail, trail[0]])
        message = f"these require each other, so none can be created first: {names}"
    return Finding(path, f"{message}; make one relation optional", rule="relation-cycle")


def _unused(blueprint: Blueprint) -> Iterator[Finding]:
    enums = {spec.enum for entity in blueprint.entities.values() for spec in entity.fields.values()}
    roles = {role for entity in blueprint.entities.values() for role in entity.access}
    for name in blueprint.enums:
        if name not in enums:
            message = f"enum `{name}` is not used by any field"
            yield Finding(
                ("enums", name), message, severity="warning", at="key", rule="enum-unused"
            )
    for name in blueprint.roles:
        if name not in roles and name != ADMIN:
            message = f"role `{name}` has access to nothing"
            yield Finding(
                ("roles", name), message, severity="warning", at="key", rule="role-unused"
            )
