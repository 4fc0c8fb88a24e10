"""Writing a Blueprint down and reading it again."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings

from engine.forge.blueprint.canonical import canonical, digest, plain
from engine.forge.blueprint.diff import diff
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load, load_data
from engine.forge.resolve import resolve
from tests.unit.forge.blueprints import SMALL, sensible, small

CLINIC = Path(__file__).parents[3] / "examples" / "clinic.yaml"

_patient = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@_patient
@given(sensible())
def test_reading_what_was_written_gives_the_same(blueprint: Blueprint) -> None:
    text = canonical(blueprint)
    again = load(text).blueprint
    assert again == blueprint
    assert canonical(again) == text
    assert digest(again) == digest(blueprint)
    assert load_data(plain(blueprint)) == blueprint
    assert diff(blueprint, again) == []


@_patient
@given(sensible())
def test_what_passes_the_checks_can_be_generated(blueprint: Blueprint) -> None:
    assert len(resolve(blueprint).entities) == len(blueprint.entities)


def test_readers_of_yaml_1_1_see_the_same_values() -> None:
    text = SMALL.replace("male: {}", "no: {en: 'yes', ar: '0o17'}, on: {en: '1e5'}", 1)
    blueprint = load(text).blueprint
    assert yaml.safe_load(canonical(blueprint)) == plain(blueprint)


def test_arabic_stays_readable_and_defaults_are_left_out() -> None:
    text = canonical(load(CLINIC.read_text(encoding="utf-8")).blueprint)
    assert "ar: عيادة النور\n" in text
    assert text.startswith('webnova: "1"\nname: clinic\n')
    assert "on_delete: restrict" not in text and "stack:" not in text and "null" not in text
    assert text.index("receptionist") < text.index("doctor") < text.index("patient")


def test_a_long_description_is_kept_by_line() -> None:
    text = "First line: with colon\n\n  indented # no comment\nlast"
    blueprint = Blueprint.model_validate({**plain(small()), "description": text})
    assert "description: |-\n" in canonical(blueprint)
    assert load(canonical(blueprint)).blueprint.description == text


def test_the_digest_ignores_order_and_spelling_but_no_meaning() -> None:
    swapped = SMALL.replace(
        "full_name: {type: string, required: true}\n      age: {type: integer, min: 0, max: 150}",
        "age: {max: 150.0, min: 0x0, type: integer}\n"
        "      full_name: {type: 'string', required: true, unique: false}",
    )
    assert swapped != SMALL
    assert digest(load(swapped).blueprint) == digest(small())
    assert digest(small("max: 150", "max: 151")) != digest(small())
    assert len(digest(small())) == 64
