"""The generated pages: the same bytes everywhere, nothing let in, one lock for every platform."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ruamel.yaml import YAML

from engine.forge.blueprint.diff import diff
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from engine.forge.generate import generate, with_frontend
from engine.forge.resolve import resolve
from engine.forge.targets.react.target import ReactTarget
from engine.forge.targets.react.typescript import WIDTH, Code, call, import_line, layout
from tests.unit.forge.blueprints import sensible

ROOT = Path(__file__).parents[3]
CLINIC = ROOT / "examples" / "clinic.yaml"
EVERY_FEATURE = Path(__file__).parent / "every_feature.yaml"
DIGEST = """\
import hashlib, sys
from engine.forge.blueprint.source import load
from engine.forge.generate import generate, with_frontend
blueprint = with_frontend(load(open(sys.argv[1], encoding="utf-8").read()).blueprint, "react")
print(hashlib.sha256(repr(sorted(generate(blueprint).items())).encode()).hexdigest())
"""


def pages(blueprint: Blueprint) -> dict[str, str]:
    """The files by their path under `web`."""
    target = ReactTarget()
    files: dict[str, str] = {}
    for unit in target.modules(resolve(blueprint)):
        files |= target.render(unit)
    return {path.removeprefix("web/"): text for path, text in files.items()}


@pytest.fixture(scope="module")
def clinic() -> dict[str, str]:
    return pages(load(CLINIC.read_text(encoding="utf-8")).blueprint)


@pytest.fixture(scope="module")
def every_feature() -> dict[str, str]:
    data = YAML(typ="safe").load(EVERY_FEATURE.read_text(encoding="utf-8"))
    return pages(Blueprint.model_validate(data))


@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Riyadh", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/St_Johns", "LC_ALL": "ar_SA.UTF-8"},
    ],
)
def test_the_bytes_do_not_depend_on_the_surroundings(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    blueprint = with_frontend(load(CLINIC.read_text(encoding="utf-8")).blueprint, "react")
    here = hashlib.sha256(repr(sorted(generate(blueprint).items())).encode()).hexdigest()
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(CLINIC)],
        cwd=tmp_path,
        env={**os.environ, **surroundings, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == here


def test_all_platforms_share_one_lock_that_names_no_registry(
    clinic: dict[str, str], every_feature: dict[str, str]
) -> None:
    for name in ("package.json", "package-lock.json"):
        assert clinic[name] == every_feature[name]
    package, lock = json.loads(clinic["package.json"]), json.loads(clinic["package-lock.json"])
    wanted = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"[0-9.]+", version) for version in wanted.values())
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    for path, entry in lock["packages"].items():
        assert "resolved" not in entry
        if path and not entry.get("inBundle"):
            assert entry["integrity"].startswith("sha512-"), path


@given(blueprint=sensible())
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_sensible_blueprint_becomes_pages(blueprint: Blueprint) -> None:
    files = pages(blueprint)
    for path, text in files.items():
        assert text.endswith("\n") and "\r" not in text
        if path.endswith(".json"):
            json.loads(text)
    for entity in resolve(blueprint).entities:
        titles = json.loads(files[f"src/features/{entity.route}/titles.json"])
        definition = files[f"src/features/{entity.route}/entity.ts"]
        assert {"en", "ar"} == titles["title"].keys() == titles["plural"].keys()
        for name in titles["fields"]:
            assert f'name: "{name}"' in definition


@pytest.mark.parametrize(
    "title",
    [
        "${alert(1)}",
        "`",
        '"; alert(1); //',
        "*/ alert(1) /*",
        "</script><script>",
        "\u202egnihtyna",
    ],
)
def test_a_title_is_never_more_than_a_text(title: str, clinic: dict[str, str]) -> None:
    data = YAML(typ="safe").load(CLINIC.read_text(encoding="utf-8"))
    data["title"] = {"en": title, "ar": title}
    data["entities"]["Doctor"] |= {"title": {"en": title}, "description": {"en": title}}
    data["entities"]["Doctor"]["fields"]["full_name"]["title"] = {"en": title, "ar": title}
    data["enums"]["gender"]["values"]["male"] = {"en": title}
    files = pages(Blueprint.model_validate(data))
    changed = {path for path, text in files.items() if text != clinic[path]}
    assert changed == {"src/texts.json", "src/features/doctors/titles.json"}
    assert json.loads(files["src/texts.json"])["title"]["en"] == title
    assert "\u202e" not in files["src/texts.json"]


def test_the_pages_know_what_the_resolved_model_says(clinic: dict[str, str]) -> None:
    schema = clinic["src/features/doctors/schema.ts"]
    assert "full_name: text({ required: true, minLength: 2, maxLength: 120 })," in schema
    assert 'consultation_fee: decimal({ digits: 14, places: 2, minimum: "0.00" }),' in schema
    assert 'pattern: "^[A-Z]{2}-[0-9]{4,8}$"' in schema
    entity = clinic["src/features/appointments/entity.ts"]
    assert 'patient: { create: "all", read: "own", delete: "own" },' in entity
    assert '{ name: "complete", from: ["confirmed"], to: "completed", roles: ["admin", ' in entity
    assert 'target: "Doctor"' in entity and "default: 30" in entity
    assert "  status: AppointmentStatus;\n" in clinic["src/features/appointments/types.ts"]
    assert 'const openRoles: readonly string[] = ["patient"];' in clinic["src/platform.ts"]


def test_a_computed_field_is_shown_and_never_asked_for(every_feature: dict[str, str]) -> None:
    folder = "src/features/every-things"
    assert "margin: string | null;" in every_feature[f"{folder}/types.ts"]
    assert "margin" not in every_feature[f"{folder}/schema.ts"]
    assert '"margin"' in every_feature[f"{folder}/titles.json"]
    field = re.search(r'\{ name: "margin"[^}]*\}', every_feature[f"{folder}/entity.ts"])
    assert field is not None
    assert "computed: true" in field[0]
    assert "filters" not in field[0] and "sortable" not in field[0]


def test_a_secret_is_accepted_and_has_no_place_in_lists(every_feature: dict[str, str]) -> None:
    folder = "src/features/every-things"
    assert "api_key?: never;" in every_feature[f"{folder}/types.ts"]
    assert "api_key: text({ minLength: 8, maxLength: 255 })" in every_feature[f"{folder}/schema.ts"]
    field = re.search(r'\{ name: "api_key"[^}]*\}', every_feature[f"{folder}/entity.ts"])
    assert field is not None and "writeOnly: true" in field[0]
    assert "filters" not in field[0] and "column" not in field[0]


def test_both_languages_have_every_text_of_the_pages(clinic: dict[str, str]) -> None:
    texts = {
        language: re.findall(r"^  (\w+):", clinic[f"src/i18n/{language}.ts"], re.MULTILINE)
        for language in ("en", "ar")
    }
    assert texts["en"] == texts["ar"] and len(set(texts["en"])) == len(texts["en"]) > 100
    used = set()
    for path, text in clinic.items():
        if path.endswith((".ts", ".tsx")) and path not in ("src/i18n/en.ts", "src/i18n/ar.ts"):
            used |= set(re.findall(r"[\"'](\w+)[\"']", text))
    assert set(texts["en"]) - used == set(), "nothing shows these texts"


def test_pages_may_come_to_a_platform_without_breaking_it() -> None:
    bare = load(CLINIC.read_text(encoding="utf-8")).blueprint
    dressed = with_frontend(bare, "react")
    assert [change.breaking for change in diff(bare, dressed)] == [False]
    assert [change.breaking for change in diff(dressed, bare)] == [True]


def test_what_does_not_fit_a_line_is_broken_where_prettier_breaks_it() -> None:
    assert layout({"a": 1, "b": ["x"]}) == '{ a: 1, b: ["x"] }'
    assert (
        layout([{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == "[\n  { a: 1, b: 2 },\n  { a: 3, b: 4 },\n]"
    )
    long = "x" * 85
    assert layout({"pattern": long}, 0, 0) == f'{{\n  pattern: "{long}",\n}}'
    assert layout({"pattern": long * 2}, 0, 0) == f'{{\n  pattern:\n    "{long * 2}",\n}}'
    assert call("choice", [Code("enums.Kind"), {}], 2, 0) == "choice(enums.Kind, {})"
    names = [f"Name{number:02}" for number in range(12)]
    assert max(map(len, import_line(names, "@/enums").splitlines())) < WIDTH
    assert import_line([], "@/enums") == ""
