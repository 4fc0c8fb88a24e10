"""Processes named by pid and time of creation, so that a reused pid is never taken for ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from pydantic import BaseModel

_TOLERANCE_S = 0.05
"""Clock-tick rounding of the creation time that the kernel reports."""


class ProcessRef(BaseModel):
    """One process for its whole life. `created` is in seconds since the epoch."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessRef | None:
        """The process with this pid now, or None."""
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def process(self) -> psutil.Process | None:
        """The process when it still runs (a zombie does not)."""
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.created) > _TOLERANCE_S:
                return None
            return None if found.status() == psutil.STATUS_ZOMBIE else found
        except psutil.Error:
            return None

    @property
    def alive(self) -> bool:
        return self.process() is not None


def tree(roots: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes and all their descendants, each once."""
    found: dict[int, psutil.Process] = {}
    for root in roots:
        found.setdefault(root.pid, root)
        with contextlib.suppress(psutil.Error):
            for child in root.children(recursive=True):
                found.setdefault(child.pid, child)
    return list(found.values())


def with_environment(name: str, value: str) -> Iterator[psutil.Process]:
    """Every process of ours whose environment holds `name=value`, except the caller.

    Finds descendants that no longer hang on the tree because their parent was killed.
    """
    wanted = f"{name}={value}".encode()
    own = os.getpid()
    for process in psutil.process_iter():
        if process.pid == own:
            continue
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            yield process


def send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def wait_gone(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait at most `timeout` seconds; returns those that still run. Zombies count as gone."""
    deadline = time.monotonic() + timeout
    left = list(processes)
    while True:
        left = [process for process in left if _running(process)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def kill_all(processes: Iterable[psutil.Process], *, grace: float = 0.0) -> None:
    """End all: SIGTERM first when `grace` (seconds) is given, then SIGKILL until gone."""
    left = list(processes)
    if grace > 0:
        for process in left:
            send(process, signal.SIGTERM)
        left = wait_gone(left, grace)
    for process in left:
        send(process, signal.SIGKILL)
    wait_gone(left, 10.0)


def _running(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
