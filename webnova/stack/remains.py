"""Leaving nothing behind: what a stack may have left, found again and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import structlog

from webnova.stack.home import Home
from webnova.stack.postgres import EmbeddedPostgres
from webnova.stack.processes import kill_all, tree, with_environment
from webnova.stack.ray_head import MARK, TEMPORARY_PREFIX, discard_control_data, keep_last_logs
from webnova.stack.state import StackState

_log = structlog.get_logger(__name__)


def embedded_postgres(home: Home, port: int | None = None) -> EmbeddedPostgres:
    """The home's own server."""
    return EmbeddedPostgres(
        home.postgres_data, home.secrets, log_file=home.logs / "postgres.log", port=port
    )


def stack_processes(state: StackState) -> list[psutil.Process]:
    """Every process of the stack except the supervisor and Postgres.

    Found by descent from the head, by its session, and by the mark in the environment, which
    also covers processes whose parents are gone.
    """
    roots = list(with_environment(MARK, state.instance))
    head = state.ray.process() if state.ray else None
    if head is not None:
        roots.append(head)
    if state.ray is not None:
        roots.extend(_session_members(state.ray.pid, state.ray.created))
    keep = {os.getpid(), state.supervisor.pid}
    return [process for process in tree(roots) if process.pid not in keep]


def _session_members(session: int, since: float) -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and process.create_time() >= since - 1:
                yield process


def shared_memory_of(processes: Iterable[psutil.Process]) -> set[Path]:
    """The files in /dev/shm that the processes hold open or have mapped."""
    found: set[Path] = set()
    for process in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
                name = line.partition("/dev/shm/")[2]
                if name and not name.endswith("(deleted)"):
                    found.add(Path("/dev/shm") / name)
    return found


def end_processes(processes: list[psutil.Process], *, grace: float) -> None:
    """End the processes and remove the shared memory that they leave."""
    shared = shared_memory_of(processes)
    kill_all(processes, grace=grace)
    for path in shared:
        path.unlink(missing_ok=True)


def remove_temporary(paths: Iterable[str]) -> None:
    """Remove the stack's own temporary directories, and never anything else."""
    for text in paths:
        path = Path(text)
        if path.parent == Path(tempfile.gettempdir()) and path.name.startswith(TEMPORARY_PREFIX):
            shutil.rmtree(path, ignore_errors=True)


def clean(home: Home, state: StackState | None, *, grace: float = 1.0) -> None:
    """Remove all that a stack left whose supervisor is gone. The home's data stay.

    The caller holds the supervisor's lock.
    """
    if state is not None:
        left = stack_processes(state)
        if left:
            _log.warning("ending processes left by a stack that was killed", count=len(left))
        end_processes(left, grace=grace)
        remove_temporary(state.temporary)
    if home.postgres_data.exists():
        embedded_postgres(home).stop()
    keep_last_logs(home)
    discard_control_data(home)
