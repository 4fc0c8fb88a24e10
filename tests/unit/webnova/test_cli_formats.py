"""`webnova import` and `webnova export`, with nothing running."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.forge.blueprint.source import load
from webnova.cli.app import app
from webnova.cli.exits import ExitCode
from webnova.cli.shapes import ExportedText, ImportedSource

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "examples" / "clinic.yaml"
SQL = "CREATE TABLE books (id serial primary key, title varchar(80) not null, cover bytea);"


def run(*words: str, input: str | None = None) -> Any:
    return CliRunner().invoke(app, list(words), input=input, catch_exceptions=False)


def test_a_file_becomes_a_blueprint_with_an_account(tmp_path: Path) -> None:
    source, out = tmp_path / "library.sql", tmp_path / "blueprint.yaml"
    source.write_text(SQL)
    told = run("import", str(source), "-o", str(out), "--name", "library")
    assert told.exit_code == 0, told.output
    assert "- line 1: column books.cover: the language holds no binary data" in told.stderr
    assert "1 dropped" in told.stderr
    blueprint = load(out.read_bytes()).blueprint
    assert blueprint.name == "library" and list(blueprint.entities) == ["Book"]
    again = run("import", str(source), "--from", "sql", "-o", str(out))
    assert again.exit_code == ExitCode.FAILED and "--force" in again.stderr
    assert run("import", str(source), "-o", str(out), "--force").exit_code == 0
    assert load(out.read_bytes()).blueprint.name == "imported"


def test_without_a_file_the_blueprint_is_printed_and_the_account_beside_it() -> None:
    told = run("import", "-", "--from", "dbml", input="Table a { id uuid [pk]\n x geometry }")
    assert told.exit_code == 0
    assert load(told.stdout).blueprint.entities["A"].fields["x"]
    assert "~ line 2: column a.x" in told.stderr
    shown = run("import", "-", "--from", "sql", "--json", input=SQL)
    found = ImportedSource.model_validate_json(shown.stdout)
    assert found.blueprint and found.dropped == 1 and found.out is None


def test_a_database_is_named_by_its_address(tmp_path: Path) -> None:
    file = tmp_path / "town.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE streets (id INTEGER PRIMARY KEY, name VARCHAR(9))")
    connection.close()
    shown = run("import", f"sqlite:///{file}", "--json")
    assert shown.exit_code == 0, shown.output
    found = ImportedSource.model_validate_json(shown.stdout)
    assert found.format == "database" and found.blueprint is not None
    assert list(found.blueprint["entities"]) == ["Street"]
    assert run("import", f"sqlite:///{file}", "--from", "sql").exit_code == ExitCode.USAGE
    assert run("import", "sqlite:////nowhere/at.all").exit_code == ExitCode.NOT_FOUND
    assert run("import", "ftp://x").exit_code == ExitCode.USAGE


def test_mistakes_are_told() -> None:
    assert run("import", "nothing.sql").exit_code == ExitCode.NOT_FOUND
    assert "--from" in run("import", "nothing.txt").stderr
    wrong = run("import", "-", "--from", "jdl", "--json", input="entity A {\n ! }")
    assert wrong.exit_code == ExitCode.USAGE
    assert json.loads(wrong.stdout)["error"]["errors"][0]["line"] == 2
    assert run("export", str(CLINIC), "--to", "cobol").exit_code == ExitCode.USAGE


@pytest.mark.parametrize("form", ["openapi", "dbml", "mermaid", "jsonschema"])
def test_a_blueprint_goes_out(form: str, tmp_path: Path) -> None:
    printed = run("export", str(CLINIC), "--to", form)
    assert printed.exit_code == 0 and "Appointment" in printed.stdout
    out = tmp_path / "out"
    assert run("export", str(CLINIC), "--to", form, "-o", str(out)).exit_code == 0
    assert out.read_text(encoding="utf-8") == printed.stdout
    assert run("export", str(CLINIC), "--to", form, "-o", str(out)).exit_code == ExitCode.FAILED
    found = ExportedText.model_validate_json(
        run("export", str(CLINIC), "--to", form, "--json").stdout
    )
    assert found.text == printed.stdout and found.format == form
