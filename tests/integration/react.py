"""Node, npm and a browser for the tests of generated pages."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from engine.forge.blueprint.model import Blueprint
from engine.forge.generate import generate_project, with_frontend

ROOT = Path(__file__).parents[2]
CLINIC = ROOT / "examples" / "clinic.yaml"
EVERY_FEATURE = ROOT / "tests" / "unit" / "forge" / "every_feature.yaml"
BLUEPRINTS = ROOT / "tests" / "integration" / "blueprints"
OLDEST_NODE = 18


def write_project(source: Path, out: Path) -> Path:
    """The project of a Blueprint, with its pages."""
    data = YAML(typ="safe").load(source.read_text(encoding="utf-8"))
    generate_project(with_frontend(Blueprint.model_validate(data), "react")).write_to(out)
    return out


def node() -> str:
    """The program. Skips, saying so, where there is none that is new enough."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("the pages are not checked: there is no node with npm on this machine")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the pages are not checked: node {version.stdout.strip()} is too old")
    return found


def packages_in_reach() -> bool:
    """False only where npm itself says that it reaches no registry."""
    npm = shutil.which("npm")
    if npm is None:
        return True
    asked = [npm, "view", "react", "version", "--fetch-retries=1"]
    return subprocess.run(asked, capture_output=True, timeout=300).returncode == 0


def install(web: Path, cache: Path) -> None:
    """Give `web` the packages of its lock, made once per lock in `cache`."""
    node()
    lock = (web / "package-lock.json").read_bytes()
    place = cache / hashlib.sha256(lock).hexdigest()
    with (cache / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (place / "whole").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(web / name, place / name)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=300)
            (place / "whole").touch()
    (web / "node_modules").symlink_to(place / "node_modules")


def run(web: Path, program: str, *arguments: str) -> None:
    """Run a program of a package; fails with what it printed."""
    done = subprocess.run(
        [node(), f"node_modules/{program}", *arguments],
        cwd=web,
        env={**os.environ, "NODE_ENV": "production", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def chromium() -> str:
    """The browser. Skips, saying so, where there is none."""
    named = os.environ.get("WEBNOVA_TEST_BROWSER")
    found = named or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("the pages are not opened: there is no chromium on this machine")
    return found
