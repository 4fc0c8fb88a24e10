"""A tenant's events as one portable file, and what a reader finds when checking it.

The file is JSON Lines in UTF-8. The first line is the header: `webnova_audit` (the format, 1),
`tenant`, `checkpoint` (a signed note) and `vkey`. Then comes one line for each leaf of the
checkpoint's log, in its order, with

* `index` and `leaf`: its number and its hash as the log has them, standard base64;
* `event`: the canonical bytes of the event as text, made anew from the stored event, or null when
  there is none; SHA-256 over a zero byte and this text is the leaf hash (RFC 6962);
* `stream`: kind, id and version that the log remembers, for naming what is missing;
* `place` and `logged`: where the event lies in the reading order now, and where it did when it was
  logged, each as `xid-position`.

* `archive`: where `event` is null because its month was archived and dropped, that month; left
  out otherwise.

Events in the logged part of the reading order that the log doesn't know follow at the end, with
null for `index`, `leaf` and `logged`. In an untouched ledger there are none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol

from engine.kernel.contracts import Message, Recorded, View, canonical_json
from engine.kernel.errors import InvalidInput
from engine.ledger.transparency.canonical import event_bytes, event_of
from engine.ledger.transparency.merkle import Frontier, hash_leaf
from engine.ledger.transparency.notes import (
    Checkpoint,
    Verifier,
    decoded_hash,
    encoded,
    opened,
)
from engine.ledger.transparency.publishing.cosignatures import Cosigned, WitnessKey, cosigned

MOST_FINDINGS = 100
"""Findings that are listed; more are only counted."""

Place = tuple[int, int]
"""`(xid, position)`: a place in the order in which readers see events."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf as the store keeps it, with the place and the stream of its event."""

    index: int
    event_id: str
    hash: bytes
    place: Place
    kind: str
    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What the log and the event store say of one event; one of the two may be missing."""

    leaf: Leaf | None
    event: Recorded | None
    archive: str | None = None
    """The month in whose archive a missing event should be."""


class LogHeader(Message):
    """What the first line of every file about a log says."""

    tenant: str
    checkpoint: str
    vkey: str


class Header(LogHeader):
    webnova_audit: Literal[1] = 1


class Stream(Message):
    kind: str
    id: str
    version: int


class Line(Message):
    index: int | None
    leaf: str | None
    event: str | None
    stream: Stream
    place: str | None
    logged: str | None
    archive: str | None = None


class Finding(View):
    """One thing that is wrong. `index` is the leaf's number; null for what the log doesn't hold."""

    problem: Literal[
        "altered",
        "missing",
        "moved",
        "not_logged",
        "gap",
        "wrong_tenant",
        "shortened",
        "rewritten",
        "no_signature",
        "not_cosigned",
    ]
    index: int | None = None
    kind: str | None = None
    id: str | None = None
    version: int | None = None
    message: str


class Report(View):
    """What checking an export showed. `intact` is true only when there is no finding at all.

    `outside` says whether a checkpoint or a key from outside the export took part. Without them a
    file that was rewritten as a whole, signature and all, can't be told from a genuine one.
    `cosigned_by` are those of the known witnesses that have cosigned the file's own checkpoint.
    """

    intact: bool
    tenant: str
    origin: str
    size: int
    root: str
    signed_by: list[str]
    cosigned_by: list[Cosigned] = []
    outside: bool
    finding_count: int
    findings: list[Finding]


def header_line(tenant: str, checkpoint: str, vkey: str) -> bytes:
    header = Header(tenant=tenant, checkpoint=checkpoint, vkey=vkey)
    return canonical_json(header.model_dump()).encode() + b"\n"


def entry_line(entry: Entry) -> bytes:
    leaf, event = entry.leaf, entry.event
    stream = leaf or event
    assert stream is not None
    line = {
        "index": None if leaf is None else leaf.index,
        "leaf": None if leaf is None else encoded(leaf.hash),
        "event": None if event is None else event_bytes(event).decode(),
        "stream": {"kind": stream.kind, "id": stream.id, "version": stream.version},
        "place": None if event is None else event.cursor,
        "logged": None if leaf is None else f"{leaf.place[0]}-{leaf.place[1]}",
    }
    if entry.archive is not None:
        line["archive"] = entry.archive
    return canonical_json(line).encode() + b"\n"


class Archived(Protocol):
    def holds(self, index: int, leaf: bytes) -> bool:
        """Whether an archive has the event of this leaf. Asked in the order of the log."""
        ...


def event_of_line(line: Line) -> Recorded:
    """The event of a line, where it lay when it was logged; the inverse of `entry_line`.

    Raises `InvalidInput` for a line without an event, or with one that can't be read.
    """
    if line.event is None:
        raise InvalidInput(f"Event {line.index} is missing.")
    try:
        xid, _, position = (line.logged or "").partition("-")
        return replace(event_of(line.event), xid=int(xid), position=int(position))
    except ValueError as error:
        raise InvalidInput(f"Event {line.index} can't be read.") from error


@dataclass(frozen=True, slots=True)
class Trust:
    """What a reader holds that does not come from the export: keys and checkpoints.

    `archives` are the events of dropped months, which were verified by themselves before. Each of
    the `witnesses` must have cosigned the export's checkpoint.
    """

    verifiers: Sequence[Verifier] = ()
    checkpoints: Sequence[str] = ()
    archives: Archived | None = None
    witnesses: Sequence[WitnessKey] = ()

    @property
    def outside(self) -> bool:
        return bool(self.verifiers or self.checkpoints or self.witnesses)


class Examination:
    """Checks an export line by line, in the memory of a few lines.

    Feed the header, every other line in order, and ask for the report. Raises `InvalidInput`, with
    the number of the line, for what is no export at all, and for a checkpoint of `trust` that is
    none of this log or carries no good signature.
    """

    form: ClassVar[type[LogHeader]] = Header
    written_by: ClassVar[str] = "webnova audit export"

    def __init__(self, header: bytes, trust: Trust) -> None:
        self._number = 1
        self._header: LogHeader = self._parsed(self.form, header)
        self._findings: list[Finding] = []
        self._count = 0
        self._logged = Frontier()
        self._next = 0
        self._last: Place = (0, 0)
        self._good: int | None = None
        self._trust = trust
        self._known = list(trust.verifiers) or [Verifier.parse(self._header.vkey)]
        self._claimed = Checkpoint.of(self._header.checkpoint)
        if self._claimed.origin.rpartition("/")[2] != self.tenant:
            self._note(
                "wrong_tenant",
                f"The checkpoint is of the log {self._claimed.origin!r}, not of {self.tenant!r}.",
            )
        self._signed_by = self._signers()
        self._cosigned_by = self._cosigners()
        outside = [self._opened(note) for note in trust.checkpoints]
        # By size, so that the first one that fails bounds the place of the alteration.
        marks = sorted([*outside, self._claimed], key=lambda each: each.size)
        self._marks = marks
        self._compare(0)

    @property
    def tenant(self) -> str:
        return self._header.tenant

    def line(self, raw: bytes) -> None:
        """Take the next line."""
        self._number += 1
        line = self._parsed(Line, raw)
        if line.index is None or line.leaf is None:
            self._find("not_logged", line, "is in the event store but was never logged")
            return
        if line.index != self._next:
            self._find("gap", line, f"comes where the log has to go on with {self._next}")
        self._next = line.index + 1
        leaf = decoded_hash(line.leaf, f"leaf of line {self._number}")
        self._check_event(line, leaf)
        self._check_place(line)
        self._logged.append(leaf)
        self._compare(self._logged.size)

    def report(self) -> Report:
        """The result, after the last line."""
        size = self._logged.size
        for mark in self._marks:
            if mark.size > size:
                self._note(
                    "shortened",
                    f"A checkpoint covers {mark.size} events, but there are only {size}.",
                )
        return Report(
            intact=not self._count,
            tenant=self._header.tenant,
            origin=self._claimed.origin,
            size=size,
            root=encoded(self._logged.root()),
            signed_by=self._signed_by,
            cosigned_by=self._cosigned_by,
            outside=self._trust.outside,
            finding_count=self._count,
            findings=self._findings,
        )

    def _signers(self) -> list[str]:
        try:
            return [each.vkey for each in opened(self._header.checkpoint, self._known)[1]]
        except InvalidInput as error:
            self._note("no_signature", str(error))
            return []

    def _cosigners(self) -> list[Cosigned]:
        try:
            found = cosigned(self._header.checkpoint, self._trust.witnesses)
        except InvalidInput as error:
            self._note("not_cosigned", str(error))
            return []
        names = {each.vkey for each in found}
        for key in self._trust.witnesses:
            if key.vkey not in names:
                self._note("not_cosigned", f"{key.name!r} has not cosigned the checkpoint.")
        return found

    def _opened(self, note: str) -> Checkpoint:
        checkpoint, _ = opened(note, self._known)
        if checkpoint.origin != self._claimed.origin:
            raise InvalidInput(
                f"The checkpoint is of the log {checkpoint.origin!r}, the export of "
                f"{self._claimed.origin!r}.",
                mend="Give a checkpoint of the same tenant and installation.",
            )
        return checkpoint

    def _check_event(self, line: Line, leaf: bytes) -> None:
        if line.event is None:
            self._check_missing(line, leaf)
            return
        if hash_leaf(line.event.encode()) != leaf:
            self._find("altered", line, "is not what was logged")
        try:
            tenant = json.loads(line.event)["tenant"]
        except (ValueError, TypeError, KeyError):
            tenant = None
        if tenant != self._header.tenant:
            self._find("wrong_tenant", line, f"is not of the tenant {self._header.tenant!r}")

    def _check_missing(self, line: Line, leaf: bytes) -> None:
        archives = self._trust.archives
        if archives is not None and archives.holds(line.index or 0, leaf):
            return
        what = "is in the log but no longer in the event store"
        if line.archive is not None:
            what += f"; it should be in the archive of {line.archive}, which was not given"
        self._find("missing", line, what)

    def _check_place(self, line: Line) -> None:
        logged = _place(line.logged, self._number)
        if line.place is not None and _place(line.place, self._number) != logged:
            self._find("moved", line, f"lies at {line.place}; it was logged at {line.logged}")
        elif logged <= self._last:
            self._find("moved", line, "lies before the event that was logged before it")
        self._last = logged

    def _compare(self, size: int) -> None:
        """Hold the log so far against the checkpoints of this size."""
        while self._marks and self._marks[0].size == size:
            mark = self._marks.pop(0)
            if mark.root != self._logged.root():
                self._note(
                    "rewritten",
                    f"The first {size} events are not those that a signed checkpoint commits to"
                    f"{self._since()}.",
                )
            else:
                self._good = size

    def _since(self) -> str:
        if self._good is None:
            return ""
        return f"; the first {self._good} still are, so the difference lies after them"

    def _find(self, problem: Any, line: Line, what: str) -> None:
        stream = line.stream
        named = "" if line.index is None else f" {line.index}"
        self._note(
            problem,
            f"Event{named} ({stream.kind} {stream.id!r}, version {stream.version}) {what}.",
            index=line.index,
            **stream.model_dump(),
        )

    def _note(self, problem: Any, message: str, **place: Any) -> None:
        self._count += 1
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(Finding(problem=problem, message=message, **place))

    def _parsed(self, model: type[Any], raw: bytes) -> Any:
        try:
            return model.model_validate_json(raw)
        except ValueError as error:
            raise InvalidInput(
                f"Line {self._number} is none of a file of a tenant's log.",
                mend=f"Name a file that `{self.written_by}` has written, whole.",
            ) from error


def _place(text: str | None, number: int) -> Place:
    parts = (text or "").split("-")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidInput(f"Line {number} names no place in the reading order.")
    return int(parts[0]), int(parts[1])
