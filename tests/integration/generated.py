"""Generated projects on disk, and their suites run in an environment of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from engine.forge.blueprint.source import load
from engine.forge.generate import generate_project
from engine.forge.testing import Suite, SuiteReport, parse_junit
from engine.runtime.dependencies import Environment

TIMEOUT_SECONDS = 300


def write_project(blueprint: Path, place: Path) -> Path:
    for path, content in generate_project(
        load(blueprint.read_text("utf-8")).blueprint
    ).files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    return place


def run(
    project: Path,
    suite: Suite,
    environment: Environment,
    *options: str,
    timeout: float = TIMEOUT_SECONDS,
) -> SuiteReport:
    """What one suite of the project says; `timeout` in seconds."""
    report = project / f"{suite.name}.xml"
    done = subprocess.run(
        [str(environment.python), *suite.argv(str(report)), *options],
        cwd=project,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert report.is_file(), done.stdout + done.stderr
    return parse_junit(report.read_bytes())
