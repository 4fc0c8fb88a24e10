"""Bad Blueprints: each is refused where it is wrong, by rule and with a mend; none is built.

The cases lie in `bad_blueprints`, one file for each class. A case says its text in the shortest
form: `text` or `bytes` (hexadecimal) whole, `entities`, `entity` or `field` as the flow text of
that part of a small Blueprint, or `change` as what is replaced in `SMALL` and by what.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from engine.forge.blueprint.catalogue import RULES
from engine.forge.blueprint.source import load
from engine.kernel.errors import InvalidInput
from tests.unit.forge.blueprints import SMALL, entity_with, field_with

FILES = sorted((Path(__file__).parent / "bad_blueprints").glob("*.yaml"))
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['case']}")
    for file in FILES
    for case in yaml.safe_load(file.read_text(encoding="utf-8"))
]
LEAST = 150
ONLY_IN_DATA = {"value-not-json"}
WARNINGS = {
    *("access-admin", "access-wider-than-read", "state-unreachable", "transition-role-blind"),
    *("enum-unused", "role-unused", "currency-missing", "unique-boolean", "default-unique"),
    "stored-as-itself",
}


def _text(case: dict[str, Any]) -> str | bytes:
    if "bytes" in case:
        return bytes.fromhex(case["bytes"])
    if "entities" in case:
        return f"name: shop\nentities: {case['entities']}\n"
    if "entity" in case:
        return entity_with(case["entity"])
    if "field" in case:
        return field_with(case["field"])
    if "change" in case:
        old, new = case["change"]
        assert old in SMALL
        return SMALL.replace(old, new, 1)
    return str(case["text"])


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_by_file_place_rule_and_mend(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(_text(case), filename="/somewhere/bad.yaml")
    error = caught.value
    [problem] = error.fields["errors"]

    assert error.detail.startswith("bad.yaml is not a valid Blueprint (1 problem): ")
    assert f"line {problem['line']}, column {problem['column']}: " in error.detail
    assert [problem["line"], problem["column"]] == case["place"]
    assert problem["path"] == case["path"]
    assert problem["rule"] == case["rule"]
    assert problem["mend"] == RULES[case["rule"]]
    assert case["says"] in problem["message"]
    assert problem["suggestion"] == case.get("suggestion")
    json.dumps(error.problem(), allow_nan=False)


def test_there_are_enough_of_every_class() -> None:
    texts = {_text(case.values[0]) for case in CASES}  # type: ignore[arg-type]

    assert len(texts) == len(CASES) >= LEAST
    assert len(FILES) >= 20
    assert min(len(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in FILES) >= 5


def test_every_rule_that_refuses_is_broken_by_a_case() -> None:
    broken = {case.values[0]["rule"] for case in CASES}  # type: ignore[call-overload,index]

    assert broken | WARNINGS | ONLY_IN_DATA | {"sense"} >= set(RULES) - {
        "patterns-exceeded",
        "value-form",
    }
    assert not broken & (WARNINGS | ONLY_IN_DATA | {"sense"})
