"""What every frontend target must do, whichever one it is."""

from __future__ import annotations

import json
import pickle
from pathlib import Path, PurePosixPath

import pytest

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load
from engine.forge.generate import (
    BLUEPRINT,
    MANIFEST,
    WEB,
    find_frontend,
    frontend_names,
    generate,
    generate_project,
    parts,
    with_frontend,
)
from engine.forge.resolve import ResolvedPlatform, resolve
from engine.forge.targets.contract import FrontendTarget
from engine.kernel.errors import InvalidInput

CLINIC = Path(__file__).parents[2] / "examples" / "clinic.yaml"


@pytest.fixture(params=frontend_names())
def clinic(request: pytest.FixtureRequest) -> Blueprint:
    """The clinic with the pages of each target in turn."""
    return with_frontend(load(CLINIC.read_text(encoding="utf-8")).blueprint, request.param)


@pytest.fixture
def platform(clinic: Blueprint) -> ResolvedPlatform:
    return resolve(clinic)


@pytest.fixture
def target(platform: ResolvedPlatform) -> FrontendTarget:
    found = find_frontend(platform)
    assert found is not None
    return found


def test_units_never_meet_those_of_the_backend_and_the_tests(
    clinic: Blueprint, platform: ResolvedPlatform, target: FrontendTarget
) -> None:
    units = target.modules(platform)
    assert all(unit.name.startswith(WEB) for unit in units)
    names = [unit.name for unit in parts(clinic)]
    assert len(set(names)) == len(names) and {unit.name for unit in units} <= set(names)


def test_every_path_is_below_the_folder_of_the_pages_and_given_once(
    platform: ResolvedPlatform, target: FrontendTarget
) -> None:
    paths = [path for unit in target.modules(platform) for path in target.render(unit)]
    assert paths and len(set(paths)) == len(paths)
    for path in paths:
        parts_of = PurePosixPath(path).parts
        assert path.startswith(WEB) and ".." not in parts_of and "\\" not in path
        assert "dist" not in parts_of and "node_modules" not in parts_of


def test_a_unit_renders_the_same_after_a_journey_to_another_process(
    platform: ResolvedPlatform, target: FrontendTarget
) -> None:
    for unit in target.modules(platform):
        assert target.render(pickle.loads(pickle.dumps(unit))) == target.render(unit)


def test_finishing_keeps_the_paths_and_is_done_once(
    platform: ResolvedPlatform, target: FrontendTarget
) -> None:
    files: dict[str, str] = {}
    for unit in target.modules(platform):
        files |= target.render(unit)
    finished = target.finish(files)
    assert finished.keys() == files.keys()
    assert target.finish(finished) == finished


def test_the_manifest_names_the_target_and_traces_every_file(
    clinic: Blueprint, target: FrontendTarget
) -> None:
    files = generate(clinic)
    manifest = json.loads(files[MANIFEST])
    assert manifest["frontend"] == {"name": target.name, "version": target.version}
    assert manifest["files"].keys() == files.keys() - {MANIFEST}
    traces = {
        trace
        for path, entry in manifest["files"].items()
        if path.startswith(WEB)
        for trace in entry["trace"]
    }
    assert {f"entities.{name}" for name in clinic.entities} <= traces


def test_a_change_of_one_entity_leaves_the_files_of_the_others_alone(clinic: Blueprint) -> None:
    text = CLINIC.read_text(encoding="utf-8").replace("max: 240", "max: 480")
    changed = generate(with_frontend(load(text).blueprint, clinic.stack.frontend))
    before = generate(clinic)
    units = json.loads(before[MANIFEST])["files"]
    touched = {path for path in before if before[path] != changed[path]} - {MANIFEST, BLUEPRINT}
    pages = {path for path in touched if path.startswith(WEB)}
    assert pages and before.keys() == changed.keys()
    assert {units[path]["unit"] for path in pages} == {"web/entity/appointment"}


def test_without_pages_the_project_has_nothing_of_them(clinic: Blueprint) -> None:
    bare = generate_project(with_frontend(clinic, "none")).files
    assert not [path for path in bare if path.startswith(WEB)]
    assert b"frontend" not in bare[MANIFEST] + bare[BLUEPRINT]
    assert not [path for path, content in bare.items() if b"node_modules" in content]


def test_unknown_pages_are_named_and_the_known_ones_are_offered(clinic: Blueprint) -> None:
    with pytest.raises(InvalidInput, match=r"'lynx'.*react"):
        with_frontend(clinic, "lynx")
