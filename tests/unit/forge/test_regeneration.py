"""Regeneration: every case of the matrix, on every kind of repository, and never an edit lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.forge.regeneration.regenerate import Wishes, regenerate, undo
from tests.unit.forge.projects import contents, git, project
from tests.unit.forge.regeneration_cases import CASES, Case


def _bytes(files: object) -> dict[str, bytes]:
    assert isinstance(files, dict)
    return {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}


@pytest.mark.parametrize(
    ("case", "committed"),
    [(case, number % 2 == 0) for number, case in enumerate(CASES)],
    ids=[case.name for case in CASES],
)
def test_matrix(case: Case, committed: bool, tmp_path: Path) -> None:
    """Every second time the person has committed the work before."""
    root = tmp_path / "project"
    regenerate(root, project(case.base, case.ids))
    for deed in case.deeds:
        deed(root)
    if committed:
        git(root, "add", "-A")
        git(root, "commit", "--allow-empty", "-qm", "mine")
    before = contents(root)
    new = project(case.new, case.new_ids)

    foreseen = regenerate(root, new, Wishes(dry_run=True))
    assert contents(root) == before
    done = regenerate(root, new)

    assert contents(root) == _bytes(dict(case.expected))
    assert {(each.path, each.kind) for each in done.conflicts} == set(case.conflicts)
    ignored = {"backup", "generated"}
    assert foreseen.model_dump(exclude=ignored) == done.model_dump(exclude=ignored)

    again = regenerate(root, new)
    assert again.is_empty and again.backup is None
    assert contents(root) == _bytes(dict(case.expected))

    if done.backup is not None:
        undo(root)
        assert contents(root) == before
        undo(root)
        assert contents(root) == _bytes(dict(case.expected))
