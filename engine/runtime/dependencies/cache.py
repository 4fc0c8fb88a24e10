"""Environments of Python packages, made once per lock and shared by everything that runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.runtime.dependencies.lock import Lock
from engine.runtime.dependencies.store import Kept, Store
from engine.runtime.dependencies.uv import Python, Source, Uv
from engine.runtime.sandbox.interpreter import python_paths

_FORMAT = 1


@dataclass(frozen=True)
class Environment:
    """A read-only environment, kept from pruning until it is released.

    `path` is its directory, `python` its interpreter, `digest` its key. `created` tells whether
    this call made it; `duration_s` is how long the call took.
    """

    path: Path
    python: Path
    digest: str
    created: bool
    duration_s: float
    _kept: Kept

    @property
    def read_only(self) -> tuple[Path, ...]:
        """The directories that a sandbox must mount to run programs of this environment."""
        return python_paths(self.python)

    def release(self) -> None:
        """Let it be pruned. The end of this process does the same."""
        self._kept.release()

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


class DependencyCache:
    """Environments below one directory, which any number of processes may share; see `Store`."""

    def __init__(
        self, root: Path, *, source: Source | None = None, timeout_s: float = 600.0
    ) -> None:
        self._store = Store(root, "bin/python")
        self._uv = Uv(self._store.downloads, source or Source(), timeout_s=timeout_s)
        self._pythons: dict[str, Python] = {}

    async def ensure(self, lock: Path | str, *, python: str | None = None) -> Environment:
        """The environment for a lock (a file, or its text), made now if there is none.

        `python` is a path or a version; by default the platform's own. Raises `InvalidInput` for a
        lock that can't be read or installed, `Unavailable` when the registry can't be reached.
        """
        began = time.monotonic()
        text = await asyncio.to_thread(lock.read_text) if isinstance(lock, Path) else lock
        parsed = Lock(text)
        interpreter = await self._python(python or sys.executable)

        async def make(directory: Path) -> None:
            await self._uv.build(directory, interpreter, parsed)

        kept = await self._store.ensure(_digest(parsed, interpreter), make)
        program = kept.path / "bin" / "python"
        taken = time.monotonic() - began
        return Environment(kept.path, program, kept.digest, kept.created, taken, kept)

    async def _python(self, wanted: str) -> Python:
        if wanted not in self._pythons:
            self._pythons[wanted] = await self._uv.find_python(wanted)
        return self._pythons[wanted]

    def verify(self, digest: str) -> bool:
        """Whether a complete environment is in its place and its Python is still installed."""
        return self._store.verify(digest)

    async def prune(self, max_bytes: int) -> int:
        """Remove environments, the longest unused first, until all take at most `max_bytes`.

        What failed to build and the downloads go first; environments in use stay. Returns the bytes
        that are left.
        """
        return await self._store.prune(max_bytes, self._uv.forget_downloads)


def _digest(lock: Lock, python: Python) -> str:
    content = json.dumps([_FORMAT, lock.text, python.facts])
    return hashlib.sha256(content.encode()).hexdigest()
