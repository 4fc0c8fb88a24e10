"""Environments of Python packages, made once per lock and shared by everything that runs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from engine.runtime.dependencies.lock import Lock
from engine.runtime.dependencies.uv import Python, Source, Uv
from engine.runtime.sandbox.interpreter import python_paths

_FORMAT = 1
_MARKER = "environment.json"
_RETRY_S = 0.05


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
    _lease: IO[bytes]

    @property
    def read_only(self) -> tuple[Path, ...]:
        """The directories that a sandbox must mount to run programs of this environment."""
        return python_paths(self.python)

    def release(self) -> None:
        """Let it be pruned. The end of this process does the same."""
        self._lease.close()

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


class DependencyCache:
    """Environments below one directory, which any number of processes may share.

    An environment is made beside its place and moved there in one step, so nobody ever sees half of
    one, whenever a maker dies. Callers that want the same at the same time wait for one maker.
    Locks are the kernel's (`flock`), which end with their holder.
    """

    def __init__(
        self, root: Path, *, source: Source | None = None, timeout_s: float = 600.0
    ) -> None:
        self._environments = root / "environments"
        self._building = root / "building"
        self._quarantine = root / "quarantine"
        self._locks = root / "locks"
        self._downloads = root / "downloads"
        self._uv = Uv(self._downloads, source or Source(), timeout_s=timeout_s)
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
        digest = _digest(parsed, interpreter)
        for directory in (self._environments, self._building, self._quarantine, self._locks):
            directory.mkdir(parents=True, exist_ok=True)
        path = self._environments / digest
        lease = await self._locked(digest, "use", "shared")
        try:
            created = not self.verify(digest)
            if created:
                created = await self._make(digest, interpreter, parsed)
            os.utime(path / _MARKER)
        except BaseException:
            lease.close()
            raise
        taken = time.monotonic() - began
        return Environment(path, path / "bin" / "python", digest, created, taken, lease)

    async def _python(self, wanted: str) -> Python:
        if wanted not in self._pythons:
            self._pythons[wanted] = await self._uv.find_python(wanted)
        return self._pythons[wanted]

    async def _make(self, digest: str, python: Python, lock: Lock) -> bool:
        """Make it unless somebody else did meanwhile; whether this call did."""
        with await self._locked(digest, "build", "exclusive"):
            if self.verify(digest):
                return False
            self._set_aside(digest)
            directory = self._building / digest
            await asyncio.to_thread(_remove, directory)
            try:
                await self._uv.build(directory, python, lock)
                await asyncio.to_thread(_seal, directory, digest)
                directory.rename(self._environments / digest)
            finally:
                await asyncio.to_thread(_remove, directory)
        return True

    def verify(self, digest: str) -> bool:
        """Whether a complete environment is in its place and its Python is still installed."""
        path = self._environments / digest
        try:
            marker = json.loads((path / _MARKER).read_text())
        except (OSError, ValueError):
            return False
        whole = isinstance(marker, dict) and marker.get("digest") == digest
        return whole and (path / "bin" / "python").exists()

    def _set_aside(self, digest: str) -> None:
        """Move what is in the place but no environment into quarantine, for somebody to look at."""
        path = self._environments / digest
        if path.exists():
            path.chmod(0o755)
            path.rename(self._quarantine / f"{digest}-{time.time_ns()}")

    async def prune(self, max_bytes: int) -> int:
        """Remove environments, the longest unused first, until all take at most `max_bytes`.

        What failed to build and the downloads go first; environments in use stay. Returns the bytes
        that are left.
        """
        await self._remove_leftovers()
        sizes = {path.name: _size(path) for path in self._known()}
        total = sum(sizes.values())
        downloads = await asyncio.to_thread(_disk_usage, self._downloads)
        if total + downloads > max_bytes and downloads:
            await self._uv.forget_downloads()
            downloads = await asyncio.to_thread(_disk_usage, self._downloads)
        for path in sorted(self._known(), key=_last_use):
            if total + downloads <= max_bytes:
                break
            async with self._free(path.name, "use") as free:
                if free:
                    await asyncio.to_thread(_retire, path, self._building)
                    total -= sizes.get(path.name, 0)
        return total + downloads

    def _known(self) -> list[Path]:
        return list(self._environments.iterdir()) if self._environments.is_dir() else []

    async def _remove_leftovers(self) -> None:
        """Remove halves whose makers died, and what was put into quarantine."""
        for directory in (self._building, self._quarantine):
            for path in list(directory.iterdir()) if directory.is_dir() else []:
                async with self._free(path.name.partition("-")[0], "build") as free:
                    if free:
                        await asyncio.to_thread(_remove, path)

    async def _locked(
        self, digest: str, purpose: str, kind: Literal["shared", "exclusive"]
    ) -> IO[bytes]:
        """The lock, held until the file is closed."""
        file = self._lock_file(digest, purpose)
        mode = fcntl.LOCK_SH if kind == "shared" else fcntl.LOCK_EX
        try:
            while True:
                # Asking again costs less than a thread that waits and can't be cancelled.
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, mode | fcntl.LOCK_NB)
                    return file
                await asyncio.sleep(_RETRY_S)
        except BaseException:
            file.close()
            raise

    @contextlib.asynccontextmanager
    async def _free(self, digest: str, purpose: str) -> AsyncIterator[bool]:
        """Holds the lock exclusively inside, if nobody else holds it."""
        with self._lock_file(digest, purpose) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _lock_file(self, digest: str, purpose: str) -> IO[bytes]:
        return (self._locks / f"{digest}.{purpose}").open("ab")


def _digest(lock: Lock, python: Python) -> str:
    content = json.dumps([_FORMAT, lock.text, python.facts])
    return hashlib.sha256(content.encode()).hexdigest()


def _seal(directory: Path, digest: str) -> None:
    """Write the marker, take the right to write from everything, and have it all on the disk."""
    marker = {"digest": digest, "bytes": _disk_usage(directory)}
    (directory / _MARKER).write_text(json.dumps(marker))
    for parent, folders, files in os.walk(directory, topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    # The directory itself must stay writable to be moved.
    os.sync()


def _remove(directory: Path) -> None:
    for parent, _, _ in os.walk(directory):
        Path(parent).chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _retire(path: Path, aside: Path) -> None:
    """Take it away in one step, then remove it: nobody sees half of it meanwhile."""
    grave = aside / f"{path.name}-{time.time_ns()}"
    path.rename(grave)
    _remove(grave)


def _disk_usage(directory: Path) -> int:
    total = 0
    for parent, _, files in os.walk(directory):
        for name in files:
            # Files of a cache that others use may go at any moment.
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total


def _size(path: Path) -> int:
    try:
        return int(json.loads((path / _MARKER).read_text())["bytes"])
    except (OSError, ValueError, KeyError):
        return _disk_usage(path)


def _last_use(path: Path) -> float:
    try:
        return (path / _MARKER).stat().st_mtime
    except OSError:
        return 0.0
