"""What commands read and write: files, standard input and the API."""

# ruff: noqa: PLC0415
from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.kernel.errors import InvalidInput, NotFound
from webnova.cli.output import tenant_to_act_in

if TYPE_CHECKING:
    from webnova.client.synchronous import Client

_MOST = 4_000_000
"""No input of WebNova is longer (in bytes); what is too long for its kind is refused later."""


def connect() -> Client:
    """A client of the installation that the environment or the home names."""
    from webnova.client.synchronous import Client

    return Client(tenant=tenant_to_act_in.get())


def read_bytes(file: Path) -> bytes:
    """The content of a file, or of standard input for `-`. Raises `NotFound` or `InvalidInput`."""
    if str(file) == "-":
        return sys.stdin.buffer.read(_MOST)
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST)
    except FileNotFoundError:
        raise NotFound(f"There is no file {str(file)!r}.", mend="Check the path.") from None
    except OSError as error:
        raise InvalidInput(
            f"The file {str(file)!r} can't be read: {error.strerror or error}.",
            mend="Name a file that you may read.",
        ) from None


def read_text(file: Path) -> str:
    """As `read_bytes`, for UTF-8 text."""
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The file {str(file)!r} is not UTF-8 text: byte {error.start} does not fit.",
            mend="Save it as UTF-8.",
        ) from None


def opened(file: Path) -> BinaryIO:
    """A file of any size, to be read piece by piece. Raises `NotFound` or `InvalidInput`."""
    try:
        return file.open("rb")
    except FileNotFoundError:
        raise NotFound(f"There is no file {str(file)!r}.", mend="Check the path.") from None
    except OSError as error:
        raise InvalidInput(
            f"The file {str(file)!r} can't be read: {error.strerror or error}."
        ) from None


def existing_directory(directory: Path) -> Path:
    if not directory.is_dir():
        raise NotFound(f"There is no directory {str(directory)!r}.", mend="Check the path.")
    return directory.resolve()


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file that is there whole in the end, or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InvalidInput(
            f"The file {str(path)!r} can't be written: {error.strerror or error}.",
            mend="Name a file in a directory that you may write to.",
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
