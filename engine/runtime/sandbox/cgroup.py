"""A kernel bound on the tasks of one program, by a control group, where this process may make one.

Control groups come in version 1 (one hierarchy per controller) and version 2 (one for all); see the
kernel's documents `cgroup-v1/pids` and `cgroup-v2`. Version 2 allows a group either processes or
controlled children, so there a new group goes to the nearest ancestor that passes `pids` on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "webnova-"
_ATTEMPTS = 100
_ATTEMPT_S = 0.01


def _mount(mountinfo: str, kind: str, option: str | None = None) -> Path | None:
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        after = tail.split()
        if len(after) >= 3 and after[0] == kind and (not option or option in after[2].split(",")):
            return Path(fields.split()[4])
    return None


def _candidates(proc: Path) -> Iterator[Path]:
    """Directories in which a group with a bound on tasks may be made, best first."""
    mounts = (proc / "mountinfo").read_text()
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "pids" in controllers.split(","):
            if (top := _mount(mounts, "cgroup", "pids")) is not None:
                yield top / path.lstrip("/")
        elif controllers == "" and (top := _mount(mounts, "cgroup2")) is not None:
            own = top / path.lstrip("/")
            for directory in (own, *own.parents):
                control = directory / "cgroup.subtree_control"
                if control.is_file() and "pids" in control.read_text().split():
                    yield directory
                if directory == top:
                    break


class TaskGroup:
    """A control group for one program. `join` lists the files that take the pids of its members."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.join = str(directory / "cgroup.procs")

    @classmethod
    def create(cls, tasks: int, *, proc: Path = Path("/proc/self")) -> TaskGroup | None:
        """A group of at most `tasks` processes and threads; None where none can be made."""
        try:
            candidates = list(_candidates(proc))
        except OSError:
            return None
        for parent in candidates:
            _remove_abandoned(parent)
            directory = parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
            try:
                directory.mkdir()
            except OSError:
                continue
            try:
                (directory / "pids.max").write_text(str(tasks))
                return cls(directory)
            except OSError:
                directory.rmdir()
        return None

    def add(self, pid: int) -> None:
        """Move a process, with what it starts from now on, into the group."""
        Path(self.join).write_text(str(pid))

    async def remove(self) -> None:
        """Give the group back once its members are gone. The kernel may count one that has just
        ended for a moment longer; a group that stays in use is left to the next caller."""
        for _ in range(_ATTEMPTS):
            try:
                self._directory.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                await asyncio.sleep(_ATTEMPT_S)

    def discard(self) -> None:
        """Give back a group that never had members."""
        with contextlib.suppress(OSError):
            self._directory.rmdir()


def _remove_abandoned(parent: Path) -> None:
    """Remove groups whose makers died before they could; the kernel keeps those with members."""
    with contextlib.suppress(OSError):
        for directory in parent.glob(f"{_PREFIX}*"):
            maker = directory.name.removeprefix(_PREFIX).partition("-")[0]
            if not Path("/proc", maker).exists():
                with contextlib.suppress(OSError):
                    directory.rmdir()
