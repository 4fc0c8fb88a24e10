"""What goes out of a Blueprint and comes in again is the same, as far as the format has words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import Blueprint, FieldType
from engine.forge.blueprint.source import load
from engine.forge.formats.conversion import export_blueprint, import_blueprint
from tests.unit.forge.blueprints import sensible
from tests.unit.forge.exchanged import (
    enums,
    fields,
    relations,
    sets,
    without_lifecycles,
    without_renames,
)

ROOT = Path(__file__).parents[3]
EXAMPLES = [
    ROOT / "examples" / "clinic.yaml",
    *sorted((ROOT / "tests" / "integration" / "blueprints").glob("*.yaml")),
]
DBML = ("type", "required", "unique", "max_length", "enum")
FULL = (
    "type", "required", "unique", "default", "minimum", "maximum", "min_length", "max_length",
    "pattern", "precision", "scale", "currency", "data_class", "titles", "write_only",
)  # fmt: skip
LINKS = ("kind", "target", "required", "on_delete")


def check_dbml(blueprint: Blueprint) -> None:
    """DBML shows the database, so what is stored under another name comes back under that."""
    plain = without_renames(without_lifecycles(blueprint))
    found = import_blueprint(export_blueprint(plain, "dbml"), "dbml").blueprint
    kept = [name for name in DBML if name != "enum"]
    assert fields(found, *kept) == fields(plain, *kept)
    assert enums(found) == enums(plain)
    assert sets(found) == sets(plain)
    # A join table can't say that there must be a link.
    to_one = ("kind", "target", "on_delete")
    assert relations(found, *to_one) == relations(plain, *to_one)
    assert {
        (entity, name)
        for entity, each in relations(found, "required", "many").items()
        for name, (required, many) in each.items()
        if required and not many
    } == {
        (entity, name)
        for entity, each in relations(plain, "required", "many").items()
        for name, (required, many) in each.items()
        if required and not many
    }


def check_openapi(blueprint: Blueprint) -> None:
    plain = without_lifecycles(blueprint)
    found = import_blueprint(export_blueprint(plain, "openapi"), "openapi").blueprint
    assert fields(found, *FULL) == fields(plain, *FULL)
    assert relations(found, *LINKS) == relations(plain, *LINKS)
    assert {name: list(spec.values) for name, spec in found.enums.items()} == enums(plain)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", [check_dbml, check_openapi])
def test_examples_come_back(path: Path, check: object) -> None:
    assert callable(check)
    check(load(path.read_bytes()).blueprint)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(sensible())
def test_any_blueprint_comes_back_from_dbml(blueprint: Blueprint) -> None:
    check_dbml(blueprint)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(sensible())
def test_any_blueprint_comes_back_from_openapi(blueprint: Blueprint) -> None:
    check_openapi(blueprint)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(sensible())
def test_a_json_schema_holds_the_entities(blueprint: Blueprint) -> None:
    text = export_blueprint(blueprint, "jsonschema")
    names = set(json.loads(text)["$defs"])
    found = import_blueprint(text, "jsonschema")
    assert not errors(found.blueprint)
    imported = {entry.source for entry in found.report.entries if entry.kind in ("schema", "enum")}
    assert names <= imported


def test_types_without_a_word_in_dbml_are_told() -> None:
    report = import_blueprint("Table a { id int [pk]\n x geometry }", "dbml").report
    entry = next(each for each in report.entries if each.source == "a.x")
    assert entry.outcome == "changed" and "geometry" in (entry.reason or "")
    assert FieldType.TEXT.value in (entry.reason or "")
