"""What every backend target must do, whichever one it is."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path, PurePosixPath

import pytest

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from engine.forge.generate import (
    BLUEPRINT,
    MANIFEST,
    assemble,
    find_target,
    generate,
    target_names,
)
from engine.forge.resolve import resolve
from engine.forge.targets.contract import BackendTarget
from engine.kernel.errors import InvalidInput

CLINIC = Path(__file__).parents[2] / "examples" / "clinic.yaml"


@pytest.fixture(scope="module")
def clinic() -> Blueprint:
    return load(CLINIC.read_text(encoding="utf-8")).blueprint


@pytest.fixture(params=target_names())
def target(request: pytest.FixtureRequest) -> BackendTarget:
    return find_target(request.param)


def test_units_have_names_of_their_own_and_never_share_a_file(
    target: BackendTarget, clinic: Blueprint
) -> None:
    units = target.modules(resolve(clinic))
    assert len({unit.name for unit in units}) == len(units) > len(clinic.entities)
    paths = [path for unit in units for path in target.render(unit)]
    assert paths and len(set(paths)) == len(paths)


def test_paths_stay_inside_the_project(target: BackendTarget, clinic: Blueprint) -> None:
    for unit in target.modules(resolve(clinic)):
        for path in target.render(unit):
            parts = PurePosixPath(path)
            assert not parts.is_absolute() and ".." not in parts.parts and "\\" not in path


def test_a_unit_renders_the_same_after_a_journey_to_another_process(
    target: BackendTarget, clinic: Blueprint
) -> None:
    for unit in target.modules(resolve(clinic)):
        assert target.render(pickle.loads(pickle.dumps(unit))) == target.render(unit)


def test_the_order_of_rendering_does_not_matter(target: BackendTarget, clinic: Blueprint) -> None:
    platform = resolve(clinic)
    units = target.modules(platform)
    backwards = {unit.name: target.render(unit) for unit in reversed(units)}
    assert assemble(target, platform, units, backwards, "text") == generate(
        clinic, target.name, source="text"
    )


def test_finishing_keeps_the_paths_and_is_done_once(
    target: BackendTarget, clinic: Blueprint
) -> None:
    files: dict[str, str] = {}
    for unit in target.modules(resolve(clinic)):
        files |= target.render(unit)
    finished = target.finish(files)
    assert finished.keys() == files.keys()
    assert target.finish(finished) == finished


def test_every_entity_leaves_a_trace(target: BackendTarget, clinic: Blueprint) -> None:
    manifest = json.loads(generate(clinic, target.name)[MANIFEST])
    traces = {trace for entry in manifest["files"].values() for trace in entry["trace"]}
    assert {f"entities.{name}" for name in clinic.entities} <= traces


def test_the_manifest_knows_every_file(target: BackendTarget, clinic: Blueprint) -> None:
    files = generate(clinic, target.name, source="the source\n")
    manifest = json.loads(files[MANIFEST])
    assert manifest["target"] == {"name": target.name, "version": target.version}
    assert manifest["files"].keys() == files.keys() - {MANIFEST}
    for path, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256(files[path]).hexdigest()
    assert files[BLUEPRINT] == b"the source\n"


def test_every_file_says_what_it_is_whatever_its_entity_is_called(
    target: BackendTarget, clinic: Blueprint
) -> None:
    text = CLINIC.read_text(encoding="utf-8").replace("Doctor", "Physician")
    found = []
    for blueprint in (clinic, load(text).blueprint):
        files = json.loads(generate(blueprint, target.name)[MANIFEST])["files"]
        ids = {entry["id"] for entry in files.values()}
        assert len(ids) == len(files) and all(ids)
        found.append(ids)
    mine = {id for id in found[0] if id.startswith("entities.Doctor/")}
    assert mine
    assert found[1] - found[0] == {id.replace("Doctor", "Physician") for id in mine}
    assert found[0] - found[1] == mine


def test_a_change_of_one_entity_leaves_the_files_of_the_others_alone(
    target: BackendTarget, clinic: Blueprint
) -> None:
    text = CLINIC.read_text(encoding="utf-8").replace("max: 240", "max: 480")
    changed = generate(load(text).blueprint, target.name)
    before = generate(clinic, target.name)
    manifest = json.loads(before[MANIFEST])
    touched = {path for path in before if before[path] != changed.get(path)} - {MANIFEST, BLUEPRINT}
    assert touched and before.keys() == changed.keys()
    assert {manifest["files"][path]["unit"] for path in touched} == {"entity/appointment"}


def test_the_listed_dependencies_are_exact_and_hashed(
    target: BackendTarget, clinic: Blueprint
) -> None:
    lock = generate(clinic, target.name)["requirements.lock"].decode()
    pins = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins and all("==" in pin for pin in pins)
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "http" not in lock.replace("httpx", "").replace("httpcore", "")


def test_an_unknown_target_is_named_and_the_known_ones_are_offered(clinic: Blueprint) -> None:
    with pytest.raises(InvalidInput, match=r"'cobol'.*fastapi"):
        generate(clinic, "cobol")
