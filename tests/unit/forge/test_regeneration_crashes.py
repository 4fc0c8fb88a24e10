"""A regeneration that is killed at any point leaves a state from which the next one goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.forge.regeneration.regenerate import regenerate, undo
from tests.unit.forge.projects import contents, git, link, move, project, write
from tests.unit.forge.regeneration_cases import BOTH, CLASH, MINE, NEW, OLD, RIVAL

FIRST = project({"a": OLD, "b": OLD.upper(), "c": OLD, "d/e/f": "goes\n", "g": "x"})
SECOND = project(
    {"a": NEW, "b": NEW.upper(), "c": NEW, "g/h": "new\n", "k/l": "new\n"}, {"k/l": "x/l"}
)
KILLED = 9
CALLS = ("replace", "unlink", "rmdir", "mkdir", "fsync", "symlink")
"""What changes something on disk, beside Git itself."""


def _die_at(number: int) -> None:
    """Let this process die before its `number`-th change of the disk."""
    left = [number]

    def counted(really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os._exit(KILLED)
            return really(*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    subprocess.run = counted(subprocess.run)


def _killed(deed: Callable[[], object], number: int) -> bool:
    """Whether the deed dies at its `number`-th step, in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _die_at(number)
            deed()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed leaves temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with edits of every kind."""
    root = tmp_path_factory.mktemp("crashes") / "prepared"
    regenerate(root, FIRST)
    write(root, {"a": MINE, "c": RIVAL, "own": "mine"})
    move("b", "moved/b")(root)
    link("link", "own")(root)
    return root


def test_killed_anywhere_it_goes_on_or_back(prepared: Path, tmp_path: Path) -> None:
    before = contents(prepared)
    whole = tmp_path / "whole"
    shutil.copytree(prepared, whole, symlinks=True)
    regenerate(whole, SECOND)
    after = contents(whole)
    assert after["a"] == BOTH.encode() and after["c"] == CLASH.encode()
    number, finished, taken_back = 0, 0, 0
    while True:
        number += 1
        root = tmp_path / str(number)
        shutil.copytree(prepared, root, symlinks=True)
        if not _killed(lambda root=root: regenerate(root, SECOND), number):  # type: ignore[misc]
            break
        for path, content in contents(root).items():
            unfinished = path.rpartition("/")[2].startswith(".webnova-")
            assert unfinished or content in (before.get(path), after.get(path)), (number, path)
        if number % 2:
            done = regenerate(root, SECOND)
            finished += done.recovered
            assert contents(root) == after, number
            again = regenerate(root, SECOND)
            assert again.is_empty and [each.path for each in again.still_open] == ["c"]
        else:
            if (root / ".git/webnova/root/journal.json").exists():
                undo(root)
                taken_back += 1
            assert contents(root) == before, number
        shutil.rmtree(root)
    assert number > 30 and finished > 5 and taken_back > 5


def test_an_edit_between_a_crash_and_the_next_run_is_kept(prepared: Path, tmp_path: Path) -> None:
    seen = 0
    for number in range(30, 200, 7):
        root = tmp_path / str(number)
        shutil.copytree(prepared, root, symlinks=True)
        if not _killed(lambda root=root: regenerate(root, SECOND), number):  # type: ignore[misc]
            break
        write(root, {"a": "edited after the crash\n"})
        done = regenerate(root, SECOND)
        assert "edited after the crash\n" in contents(root)["a"].decode()
        if done.changed_meanwhile:
            assert contents(root)["a.generated"] == BOTH.encode()
            seen += 1
        shutil.rmtree(root)
    assert seen


def test_the_first_generation_is_killed_anywhere(tmp_path: Path) -> None:
    number = 1
    while _killed(lambda: regenerate(tmp_path / "root", FIRST), number):
        root = tmp_path / "root"
        regenerate(root, FIRST)
        assert git(root, "status", "--porcelain") == "", number
        assert git(root, "rev-list", "--count", "HEAD").strip() == "1"
        shutil.rmtree(root)
        number += 3
    assert number > 20
