"""What every exporter must do, and what its format's own readers say of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydbml import PyDBML

from engine.forge.blueprint.source import load
from engine.forge.formats.contract import Exporter, exporters
from engine.forge.resolve import resolve

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    ROOT / "examples" / "clinic.yaml",
    *sorted((ROOT / "tests" / "integration" / "blueprints").glob("*.yaml")),
]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pydbml")


@pytest.fixture(params=tuple(exporters()))
def exporter(request: pytest.FixtureRequest) -> Exporter:
    return exporters().get(request.param)


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_equal_blueprints_give_equal_texts(exporter: Exporter, path: Path) -> None:
    first, second = (load(path.read_bytes()).blueprint for _ in range(2))
    assert exporter.write(first) == exporter.write(second)
    assert exporter.write(first).endswith("\n")
    assert exporter.suffix.startswith(".") and "/" in exporter.media_type


def test_openapi_is_valid(path: Path) -> None:
    text = exporters().get("openapi").write(load(path.read_bytes()).blueprint)
    OpenAPIV31SpecValidator(json.loads(text)).validate()


def test_json_schema_is_valid_and_judges_records() -> None:
    blueprint = load((ROOT / "examples" / "clinic.yaml").read_bytes()).blueprint
    schema = json.loads(exporters().get("jsonschema").write(blueprint))
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator({**schema, "$ref": "#/$defs/Doctor"})
    doctor = {"full_name": "Amal", "license_number": "LC-1234"}
    assert judge.is_valid(doctor)
    assert not judge.is_valid({**doctor, "full_name": ""})
    assert not judge.is_valid({**doctor, "unheard_of": 1})
    assert not judge.is_valid({"full_name": "Amal"})


def test_dbml_is_read_by_another_parser(path: Path) -> None:
    blueprint = load(path.read_bytes()).blueprint
    platform = resolve(blueprint)
    found = PyDBML(exporters().get("dbml").write(blueprint))
    tables = {table.name: {column.name for column in table.columns} for table in found.tables}
    for entity in platform.entities:
        columns = {column.column for column in entity.columns}
        columns |= {relation.column for relation in entity.to_one}
        assert columns <= tables[entity.table]
        for relation in entity.to_many:
            assert tables[relation.table] == {relation.source_column, relation.target_column}
    links = sum(2 if each.many else 1 for entity in platform.entities for each in entity.relations)
    assert len(found.refs) == links


_ROW = re.compile(r'        [a-z]+ [a-z][a-z0-9_]*( (PK|FK|UK))?( "[^"\n]*")?')
_LINE = re.compile(r'    [A-Z]\w* (\|o|}o)--(\|\||o\||o\{|\|\{) [A-Z]\w* : "[a-z][a-z0-9_]*"')


def test_mermaid_keeps_the_grammar(path: Path) -> None:
    blueprint = load(path.read_bytes()).blueprint
    first, *lines = exporters().get("mermaid").write(blueprint).splitlines()
    assert first == "erDiagram"
    for line in lines:
        is_frame = re.fullmatch(r"    ([A-Z]\w* \{|\})", line)
        assert is_frame or _ROW.fullmatch(line) or _LINE.fullmatch(line), line
    assert sum("--" in line for line in lines) == sum(
        len(entity.relations) for entity in blueprint.entities.values()
    )
