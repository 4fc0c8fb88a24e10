"""Running package managers, and what their refusals have in common."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from asyncio import subprocess
from pathlib import Path

from engine.kernel.errors import Unavailable

_KEPT_OUT = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM")
_UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|client error|dns error|timed? ?out|connection|"
    r"network connectivity|status server error|too many requests|"
    r"enotfound|econnrefused|econnreset|etimedout|eai_again|e(?:429|50[0-9])\b",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left|disk quota", re.IGNORECASE)
_PRIVATE = re.compile(r"(?:[a-z][a-z0-9+]*://|file:)\S+|(?<![\w.])/\S+", re.IGNORECASE)


async def run(
    *command: str, timeout_s: float, cwd: Path | None = None, **variables: str
) -> tuple[int, str, str]:
    """Exit code, standard output, standard error. Ended with its children when cancelled.

    The program sees this process's environment but for what names a Python, and `variables`.
    """
    env = {name: value for name, value in os.environ.items() if name not in _KEPT_OUT}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**env, "NO_COLOR": "1", **variables},
        cwd=cwd,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def told(said: str) -> str:
    """What a program said, without addresses and paths, at a readable length."""
    return " ".join(_PRIVATE.sub("…", said).split())[:600]


def passing(said: str) -> Unavailable | None:
    """The error when what the program says may pass by itself or by somebody's hand."""
    if _NO_SPACE.search(said):
        return Unavailable("The disk is full.", mend="Free some space and try again.")
    if _UNREACHABLE.search(said):
        return Unavailable(
            "The package registry can't be reached.",
            mend="Check the connection, or install from a directory of wheels.",
            reason=told(said),
        )
    return None
