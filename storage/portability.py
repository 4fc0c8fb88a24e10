"""Reading a whole tenant from one snapshot, table by table, as text that any Postgres takes back.

Every table with a tenant is named here once: its rows are exported, or it is said what they are
derived from. `tests/integration/test_portability.py` holds the lists against the live schema.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.contracts import Catalogue, Recorded
from engine.ledger.tenancy.archive import PART, Piece
from engine.ledger.transparency.export import Entry
from engine.ledger.transparency.publication import Head
from storage.database import Database
from storage.transactions import EVENT_COLUMNS, recorded
from storage.transparency import PostgresLog

EXPORTED = {
    "event_ids": "event_id",
    "subject_keys": "subject",
    "idempotency": "key",
    "work": "kind, id",
    "usage": "source, source_id",
    "unrated_usage": "source, source_id",
    "tier_counts": "period, region, meter, version",
    # An entry comes after the one that it corrects.
    "ledger_entries": "xid, corrects NULLS FIRST, id",
    "ledger_postings": "entry_id, account, currency",
    "charges": "entry_id, source, source_id",
    "budget_limits": "budget",
    "budget_periods": "budget, period",
    "reservations": "id",
    "webhook_deliveries": "webhook, event_id",
    "witnessed_logs": "origin",
}
"""Tables whose rows are exported, in an order that foreign keys allow, and the order of each."""

CONTENTS = "blobs"
"""The table whose content goes in parts."""

DERIVED = {
    "events": "the lines of the log hold every event",
    "documents": "folded from the events; the heads of streams without a document are rows",
    "log_leaves": "the lines of the log hold every leaf",
    "log_nodes": "computed from the leaves",
    "log_heads": "computed from the leaves",
    "document_fields": "folded from the events, as documents are",
    "document_folds": "says of which version of the fold the documents here are",
    "document_bases": "stand in for events that are in archives only; a tenant leaves with all",
    "archived_months": "says which files hold them; a tenant leaves with all of its months",
    "subscriptions": "places in this database's order; those of the tenant begin anew elsewhere",
    "dead_letters": "what a subscription that begins anew is sent again",
    "deletions": "the installation's own decision about the tenant, recorded in its register",
    "suspensions": "the installation's own decision about the tenant, recorded in its register",
}
"""Tables that are not exported, and what stands for their rows."""

HEADS = "documents"
"""Exported under this name are only the heads of streams that have no document."""

LEFT_OUT = {"work": frozenset({"owner", "leased_until"})}
"""Columns that mean nothing elsewhere: a lease is held by a process of this installation."""

COLUMNS = text(
    "SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, NULL) AS type"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " WHERE c.relnamespace = 'webnova'::regnamespace AND c.relname = ANY(:names)"
    " AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'tenant_id'"
    " AND a.atttypid <> 'xid8'::regtype ORDER BY c.relname, a.attname"
)
PLAIN = text(
    "SELECT set_config('datestyle', 'ISO, YMD', true), set_config('timezone', 'UTC', true),"
    " set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)"
)
BEHIND = text(
    "SELECT EXISTS (SELECT FROM events WHERE tenant_id = :t AND (xid, position) > ("
    " coalesce((SELECT xid FROM log_heads WHERE tenant_id = :t), '0'),"
    " coalesce((SELECT position FROM log_heads WHERE tenant_id = :t), 0)))"
)
COUNT = text("SELECT count(*) FROM events WHERE tenant_id = :t")
HEAD_ROWS = text(
    "SELECT kind, id, version::text AS version FROM documents"
    ' WHERE tenant_id = :t AND data IS NULL ORDER BY kind COLLATE "C", id COLLATE "C"'
)
BLOBS = text(
    "SELECT digest, octet_length(content) AS size FROM blobs WHERE tenant_id = :t ORDER BY digest"
)
PIECE = text(
    "SELECT substring(content FROM :start FOR :length) FROM blobs"
    " WHERE tenant_id = :t AND digest = :d"
)
# Stored documents may be of an older shape; what counts is what today's code makes of the events.
STREAMS = text(
    f"SELECT {EVENT_COLUMNS} FROM events e WHERE tenant_id = :t"
    ' ORDER BY e.kind COLLATE "C", e.id COLLATE "C", e.version'
)
BARE = text(
    "SELECT 1 FROM documents WHERE tenant_id = :t AND kind = :k AND id = :i AND data IS NULL"
)
PAGE = 500


async def streams(events: AsyncIterator[Recorded]) -> AsyncIterator[list[Recorded]]:
    """Whole streams of events that come stream by stream."""
    history: list[Recorded] = []
    async for event in events:
        if history and (event.kind, event.id) != (history[0].kind, history[0].id):
            yield history
            history = []
        history.append(event)
    if history:
        yield history


async def columns(connection: AsyncConnection) -> dict[str, dict[str, str]]:
    """For every exported table its columns and their types, as this schema has them."""
    names = [*EXPORTED, HEADS]
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for row in await connection.execute(COLUMNS, {"names": names}):
        if row.column not in LEFT_OUT.get(row.name, ()):
            found[row.name][row.column] = row.type
    found[HEADS] = {name: found[HEADS][name] for name in ("id", "kind", "version")}
    return found


class PostgresSnapshot:
    """`engine.ledger.tenancy.archivist.Snapshot` on one transaction."""

    def __init__(self, connection: AsyncConnection, tenant: str, catalogue: Catalogue) -> None:
        self._connection = connection
        self._tenant = tenant
        self._catalogue = catalogue
        self._log = PostgresLog(connection, tenant)

    async def head(self) -> Head:
        return await self._log.head()

    async def behind(self) -> bool:
        found = await self._connection.execute(BEHIND, {"t": self._tenant})
        return bool(found.scalar_one())

    async def lacking(self, size: int) -> int:
        found = await self._connection.execute(COUNT, {"t": self._tenant})
        return size - int(found.scalar_one())

    async def entries(self, start: int, end: int) -> Sequence[Entry]:
        return await self._log.entries(start, end)

    async def tables(self) -> Mapping[str, Mapping[str, str]]:
        return await columns(self._connection)

    async def _stream(self, statement: Any) -> AsyncIterator[Any]:
        options = {"yield_per": PAGE}
        values = {"t": self._tenant}
        async with self._connection.stream(statement, values, execution_options=options) as rows:
            async for row in rows:
                yield row

    async def rows(self) -> AsyncIterator[tuple[str, Mapping[str, str | None]]]:
        tables = await columns(self._connection)
        for name, order in EXPORTED.items():
            selected = ", ".join(f"{column}::text AS {column}" for column in tables[name])
            keys = ", ".join(f"{name}.{key.strip()}" for key in order.split(","))
            statement = text(f"SELECT {selected} FROM {name} WHERE tenant_id = :t ORDER BY {keys}")
            async for row in self._stream(statement):
                yield name, dict(row._mapping)
        async for row in self._stream(HEAD_ROWS):
            yield HEADS, dict(row._mapping)

    async def contents(self) -> AsyncIterator[Piece]:
        async for row in self._stream(BLOBS):
            count = max(1, -(-row.size // PART))
            for number in range(count):
                start = number * PART + 1
                values = {"t": self._tenant, "d": row.digest, "start": start, "length": PART}
                found = await self._connection.execute(PIECE, values)
                content = bytes(found.scalar_one())
                yield Piece(row.digest, number, number == count - 1, content)

    async def _events(self) -> AsyncIterator[Recorded]:
        async for row in self._stream(STREAMS):
            yield recorded(row)

    async def documents(self) -> AsyncIterator[tuple[str, str, int, Any]]:
        async for history in streams(self._events()):
            last = history[-1]
            found = None
            document = self._catalogue.documents.get(last.kind)
            values = {"t": self._tenant, "k": last.kind, "i": last.id}
            if document and not (await self._connection.execute(BARE, values)).first():
                found = self._catalogue.refold(document, history)
            content = found and json.loads(found.document.model_dump_json())
            yield last.kind, last.id, last.version, content


class PostgresSnapshots:
    """`engine.ledger.tenancy.archivist.Snapshots` as the application role."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    @asynccontextmanager
    async def open(self, tenant: str) -> AsyncIterator[PostgresSnapshot]:
        async with self._database.transaction(tenant, snapshot=True) as connection:
            await connection.execute(PLAIN)
            yield PostgresSnapshot(connection, tenant, self._catalogue)
