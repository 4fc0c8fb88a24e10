"""The files in a project's directory, whoever made them and whether Git knows them or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.forge.regeneration.files import EXECUTABLE, LINK, OTHER, PLAIN, File, parents
from engine.kernel.errors import InvalidInput


class WorkingState:
    """What stands in a directory now. Contents are read when they are asked for, and once.

    `paths` are all files that were named, without directories; what lies behind a link or within
    another repository is not part of it.
    """

    def __init__(self, root: Path, named: Iterable[str]) -> None:
        self.root = root
        self.paths: set[str] = set()
        self._read: dict[str, File] = {}
        for path in named:
            self._find(path)

    def read(self, path: str) -> File:
        """Raises `InvalidInput` when the file can't be read."""
        if path not in self._read:
            self._read[path] = look(self.root, path) or File(b"", OTHER)
        return self._read[path]

    def _find(self, path: str) -> None:
        """Take in a file, whatever stands in its way, or all that lies below it."""
        for above in reversed(parents(path)):
            if above in self.paths:
                return
            if not _is_directory(self.root / above):
                if os.path.lexists(self.root / above):
                    self.paths.add(above)
                return
            if (self.root / above / ".git").exists():
                self.paths.add(above)
                return
        place = self.root / path
        if not _is_directory(place):
            if os.path.lexists(place):
                self.paths.add(path)
        elif (place / ".git").exists():
            self.paths.add(path)
        else:
            self.paths.update(_below(self.root, path))


def look(root: Path, path: str) -> File | None:
    """The file of this path; None when nothing stands there."""
    place = root / path
    try:
        mode = place.lstat().st_mode
        if stat.S_ISLNK(mode):
            return File(os.fsencode(os.readlink(place)), LINK)
        if not stat.S_ISREG(mode):
            return File(b"", OTHER)
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return File(file.read(), EXECUTABLE if mode & 0o100 else PLAIN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(
            f"{path!r} can't be read: {error.strerror or error}.",
            mend="See that you may read everything in the directory.",
        ) from error


def everything(root: Path) -> Iterator[str]:
    """All files below a directory that is in no repository."""
    yield from _below(root, "")


def _below(root: Path, path: str) -> Iterator[str]:
    with os.scandir(root / path) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            inner = f"{path}/{entry.name}" if path else entry.name
            if entry.name == ".git" and not path:
                continue
            if entry.is_dir(follow_symlinks=False) and not os.path.lexists(root / inner / ".git"):
                yield from _below(root, inner)
            else:
                yield inner


def _is_directory(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()
