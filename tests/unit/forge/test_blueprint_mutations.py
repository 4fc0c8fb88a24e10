"""Valid Blueprints that were damaged: refused where they are wrong, or generated whole."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.forge.blueprint.catalogue import RULES
from engine.forge.blueprint.source import load, load_data
from engine.forge.generate import generate
from engine.kernel.errors import InvalidInput
from tests.unit.forge.blueprints import SMALL

RICH = """\
name: workshop
title: {en: Workshop, ar: ورشة}
sector: services
compliance: [pdpl]
stack: {database: postgres}
roles: {clerk: {self_registration: true}, smith: {}}
enums:
  size: {values: {small: {en: Small}, large: {ar: كبير}}}
entities:
  Holder:
    plural: {en: Owners}
    fields:
      name: {type: string, required: true, unique: true, max_length: 80}
      site: {type: url}
      handle: {type: slug, default: no-name}
      pin: {type: string, data_class: secret}
    access: {clerk: {create: all, read: all}}
  Item:
    stored_as: Thing
    display: label
    search: [label, notes]
    unique: [[label, holder], [code, size]]
    indexes: [[holder, due], [status]]
    fields:
      label: {type: string, required: true, stored_as: former_label, pattern: "[a-z ]{1,40}"}
      notes: {type: text}
      code: {type: integer, min: 1, max: 999, required: true, default: 5}
      price: {type: money, currency: SAR, required: true, min: 0}
      weight: {type: decimal, precision: 7, scale: 3}
      size: {type: enum, enum: size, default: small}
      due: {type: date, data_class: pii}
      at: {type: time, default: "09:30"}
      seen: {type: instant}
      took: {type: duration, default: PT1H30M}
      settings: {type: json}
      ready: {type: boolean, required: true, default: false}
      total: {type: money, currency: SAR, computed: price * code}
      late: {type: boolean, computed: ready and code > 3}
    relations:
      holder: {to: Holder, required: true, on_delete: cascade, stored_as: keeper}
      parent: {to: Item, on_delete: set_null}
      twin: {to: Holder, kind: one_to_one}
      helpers: {to: Holder, kind: many_to_many}
    access:
      clerk: {create: all, read: all, update: own, delete: own}
      smith: {read: all, update: all}
    lifecycle:
      initial: new
      states: {new: {}, sold: {title: {en: Sold}}, lost: {}}
      transitions:
        sell: {from: [new], to: sold, roles: [smith], guard: "price > 5 and holder is not null"}
        lose: {from: [new, sold], to: lost}
integrations: {pay: {kind: payments, methods: [mada]}}
environments: {local: {}, live: {database: postgres, log_level: warning}}
assumptions: [{en: It is open daily.}]
"""
CLINIC = (Path(__file__).parents[3] / "examples" / "clinic.yaml").read_text(encoding="utf-8")
SOURCES = {"small": SMALL, "rich": RICH, "clinic": CLINIC}

NAMES = st.sampled_from(
    ["name", "other", "status", "id", "owner_id", "class", "select", "user", "User", "Item",
     "Base", "Items", "a_b", "ab", "model_x", "limit", "x" * 41, "Ä", "", "type", "to", "from",
     "fields", "unique", "stored_as", "computed", "guard", "holder_id", "order", "con", "<<"]
)  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1, 19, 41, 10**6, 2**63, 2**70, 0.5, -0.0, 1e300, 1e-300, "",
         " ", "yes", "5", "price", "price +", "1 / 0", "holder.name", "today()", "(a+)+", "[",
         "2026-02-30", "P1M", "SAR", "\n", "\"'`{{ x }}", "\\", "${x}", "*/", "\"\"\"", "عيادة",
         "null", "x" * 300, [], {}, [[]], ["label"], {"en": "x"}]
    ),
    st.integers(), st.floats(), st.text(max_size=6),
)  # fmt: skip


def _places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything inside, keys in the order of the document."""
    parts = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in parts:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


def _damage(draw: st.DrawFn, data: Any) -> None:
    """Damage one place: delete, replace, exchange with another, rename, repeat."""
    places = list(_places(data))
    if not places:
        return
    *before, last = draw(st.sampled_from(places))
    around = _at(data, tuple(before))
    how = draw(st.sampled_from(["delete", "replace", "retarget", "graft", "rename", "repeat"]))
    if how == "delete":
        del around[last]
    elif how == "replace":
        around[last] = draw(SCALARS)
    elif how == "retarget":
        words = [part for path in places for part in path if isinstance(part, str)]
        around[last] = draw(st.sampled_from(sorted(set(words))))
    elif how == "graft":
        around[last] = copy.deepcopy(_at(data, draw(st.sampled_from(places))))
    elif isinstance(around, list):
        around.append(copy.deepcopy(around[last]))
    else:
        name = draw(st.one_of(NAMES, st.sampled_from(sorted(around))))
        value = copy.deepcopy(around[last])
        if how == "rename":
            del around[last]
        around[name] = value


@st.composite
def _damaged(draw: st.DrawFn) -> Any:
    data = yaml.safe_load(SOURCES[draw(st.sampled_from(sorted(SOURCES)))])
    for _ in range(draw(st.integers(1, 3))):
        _damage(draw, data)
    return data


def _check_refusal(error: InvalidInput, *, placed: bool) -> None:
    assert error.fields["errors"] and error.fields["error_count"] >= len(error.fields["errors"])
    for problem in error.fields["errors"]:
        assert problem["mend"] == RULES[problem["rule"]]
        assert problem["message"] and problem["rule"] != "sense"
        if placed:
            assert problem["line"] >= 1 and problem["column"] >= 1


def _check_project(files: dict[str, bytes]) -> None:
    for path, content in files.items():
        if path.endswith(".py"):
            ast.parse(content, path)
        elif path.endswith(".json"):
            json.loads(content)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_what_is_not_damaged_is_generated(name: str) -> None:
    _check_project(generate(load(SOURCES[name]).blueprint))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(_damaged())
def test_a_damaged_blueprint_is_refused_or_generated(data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=1)
    try:
        blueprint = load(text).blueprint
    except InvalidInput as error:
        _check_refusal(error, placed=True)
        with pytest.raises(InvalidInput) as caught:
            load_data(data)
        _check_refusal(caught.value, placed=False)
        return
    _check_project(generate(blueprint))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_lines_that_are_missing_doubled_or_moved(data: st.DataObject) -> None:
    lines = SOURCES[data.draw(st.sampled_from(sorted(SOURCES)))].splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    match data.draw(st.sampled_from(["missing", "doubled", "moved", "indented"])):
        case "missing":
            del lines[index]
        case "doubled":
            lines.insert(index, lines[index])
        case "moved":
            lines.insert(data.draw(st.integers(0, len(lines) - 1)), lines.pop(index))
        case _:
            lines[index] = data.draw(st.sampled_from(["  ", " ", "- "])) + lines[index]
    try:
        blueprint = load("\n".join(lines)).blueprint
    except InvalidInput as error:
        _check_refusal(error, placed=True)
    else:
        _check_project(generate(blueprint))
