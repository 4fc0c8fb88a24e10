"""Directories that are made once per content and shared by everything that runs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

_MARKER = "environment.json"
_RETRY_S = 0.05

Make = Callable[[Path], Awaitable[None]]
"""Fills the directory, which doesn't exist yet."""


@dataclass(frozen=True)
class Kept:
    """A read-only directory, kept from pruning until it is released.

    `created` tells whether this call made it; `duration_s` is how long the call took.
    """

    path: Path
    digest: str
    created: bool
    duration_s: float
    _lease: IO[bytes]

    def release(self) -> None:
        """Let it be pruned. The end of this process does the same."""
        self._lease.close()


class Store:
    """Directories below one root, which any number of processes may share.

    A directory is made beside its place and moved there in one step, so nobody ever sees half of
    one, whenever a maker dies. Callers that want the same at the same time wait for one maker.
    Locks are the kernel's (`flock`), which end with their holder. `probe` is a path that a whole
    directory has.
    """

    def __init__(self, root: Path, probe: str) -> None:
        self.downloads = root / "downloads"
        self._environments = root / "environments"
        self._building = root / "building"
        self._quarantine = root / "quarantine"
        self._locks = root / "locks"
        self._probe = probe

    async def ensure(self, digest: str, make: Make) -> Kept:
        """The directory of this digest, made now if there is none."""
        began = time.monotonic()
        for directory in (self._environments, self._building, self._quarantine, self._locks):
            directory.mkdir(parents=True, exist_ok=True)
        path = self._environments / digest
        lease = await self._locked(digest, "use", "shared")
        try:
            created = not self.verify(digest)
            if created:
                created = await self._make(digest, make)
            os.utime(path / _MARKER)
        except BaseException:
            lease.close()
            raise
        return Kept(path, digest, created, time.monotonic() - began, lease)

    async def _make(self, digest: str, make: Make) -> bool:
        """Make it unless somebody else did meanwhile; whether this call did."""
        with await self._locked(digest, "build", "exclusive"):
            if self.verify(digest):
                return False
            self._set_aside(digest)
            directory = self._building / digest
            await asyncio.to_thread(_remove, directory)
            try:
                await make(directory)
                await asyncio.to_thread(_seal, directory, digest)
                directory.rename(self._environments / digest)
            finally:
                await asyncio.to_thread(_remove, directory)
        return True

    def verify(self, digest: str) -> bool:
        """Whether a complete directory is in its place and what it links to is still there."""
        path = self._environments / digest
        try:
            marker = json.loads((path / _MARKER).read_text())
        except (OSError, ValueError):
            return False
        whole = isinstance(marker, dict) and marker.get("digest") == digest
        return whole and (path / self._probe).exists()

    def _set_aside(self, digest: str) -> None:
        """Move what is in the place but not whole into quarantine, for somebody to look at."""
        path = self._environments / digest
        if path.exists():
            path.chmod(0o755)
            path.rename(self._quarantine / f"{digest}-{time.time_ns()}")

    async def prune(self, max_bytes: int, forget_downloads: Callable[[], Awaitable[None]]) -> int:
        """Remove directories, the longest unused first, until all take at most `max_bytes`.

        What failed to build and the downloads go first; directories in use stay. Returns the bytes
        that are left.
        """
        await self._remove_leftovers()
        sizes = {path.name: _size(path) for path in self._known()}
        total = sum(sizes.values())
        downloads = await asyncio.to_thread(_disk_usage, self.downloads)
        if total + downloads > max_bytes and downloads:
            await forget_downloads()
            downloads = await asyncio.to_thread(_disk_usage, self.downloads)
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
