"""Writing a tenant's file from one snapshot of the database, line by line."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from engine.kernel.errors import Conflict, Unavailable
from engine.ledger.tenancy.archive import (
    DocumentDigest,
    End,
    Keys,
    Manifest,
    Piece,
    Row,
    Sum,
    line,
    part_line,
    statement,
)
from engine.ledger.tenancy.subjects import Cipher, Vault, key_context, sending
from engine.ledger.transparency.export import Entry, entry_line, header_line
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.publication import Head, Notary
from engine.ledger.transparency.upkeep import BATCH, Sequencer

ATTEMPTS = 40
PAUSE_S = 0.25
SUBJECT_KEYS = "subject_keys"
"""The one table whose rows change on their way: its keys are sealed for each installation."""


class Snapshot(Protocol):
    """One tenant at one instant. Rows are read as they are asked for, a page at a time."""

    async def head(self) -> Head: ...

    async def behind(self) -> bool:
        """Whether there are events that the log of this instant doesn't hold yet."""
        ...

    async def lacking(self, size: int) -> int:
        """How many of the log's events are not in the database."""
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


class Luggage:
    """The subjects' keys on their way: sealed for a recipient, or left behind without one."""

    def __init__(self, tenant: str, recipient: str | None, vault: Callable[[], Vault]) -> None:
        self.tenant = tenant
        self._vault = vault
        self.keys: Keys | None = None
        self._cipher: Cipher | None = None
        if recipient is not None:
            ephemeral, self._cipher = sending(recipient)
            self.keys = Keys(recipient=recipient, ephemeral=ephemeral)

    def packed(self, row: Mapping[str, str | None]) -> dict[str, str | None]:
        """The row with its key sealed for the journey; bytes are hexadecimal after `\\x`."""
        kept, subject = row["key"], row["subject"]
        assert subject is not None
        if kept is None or self._cipher is None:
            return {**row, "key": None}
        key = self._vault().take(self.tenant, subject, bytes.fromhex(kept[2:]))
        packed = self._cipher.seal(key, key_context(self.tenant, subject))
        return {**row, "key": f"\\x{packed.hex()}"}


def unpacked(
    row: Mapping[str, str | None], tenant: str, keys: Keys | None, vault: Callable[[], Vault]
) -> dict[str, str | None]:
    """The row as it is kept here: what `Luggage.packed` had sealed for this installation.

    Raises `Unavailable` for a key that was sealed for another or altered.
    """
    packed, subject = row["key"], row["subject"]
    if packed is None or keys is None or subject is None:
        return {**row, "key": None}
    cipher = vault().received(keys.ephemeral)
    key = cipher.open(bytes.fromhex(packed[2:]), key_context(tenant, subject))
    return {**row, "key": f"\\x{vault().keep(tenant, subject, key).hex()}"}


class Archivist:
    """Exports whole tenants. Needs the memory of a page, whatever their size."""

    def __init__(
        self,
        notary: Notary,
        sequencer: Sequencer,
        snapshots: Snapshots,
        vault: Callable[[], Vault],
        now: Callable[[], datetime],
    ) -> None:
        self._vault = vault
        self._notary = notary
        self._sequencer = sequencer
        self._snapshots = snapshots
        self._now = now

    async def export(
        self, tenant: str, title: str, recipient: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The lines of the tenant's file (`engine.ledger.tenancy.archive`), as of one instant.

        The subjects' keys go along sealed for the recipient's key; without one they stay behind,
        and with them whatever they could open. Raises `InvalidInput` for no recipient's key.

        The log is closed over every event of that instant first. Raises `Unavailable` before the
        first line when it can't be, because events are written faster or a transaction stays open,
        and `Conflict` while events are in archives only.
        """
        luggage = Luggage(tenant, recipient, self._vault)
        for _ in range(ATTEMPTS):
            while await self._sequencer.sequence(tenant, BATCH) == BATCH:
                continue
            async with self._snapshots.open(tenant) as snapshot:
                head = await snapshot.head()
                if not await snapshot.behind():
                    _require_all(await snapshot.lacking(head.size))
                    note = await self._notary.checkpoint(tenant)
                    if Checkpoint.of(note).size == head.size:
                        async for raw in self._lines(title, note, snapshot, luggage):
                            yield raw
                        return
            await asyncio.sleep(PAUSE_S)
        raise Unavailable(
            "The tenant is written to faster than its log can be closed.",
            mend="Suspend the tenant, or try again when it is quiet.",
        )

    async def _lines(
        self, title: str, note: str, snapshot: Snapshot, luggage: Luggage
    ) -> AsyncIterator[bytes]:
        tenant = luggage.tenant
        total, counted = Sum(), Counter[str]()
        tables = {name: dict(columns) for name, columns in (await snapshot.tables()).items()}
        manifest = Manifest(
            tenant=tenant, title=title, at=self._now(), tables=tables, keys=luggage.keys
        )
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
            packed = luggage.packed(row) if table == SUBJECT_KEYS else dict(row)
            yield total.add(line(Row(table=table, row=packed)))
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


def _require_all(lacking: int) -> None:
    if lacking > 0:
        raise Conflict(
            f"{lacking} events of the tenant's log are not in the database.",
            mend="Bring archived months back first: `webnova archive restore FILE`. If none was "
            "dropped, something was deleted: `webnova audit verify` names it.",
            events=lacking,
        )
