"""Bundles of files: packed reproducibly, written out without leaving their directory."""

from __future__ import annotations

import ctypes
import errno
import gzip
import hashlib
import io
import os
import re
import secrets
import shutil
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.kernel.errors import InvalidInput, TooLarge, Unavailable

MOST_FILES = 20_000
MOST_BYTES = 256 << 20
_LONGEST_NAME = 255
_LONGEST_PATH = 1024
_CHUNK = 1 << 16
_EXECUTABLE = 0o755
_PLAIN = 0o644
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def check_path(path: str) -> str:
    """The same path if a file of a bundle may have it on every common system.

    It must be relative, with `/` between its parts, in Unicode NFC, without `.` and `..` and
    without what Windows reserves. Raises `InvalidInput` with the path otherwise.
    """
    wrong = _fault(path)
    if wrong is not None:
        raise InvalidInput(
            f"A file can't be called {path[:200]!r}: {wrong}.",
            mend="Give it a relative path of plain names.",
            name=path[:200],
        )
    return path


def _fault(path: str) -> str | None:
    if not path or path.startswith("/"):
        return "the path is empty or absolute"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "it is not Unicode text"
    if len(encoded) > _LONGEST_PATH:
        return f"it is longer than {_LONGEST_PATH} bytes"
    if unicodedata.normalize("NFC", path) != path:
        return "it is not in Unicode normal form C"
    return next((wrong for part in path.split("/") if (wrong := _part_fault(part))), None)


