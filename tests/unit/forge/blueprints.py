"""Blueprints for tests: a small text, ways to read it, and random valid ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from engine.kernel.errors import InvalidInput

SMALL = """\
name: clinic
roles:
  doctor: {}
enums:
  gender: {values: {male: {}, female: {}}}
entities:
  Patient:
    display: full_name
    fields:
      full_name: {type: string, required: true}
      age: {type: integer, min: 0, max: 150}
      gender: {type: enum, enum: gender}
    access:
      doctor: {create: all, read: all, update: own}
  Visit:
    relations:
      patient: {to: Patient, required: true}
    access:
      doctor: {read: all}
    lifecycle:
      initial: open
      states: {open: {}, closed: {}}
      transitions:
        close: {from: [open], to: closed, roles: [doctor]}
"""


def small(old: str = "", new: str = "") -> Blueprint:
    """The small Blueprint, with one piece of its text replaced."""
    assert old in SMALL
    return load(SMALL.replace(old, new, 1)).blueprint


def problems(text: str | bytes) -> list[dict[str, Any]]:
    """What is wrong with `text`; fails if nothing is."""
    try:
        load(text)
    except InvalidInput as error:
        found: list[dict[str, Any]] = error.fields["errors"]
        assert found and error.status == 422
        return found
    raise AssertionError("the text was accepted")


def changed(old: str, new: str) -> list[dict[str, Any]]:
    """What is wrong with the small Blueprint once a piece of its text is replaced."""
    assert old in SMALL
    return problems(SMALL.replace(old, new, 1))


def entity_with(body: str) -> str:
    """A Blueprint of one entity `Thing` whose flow-style body is given."""
    return f"name: shop\nenums: {{size: {{values: {{small: {{}}}}}}}}\nentities:\n  Thing: {body}\n"


def field_with(body: str) -> str:
    """A Blueprint of one field `value` whose flow-style body is given."""
    return entity_with(f"{{fields: {{value: {body}}}}}")


_words = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf", "Cn")),
        st.sampled_from(" :#-[]{}'\"\\&*!|>%@`,?~=0123456789eE.+ \u200f\u064b"),
    ),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip() != "")
_titles = st.one_of(
    _words,
    st.sampled_from(
        ["yes", "no", "on", "off", "null", "~", "1e5", "0o17", "0x1f", "1_000", ".inf"]
    ),
    st.sampled_from(["2026-01-01", "12:30:00", "true", "<<", "=", "عيادة النور", "- a", "a: b"]),
)
_texts = st.fixed_dictionaries({}, optional={"en": _titles, "ar": _titles})
_prose = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf", "Cn")),
        st.sampled_from("\n\n \t:#'\"-"),
    ),
    max_size=60,
)
_members = st.from_regex(r"[a-z][a-z0-9]{0,6}(_[a-z][a-z0-9]{0,4})?", fullmatch=True)
_entities = st.from_regex(r"[A-Z][a-z0-9]{1,6}([A-Z][a-z]{1,4})?", fullmatch=True)
_numbers = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e9, 1e9, allow_nan=False, width=32))


def _field(enums: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    both = {"title": _texts, "required": st.booleans(), "unique": st.booleans()}
    private = {**both, "data_class": st.sampled_from(["pii", "phi", "pci", "secret"])}
    text = {
        **private,
        "min_length": st.integers(0, 10),
        "max_length": st.integers(10, 200),
        "pattern": st.sampled_from(["[A-Z]{2}-[0-9]+", r"\d{4}", "أ?[^ ]*", "a|b"]),
    }
    number = {**both, "min": _numbers, "max": _numbers, "default": _numbers}
    kinds = [
        _kind(["string", "text"], text),
        _kind(["integer", "decimal"], number),
        _kind(["money"], {**both, "currency": st.sampled_from(["SAR", "KWD", "JPY"])}),
        _kind(["boolean"], {**both, "default": st.booleans()}),
        _kind(["date", "time", "instant", "uuid", "email", "phone", "url"], private),
        _kind(["string"], {**both, "default": _titles}),
    ]
    if enums:
        kinds.append(_kind(["enum"], both, enum=st.sampled_from(enums)))
    return st.one_of(kinds)


def _kind(types: list[str], optional: dict[str, Any], **fixed: Any) -> Any:
    return st.fixed_dictionaries({"type": st.sampled_from(types), **fixed}, optional=optional)


@st.composite
def _entity(draw: st.DrawFn, entities: list[str], roles: list[str], enums: list[str]) -> Any:
    scope = st.sampled_from(["all", "own"])
    access = st.fixed_dictionaries(
        {}, optional={"create": st.just("all"), "read": scope, "update": scope, "delete": scope}
    )
    relation = st.fixed_dictionaries(
        {"to": st.sampled_from(entities)},
        optional={
            "kind": st.sampled_from(["many_to_one", "one_to_one", "many_to_many"]),
            "required": st.booleans(),
            "on_delete": st.sampled_from(["restrict", "cascade", "set_null"]),
            "title": _texts,
        },
    )
    entity: dict[str, Any] = {
        "title": draw(_texts),
        "plural": draw(st.one_of(st.just({}), _texts)),
        "fields": draw(st.dictionaries(_members, _field(enums), max_size=4)),
        "relations": draw(st.dictionaries(_members, relation, max_size=2)),
    }
    if roles:
        entity["access"] = draw(st.dictionaries(st.sampled_from(roles), access, max_size=2))
    if entity["fields"] and draw(st.booleans()):
        entity["display"] = draw(st.sampled_from(sorted(entity["fields"])))
    if draw(st.booleans()):
        entity["lifecycle"] = draw(_lifecycle(roles))
    return entity


@st.composite
def _lifecycle(draw: st.DrawFn, roles: list[str]) -> Any:
    states = draw(st.lists(_members, min_size=1, max_size=4, unique=True))
    state = st.sampled_from(states)
    role = st.sampled_from([*roles, "admin"])
    transition = st.fixed_dictionaries(
        {"from": st.lists(state, min_size=1, max_size=2, unique=True), "to": state},
        optional={"roles": st.lists(role, max_size=2, unique=True), "title": _texts},
    )
    return {
        "initial": draw(state),
        "states": {name: {"title": draw(_texts)} for name in states},
        "transitions": draw(st.dictionaries(_members, transition, max_size=3)),
    }


@st.composite
def well_formed(draw: st.DrawFn) -> Blueprint:
    """A random Blueprint of the right shape; it need not make sense."""
    roles = draw(st.lists(_members, max_size=2, unique=True))
    enums = draw(st.lists(_members, max_size=2, unique=True))
    entities = draw(st.lists(_entities, min_size=1, max_size=3, unique=True))
    values = st.dictionaries(
        st.one_of(_members, st.sampled_from(["yes", "no", "null", "on"])), _texts, min_size=1,
        max_size=3,
    )  # fmt: skip
    data = {
        "name": draw(st.from_regex(r"[a-z][a-z0-9]{1,8}(-[a-z0-9]{1,4})?", fullmatch=True)),
        "title": draw(_texts),
        "description": draw(_prose),
        "compliance": draw(st.lists(st.sampled_from(["gdpr", "pdpl"]), unique=True)),
        "roles": {name: {"self_registration": draw(st.booleans())} for name in roles},
        "enums": {name: {"values": draw(values)} for name in enums},
        "entities": {name: draw(_entity(entities, roles, enums)) for name in entities},
        "assumptions": draw(st.lists(_texts, max_size=2)),
    }
    return Blueprint.model_validate(data)


def sensible() -> st.SearchStrategy[Blueprint]:
    """A random Blueprint that makes sense."""
    return well_formed().filter(lambda blueprint: not errors(blueprint))
