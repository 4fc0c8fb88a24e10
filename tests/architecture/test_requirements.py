"""The list of systems, its page and its tests say the same."""

from __future__ import annotations

import re
from pathlib import Path

from tests.requirements import REQUIREMENTS

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (S\d\d) \| \*\*(.+?)\*\* \| .+ \| (.+?) \| (planned|begun|built)\b", re.M)


def test_the_page_and_the_list_name_the_same_systems_in_the_same_state() -> None:
    page = (ROOT / "docs" / "SYSTEMS.md").read_text(encoding="utf-8")
    shown = [(id, title, state) for id, title, _, state in ROW.findall(page)]
    assert shown == [(each.id, each.title, each.state) for each in REQUIREMENTS]


def test_no_system_is_dropped() -> None:
    assert [each.id for each in REQUIREMENTS] == [f"S{n:02}" for n in range(1, 48)]


def test_what_is_begun_has_tests_and_what_is_planned_has_none() -> None:
    for each in REQUIREMENTS:
        assert bool(each.tests) == (each.state != "planned"), each.id
        for test in each.tests:
            path = ROOT / test
            files = [path] if path.suffix == ".py" else list(path.glob("test_*.py"))
            assert files and all(file.is_file() for file in files), f"{each.id}: {test}"


GROUND = (
    "architecture/",
    "unit/actors/",
    "unit/kernel/",
    "unit/serve_apps/",
    "unit/webnova/",
    "integration/test_api",
    "integration/test_client_server.py",
    "integration/test_postgres.py",
    "integration/test_stack.py",
)
"""Tests of what every system stands on: the laws, the stack, the doors."""


def test_every_test_file_belongs_to_a_system_or_to_the_ground_they_stand_on() -> None:
    named = tuple(test for each in REQUIREMENTS for test in each.tests)
    for path in (ROOT / "tests").rglob("test_*.py"):
        place = path.relative_to(ROOT).as_posix()
        owned = place.startswith((*named, *(f"tests/{each}" for each in GROUND)))
        assert owned, f"{place} shows no system"
