"""Asking `uv` for environments, and putting its refusals into the tree of errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import uv

from engine.kernel.errors import InvalidInput, StepFailed, Unavailable, WebNovaError
from engine.runtime.dependencies.lock import Lock
from engine.runtime.dependencies.programs import passing, run, told

_DESCRIBE = (
    "import sys,sysconfig,platform,json;"
    "print(json.dumps([sys.base_prefix,platform.python_version(),sys.implementation.cache_tag,"
    "sysconfig.get_platform(),*platform.libc_ver()]))"
)
_NOT_INSTALLABLE = re.compile(
    r"no solution found|unsatisfiable|was not found|no version of|hash mismatch|no usable wheels|"
    r"no wheels? with|no compatible|building source distributions|no build|invalid|"
    r"requires? .*but|missing .*hash|requires hashes|incompatible",
    re.IGNORECASE,
)


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


class Uv:
    """The `uv` program that is installed with the platform."""

    def __init__(self, cache: Path, source: Source, *, timeout_s: float) -> None:
        self._cache, self._source, self._timeout_s = cache, source, timeout_s

    async def _uv(self, *arguments: str) -> tuple[int, str, str]:
        program = uv.find_uv_bin()
        options = ["--cache-dir", str(self._cache), "--no-python-downloads"]
        try:
            return await run(
                program, *arguments, *options, timeout_s=self._timeout_s, UV_NO_PROGRESS="1"
            )
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
            code, out, _ = await run(program, "-I", "-c", _DESCRIBE, timeout_s=30)
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
    if known := passing(said):
        return known
    reason = told(said)
    if _NOT_INSTALLABLE.search(said):
        return InvalidInput(
            "The locked dependencies can't be installed together.",
            mend="Make the lock anew, complete and from versions that offer a wheel.",
            reason=reason,
        )
    return StepFailed("Installing the dependencies failed.", reason=reason)
