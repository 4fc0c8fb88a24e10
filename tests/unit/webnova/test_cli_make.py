"""The Makefile, the setup script and the entry of continuous integration."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TARGETS = ("help", "setup", "demo", "up", "down", "status", "test", "matrix", "lint", "format",
           "bench", "docs", "clean")  # fmt: skip
NASTY = "$(shell touch made) `touch made` $HOME \"; touch made; ' عيادة"


def make(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=directory,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's build files in a directory whose name has spaces, with programs that tell."""
    root = tmp_path / "a place with spaces"
    (root / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / ".ci", root / ".ci")
    python = root / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\nprintf "<%s>\\n" "$WEBNOVA_PROMPT"\n')
    python.chmod(0o755)
    return root


def test_help_explains_every_target() -> None:
    told = make(ROOT)
    assert told.returncode == 0
    for target in TARGETS:
        assert re.search(rf"^  make {target} +\w", told.stdout, re.MULTILINE), target


def test_every_target_is_explained() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(targets) == sorted(TARGETS)


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_the_prompt_reaches_the_demo_and_no_shell(project: Path, way: str) -> None:
    (project / ".venv" / "webnova.stamp").touch()
    if way == "argument":
        told = make(project, "demo", f"PROMPT={NASTY}")
    else:
        told = make(project, "demo", PROMPT=NASTY)
    assert told.returncode == 0, told.stderr
    assert told.stdout == f"-m webnova.cli demo\n<{NASTY}>\n"
    assert not (project / "made").exists()


def test_setup_costs_nothing_when_the_lock_is_unchanged(project: Path) -> None:
    (project / ".venv" / "webnova.stamp").touch()
    assert "Installing" not in make(project, "setup").stdout
    os.utime(project / "requirements.lock", (2**31, 2**31))
    assert make(project, "--question", "setup").returncode == 1


def test_an_old_python_is_refused_with_the_mend(project: Path) -> None:
    old = project / "old python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    told = make(project, "setup", f"PYTHON={old}")
    assert told.returncode != 0
    assert "Python 3.11 or newer" in told.stderr
    assert str(old) in told.stderr


def test_no_host_is_named() -> None:
    for name in ("Makefile", ".ci/run", ".ci/setup"):
        assert not re.search(r"https?://", (ROOT / name).read_text()), name


def test_the_entry_of_continuous_integration_is_a_program_that_parses() -> None:
    run = ROOT / ".ci" / "run"
    assert run.stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["bash", "-n", str(run)], check=False).returncode == 0
    assert "set -euo pipefail" in run.read_text()
    assert "make lint test" in run.read_text()
