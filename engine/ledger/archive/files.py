"""One month of a tenant's events as a file that verifies by itself.

The file is gzip (RFC 1952, without a time stamp) over JSON Lines in UTF-8. It is to be read as an
export is (`engine.ledger.transparency.export`), and differs from one in three things:

* the header says `webnova_archive` (the format, 1) and `month`;
* only the month's events have lines. The leaves between them stand as the roots of complete
  subtrees, `{"hash", "index", "skipped"}`: `2^skipped` leaves from number `index` on. So a reader
  makes the root of the whole tree anew and compares it with the signed checkpoint;
* the last line is the trailer: `events`, the number of the file's events, and `sha256`, the digest
  (hex) of all bytes before it, the header's included.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from engine.kernel.contracts import Message, canonical_json
from engine.kernel.errors import InvalidInput, NotFound, Unavailable
from engine.ledger.metering.periods import Period
from engine.ledger.transparency.export import LogHeader
from engine.ledger.transparency.merkle import Node
from engine.ledger.transparency.notes import encoded

LEVEL = 6
"""Of the compression; the highest makes files of events less than a hundredth smaller."""
MAGIC = b"\x1f\x8b"
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; no line of an archive or export is longer."""


class ArchiveHeader(LogHeader):
    webnova_archive: Literal[1] = 1
    month: Period


class Skipped(Message):
    skipped: int
    index: int
    hash: str


class Trailer(Message):
    events: int
    sha256: str


def is_archive(header: bytes) -> bool:
    """Whether a file that begins with this line says that it is an archive."""
    try:
        content = json.loads(header)
    except ValueError:
        return False
    return isinstance(content, dict) and "webnova_archive" in content


def header_line(header: ArchiveHeader) -> bytes:
    return canonical_json(header.model_dump()).encode() + b"\n"


def skipped_line(node: Node) -> bytes:
    line = {"skipped": node.level, "index": node.index << node.level, "hash": encoded(node.hash)}
    return canonical_json(line).encode() + b"\n"


async def sealed(lines: AsyncIterator[tuple[bytes, bool]]) -> AsyncIterator[bytes]:
    """The lines, each with whether it is an event's, and the trailer after them."""
    digest, events = hashlib.sha256(), 0
    async for line, is_event in lines:
        digest.update(line)
        events += is_event
        yield line
    trailer = Trailer(events=events, sha256=digest.hexdigest())
    yield canonical_json(trailer.model_dump()).encode() + b"\n"


def place_of(directory: Path, tenant: str, month: str) -> Path:
    return directory / tenant / f"{month}.jsonl.gz"


@contextmanager
def reading(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of an archive or an export, compressed or not.

    Raises `NotFound` when there is no file, `InvalidInput` when it can't be read to its end.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(MAGIC)) == MAGIC
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw, mode="rb") as unpacked:
                    yield _lines(unpacked)
            else:
                yield _lines(raw)
    except FileNotFoundError:
        raise NotFound(f"There is no file {str(path)!r}.", mend="Check the path.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"The file {str(path)!r} can't be read to its end: {error}.",
            mend="It is cut off or damaged; use another copy.",
        ) from error


def _lines(file: gzip.GzipFile | BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        yield line


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes as hex, as `sha256sum` tells it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def write(path: Path, lines: AsyncIterator[bytes]) -> None:
    """Write the compressed lines; the file is there whole and on the disk, or not at all.

    Equal lines give equal bytes. Raises `Unavailable` when the directory can't be written to.
    """
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        scratch = Path(name)
        with os.fdopen(descriptor, "wb") as raw:
            with gzip.GzipFile(
                filename="", fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0
            ) as packed:
                async for line in lines:
                    packed.write(line)
            raw.flush()
            os.fsync(raw.fileno())
        scratch.replace(path)
        _synchronise(path.parent)
    except OSError as error:
        raise Unavailable(
            f"The archive {str(path)!r} can't be written: {error.strerror or error}.",
            mend="Name a directory with room that you may write to.",
        ) from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _synchronise(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
