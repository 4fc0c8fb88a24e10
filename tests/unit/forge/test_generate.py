"""The generated backend: the same bytes everywhere, valid and clean source, nothing let in."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ruamel.yaml import YAML
from ruff import find_ruff_bin  # type: ignore[import-untyped]

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from engine.forge.generate import generate
from engine.kernel.errors import InvalidInput
from tests.unit.forge.blueprints import sensible

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "examples" / "clinic.yaml"
EVERY_FEATURE = Path(__file__).parent / "every_feature.yaml"
DIGEST = """\
import hashlib, sys
from engine.forge.blueprint.source import load
from engine.forge.generate import generate
blueprint = load(open(sys.argv[1], encoding="utf-8").read()).blueprint
files = generate(blueprint)
print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def every_feature() -> dict[str, bytes]:
    data = YAML(typ="safe").load(EVERY_FEATURE.read_text(encoding="utf-8"))
    return generate(Blueprint.model_validate(data))


@pytest.fixture(scope="module")
def clinic() -> dict[str, bytes]:
    return generate(load(CLINIC.read_text(encoding="utf-8")).blueprint)


def _write(files: dict[str, bytes], root: Path) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Riyadh", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/St_Johns", "LC_ALL": "ar_SA.UTF-8"},
    ],
)
def test_the_bytes_do_not_depend_on_the_surroundings(
    clinic: dict[str, bytes], tmp_path: Path, surroundings: dict[str, str]
) -> None:
    here = hashlib.sha256(repr(sorted(clinic.items())).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(CLINIC)],
        cwd=tmp_path,
        env={**os.environ, **surroundings, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == here


@pytest.mark.parametrize("name", ["clinic", "every_feature"])
def test_the_source_keeps_the_rules_that_the_project_sets_itself(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root = _write(request.getfixturevalue(name), tmp_path)
    for arguments in (["check", "--no-cache", "."], ["format", "--check", "--no-cache", "app"]):
        done = subprocess.run(
            [find_ruff_bin(), *arguments], cwd=root, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


@given(blueprint=sensible())
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_sensible_blueprint_becomes_a_project(blueprint: Blueprint) -> None:
    files = generate(blueprint)
    for path, content in files.items():
        if path.endswith(".py"):
            ast.parse(content.decode(), path)
        elif path.endswith(".json"):
            json.loads(content)
    project = tomllib.loads(files["pyproject.toml"].decode())["project"]
    assert project["name"] == blueprint.name
    assert {f"app/models/{path.stem}.py" for path in _modules(files, "routes")} - {
        f"app/models/{name}.py" for name in ("auth", "health", "users", "__init__")
    } <= files.keys()


def _modules(files: dict[str, bytes], package: str) -> list[Path]:
    return [Path(path) for path in files if Path(path).parent == Path("app") / package]


@pytest.mark.parametrize(
    "title",
    [
        '""" + __import__("os").abort() + """',
        "\\",
        "'; DROP TABLE users; --",
        "{{ 7 * 7 }} {% raw %}",
        "</div><script>alert(1)</script>",
        "long " * 39,
        "\u202egnihtyna",
    ],
)
def test_a_title_is_never_more_than_a_text(title: str, tmp_path: Path) -> None:
    text = CLINIC.read_text(encoding="utf-8")
    data = YAML(typ="safe").load(text)
    data["title"] = {"en": title, "ar": title}
    data["entities"]["Doctor"] |= {"title": {"en": title}, "description": {"en": title}}
    data["entities"]["Doctor"]["fields"]["full_name"]["title"] = {"en": title, "ar": title}
    files = generate(Blueprint.model_validate(data))
    plain = generate(load(text).blueprint)
    assert files.keys() == plain.keys()
    for path, content in files.items():
        if path.endswith(".py"):
            assert _code(content) == _code(plain[path]), path
    assert b"<script>" not in files["README.md"]
    tomllib.loads(files["pyproject.toml"].decode())
    done = subprocess.run(
        [find_ruff_bin(), "check", "--no-cache", "."],
        cwd=_write(files, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def _code(source: bytes) -> str:
    """The program without its texts, and without the labels that only a title brings."""

    class Blank(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant("") if isinstance(node.value, str) else node

        def visit_Call(self, node: ast.Call) -> ast.Call:
            self.generic_visit(node)
            labels = ("title", "description")
            node.keywords = [each for each in node.keywords if each.arg not in labels]
            return node

    return ast.dump(Blank().visit(ast.parse(source)))


def test_sample_records_are_the_same_each_time_and_refer_to_each_other(
    clinic: dict[str, bytes],
) -> None:
    rows = {
        name: json.loads(clinic[f"app/seeds/{name}.json"])
        for name in ("doctors", "patients", "appointments")
    }
    assert all(rows.values())
    doctors = {row["id"] for row in rows["doctors"]}
    assert {row["values"]["doctor_id"] for row in rows["appointments"]} <= doctors
    assert len({row["values"]["license_number"] for row in rows["doctors"]}) == len(doctors)
    assert any("\u0600" <= letter <= "\u06ff" for letter in str(rows["doctors"]))


def test_without_open_roles_nobody_can_sign_up(clinic: dict[str, bytes]) -> None:
    assert b"/register" in clinic["app/routes/auth.py"]
    text = CLINIC.read_text(encoding="utf-8").replace(", self_registration: true", "")
    closed = generate(load(text).blueprint)
    assert b"register" not in closed["app/routes/auth.py"]


def test_a_secret_is_taken_and_never_given_back(every_feature: dict[str, bytes]) -> None:
    schema = every_feature["app/schemas/everything.py"].decode()
    fields = {
        node.name: {
            target.target.id
            for target in node.body
            if isinstance(target, ast.AnnAssign) and isinstance(target.target, ast.Name)
        }
        for node in ast.walk(ast.parse(schema))
        if isinstance(node, ast.ClassDef)
    }
    assert "api_key" in fields["EverythingCreate"] and "api_key" in fields["EverythingUpdate"]
    assert "api_key" not in fields["EverythingRead"] | fields["EverythingQuery"]


def test_what_cannot_be_laid_out_is_said_before_anything_is_written() -> None:
    text = CLINIC.read_text(encoding="utf-8")
    data = YAML(typ="safe").load(text)
    data["entities"]["User"] = {}
    with pytest.raises(InvalidInput, match="used by the platform itself"):
        generate(Blueprint.model_validate(data))
