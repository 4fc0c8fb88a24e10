"""The process between the platform and an unisolated program: limits it and ends its whole tree.

Run as a script by the process driver, with standard library only. Reads one JSON object from the
file descriptor in its first argument: `argv`, `env`, `cwd`, `rlimits` (name → value), `group` (the
file that takes members of its control group, or null), `scratch` (a directory to remove in the end)
and `parent` (the pid that started it). They come that way because the program's variables must not
reach the warden, nor be seen by others.

Exits as the program does (`128 + n` after signal `n`), after killing everything that the program
left behind; orphans come to it because it is a child subreaper. SIGTERM, which it also gets from
the kernel when its parent dies, ends the tree.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NOT_STARTED = 127
_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _become_program(config: dict[str, Any], warden: int) -> NoReturn:
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != warden:
        os._exit(_NOT_STARTED)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir(config["cwd"])
        if config["group"] is not None:
            with open(config["group"], "w") as file:
                file.write(str(os.getpid()))
        for name, value in config["rlimits"].items():
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (bound, bound))
        os.execvpe(config["argv"][0], config["argv"], config["env"])
    except OSError as error:
        os.write(2, f"{config['argv'][0]}: {error.strerror}\n".encode())
    os._exit(_NOT_STARTED)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found.extend(int(child) for child in file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found


def _signal_group_and_tree(program: int, number: signal.Signals) -> int:
    """Signal everything below; returns how many processes that reached."""
    # One call reaches a whole group at once, which no fork can outrun. The group may be gone.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program, number)
    front, seen = _children(os.getpid()), set[int]()
    while front:
        fresh = [pid for pid in front if pid not in seen]
        seen.update(fresh)
        for pid in fresh:
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue
        front = [child for pid in fresh for child in _children(pid)]
    return len(seen)


def _ended() -> int | None:
    """A child that has ended and is not reaped yet."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _reap_orphans(program: int) -> bool:
    """Reap what was left behind. True once the program has ended; it stays to be reaped, because
    its pid names its process group and must not be given to another one yet."""
    while (pid := _ended()) is not None:
        if pid == program:
            return True
        os.waitpid(pid, 0)
    return False


def _end_all(program: int) -> int:
    """Kill everything below; returns the program's own exit code."""
    before = -1
    while (found := _signal_group_and_tree(program, signal.SIGSTOP)) > before:
        before = found
    _signal_group_and_tree(program, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    while True:
        for pid in _children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return code


def _remove(directory: str) -> None:
    """Remove a directory and all in it as far as possible, following no link."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(directory)


def main() -> int:
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        config = json.load(file)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != config["parent"]:
        _remove(config["scratch"])
        return _NOT_STARTED
    warden = os.getpid()
    program = os.fork()
    if program == 0:
        _become_program(config, warden)
    while not _reap_orphans(program) and signal.sigwait(_WATCHED) == signal.SIGCHLD:
        continue
    code = _end_all(program)
    _remove(config["scratch"])
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
