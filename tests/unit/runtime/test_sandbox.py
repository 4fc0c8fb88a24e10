from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.kernel.errors import InvalidInput
from engine.runtime.sandbox import Limits, SandboxSpec, enclosure, python_paths
from engine.runtime.sandbox.cgroup import TaskGroup
from engine.runtime.sandbox.execution import judge, over_limit
from engine.runtime.sandbox.tree import TreeUsage

LIMITS = Limits(cpu_s=2, memory_bytes=100 << 20, processes=10)


@pytest.mark.parametrize(
    ("exit_code", "stderr", "verdict"),
    [
        (1, "", "runtime_error"),
        (128 + signal.SIGSEGV, "", "runtime_error"),
        (128 + signal.SIGXCPU, "", "time_limit"),
        (128 + signal.SIGXFSZ, "", "output_limit"),
        (128 + signal.SIGSYS, "", "policy"),
        (1, "Traceback\nMemoryError", "memory_limit"),
        (134, "terminate called after throwing an instance of 'std::bad_alloc'", "memory_limit"),
        (134, "FATAL ERROR: JavaScript heap out of memory", "memory_limit"),
        (1, "OSError: [Errno 27] File too large: 'big'", "output_limit"),
        (255, "", "runtime_error"),
        (None, "", "internal"),
    ],
)
def test_the_way_a_program_ends_gives_the_verdict(
    exit_code: int | None, stderr: str, verdict: str
) -> None:
    found = judge(exit_code, stderr, LIMITS)
    assert found is not None and found.verdict == verdict
    assert found.reason


def test_a_success_is_one_whatever_was_written() -> None:
    assert judge(0, "MemoryError", LIMITS) is None


@pytest.mark.parametrize(
    ("tasks", "cpu_s", "memory", "verdict"),
    [
        (11, 0.0, 0, "policy"),
        (10, 2.1, 0, "time_limit"),
        (10, 2.0, (100 << 20) + 1, "memory_limit"),
        (10, 2.0, 100 << 20, None),
    ],
)
def test_each_limit_is_passed_by_more_than_it(
    tasks: int, cpu_s: float, memory: int, verdict: str | None
) -> None:
    breach = over_limit(TreeUsage((), tasks, cpu_s, memory), LIMITS)
    assert (breach.verdict if breach else None) == verdict


def test_processor_time_may_be_unlimited() -> None:
    limits = LIMITS.model_copy(update={"cpu_s": None})
    assert over_limit(TreeUsage((), 1, 1e9, 0), limits) is None


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ()},
        {"argv": ("",)},
        {"argv": ("a\0b",)},
        {"cwd": Path("relative")},
        {"cwd": Path("/a/../b")},
        {"read_only": (Path("x"),)},
        {"env": {"A=B": "1"}},
        {"env": {"A": "\0"}},
        {"env": {"LD_PRELOAD": "x.so"}},
        {"env": {"LD_LIBRARY_PATH": "."}},
        {"env": {"ENV": "x.sh"}},
        {"network": "host"},
        {"surprise": 1},
    ],
)
def test_refuses_specs_that_can_not_work(change: dict[str, object]) -> None:
    values: dict[str, object] = {"argv": ("true",), "cwd": Path("/w")}
    SandboxSpec.model_validate(values)
    with pytest.raises(ValidationError):
        SandboxSpec.model_validate(values | change)


def test_variables_and_input_are_not_shown_with_a_spec() -> None:
    spec = SandboxSpec(argv=("a",), cwd=Path("/w"), env={"KEY": "hush"}, stdin=b"hush")
    assert "hush" not in repr(spec)


def test_root_without_a_control_group_is_told_that_tasks_are_not_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(TaskGroup, "create", classmethod(lambda cls, tasks: None))
    enclosure.kernel_bounds_tasks.cache_clear()
    try:
        enforced, unenforced = enclosure.bounds(Limits(), isolated=True)
    finally:
        enclosure.kernel_bounds_tasks.cache_clear()
    assert unenforced == ["processes"]
    assert "processes" not in enforced


def test_limits_that_are_not_set_are_neither_enforced_nor_missing() -> None:
    enforced, unenforced = enclosure.bounds(Limits(cpu_s=None, wall_s=None), isolated=True)
    assert not {"cpu_s", "wall_s"} & {*enforced, *unenforced}


def fake_machine(tmp_path: Path, kind: str, options: str, line: str) -> tuple[Path, Path]:
    """A `/proc/self` that tells of a control group hierarchy in another directory."""
    proc, top = tmp_path / "proc", tmp_path / "groups"
    proc.mkdir()
    top.mkdir()
    (proc / "mountinfo").write_text(f"30 23 0:26 / {top} rw,nosuid shared:9 - {kind} x {options}\n")
    (proc / "cgroup").write_text(line)
    return proc, top


def test_a_group_of_version_1_is_made_below_our_own(tmp_path: Path) -> None:
    proc, top = fake_machine(tmp_path, "cgroup", "rw,pids", "8:pids:/ours\n0::/\n")
    (top / "ours").mkdir()
    group = TaskGroup.create(7, proc=proc)
    assert group is not None
    directory = Path(group.join).parent
    assert directory.parent == top / "ours"
    assert (directory / "pids.max").read_text() == "7"


def test_a_group_of_version_2_is_made_where_tasks_are_controlled(tmp_path: Path) -> None:
    proc, top = fake_machine(tmp_path, "cgroup2", "rw", "0::/a.slice/b.service\n")
    (top / "a.slice" / "b.service").mkdir(parents=True)
    (top / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (top / "a.slice" / "cgroup.subtree_control").write_text("cpu pids\n")
    (top / "a.slice" / "b.service" / "cgroup.subtree_control").write_text("\n")
    group = TaskGroup.create(7, proc=proc)
    assert group is not None
    assert Path(group.join).parents[1] == top / "a.slice"


def test_without_a_controller_for_tasks_there_is_no_group(tmp_path: Path) -> None:
    proc, top = fake_machine(tmp_path, "cgroup2", "rw", "0::/\n")
    (top / "cgroup.subtree_control").write_text("cpu\n")
    assert TaskGroup.create(7, proc=proc) is None
    assert TaskGroup.create(7, proc=tmp_path / "none") is None


def test_groups_of_dead_makers_are_removed_and_others_kept(tmp_path: Path) -> None:
    proc, top = fake_machine(tmp_path, "cgroup", "rw,pids", "8:pids:/\n")
    dead, alive = top / "webnova-999999999-aa", top / f"webnova-{os.getpid()}-aa"
    dead.mkdir()
    alive.mkdir()
    assert TaskGroup.create(7, proc=proc) is not None
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_python_needs_every_place_that_it_is_linked_through(tmp_path: Path) -> None:
    for name in ("real", "alias", "venv"):
        (tmp_path / name / "bin").mkdir(parents=True)
    (tmp_path / "real" / "bin" / "python3.11").touch()
    (tmp_path / "alias" / "bin" / "python3").symlink_to(tmp_path / "real" / "bin" / "python3.11")
    (tmp_path / "venv" / "bin" / "python").symlink_to("../../alias/bin/python3")
    found = python_paths(tmp_path / "venv" / "bin" / "python")
    assert set(found) == {tmp_path / "venv", tmp_path / "alias", tmp_path / "real"}


def test_a_missing_python_is_invalid(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("none", "loop"):
        with pytest.raises(InvalidInput):
            python_paths(tmp_path / name)


def test_the_systems_own_python_needs_no_directory() -> None:
    assert python_paths(Path("/usr/bin/env")) == ()
