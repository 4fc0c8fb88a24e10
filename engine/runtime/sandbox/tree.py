"""Process trees on Linux, read from /proc: what a tree uses, and how to end all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_NICENESS = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class TreeUsage:
    """Consumption of a process and all its descendants at one moment.

    `tasks` counts processes and threads, `cpu_s` includes children that have ended and were waited
    for. `memory_bytes` is the proportional set size (shared pages are counted once), or the larger
    resident set size where that is within what was called plenty.
    """

    pids: tuple[int, ...]
    tasks: int
    cpu_s: float
    memory_bytes: int


def _read(path: Path) -> bytes:
    """The file, or nothing when its process ended meanwhile or isn't ours to see."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def children(pid: int) -> list[int]:
    """The direct children of a process, of all its threads."""
    found: list[int] = []
    try:
        threads = os.listdir(_PROC / str(pid) / "task")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        text = _read(_PROC / str(pid) / "task" / thread / "children")
        found.extend(int(child) for child in text.split())
    return found


def descendants(pid: int, *, most: int = 100_000) -> list[int]:
    """All processes below `pid`, nearest first; stops looking after `most`."""
    seen: dict[int, None] = {}
    front = children(pid)
    while front and len(seen) <= most:
        fresh = [child for child in front if child not in seen]
        seen.update(dict.fromkeys(fresh))
        front = []
        for child in fresh:
            front += children(child)
            if len(seen) + len(front) > most:
                break
    return [*seen, *front]


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third (state) on; empty when the process is gone."""
    text = _read(_PROC / str(pid) / "stat")
    # The name in parentheses may itself hold spaces and parentheses.
    return text[text.rfind(b")") + 2 :].split()


def _field_kib(text: bytes, name: bytes) -> int:
    start = text.find(name)
    return int(text[start + len(name) :].split(None, 1)[0]) if start >= 0 else 0


def _memory(pid: int) -> int:
    text = _read(_PROC / str(pid) / "smaps_rollup")
    if text:
        return _field_kib(text, b"\nPss:") * 1024
    text = _read(_PROC / str(pid) / "status")
    return (_field_kib(text, b"\nRssAnon:") + _field_kib(text, b"\nRssShmem:")) * 1024


def usage(pid: int, *, most: int = 100_000, plenty: int = 0) -> TreeUsage:
    """Consumption below `pid`, without `pid` itself. Past `most` tasks their memory is not read.

    The kernel walks all pages of a process to tell its proportional set. Nobody needs that while
    the resident sets, which are never smaller, stay within `plenty` bytes together.
    """
    pids = descendants(pid, most=most)
    tasks, ticks, resident, memory_bytes = 0, 0, 0, 0
    for one in pids:
        if fields := _stat(one):
            tasks += int(fields[17])
            ticks += sum(int(value) for value in fields[11:15])
            resident += int(fields[21]) * _PAGE_BYTES
    if fields := _stat(pid):
        ticks += sum(int(value) for value in fields[13:15])
    if resident <= plenty:
        memory_bytes = resident
    elif tasks <= most:
        memory_bytes = sum(_memory(one) for one in pids)
    return TreeUsage(tuple(pids), tasks, ticks / _TICKS, memory_bytes)


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which the process began: with the pid it names it for good."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def exists(pid: int) -> bool:
    """Whether there is such a process, even one that has ended and isn't reaped yet."""
    return (_PROC / str(pid)).exists()


def titles(prefix: str) -> Iterator[tuple[int, str]]:
    """Processes whose own name for themselves (their first argument) starts so."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            title = _read(entry / "cmdline").partition(b"\0")[0].decode(errors="replace")
            if title.startswith(prefix):
                yield int(entry.name), title


def is_waiting(pid: int) -> bool:
    """Whether the process sleeps, waiting for something to happen."""
    fields = _stat(pid)
    return bool(fields) and fields[0] == b"S"


def yield_to_others(pid: int) -> None:
    """Give the process, and what it starts from now on, a smaller share of busy processors.

    Schedulers that group tasks by session look at the group's value alone, so both are set.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
    with contextlib.suppress(OSError):
        (_PROC / str(pid) / "autogroup").write_text(str(_NICENESS))


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each process that is still there and ours."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_tree(pid: int, *, within_s: float = 5.0) -> None:
    """Kill a process and everything below it, however fast it forks.

    Stops every process first, again and again until no new one turns up, so that none can fork
    while the others are killed. The caller reaps its own children.
    """
    stopped: set[int] = set()
    send([pid], signal.SIGSTOP)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        fresh = [one for one in descendants(pid) if one not in stopped]
        if not fresh:
            break
        send(fresh, signal.SIGSTOP)
        stopped.update(fresh)
    send([*stopped, pid], signal.SIGKILL)
