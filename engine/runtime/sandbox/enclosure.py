"""What both drivers prepare alike: the environment, the kernel's limits, checks of the paths."""

from __future__ import annotations

import functools
import json
import math
import os
import resource
import tempfile
from pathlib import Path
from typing import IO, Any

from engine.kernel.errors import InvalidInput
from engine.runtime.sandbox.cgroup import TaskGroup
from engine.runtime.sandbox.spec import Limits, SandboxSpec

_SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/proc", "/sys")))
_DEVICES = Path("/dev")
_SHARED = tuple(map(Path, ("/", "/home", "/opt", "/root", "/run", "/tmp", "/var")))
_OPEN_FILES = 4096
_WATCHED = ("cpu_s", "memory_bytes", "processes", "file_bytes", "wall_s", "output_bytes")


def check_paths(spec: SandboxSpec) -> None:
    """Raises `InvalidInput` unless all paths exist and leave the system's own directories alone."""
    if not spec.cwd.is_dir():
        raise InvalidInput(
            "The working directory of the sandbox doesn't exist.",
            mend="Create it before the run.",
            name=spec.cwd.name,
        )
    for path in (*spec.read_only, *spec.read_write):
        if not path.exists():
            raise InvalidInput(
                "A path for the sandbox doesn't exist.",
                mend="Pass only paths that exist.",
                name=path.name,
            )
    for path in (spec.cwd, *spec.read_write):
        actual = path.resolve()
        if any(actual.is_relative_to(system) for system in (*_SYSTEM, _DEVICES)):
            raise InvalidInput(
                "The sandbox can't write in a directory of the system.",
                mend="Use a directory of your own.",
                name=path.name,
            )
    for path in (spec.cwd, *spec.read_only, *spec.read_write):
        actual = path.resolve()
        if actual in (*_SHARED, *_SYSTEM, Path.home()) or actual.is_relative_to(_DEVICES):
            raise InvalidInput(
                "The sandbox can't have this directory as a whole.",
                mend="Pass the narrower directory that the program needs.",
                name=str(actual),
            )


def environment(spec: SandboxSpec, scratch: str) -> dict[str, str]:
    """The program's whole environment: the spec's own over the defaults."""
    defaults = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
    }
    return {**defaults, **spec.env}


def _clamped(kind: int, value: int) -> int:
    """No more than what this process may grant."""
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def kernel_limits(limits: Limits) -> dict[str, int]:
    """The kernel's per-process limits, by the names in `resource`.

    RLIMIT_DATA bounds what a process allocates without hindering runtimes that only reserve
    addresses, as RLIMIT_AS would. All of them hold for each process alone; the sum over the tree is
    watched from outside.
    """
    bounds = {
        "RLIMIT_DATA": limits.memory_bytes,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_MEMLOCK": min(limits.memory_bytes, 8 << 20),
    }
    if limits.cpu_s is not None:
        # One second more than what is watched, so that the exact limit strikes first.
        bounds["RLIMIT_CPU"] = math.ceil(limits.cpu_s) + 1
    return {name: _clamped(getattr(resource, name), value) for name, value in bounds.items()}


def kernel_tasks(limits: Limits) -> int:
    """The kernel's bound on tasks: somewhat above the watched one, which names the breach."""
    return limits.processes + limits.processes // 4 + 16


@functools.cache
def kernel_bounds_tasks() -> bool:
    """Whether the kernel bounds the number of tasks. It exempts root from RLIMIT_NPROC, so for root
    that takes a control group; a watcher alone can lose the race with a fork bomb."""
    if os.geteuid() != 0:
        return True
    group = TaskGroup.create(1)
    if group is not None:
        group.discard()
    return group is not None


def task_group(limits: Limits) -> TaskGroup | None:
    """The control group for a program, where one is needed and can be made."""
    return TaskGroup.create(kernel_tasks(limits)) if os.geteuid() == 0 else None


def bounds(limits: Limits, *, isolated: bool) -> tuple[list[str], list[str]]:
    """Names of what is enforced, and of what is not: limits that are set, and separations."""
    names = [name for name in _WATCHED if getattr(limits, name) is not None]
    unenforced = [] if isolated else ["network", "filesystem"]
    enforced = ["environment", *(["network", "filesystem"] if isolated else [])]
    for name in names:
        held = name != "processes" or kernel_bounds_tasks()
        (enforced if held else unenforced).append(name)
    return sorted(enforced), sorted(unenforced)


def inherited(content: bytes) -> IO[bytes]:
    """A nameless file with this content, at its start, to be passed to a child by descriptor.

    Unlike arguments and variables, nobody else on the machine can read it.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - handed on open
    file.write(content)
    file.seek(0)
    return file


def inherited_json(value: dict[str, Any]) -> IO[bytes]:
    return inherited(json.dumps(value).encode())
