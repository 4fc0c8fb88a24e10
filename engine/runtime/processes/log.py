"""The log of a server: one file that is rotated by size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_BLOCK = 1 << 16


class RotatingLog:
    """Appends bytes to `path`; past `max_bytes` the file becomes `path.1`, that one `path.2`, …

    At most `backups` older files are kept. A line is never split over two files, unless it alone is
    longer than a whole one. One writer at a time.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        self._path, self._max_bytes, self._backups = path, max_bytes, backups
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Append; what reaches the end of the file goes on after the next newline."""
        room = self._max_bytes - self._size
        if len(data) > room:
            cut = data.find(b"\n", max(room, 0)) + 1
            head, data = (data[:cut], data[cut:]) if cut else (b"", data)
            self._append(head)
            if self._size >= self._max_bytes or len(data) > self._max_bytes - self._size:
                self._rotate()
            while len(data) > self._max_bytes:
                cut = data.rfind(b"\n", 0, self._max_bytes) + 1 or self._max_bytes
                self._append(data[:cut])
                self._rotate()
                data = data[cut:]
        self._append(data)

    def _append(self, data: bytes) -> None:
        while data:
            written = self._file.write(data)
            self._size += written
            data = data[written:]

    def _name(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")

    def _rotate(self) -> None:
        if self._size == 0:
            return
        self._file.close()
        for number in range(self._backups - 1, -1, -1):
            with contextlib.suppress(FileNotFoundError):
                self._name(number).replace(self._name(number + 1))
        # With no backups the file starts anew in its own place.
        self._file = self._path.open("wb", buffering=0)
        self._size = 0

    def tail(self, lines: int) -> list[str]:
        """The last lines, oldest first, going back into the older files as far as needed."""
        data = b""
        for number in range(self._backups + 1):
            data = _end(self._name(number), lines + 1 - data.count(b"\n")) + data
            if data.count(b"\n") > lines:
                break
        return data.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []

    def close(self) -> None:
        self._file.close()


def _end(path: Path, lines: int) -> bytes:
    """The end of a file that holds at least so many newlines, or all of it."""
    if lines <= 0:
        return b""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return b""
    with file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        while position > 0 and data.count(b"\n") < lines:
            step = min(_BLOCK, position)
            position -= step
            file.seek(position)
            data = file.read(step) + data
        return data
