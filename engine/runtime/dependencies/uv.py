"""Asking `uv` for environments, and putting its refusals into the tree of errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from asyncio import subprocess
from dataclasses import dataclass
from pathlib import Path

import uv

from engine.kernel.errors import InvalidInput, StepFailed, Unavailable, WebNovaError
from engine.runtime.dependencies.lock import Lock

_DESCRIBE = (
    "import sys,sysconfig,platform,json;"
    "print(json.dumps([sys.base_prefix,platform.python_version(),sys.implementation.cache_tag,"
    "sysconfig.get_platform(),*platform.libc_ver()]))"
)
_KEPT_OUT = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM")
_UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|client error|dns error|timed? ?out|connection|"
    r"network connectivity|status server error|too many requests",
    re.IGNORECASE,
)
_NOT_INSTALLABLE = re.compile(
    r"no solution found|unsatisfiable|was not found|no version of|hash mismatch|no usable wheels|"
    r"no wheels? with|no compatible|building source distributions|no build|invalid|"
    r"requires? .*but|missing .*hash|requires hashes|incompatible",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left|disk quota", re.IGNORECASE)
_PRIVATE = re.compile(r"(?:[a-z][a-z0-9+]*://|file:)\S+|(?<![\w.])/\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Python:
    """An installed interpreter; `facts` are all that its environments depend on."""

    program: Path
    version: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where packages come from: an index, or a directory of wheels and nothing else.

    With neither, the index that `uv` is configured for on this machine.
    """

    index_url: str | None = None
    wheels: Path | None = None

    def options(self) -> list[str]:
        if self.wheels is not None:
            return ["--no-index", "--find-links", str(self.wheels)]
        return ["--index-url", self.index_url] if self.index_url else []


async def _run(*command: str, timeout_s: float) -> tuple[int, str, str]:
    """Exit code, standard output, standard error. Ended with its children when cancelled."""
    env = {name: value for name, value in os.environ.items() if name not in _KEPT_OUT}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**env, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"},
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


class Uv:
    """The `uv` program that is installed with the platform."""

    def __init__(self, cache: Path, source: Source, *, timeout_s: float) -> None:
        self._cache, self._source, self._timeout_s = cache, source, timeout_s

    async def _uv(self, *arguments: str) -> tuple[int, str, str]:
        program = uv.find_uv_bin()
        options = ["--cache-dir", str(self._cache), "--no-python-downloads"]
        try:
            return await _run(program, *arguments, *options, timeout_s=self._timeout_s)
        except TimeoutError as error:
            raise Unavailable(
                "Fetching the dependencies took too long.",
                mend="Check the connection to the package registry and try again.",
            ) from error

    async def find_python(self, wanted: str) -> Python:
        """By path or by version, such as `3.11`. Raises `InvalidInput` if there is none."""
        program = wanted
        if "/" not in wanted:
            code, out, _ = await self._uv("python", "find", wanted)
            program = out.strip() if code == 0 else ""
        try:
            code, out, _ = await _run(program, "-I", "-c", _DESCRIBE, timeout_s=30)
        except (OSError, ValueError, TimeoutError):
            code, out = 1, ""
        if code != 0:
            raise InvalidInput(
                "There is no such Python on this machine.",
                mend="Install it, or ask for one that is installed.",
                python=Path(wanted).name,
            )
        facts = tuple(json.loads(out))
        return Python(Path(program), facts[1], facts)

    async def build(self, target: Path, python: Python, lock: Lock) -> None:
        """Make an environment with exactly the locked packages, compiled and movable.

        Only wheels are installed: building from source would run a package's code outside of any
        sandbox. Raises `InvalidInput` when the lock can't be installed or lacks a dependency,
        `Unavailable` when the registry can't be reached.
        """
        await self._step(
            *("venv", "--quiet", "--relocatable", "--no-project"),
            *("--python", str(python.program), str(target)),
        )
        program = str(target / "bin" / "python")
        requirements = target / "requirements.lock"
        requirements.write_text(lock.text)
        await self._step(
            *("pip", "sync", "--quiet", "--python", program, "--only-binary", ":all:"),
            *("--compile-bytecode", "--link-mode", "copy", "--allow-empty-requirements"),
            *(["--require-hashes"] if lock.hashed else []),
            *self._source.options(),
            str(requirements),
        )
        await self._step("pip", "check", "--python", program)

    async def _step(self, *arguments: str) -> None:
        code, out, err = await self._uv(*arguments)
        if code != 0:
            raise refusal(f"{out}\n{err}")

    async def forget_downloads(self) -> None:
        """Drop what was downloaded; it is fetched again when needed."""
        await self._uv("cache", "clean")


def refusal(said: str) -> WebNovaError:
    """The error for what `uv` said, without addresses and paths."""
    reason = " ".join(_PRIVATE.sub("…", said).split())[:600]
    if _NO_SPACE.search(said):
        return Unavailable("The disk is full.", mend="Free some space and try again.")
    if _UNREACHABLE.search(said):
        return Unavailable(
            "The package registry can't be reached.",
            mend="Check the connection, or install from a directory of wheels.",
            reason=reason,
        )
    if _NOT_INSTALLABLE.search(said):
        return InvalidInput(
            "The locked dependencies can't be installed together.",
            mend="Make the lock anew, complete and from versions that offer a wheel.",
            reason=reason,
        )
    return StepFailed("Installing the dependencies failed.", reason=reason)
