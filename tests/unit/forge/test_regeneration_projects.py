"""Regeneration of real projects: a field more, a newer generator, another name for an entity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from engine.forge.generate import _TARGETS, BLUEPRINT, MANIFEST, generate_project
from engine.forge.regeneration.outcome import ConflictKind
from engine.forge.regeneration.regenerate import Wishes, regenerate
from engine.forge.targets.contract import Unit
from engine.forge.targets.fastapi.target import FastApiTarget
from engine.kernel.errors import InvalidInput
from engine.runtime.workspace import Bundle
from tests.unit.forge.projects import contents, edit

CLINIC = Path(__file__).parents[3] / "examples" / "clinic.yaml"
FIELD = "specialty: {type: string"
MARK = "mine: 4d1f"
EDITED = (
    "README.md",
    "Dockerfile",
    "app/main.py",
    "app/settings.py",
    "app/models/doctor.py",
    "app/schemas/doctor.py",
    "app/routes/doctor.py",
    "app/models/patient.py",
    "app/routes/appointment.py",
    "tests/conftest.py",
)


def clinic(old: str = "", new: str = "") -> Bundle:
    text = CLINIC.read_text(encoding="utf-8")
    assert old in text
    return generate_project(load(text.replace(old, new)).blueprint)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "clinic"
    regenerate(place, clinic())
    return place


def _append(root: Path, path: str) -> None:
    with (root / path).open("a", encoding="utf-8") as file:
        file.write(f"# {MARK}\n")


def _files(bundle: Bundle) -> dict[str, bytes]:
    return {path: content for path, content in bundle.files.items() if path != MANIFEST}


def test_a_field_more_keeps_ten_edited_files_and_touches_no_other(root: Path) -> None:
    for path in EDITED:
        _append(root, path)
    (root / "own.py").write_text("mine = True\n")
    before = contents(root)
    old, new = clinic(), clinic(FIELD, "nickname: {type: string}\n      " + FIELD)
    due = {path for path in new.files if new.files[path] != old.files.get(path)}

    done = regenerate(root, new)

    after = contents(root)
    assert not done.conflicts and sorted(done.kept) == sorted(EDITED)
    for path in EDITED:
        assert after[path] == new.files[path] + f"# {MARK}\n".encode(), path
    changed = {path for path in after.keys() | before.keys() if after.get(path) != before.get(path)}
    assert changed == due - {MANIFEST}
    assert {"app/models/doctor.py", "app/schemas/doctor.py"} <= changed <= {
        path for path in new.files if "doctor" in path or path in (BLUEPRINT, "app/seed.py")
        or "migrations/versions" in path
    }  # fmt: skip
    times = {path: (root / path).stat().st_mtime_ns for path in after}
    assert regenerate(root, new).is_empty
    assert times == {path: (root / path).stat().st_mtime_ns for path in contents(root)}


def test_the_edited_blueprint_of_the_project_is_the_source(root: Path) -> None:
    text = (root / BLUEPRINT).read_text(encoding="utf-8")
    edited = "# Ours since May.\n" + text.replace("max: 240", "max: 480   # a day")
    assert edited.count("480") == 1
    edit(BLUEPRINT, edited)(root)
    done = regenerate(root, generate_project(load(edited).blueprint))
    assert not done.conflicts and "app/schemas/appointment.py" in done.updated
    assert (root / BLUEPRINT).read_text(encoding="utf-8") == edited
    assert b"480" in contents(root)["app/schemas/appointment.py"]


class Newer(FastApiTarget):
    """The same target in a later version, which lays some files out elsewhere and otherwise."""

    version = "2.0.0"
    former_paths: Mapping[str, str] = {
        "app/tables/{entity}.py": "app/models/{entity}.py",
        "app/configuration/main.py": "app/settings.py",
    }

    def render(self, unit: Unit) -> dict[str, str]:
        return {self._place(unit, path): self._text(path, text) for path, text in
                super().render(unit).items()}  # fmt: skip

    @staticmethod
    def _place(unit: Unit, path: str) -> str:
        if path == "app/settings.py":
            return "app/configuration/main.py"
        return path.replace("app/models/", "app/tables/") if unit.entity else path

    @staticmethod
    def _text(path: str, text: str) -> str:
        if path.startswith("app/models/"):
            return "\n".join(f"# {line}" for line in text.splitlines()[::-1]) + "\n" + text
        return text


class Forgetful(Newer):
    """It moves files too, and does not say so."""

    former_paths: Mapping[str, str] = {}


def test_a_newer_generator_is_followed_wherever_it_moves_a_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in EDITED:
        _append(root, path)
    monkeypatch.setitem(_TARGETS._loaded, "fastapi", Newer())
    new = clinic()
    assert "app/settings.py" not in new.files

    done = regenerate(root, new)

    assert not done.conflicts
    after = contents(root)
    moved = {each.before: each.after for each in done.moved}
    assert moved["app/settings.py"] == "app/configuration/main.py"
    assert moved["app/models/doctor.py"] == "app/tables/doctor.py"
    for path in EDITED:
        place = moved.get(path, path)
        assert after[place] == new.files[place] + f"# {MARK}\n".encode(), path
    assert after.keys() == _files(new).keys()


def test_a_generator_that_moves_files_in_silence_loses_no_edit(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in EDITED:
        _append(root, path)
    before = contents(root)
    monkeypatch.setitem(_TARGETS._loaded, "fastapi", Forgetful())
    done = regenerate(root, clinic())
    told = {each.path for each in done.conflicts if each.kind is ConflictKind.REMOVED}
    assert told == {"app/settings.py", "app/models/doctor.py", "app/models/patient.py"}
    assert all(contents(root)[path] == before[path] for path in told)


def test_an_entity_that_has_another_name_takes_its_edits_along(root: Path) -> None:
    for path in EDITED:
        _append(root, path)
    data = YAML(typ="safe").load(CLINIC.read_text(encoding="utf-8"))
    data["entities"]["Physician"] = data["entities"].pop("Doctor")
    data["entities"]["Appointment"]["relations"]["doctor"]["to"] = "Physician"
    new = generate_project(Blueprint.model_validate(data))

    done = regenerate(root, new, Wishes(renamed={"Doctor": "Physician"}))

    after = contents(root)
    assert not done.conflicts
    for kind in ("models", "schemas", "routes"):
        place = f"app/{kind}/physician.py"
        assert after[place] == new.files[place] + f"# {MARK}\n".encode()
    assert "app/seeds/physicians.json" in after and "app/seeds/doctors.json" not in after
    assert not [path for path in after if "/doctor" in path]
    assert regenerate(root, new, Wishes(renamed={"Doctor": "Physician"})).is_empty


@pytest.mark.parametrize(("old", "new"), [("Doctor", "Nurse"), ("Nurse", "Ward"), ("Doctor", "")])
def test_a_name_that_nobody_has_is_told(root: Path, old: str, new: str) -> None:
    before = contents(root)
    with pytest.raises(InvalidInput, match="was not renamed"):
        regenerate(root, clinic(), Wishes(renamed={old: new}))
    assert contents(root) == before


def test_an_entity_that_is_gone_leaves_what_was_written_for_it(root: Path) -> None:
    _append(root, "app/routes/doctor.py")
    data = YAML(typ="safe").load(CLINIC.read_text(encoding="utf-8"))
    del data["entities"]["Doctor"], data["entities"]["Appointment"]["relations"]["doctor"]
    done = regenerate(root, generate_project(Blueprint.model_validate(data)))
    assert [(each.path, each.kind) for each in done.conflicts] == [
        ("app/routes/doctor.py", ConflictKind.REMOVED)
    ]
    assert "app/models/doctor.py" in done.removed
    assert MARK in (root / "app/routes/doctor.py").read_text(encoding="utf-8")