def _part_fault(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "it holds an empty part, `.` or `..`"
    if len(part.encode()) > _LONGEST_NAME:
        return f"a part is longer than {_LONGEST_NAME} bytes"
    if _FORBIDDEN.search(part):
        return "it holds a character that some systems forbid"
    if part[-1] in " .":
        return "a part ends with a space or a dot"
    if _DEVICE.fullmatch(part.split(".")[0].rstrip()):
        return "a part is the name of a device on Windows"
    return None


@dataclass(frozen=True)
class Bundle:
    """Files by path. Every path is checked, and the whole is bounded, when a bundle is made.

    `executable` are the paths of the files that are programs. Two paths that some file system takes
    for one (by letter case), or a file that is also a directory, are refused.
    """

    files: Mapping[str, bytes]
    executable: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", dict(self.files))
        if len(self.files) > MOST_FILES or sum(map(len, self.files.values())) > MOST_BYTES:
            raise TooLarge(
                "The bundle is too large.",
                mend=f"Keep it to {MOST_FILES} files and {MOST_BYTES >> 20} MiB.",
            )
        names: dict[str, str] = {}
        for path in sorted(self.files):
            check_path(path)
            for name in (path, *map(str, PurePosixPath(path).parents[:-1])):
                kind = "file" if name == path else "directory"
                before = names.setdefault(name.casefold(), f"{kind} {name}")
                if before != f"{kind} {name}":
                    raise InvalidInput(
                        f"{name[:200]!r} means two things in one bundle.",
                        mend="Rename one: letter case doesn't tell names apart everywhere.",
                        name=name[:200],
                    )
        if unknown := sorted(self.executable - set(self.files)):
            raise InvalidInput(f"There is no file {unknown[0]!r} to be executable.")

    @property
    def digest(self) -> str:
        """SHA-256 over names, modes and contents, in hexadecimal; independent of any packing."""
        whole = hashlib.sha256()
        for path in sorted(self.files):
            kind = b"x" if path in self.executable else b"-"
            content = hashlib.sha256(self.files[path]).hexdigest()
            whole.update(kind + content.encode() + b" " + path.encode() + b"\n")
        return whole.hexdigest()

    def pack(self) -> bytes:
        """A gzipped POSIX tar archive: the same bytes for the same files, whatever the clock, the
        user and the order; the compressed form is zlib's, `digest` doesn't depend on it."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self.files):
                entry = tarfile.TarInfo(path)
                entry.size = len(self.files[path])
                entry.mode = _EXECUTABLE if path in self.executable else _PLAIN
                archive.addfile(entry, io.BytesIO(self.files[path]))
        packed = io.BytesIO()
        # The header of gzip would otherwise hold the time and a name.
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as out:
            out.write(plain.getvalue())
        return packed.getvalue()

    @classmethod
    def unpack(cls, packed: bytes) -> Bundle:
        """Read what `pack` or any tar program wrote.

        Raises `InvalidInput` for what is no archive and for links, devices and paths that lead out,
        `TooLarge` for one that unpacks to more than a bundle may hold.
        """
        files: dict[str, bytes] = {}
        executable: set[str] = set()
        try:
            plain = _inflated(packed)
            with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
                for entry in archive:
                    if entry.isdir():
                        continue
                    path = _entry_path(entry, files)
                    content = archive.extractfile(entry)
                    assert content is not None
                    files[path] = content.read()
                    if entry.mode & 0o100:
                        executable.add(path)
        except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
            raise InvalidInput(
                "The bundle can't be read.", mend="Send a complete gzipped tar archive."
            ) from error
        return cls(files, frozenset(executable))

    @classmethod
    def read_from(cls, directory: Path) -> Bundle:
        """All plain files below a directory. Raises `InvalidInput` for links and devices."""
        files: dict[str, bytes] = {}
        executable: set[str] = set()
        size = 0
        for path, entry in _scan(directory, ""):
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                content = file.read(MOST_BYTES - size + 1)
                if os.fstat(descriptor).st_mode & 0o100:
                    executable.add(path)
            size += len(content)
            if size > MOST_BYTES or len(files) >= MOST_FILES:
                raise TooLarge("The directory holds too much for a bundle.")
            files[path] = content
        return cls(files, frozenset(executable))

    def write_to(self, directory: Path) -> None:
        """Make `directory` hold exactly these files, in one step.

        All is written beside it first and then swapped in: whoever looks sees the old or the new
        whole, and when this is interrupted, the old. The parent must exist. A `directory` that is a
        link or a file is refused with `InvalidInput`.
        """
        if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
            raise InvalidInput(
                "The place for the files is a link or a file.", mend="Choose a directory."
            )
        fresh = directory.parent / f".{directory.name[:100]}.{secrets.token_hex(8)}"
        fresh.mkdir()
        try:
            for path in sorted(self.files):
                target = fresh / path
                target.parent.mkdir(parents=True, exist_ok=True)
                mode = _EXECUTABLE if path in self.executable else _PLAIN
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                with open(os.open(target, flags, mode), "wb") as file:
                    file.write(self.files[path])
            _swap(fresh, directory)
        finally:
            # After the swap it is the old content that is there.
            shutil.rmtree(fresh, ignore_errors=True)


def _inflated(packed: bytes) -> bytes:
    """Gunzipped, but never more than a bundle of the greatest size takes as an archive."""
    most = MOST_BYTES + MOST_FILES * 4096
    plain = bytearray()
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        while chunk := file.read(_CHUNK):
            plain += chunk
            if len(plain) > most:
                raise TooLarge("The bundle unpacks to too much.")
    return bytes(plain)


def _entry_path(entry: tarfile.TarInfo, known: Mapping[str, bytes]) -> str:
    path = check_path(entry.name.removeprefix("./"))
    if not entry.isreg():
        raise InvalidInput(
            f"{path!r} is not a plain file.", mend="Leave links and devices out.", name=path
        )
    if path in known:
        raise InvalidInput(f"{path!r} comes twice in the bundle.", name=path)
    return path


def _scan(directory: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _scan(Path(entry.path), f"{path}/")
            elif entry.is_file(follow_symlinks=False):
                yield path, entry
            else:
                raise InvalidInput(
                    f"{path!r} is not a plain file.", mend="Leave links and devices out.", name=path
                )


def _swap(fresh: Path, directory: Path) -> None:
    """Put `fresh` in the place of `directory`, whose old content ends up in `fresh` or nowhere."""
    try:
        # Replaces an empty or missing directory in one step.
        fresh.rename(directory)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(fresh), os.fsencode(directory)
    if library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise Unavailable(
            "The file system can't exchange two directories.",
            mend="Keep workspaces on a local file system such as ext4, xfs or btrfs.",
        ) from OSError(code, os.strerror(code))
