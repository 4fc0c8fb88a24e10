"""What every importer must do, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.forge.blueprint.canonical import canonical
from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.source import load
from engine.forge.formats.building.build import build
from engine.forge.formats.contract import Importer, importers
from engine.forge.formats.conversion import import_blueprint
from engine.forge.generate import generate
from engine.forge.resolve import resolve
from engine.kernel.errors import InvalidInput, TooLarge

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "unit" / "forge" / "sources"
SAMPLES = {
    "database": "town.database.json",
    "dbml": "library.dbml",
    "jdl": "hospital.jdl",
    "jsonschema": "invoice.schema.json",
    "openapi": "petshop.openapi.yaml",
    "prisma": "blog.prisma",
    "sql": "shop.sql",
}
"""For each importer a source that holds every construct it knows: a new importer adds its own."""

FRAME = {
    "dbml": {1, 21, 22, 23, 24, 30, 51, 61, 66, 67, 71},
    "jdl": {1, 14, 15, 35, 41, 47, 51},
    "prisma": {1, 70},
    "sql": {1, 73, 82, 83, 84},
}
"""Lines of those sources that declare nothing of their own: comments, brackets, what goes on from
the line before, and what lies inside a part that is dropped as a whole."""

NAMES = tuple(importers())


@pytest.fixture(params=NAMES)
def importer(request: pytest.FixtureRequest) -> Importer:
    return importers().get(request.param)


@pytest.fixture
def text(importer: Importer) -> str:
    return (SOURCES / SAMPLES[importer.name]).read_text(encoding="utf-8")


def test_it_has_a_name_and_endings(importer: Importer) -> None:
    assert importer.name in NAMES
    assert all(each.startswith(".") and each == each.lower() for each in importer.suffixes)


def test_equal_sources_give_equal_results(importer: Importer, text: str) -> None:
    first, second = build(importer.read(text)), build(importer.read(text))
    assert canonical(first.blueprint) == canonical(second.blueprint)
    assert first.report == second.report


def test_the_blueprint_makes_sense_and_can_be_generated_from(importer: Importer, text: str) -> None:
    blueprint = build(importer.read(text)).blueprint
    assert not errors(blueprint)
    assert load(canonical(blueprint)).blueprint == blueprint
    assert resolve(blueprint).entities and generate(blueprint)


def test_the_account_is_complete_and_gives_reasons(importer: Importer, text: str) -> None:
    found = build(importer.read(text))
    entries = found.report.entries
    assert len(entries) == found.report.carried + found.report.changed + found.report.dropped
    for entry in entries:
        assert entry.kind and entry.source.strip(), entry
        assert (entry.outcome == "carried") == (entry.reason is None), entry
        assert entry.outcome != "dropped" or entry.path is None, entry
    paths = {entry.path for entry in entries}
    for name, entity in found.blueprint.entities.items():
        assert f"entities.{name}" in paths
        for field in entity.fields:
            assert f"entities.{name}.fields.{field}" in paths
        for relation in entity.relations:
            assert f"entities.{name}.relations.{relation}" in paths
    for name, enum in found.blueprint.enums.items():
        assert {f"enums.{name}.values.{value}" for value in enum.values} <= paths


@pytest.mark.parametrize("name", sorted(FRAME))
def test_no_line_of_the_source_is_passed_over(name: str) -> None:
    text = (SOURCES / SAMPLES[name]).read_text(encoding="utf-8")
    told = {entry.line for entry in build(importers().get(name).read(text)).report.entries}
    lines = {number for number, line in enumerate(text.splitlines(), 1) if line.strip(" \t;){}(,]")}
    assert lines - told == FRAME[name]


HOSTILE: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "words": lambda: "hello world",
    "blank lines": lambda: "\n" * 100_000,
    "brackets": lambda: "[" * 100_000,
    "braces": lambda: "{" * 100_000,
    "parentheses": lambda: "(" * 100_000,
    "quotes": lambda: "'\"`" * 30_000,
    "half a comment": lambda: "/*" * 50_000,
    "numbers": lambda: "1" * 200_000,
    "controls": lambda: "".join(map(chr, range(1, 32))) * 100,
    "other letters": lambda: "مرحبا \u202e\u2066 \ud7ff 漢字 " * 1_000,
    "a deep application": lambda: "application {" + "{" * 50_000 + "}" * 50_001,
    "a deep default": lambda: "model A { a Int @default(" + "[" * 9_000 + "]" * 9_000 + ") }",
    "a deep check": lambda: "CREATE TABLE a (b int check (" + "(" * 9_000 + ")" * 9_000 + "));",
    "deep JSON": lambda: '{"openapi": "3.0.0", "a":' * 900 + "1" + "}" * 900,
    "deep keys": lambda: "".join(f"{' ' * depth}a:\n" for depth in range(300)),
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_hostile_text_is_refused_clearly(importer: Importer, kind: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        import_blueprint(HOSTILE[kind](), importer.name)
    assert caught.value.mend


def test_a_nul_is_refused_with_its_place(importer: Importer) -> None:
    with pytest.raises(InvalidInput) as caught:
        import_blueprint("a\nbc\0d", importer.name)
    assert (caught.value.fields["line"], caught.value.fields["column"]) == (2, 3)


def test_what_is_no_text_is_refused(importer: Importer) -> None:
    with pytest.raises(InvalidInput, match="line 2, column 2"):
        import_blueprint(b"a\nb\xff", importer.name)
    with pytest.raises(TooLarge):
        import_blueprint(b" " * 1_000_001, importer.name)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_a_broken_source_is_refused_or_read(name: str, data: st.DataObject) -> None:
    """Pieces cut out of a real source, doubled or filled with noise: an answer or InvalidInput."""
    text = (SOURCES / SAMPLES[name]).read_text(encoding="utf-8")
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 60)))
    noise = data.draw(st.one_of(st.just(""), st.just(text[begin:end] * 2), st.text(max_size=8)))
    try:
        found = import_blueprint(text[:begin] + noise + text[end:], name)
    except InvalidInput as error:
        assert error.detail
    else:
        assert not errors(found.blueprint)
        assert load(canonical(found.blueprint)).blueprint == found.blueprint
