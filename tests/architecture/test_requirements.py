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


def test_every_test_file_belongs_to_a_system_or_to_the_ground_they_stand_on() -> None:
    ground = ("architecture", "unit/kernel", "unit/webnova", "unit/serve_apps", "unit/actors")
    named = tuple(test for each in REQUIREMENTS for test in each.tests)
    stack = ("integration/test_stack.py", "integration/test_api_schemathesis.py")
    for path in (ROOT / "tests").rglob("test_*.py"):
        place = path.relative_to(ROOT).as_posix()
        inside = place.removeprefix("tests/")
        owned = place.startswith(named) or inside.startswith(ground) or inside in stack
        assert owned, f"{place} shows no system"
