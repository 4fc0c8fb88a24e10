"""Files as a merge sees them: bytes and a mode, whatever they stand for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.runtime.workspace import Bundle

PLAIN, EXECUTABLE, LINK, OTHER = "100644", "100755", "120000", "160000"
"""Modes as Git writes them. `OTHER` is what has no content here: a device, a nested repository."""

_BINARY_WITHIN = 8000


@dataclass(frozen=True, slots=True)
class File:
    """One file. The content of a link is the place that it points to."""

    content: bytes
    mode: str = PLAIN

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def is_regular(self) -> bool:
        return self.mode in (PLAIN, EXECUTABLE)

    @property
    def is_binary(self) -> bool:
        """As Git sees it: a NUL byte near the beginning."""
        return b"\0" in self.content[:_BINARY_WITHIN]

    @property
    def has_windows_lines(self) -> bool:
        """Whether every line ends with CR LF."""
        ends = self.content.count(b"\r\n")
        return ends > 0 and ends == self.content.count(b"\n") and not self.is_binary

    def with_unix_lines(self) -> File:
        return File(self.content.replace(b"\r\n", b"\n"), self.mode)

    def with_windows_lines(self) -> File:
        return File(self.with_unix_lines().content.replace(b"\n", b"\r\n"), self.mode)


@dataclass(frozen=True)
class GeneratedState:
    """What the generator wrote at one time.

    A file is None when its digest is known and its content is not. `ids` says what a file *is*,
    whatever its path; files of older generators have none.
    """

    files: Mapping[str, File | None] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)


def files_of(bundle: Bundle) -> dict[str, File]:
    return {
        path: File(content, EXECUTABLE if path in bundle.executable else PLAIN)
        for path, content in bundle.files.items()
    }


def parents(path: str) -> list[str]:
    """The directories above a relative path, the nearest first: `a/b/c` gives `a/b` and `a`."""
    found = []
    while "/" in path:
        path = path.rpartition("/")[0]
        found.append(path)
    return found
