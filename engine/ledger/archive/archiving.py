"""Writing archives, and holding them against the events before these are dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from engine.kernel.contracts import View
from engine.kernel.errors import Conflict, NotFound
from engine.ledger.archive.examination import ArchiveReport, event_lines, examined
from engine.ledger.archive.files import (
    ArchiveHeader,
    digest_of,
    header_line,
    place_of,
    sealed,
    skipped_line,
    write,
)
from engine.ledger.archive.store import Archived, Months
from engine.ledger.transparency.export import Place, Trust, entry_line
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import Notary
from engine.ledger.transparency.upkeep import BATCH, Sequencer


class ArchiveFile(View):
    """An archive on the disk. `written` is false for one that was there and is intact."""

    tenant: str
    month: str
    file: str
    events: int
    bytes: int
    written: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """An archive that is intact and holds the events as they are stored; `last` is the place of
    the last of them."""

    archived: Archived
    last: Place


class Archivist:
    """Archives below `directory`, one file for each tenant and month."""

    def __init__(
        self, notary: Notary, sequencer: Sequencer, months: Months, directory: Path
    ) -> None:
        self._notary = notary
        self._sequencer = sequencer
        self._months = months
        self._directory = directory

    async def tenants(self, month: str) -> dict[str, int]:
        """Every tenant with events in the month, and how many; `NotFound` when there is none."""
        found = {}
        for tenant in await self._months.tenants():
            if count := await self._months.count(tenant, month):
                found[tenant] = count
        if not found:
            raise NotFound(
                f"There are no events of {month} in the database.",
                mend="They may have been dropped already: look for their archives.",
            )
        return found

    async def archive(self, month: str) -> list[ArchiveFile]:
        """Archive the month of every tenant; what lies there intact and whole stays as it is."""
        counts = await self.tenants(month)
        return [await self._file(tenant, month, count) for tenant, count in counts.items()]

    async def _file(self, tenant: str, month: str, count: int) -> ArchiveFile:
        path = place_of(self._directory, tenant, month)
        kept = self._kept(path, tenant, count)
        if kept is None:
            await write(path, sealed(self._lines(tenant, month)))
            await self.compare(tenant, month)
        return ArchiveFile(
            tenant=tenant,
            month=month,
            file=str(path),
            events=kept.events if kept else count,
            bytes=path.stat().st_size,
            written=kept is None,
        )

    def _kept(self, path: Path, tenant: str, count: int) -> ArchiveReport | None:
        """The archive that is there; None when it may be written (again)."""
        if not path.exists():
            return None
        report = examined(path, Trust(self._notary.verifiers(tenant)))
        if report.intact and report.events > count:
            raise Conflict(
                f"The archive {str(path)!r} holds {report.events} events, the database only "
                f"{count} of them.",
                mend="Bring the others back first: `webnova archive restore FILE`.",
                tenant=tenant,
            )
        if not report.intact:
            raise Conflict(
                f"The archive {str(path)!r} is there and not intact: {report.findings[0].message}",
                mend="Look at it with `webnova audit verify FILE`, then move it elsewhere.",
                tenant=tenant,
            )
        return report if report.events == count else None

    async def _lines(self, tenant: str, month: str) -> AsyncIterator[tuple[bytes, bool]]:
        while await self._sequencer.sequence(tenant, BATCH) == BATCH:
            continue
        note = await self._notary.checkpoint(tenant)
        size = Checkpoint.of(note).size
        vkey = self._notary.verifiers(tenant)[0].vkey
        header = ArchiveHeader(tenant=tenant, month=month, checkpoint=note, vkey=vkey)
        yield header_line(header), False
        following = 0
        async for entry in self._months.entries(tenant, month):
            leaf = entry.leaf
            if leaf is None or leaf.index >= size:
                raise _unlogged(tenant, month)
            if leaf.index < following:
                raise LogContradiction(
                    f"Events of the tenant {tenant!r} lie in another order than they were logged.",
                    mend="Compare an export with a checkpoint of your own: `webnova audit verify`.",
                )
            for node in await self._skip(tenant, following, leaf.index):
                yield node, False
            yield entry_line(entry), True
            following = leaf.index + 1
        for node in await self._skip(tenant, following, size):
            yield node, False

    async def _skip(self, tenant: str, start: int, end: int) -> list[bytes]:
        if start == end:
            return []
        return [skipped_line(node) for node in await self._months.covering(tenant, start, end)]

    async def compare(self, tenant: str, month: str) -> Compared:
        """Read the tenant's archive from the disk and hold it against the stored events, each.

        Raises `NotFound` when there is no file and `Conflict` when it is not intact or says
        anything else than the event store and the log say now.
        """
        path = place_of(self._directory, tenant, month)
        report = examined(path, Trust(self._notary.verifiers(tenant)))
        if not report.intact or (report.tenant, report.month) != (tenant, month):
            told = report.findings[0].message if report.findings else "It is of something else."
            raise _differs(path, tenant, told)
        lines = event_lines(path)
        first = index = -1
        place: Place = (0, 0)
        async for entry in self._months.entries(tenant, month):
            if entry.leaf is None or entry.event is None:
                raise _unlogged(tenant, month)
            _, raw = next(lines, (None, b""))
            if raw != entry_line(entry):
                stream = f"{entry.leaf.kind} {entry.leaf.id!r}, version {entry.leaf.version}"
                told = f"Event {entry.leaf.index} ({stream}) is another than in the database."
                raise _differs(path, tenant, told)
            index, place = entry.leaf.index, (entry.event.xid, entry.event.position)
            first = index if first < 0 else first
        if next(lines, None) is not None:
            raise _differs(path, tenant, "It holds events that the database does not.")
        archived = Archived(
            month=month,
            first=first,
            last=index,
            events=report.events,
            size=report.size,
            root=report.root,
            bytes=path.stat().st_size,
            sha256=digest_of(path),
        )
        return Compared(archived, place)


def _unlogged(tenant: str, month: str) -> Conflict:
    return Conflict(
        f"The log of the tenant {tenant!r} lacks events of {month}.",
        mend="Try again in a moment; if this stays, `webnova audit verify` says more.",
        tenant=tenant,
    )


def _differs(path: Path, tenant: str, told: str) -> Conflict:
    return Conflict(
        f"The archive {str(path)!r} of the tenant {tenant!r} can't stand in for its events: {told}",
        mend="Keep it aside, archive the month again and compare the two.",
        tenant=tenant,
    )
