"""A whole tenant as one portable file, and what makes a copy of it complete and genuine.

The file is JSON Lines in UTF-8 with sorted keys:

1. the manifest (`Manifest`): the format, the tenant, and the columns of each table that follows;
2. an audit export of the tenant's whole log (`engine.ledger.transparency.export`), header included:
   the canonical bytes of every event in reading order, with the signed checkpoint over them;
3. the rows of every other table that can't be derived (`Row`), table by table, each value in the
   text form that Postgres gives it (dates ISO 8601 in UTC, bytes in hexadecimal). Content comes in
   parts of at most `PART` bytes, base64 (`Part`);
4. the digest of the documents that the events fold to (`Digest`): they are made anew from the
   events, and the digest shows that they came out the same;
5. the end (`End`): how many lines and rows there are, SHA-256 over every byte before, and a note
   that the key of the log has signed over both. A file that was cut off has no end.

Where an event lies in the database that wrote the file is no part of what is signed: another
installation gives it a place of its own, in the same order.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Annotated, Any, Literal

import rfc8785
from pydantic import Field, ValidationError

from engine.kernel.contracts import Message, View, canonical_json
from engine.kernel.errors import InvalidInput
from engine.kernel.ids import SLUG
from engine.ledger.transparency.canonical import interoperable
from engine.ledger.transparency.export import Examination, Header, Report, Trust
from engine.ledger.transparency.notes import Checkpoint, Note, Verifier

PART = 256 * 1024
"""Bytes of content on one line."""
LONGEST_LINE = 16 * 1024 * 1024
"""An event has at most 1 MiB, and each of its bytes at most twelve when it is escaped twice."""

_EVENT = b'{"event":'
_ROW = b'{"row":'
_PART = b'{"blob":'


class Keys(Message):
    """For whom the subjects' keys are sealed (`engine.ledger.tenancy.subjects.sending`)."""

    recipient: str
    ephemeral: str


