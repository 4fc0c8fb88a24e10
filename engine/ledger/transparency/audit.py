"""Exports and checks of a tenant's log while the installation runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from engine.ledger.transparency.export import (
    Entry,
    Examination,
    Report,
    Trust,
    entry_line,
    header_line,
)
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import Notary


class ComparedLogs(Protocol):
    def compared(self, tenant: str, size: int) -> AsyncIterator[Entry]:
        """The first `size` leaves with their events as they are stored now, then the events among
        them that were never logged."""
        ...


class Auditor:
    """Reads whole logs, page by page, whatever their size."""

    def __init__(self, notary: Notary, logs: ComparedLogs) -> None:
        self._notary = notary
        self._logs = logs

    async def export(self, tenant: str) -> AsyncIterator[bytes]:
        """The lines of an export (`engine.ledger.transparency.export`) as of now.

        Its checkpoint is drawn and published first, so that what is appended during the export is
        no part of it. When the log no longer continues its last published checkpoint, the export
        is held against that one: it shows where the two part.
        """
        note = await self._checkpoint(tenant)
        key = self._notary.verifiers(tenant)[0]
        yield header_line(tenant, note, key.vkey)
        async for entry in self._logs.compared(tenant, Checkpoint.of(note).size):
            yield entry_line(entry)

    async def check(self, tenant: str, outside: Sequence[str] = ()) -> Report:
        """Compare the stored events with the log, and the log with what was published of it.

        `outside` are further signed checkpoints of the tenant's log, kept by somebody else.
        """
        trust = Trust(self._notary.verifiers(tenant), outside)
        lines = self.export(tenant)
        examination = Examination(await anext(lines), trust)
        async for line in lines:
            examination.line(line)
        return examination.report()

    async def _checkpoint(self, tenant: str) -> str:
        try:
            return await self._notary.checkpoint(tenant)
        except LogContradiction:
            note = await self._notary.latest(tenant)
            if note is None:
                raise
            return note
