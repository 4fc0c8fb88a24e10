"""What a reader finds in an archive, with nothing but the file and what is kept outside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from engine.kernel.errors import InvalidInput
from engine.ledger.archive.files import ArchiveHeader, Skipped, Trailer, is_archive, reading
from engine.ledger.metering.periods import end_of, start_of
from engine.ledger.transparency.export import Examination, Line, LogHeader, Report, Trust
from engine.ledger.transparency.notes import decoded_hash, encoded

MOST_LEVELS = 63

Leaves = Generator[tuple[int, bytes], None, None]
"""Numbers of leaves with their hashes, in the order of the log."""


class ArchiveReport(Report):
    """`size` and `root` are of the whole log, `events` is the number of the month's."""

    month: str
    events: int


class ArchiveExamination(Examination):
    """As `Examination`, for an archive.

    A checkpoint from outside takes part when the file reaches exactly its size: the file's own
    checkpoint does, and others where no skipped subtree lies across. For the rest `InvalidInput`
    says what to give instead.
    """

    form: ClassVar[type[LogHeader]] = ArchiveHeader
    written_by: ClassVar[str] = "webnova archive month"

    def __init__(self, header: bytes, trust: Trust) -> None:
        self._digest = hashlib.sha256(header)
        self._events = 0
        self._trailer: Trailer | None = None
        super().__init__(header, trust)
        assert isinstance(self._header, ArchiveHeader)
        self.month = self._header.month
        self._first, self._end = start_of(self.month), end_of(self.month)
        for mark in self._marks:
            if mark.size > self._claimed.size:
                raise self._out_of_reach(mark.size)

    def line(self, raw: bytes) -> None:
        self._number += 1
        if self._trailer is not None:
            self._note("gap", f"Line {self._number} comes after the end of the archive.")
            return
        content = self._content(raw)
        if "sha256" in content:
            self._end_with(self._parsed(Trailer, raw))
            return
        self._digest.update(raw)
        if "skipped" in content:
            self._skip(self._parsed(Skipped, raw))
        else:
            self._take(self._parsed(Line, raw))

    def report(self) -> ArchiveReport:
        if self._trailer is None:
            self._note("shortened", "The archive has no end: its last lines are missing.")
        size = self._logged.size
        if size != self._claimed.size:
            self._note(
                "shortened" if size < self._claimed.size else "rewritten",
                f"The checkpoint covers {self._claimed.size} events, the archive {size}.",
            )
        return ArchiveReport(
            intact=not self._count,
            tenant=self.tenant,
            origin=self._claimed.origin,
            size=size,
            root=encoded(self._logged.root()),
            signed_by=self._signed_by,
            cosigned_by=self._cosigned_by,
            outside=self._trust.outside,
            finding_count=self._count,
            findings=self._findings,
            month=self.month,
            events=self._events,
        )

    def _content(self, raw: bytes) -> dict[str, Any]:
        try:
            content = json.loads(raw)
        except ValueError:
            content = None
        return content if isinstance(content, dict) else {}

    def _take(self, line: Line) -> None:
        self._events += 1
        if line.index is None or line.leaf is None or line.event is None:
            self._find("missing", line, "is not in the archive as it was logged")
            return
        if line.index != self._logged.size:
            self._find("gap", line, f"comes where the log has to go on with {self._logged.size}")
        leaf = decoded_hash(line.leaf, f"leaf of line {self._number}")
        self._check_event(line, leaf)
        self._check_label(line, line.event)
        self._check_place(line)
        self._logged.append(leaf)
        self._reach()

    def _skip(self, skipped: Skipped) -> None:
        size = self._logged.size
        root = decoded_hash(skipped.hash, f"hash of line {self._number}")
        fits = 0 <= skipped.skipped <= MOST_LEVELS and not size % (1 << skipped.skipped)
        if skipped.index != size or not fits:
            self._note(
                "gap", f"Line {self._number} skips leaves from {skipped.index} on at {size}."
            )
        if fits:
            self._logged.append_subtree(skipped.skipped, root)
            self._reach()

    def _check_label(self, line: Line, event: str) -> None:
        """What the line says beside the event must be what the event says."""
        try:
            content = json.loads(event)
            label = {name: content[name] for name in ("kind", "id", "version")}
            at = datetime.fromisoformat(content["at"])
            within = self._first <= at < self._end
        except (ValueError, TypeError, KeyError):
            label, within = {}, False
        if label != line.stream.model_dump():
            self._find("altered", line, "is of another stream than its line says")
        elif not within:
            self._find("altered", line, f"is not of {self.month}")

    def _reach(self) -> None:
        """Hold the tree so far against the checkpoints of its size."""
        size = self._logged.size
        while self._marks and self._marks[0].size < size:
            passed = self._marks.pop(0)
            if passed is not self._claimed:
                raise self._out_of_reach(passed.size)
        self._compare(size)

    def _end_with(self, trailer: Trailer) -> None:
        self._trailer = trailer
        if trailer.events != self._events:
            self._note(
                "shortened" if trailer.events > self._events else "gap",
                f"The archive was written with {trailer.events} events and has {self._events}.",
            )
        if trailer.sha256 != self._digest.hexdigest():
            self._note("altered", "The lines of the archive are not those that were written.")

    def _out_of_reach(self, size: int) -> InvalidInput:
        return InvalidInput(
            f"The archive can't be compared with a checkpoint of {size} events; its own is of "
            f"{self._claimed.size}.",
            mend="Give the published checkpoint of that size, or the vkey that you keep.",
        )


