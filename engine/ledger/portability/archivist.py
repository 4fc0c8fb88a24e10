"""Writing a tenant's file from one snapshot of the database, line by line."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from engine.kernel.errors import Unavailable
from engine.ledger.portability.archive import (
    DocumentDigest,
    End,
    Manifest,
    Piece,
    Row,
    Sum,
    line,
    part_line,
    statement,
)
from engine.ledger.transparency.export import Entry, entry_line, header_line
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.publication import Head, Notary
from engine.ledger.transparency.upkeep import BATCH, Sequencer

ATTEMPTS = 40
PAUSE_S = 0.25


class Snapshot(Protocol):
    """One tenant at one instant. Rows are read as they are asked for, a page at a time."""

    async def head(self) -> Head: ...

    async def behind(self) -> bool:
        """Whether there are events that the log of this instant doesn't hold yet."""
        ...

    async def entries(self, start: int, end: int) -> Sequence[Entry]:
        """A page of the log's leaves from `start` on, with their events; empty at `end`."""
        ...

    async def tables(self) -> Mapping[str, Mapping[str, str]]:
        """The tables that `rows` reads, in its order, with the types of their columns."""
        ...

    def rows(self) -> AsyncIterator[tuple[str, Mapping[str, str | None]]]: ...

    def contents(self) -> AsyncIterator[Piece]:
        """Every content, piece by piece."""
        ...

    def documents(self) -> AsyncIterator[tuple[str, str, int, Any]]:
        """Kind, id, version and document (or None) of every stream, by kind and id."""
        ...


class Snapshots(Protocol):
    def open(self, tenant: str) -> AbstractAsyncContextManager[Snapshot]: ...


class Archivist:
    """Exports whole tenants. Needs the memory of a page, whatever their size."""

    def __init__(
        self,
        notary: Notary,
        sequencer: Sequencer,
        snapshots: Snapshots,
        now: Callable[[], datetime],
    ) -> None:
        self._notary = notary
        self._sequencer = sequencer
        self._snapshots = snapshots
        self._now = now

    async def export(self, tenant: str, title: str) -> AsyncGenerator[bytes, None]:
        """The lines of the tenant's file (`engine.ledger.portability.archive`), as of one instant.

        The log is closed over every event of that instant first. Raises `Unavailable` before the
        first line when it can't be, because events are written faster or a transaction stays open.
        """
        for _ in range(ATTEMPTS):
            while await self._sequencer.sequence(tenant, BATCH) == BATCH:
                continue
            async with self._snapshots.open(tenant) as snapshot:
                head = await snapshot.head()
                if not await snapshot.behind():
                    note = await self._notary.checkpoint(tenant)
                    if Checkpoint.of(note).size == head.size:
                        async for raw in self._lines(tenant, title, note, snapshot):
                            yield raw
                        return
            await asyncio.sleep(PAUSE_S)
        raise Unavailable(
            "The tenant is written to faster than its log can be closed.",
            mend="Suspend the tenant, or try again when it is quiet.",
        )

    async def _lines(
        self, tenant: str, title: str, note: str, snapshot: Snapshot
    ) -> AsyncIterator[bytes]:
        total, counted = Sum(), Counter[str]()
        tables = {name: dict(columns) for name, columns in (await snapshot.tables()).items()}
        manifest = Manifest(tenant=tenant, title=title, at=self._now(), tables=tables)
        yield total.add(line(manifest))
        yield total.add(header_line(tenant, note, self._notary.verifiers(tenant)[0].vkey))
        checkpoint = Checkpoint.of(note)
        start = 0
        while page := await snapshot.entries(start, checkpoint.size):
            for entry in page:
                yield total.add(entry_line(entry))
            start += len(page)
        async for table, row in snapshot.rows():
            counted[table] += 1
            yield total.add(line(Row(table=table, row=dict(row))))
        async for piece in snapshot.contents():
            counted["blobs"] += piece.last
            yield total.add(part_line(piece))
        heads = DocumentDigest()
        async for kind, id, version, document in snapshot.documents():
            heads.add(kind, id, version, document)
        yield total.add(line(heads.digest()))
        said = statement(checkpoint.origin, total.sha256, total.lines)
        yield line(
            End(
                lines=total.lines,
                rows=dict(counted),
                sha256=total.sha256,
                note=self._notary.attest(tenant, said),
            )
        )
