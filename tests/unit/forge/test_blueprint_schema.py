"""The published JSON Schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from engine.forge.blueprint.canonical import plain
from engine.forge.blueprint.schema import SCHEMA_ID, schema, schema_text
from tests.unit.forge.blueprints import small

ROOT = Path(__file__).parents[3]


def test_it_is_a_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$id"] == SCHEMA_ID == "urn:webnova:blueprint:1"
    assert schema()["$schema"].endswith("/draft/2020-12/schema")
    assert json.loads(schema_text()) == schema()


def test_every_part_is_described() -> None:
    assert schema()["description"]
    assert [name for name, part in schema()["$defs"].items() if not part.get("description")] == []


def test_it_accepts_what_the_platform_accepts() -> None:
    validator = Draft202012Validator(schema())
    clinic = YAML(typ="safe").load(ROOT / "examples" / "clinic.yaml")
    assert list(validator.iter_errors(clinic)) == []
    assert list(validator.iter_errors(plain(small()))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"name": "My Clinic"},
        {"entities": {}},
        {"entities": {"patient": {}}},
        {"unknown": 1},
        {"webnova": 1},
        {"title": {"en": "a\nb"}},
        {"entities": {"Thing": {"fields": {"a": {"type": "strng"}}}}},
        {"entities": {"Thing": {"access": {"doctor": {"create": "own"}}}}},
    ],
)
def test_it_refuses_what_the_platform_refuses(change: dict[str, object]) -> None:
    assert list(Draft202012Validator(schema()).iter_errors({**plain(small()), **change}))


def test_its_bytes_do_not_depend_on_the_process() -> None:
    code = "from engine.forge.blueprint.schema import schema_text as s; print(s(), end='')"
    for seed in ("1", "2"):
        env = {"PYTHONHASHSEED": seed, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}
        run = [sys.executable, "-c", code]
        assert subprocess.run(run, env=env, capture_output=True, check=True, timeout=60).stdout == (
            schema_text().encode()
        )