def examination_of(header: bytes, trust: Trust) -> Examination:
    """The examination that fits a file with this first line: of an archive, or of an export."""
    return (ArchiveExamination if is_archive(header) else Examination)(header, trust)


def examined(path: Path, trust: Trust) -> ArchiveReport:
    """Check an archive on the disk. Raises `InvalidInput` when the file is none."""
    with reading(path) as lines:
        header = next(lines, b"")
        if not is_archive(header):
            raise InvalidInput(
                f"The file {str(path)!r} is no archive.",
                mend="Name a file that `webnova archive month` has written, whole.",
            )
        examination = ArchiveExamination(header, trust)
        for line in lines:
            examination.line(line)
        return examination.report()


def event_lines(path: Path) -> Generator[tuple[Line, bytes], None, None]:
    """The events of an archive that was examined, each with its line as it was written."""
    with reading(path) as lines:
        next(lines, None)
        for raw in lines:
            if "stream" in json.loads(raw):
                yield Line.model_validate_json(raw), raw


class ArchivedEvents:
    """`engine.ledger.transparency.export.Archived` over archives; a context manager.

    Each file is examined first; `InvalidInput` when one is not intact. Of which log it is does not
    matter: an event stands in only for a leaf with its own hash.
    """

    def __init__(self, paths: Sequence[Path], trust: Trust) -> None:
        self._paths = paths
        self._trust = trust
        self._next: list[tuple[Leaves, tuple[int, bytes] | None]] = []

    def __enter__(self) -> Self:
        for path in self._paths:
            report = examined(path, self._trust)
            if not report.intact:
                raise InvalidInput(
                    f"The archive {str(path)!r} can't stand in for events: "
                    f"{report.findings[0].message}",
                    mend="Check it by itself: `webnova audit verify FILE`.",
                )
            leaves = _leaves(path)
            self._next.append((leaves, next(leaves, None)))
        return self

    def __exit__(self, *error: object) -> None:
        for leaves, _ in self._next:
            leaves.close()
        self._next.clear()

    def holds(self, index: int, leaf: bytes) -> bool:
        for number, (leaves, found) in enumerate(self._next):
            here: tuple[int, bytes] | None = found
            while here is not None and here[0] < index:
                here = next(leaves, None)
            self._next[number] = (leaves, here)
            if here == (index, leaf):
                return True
        return False


def _leaves(path: Path) -> Leaves:
    for line, _ in event_lines(path):
        if line.index is not None and line.leaf is not None:
            yield line.index, decoded_hash(line.leaf, "leaf")