class Manifest(Message):
    """`tables` names the columns of each table, with their types, in the order of the file.

    Without `keys` the subjects' keys were left out, and personal data can't be read elsewhere.
    """

    webnova_tenant: Literal[1] = 1
    tenant: Annotated[str, Field(pattern=rf"^{SLUG.pattern}$", min_length=2, max_length=40)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    at: datetime
    tables: dict[str, dict[str, str]]
    keys: Keys | None


class Row(Message):
    table: str
    row: dict[str, str | None]


class Part(Message):
    """Part `part` of the content whose SHA-256 is `blob`; `last` ends it."""

    blob: str
    part: int
    last: bool
    content: str


@dataclass(frozen=True, slots=True)
class Piece:
    """At most `PART` bytes of the content with the SHA-256 `digest`; pieces count from 0."""

    digest: str
    number: int
    last: bool
    content: bytes


class Digest(Message):
    """How many streams have a head, and SHA-256 over all of them (see `DocumentDigest`)."""

    documents: int
    sha256: str


class End(Message):
    lines: int
    rows: dict[str, int]
    sha256: str
    note: str


class Inspected(View):
    """What a file was found to hold. `log` is what checking its events showed."""

    tenant: str
    title: str
    at: datetime
    bytes: int
    lines: int
    rows: dict[str, int]
    sha256: str
    signed_by: list[str]
    keys_for: str | None
    log: Report


def line(value: Message | Mapping[str, Any]) -> bytes:
    content = value.model_dump(mode="json") if isinstance(value, Message) else value
    return canonical_json(content).encode() + b"\n"


def statement(origin: str, sha256: str, lines: int) -> str:
    """What the key of the log signs of a file. It can't be read as a checkpoint."""
    return f"{origin}\ntenant export sha256:{sha256}\n{lines} lines\n"


def part_line(piece: Piece) -> bytes:
    text = base64.b64encode(piece.content).decode("ascii")
    return line(Part(blob=piece.digest, part=piece.number, last=piece.last, content=text))


class DocumentDigest:
    """SHA-256 over every stream's head, ordered by kind and id in code points.

    Each adds the RFC 8785 form of `[kind, id, version, document]` and a line end; the document is
    null for a stream that has none.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, kind: str, id: str, version: int, document: Any) -> None:
        exact: list[str] = []
        content = interoperable(document, "", exact)
        self._hash.update(rfc8785.dumps([kind, id, version, content, sorted(exact)]) + b"\n")
        self.count += 1

    def digest(self) -> Digest:
        return Digest(documents=self.count, sha256=self._hash.hexdigest())


class Sum:
    """Counts and hashes the lines of a file as they pass."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines = 0
        self.bytes = 0

    def add(self, raw: bytes) -> bytes:
        self._hash.update(raw)
        self.lines += 1
        self.bytes += len(raw)
        return raw

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@dataclass(slots=True)
class _Blob:
    """Content that is being put together."""

    digest: str
    parts: int = 0
    hash: Any = field(default_factory=hashlib.sha256)


class Inspection:
    """Checks a file line by line, in the memory of a few lines.

    Feed every line with its end, then ask `finish`. Both raise `InvalidInput`, with the number of
    the line, for what is no such file, is incomplete, was damaged or is not genuine.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._sum = Sum()
        self._rows: Counter[str] = Counter()
        self._manifest: Manifest | None = None
        self._header: Header | None = None
        self._log: Examination | None = None
        self._blob: _Blob | None = None
        self._digest: Digest | None = None
        self._end: End | None = None

    def line(self, raw: bytes) -> None:
        if self._end is not None or not raw.endswith(b"\n"):
            raise self._wrong("comes after the end, or is cut off")
        if self._manifest is None:
            self._manifest = self._parsed(Manifest, raw)
        elif self._log is None:
            self._header = self._parsed(Header, raw)
            if self._header.tenant != self._manifest.tenant:
                raise self._wrong("is of another tenant")
            self._log = Examination(raw, self._trust)
        elif raw.startswith(_EVENT):
            self._event(raw)
        elif raw.startswith(_ROW):
            self._row(self._parsed(Row, raw))
        elif raw.startswith(_PART):
            self._content(self._parsed(Part, raw))
        elif self._digest is None:
            self._digest = self._parsed(Digest, raw)
        else:
            self._close(self._parsed(End, raw))
        self._sum.add(raw)

    def finish(self) -> Inspected:
        """What the file holds, once it was read to its end."""
        if self._end is None or self._manifest is None or self._log is None:
            raise InvalidInput(
                "The file has no end: it was cut off.", mend="Export the tenant again."
            )
        report = self._log.report()
        if not report.intact:
            raise InvalidInput(
                f"The file's events are not those that its log holds: {report.findings[0].message}",
                mend="Find out who changed the file, and get another one.",
            )
        return Inspected(
            tenant=self._manifest.tenant,
            title=self._manifest.title,
            at=self._manifest.at,
            bytes=self._sum.bytes,
            lines=self._sum.lines,
            rows=dict(self._rows),
            sha256=self._end.sha256,
            signed_by=report.signed_by,
            keys_for=self._manifest.keys.recipient if self._manifest.keys else None,
            log=report,
        )

    def _event(self, raw: bytes) -> None:
        assert self._log is not None
        if self._rows or self._digest is not None:
            raise self._wrong("is an event among other lines")
        self._log.line(raw)

    def _row(self, row: Row) -> None:
        assert self._manifest is not None
        if set(row.row) != set(self._manifest.tables.get(row.table, ())):
            raise self._wrong(f"has other columns than the manifest says of {row.table!r}")
        if self._digest is not None or self._blob is not None:
            raise self._wrong("is a row in the wrong place")
        self._rows[row.table] += 1

    def _content(self, part: Part) -> None:
        blob = self._blob or _Blob(part.blob)
        if part.blob != blob.digest or part.part != blob.parts or self._digest is not None:
            raise self._wrong("is not the next part of the content")
        blob.hash.update(self._decoded(part))
        blob.parts += 1
        self._blob = blob
        if part.last:
            if blob.hash.hexdigest() != blob.digest:
                raise self._wrong("ends a content that is not what its digest says")
            self._blob = None
            self._rows["blobs"] += 1

    def _close(self, end: End) -> None:
        assert self._header is not None
        if end.lines != self._sum.lines or end.rows != dict(self._rows):
            raise self._wrong("counts other lines than there are")
        if end.sha256 != self._sum.sha256:
            raise self._wrong("does not fit what is before it: the file was damaged or changed")
        known = list(self._trust.verifiers) or [Verifier.parse(self._header.vkey)]
        note = Note.parse(end.note)
        origin = Checkpoint.of(self._header.checkpoint).origin
        signed = origin in {each.name for each in note.signers(known)}
        if not signed or note.text != statement(origin, end.sha256, end.lines):
            raise self._wrong("is signed by no key of the log that is known")
        self._end = end

    def _decoded(self, part: Part) -> bytes:
        try:
            return base64.b64decode(part.content, validate=True)
        except ValueError as error:
            raise self._wrong("is not base64") from error

    def _parsed(self, model: type[Any], raw: bytes) -> Any:
        try:
            return model.model_validate_json(raw)
        except ValidationError as error:
            raise self._wrong("is none of a tenant export") from error

    def _wrong(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"Line {self._sum.lines + 1} {what}.",
            mend="Name a file that `webnova tenant export` has written, whole and unchanged.",
        )


def read_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file with their ends. Raises `InvalidInput` for one that is too long."""
    while raw := file.readline(LONGEST_LINE):
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            raise InvalidInput("The file has a line that is too long for a tenant export.")
        yield raw


def inspect(lines: Iterable[bytes], trust: Trust) -> Inspected:
    """Check a whole file. Raises as `Inspection` does."""
    inspection = Inspection(trust)
    for raw in lines:
        inspection.line(raw)
    return inspection.finish()
