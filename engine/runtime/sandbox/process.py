"""Running without isolation: limits and a sure end, where the machine offers no namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sys
from asyncio import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.runtime.sandbox import enclosure, tree, warden
from engine.runtime.sandbox.cgroup import TaskGroup
from engine.runtime.sandbox.execution import Execution, Started, uninterrupted
from engine.runtime.sandbox.scratch import remove_abandoned, scratch_directory
from engine.runtime.sandbox.spec import Limits, OutputSink, SandboxResult, SandboxSpec

_GRACE_S = 3.0


class _Warded(Started):
    """A program below its warden (see `warden`)."""

    def __init__(self, process: subprocess.Process, scratch: str, group: TaskGroup | None) -> None:
        self.process, self.root = process, process.pid
        self._scratch, self._group = scratch, group

    async def end(self) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), _GRACE_S)
            except TimeoutError:
                # The warden can't answer, maybe because the program stopped or flooded it.
                tree.end_tree(self.root)
                await self.process.wait()
        if self._group is not None:
            await self._group.remove()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _tasks_of_user() -> int:
    """Processes and threads that run under this user's id."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if entry.stat().st_uid == os.geteuid():
                    count += len(os.listdir(entry / "task"))
    return count


def _task_limit(limits: Limits) -> dict[str, int]:
    """RLIMIT_NPROC, which counts all tasks of the user and would hinder the platform's own as well;
    so it is only a backstop above what the user runs already. It doesn't bind root."""
    if os.geteuid() == 0:
        return {}
    most = _tasks_of_user() + enclosure.kernel_tasks(limits)
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return {"RLIMIT_NPROC": most if hard == resource.RLIM_INFINITY else min(most, hard)}


class ProcessDriver:
    """A plain child process with its own session, limits, environment and scratch directory.

    It is *not* isolated: the program can read, write and connect to all that the platform's own
    user can. Results say so in `isolated` and `unenforced`.
    """

    name = "process"
    isolated = False

    async def available(self) -> str | None:
        if not sys.platform.startswith("linux"):
            return "Programs can only be limited on Linux. Run the platform on a Linux host."
        if tree.start_time(os.getpid()) is None:
            return "Processes can't be watched without /proc. Mount it."
        remove_abandoned()
        return None

    async def start(self, spec: SandboxSpec) -> Started:
        """Start the program; the caller ends it. Raises `InvalidInput` for a missing path."""
        enclosure.check_paths(spec)
        return await uninterrupted(self._start(spec))

    async def _start(self, spec: SandboxSpec) -> Started:
        with ExitStack() as stack:
            scratch = str(scratch_directory())
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            if (group := enclosure.task_group(spec.limits)) is not None:
                stack.callback(group.discard)
            config = {
                "argv": spec.argv,
                "env": enclosure.environment(spec, scratch),
                "cwd": str(spec.cwd),
                "rlimits": enclosure.kernel_limits(spec.limits) | _task_limit(spec.limits),
                "group": group.join if group is not None else None,
                "scratch": scratch,
                "parent": os.getpid(),
            }
            process = await self._spawn(config, has_input=spec.stdin is not None)
            if spec.priority == "background":
                tree.yield_to_others(process.pid)
            stack.pop_all()
        return _Warded(process, scratch, group)

    async def _spawn(self, config: dict[str, Any], *, has_input: bool) -> subprocess.Process:
        with enclosure.inherited_json(config) as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(warden.__file__),
                str(file.fileno()),
                stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                pass_fds=(file.fileno(),),
                start_new_session=True,
            )
        return process

    async def run(self, spec: SandboxSpec, *, on_output: OutputSink | None = None) -> SandboxResult:
        outcome = await Execution(await self.start(spec), spec, on_output).finish()
        return outcome.report(self, enclosure.bounds(spec.limits, isolated=False))
