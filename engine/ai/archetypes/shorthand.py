"""The short form in which archetypes are written.

- `fields: full_name!, sku!*, active!=true`: names of the lexicon, which gives type, bounds and
  titles; `!` is required, `*` unique, `=x` the default.
- `links: patient->Patient! cascade`: a relation; `->` many to one, `=>` one to one, `->>` many to
  many; `!` is required; then what happens on deletion (`restrict` if left out).
- `access: receptionist CRUD, patient Cr`: create, read, update, delete; a capital letter stands
  for every row, a small one for the caller's own.
- `states: requested, confirmed`: the first is where a record begins.
- `moves: {confirm: requested -> confirmed by receptionist}`: from one or more states to another,
  by one or more roles.
- `roles: officer, patient+`: `+` lets people sign up with that role.
"""

from __future__ import annotations

import re
from typing import Any

from engine.ai.lexicon import lexicon
from engine.forge.blueprint.model import (
    Access,
    DataClass,
    Entity,
    EnumSpec,
    FieldSpec,
    FieldType,
    Lifecycle,
    Relation,
    RelationKind,
    Role,
    Scope,
    State,
    Transition,
)

_FIELD = re.compile(r"(?P<name>[a-z0-9_]+)(?P<marks>[!*]*)(=(?P<default>\w+))?")
_LINK = re.compile(
    r"(?P<name>[a-z0-9_]+)(?P<kind>->>|->|=>)(?P<to>\w+)(?P<required>!?)( (?P<gone>\w+))?"
)
_MOVE = re.compile(r"(?P<from>[a-z_ ]+) -> (?P<to>[a-z_]+)( by (?P<roles>[a-z_ ]+))?")
_KINDS = {
    "->": RelationKind.MANY_TO_ONE,
    "=>": RelationKind.ONE_TO_ONE,
    "->>": RelationKind.MANY_TO_MANY,
}
_VERBS = {"c": "create", "r": "read", "u": "update", "d": "delete"}
_HIDDEN = (DataClass.PCI, DataClass.SECRET)
DISPLAY = ("full_name", "name", "title", "subject")


def names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def cues(texts: dict[str, str]) -> tuple[str, ...]:
    return tuple(cue for text in texts.values() for cue in re.split(r"\s*,\s*", text) if cue)


def roles(text: str) -> dict[str, Role]:
    return {
        name.removesuffix("+"): Role(
            title=lexicon().text(name.removesuffix("+")), self_registration=name.endswith("+")
        )
        for name in names(text)
    }


def enums(lists: dict[str, str]) -> dict[str, EnumSpec]:
    return {
        name: EnumSpec(
            title=lexicon().fields[name].title,
            values={value: lexicon().text(value) for value in names(values)},
        )
        for name, values in lists.items()
    }


def entity(where: str, name: str, spec: dict[str, Any]) -> Entity:
    """One entity; `where` names it in errors (`ValueError`)."""
    noun = lexicon().nouns.get(name)
    if noun is None:
        raise ValueError(f"{where}: the lexicon has no noun `{name}`")
    fields = dict(_field(where, part) for part in names(spec["fields"]))
    return Entity(
        title=noun.title,
        plural=noun.plural,
        fields=fields,
        relations=dict(_link(where, part) for part in names(spec.get("links"))),
        access=dict(_access(where, part) for part in names(spec["access"])),
        lifecycle=_lifecycle(where, spec) if "states" in spec else None,
        display=display(fields),
    )


def display(fields: dict[str, FieldSpec]) -> str | None:
    """The field that names a record to a person: a usual one, else the first unique text."""
    usual = [name for name in DISPLAY if name in fields]
    texts = [
        name
        for name, field in fields.items()
        if field.type is FieldType.STRING and field.data_class not in _HIDDEN
    ]
    unique = [name for name in texts if fields[name].unique]
    return next(iter([*usual, *unique, *texts]), None)


def _matched(pattern: re.Pattern[str], where: str, text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"{where}: can't read `{text}`")
    return found


def _field(where: str, text: str) -> tuple[str, FieldSpec]:
    found = _matched(_FIELD, where, text)
    name, marks = found["name"], found["marks"]
    known = lexicon().fields.get(name)
    if known is None:
        raise ValueError(f"{where}: the lexicon has no field `{name}`")
    changes: dict[str, Any] = {"required": "!" in marks, "unique": "*" in marks}
    if found["default"] is not None:
        changes["default"] = _default(known.type, found["default"])
    return name, known.model_copy(update=changes)


def _default(kind: FieldType, text: str) -> str | int | float | bool:
    if kind is FieldType.BOOLEAN:
        return text == "true"
    if kind is FieldType.INTEGER:
        return int(text)
    return float(text) if kind in {FieldType.DECIMAL, FieldType.MONEY} else text


def _link(where: str, text: str) -> tuple[str, Relation]:
    found = _matched(_LINK, where, text)
    return found["name"], Relation.model_validate(
        {
            "to": found["to"],
            "kind": _KINDS[found["kind"]],
            "title": lexicon().text(found["name"]),
            "required": bool(found["required"]),
            "on_delete": found["gone"] or "restrict",
        }
    )


def _access(where: str, text: str) -> tuple[str, Access]:
    role, _, letters = text.partition(" ")
    if not letters or set(letters.lower()) - set(_VERBS) or "c" in letters:
        raise ValueError(f"{where}: can't read the access `{text}`")
    return role, Access.model_validate(
        {_VERBS[one.lower()]: Scope.ALL if one.isupper() else Scope.OWN for one in letters}
    )


def _lifecycle(where: str, spec: dict[str, Any]) -> Lifecycle:
    states = names(spec["states"])
    moves: dict[str, Transition] = {}
    for move, text in spec["moves"].items():
        found = _matched(_MOVE, f"{where}.{move}", text)
        moves[move] = Transition(
            title=lexicon().text(move),
            from_=found["from"].split(),
            to=found["to"],
            roles=(found["roles"] or "").split(),
        )
    return Lifecycle(
        initial=states[0],
        states={state: State(title=lexicon().text(state)) for state in states},
        transitions=moves,
    )
