"""Writing a whole tenant: `engine.ledger.tenancy.restoring.Restorer` in Postgres.

It runs inside a transaction of the root tenant, which records the import. The scope is the new
tenant's while its rows are written, so that row-level security holds as it does for everybody.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.contracts import Catalogue, Document, Recorded, Versioned
from engine.kernel.errors import Conflict, InvalidInput
from engine.ledger.subscriptions.records import Subscription
from engine.ledger.subscriptions.store import BEGINNING
from engine.ledger.tenancy.archive import Digest, DocumentDigest, Manifest, Part, Row
from engine.ledger.tenancy.archivist import SUBJECT_KEYS, unpacked
from engine.ledger.tenancy.subjects import Vault
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import Header, Line, event_of_line
from engine.ledger.transparency.merkle import Frontier, hash_leaf
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.webhooks.endpoints import PROJECTION, SLOTS, Webhook
from storage.database import SET_TENANT, UNBOUNDED
from storage.documents import KEEP as KEEP_FIELDS
from storage.documents import fields_of
from storage.portability import CONTENTS, DERIVED, EXPORTED, PLAIN, columns, streams
from storage.subscriptions import PostgresCheckpoints
from storage.transactions import EVENT_COLUMNS, KEEP, recorded

PAGE = 500
NO_HISTORY = (ValueError, AssertionError, LookupError, TypeError, AttributeError)
"""What folding raises for events that could not have happened in this order and form."""

ADD_EVENTS = text(
    "INSERT INTO events (tenant_id, kind, id, version, event_id, type, schema_version, data,"
    " metadata, at) SELECT :t, e.kind, e.id, e.version, e.event_id, e.type, e.schema_version,"
    " CAST(e.data AS jsonb), CAST(e.metadata AS jsonb), e.at"
    " FROM unnest(CAST(:kinds AS text[]), CAST(:ids AS text[]), CAST(:versions AS integer[]),"
    " CAST(:event_ids AS uuid[]), CAST(:types AS text[]), CAST(:schemas AS smallint[]),"
    " CAST(:data AS text[]), CAST(:metadata AS text[]), CAST(:at AS timestamptz[]))"
    " WITH ORDINALITY AS e (kind, id, version, event_id, type, schema_version, data, metadata, at,"
    " number) ORDER BY e.number"
)
IN_ORDER = text(
    f"SELECT {EVENT_COLUMNS} FROM events WHERE tenant_id = :t ORDER BY events.xid, events.position"
)
# Streams whose head came with the file have no document.
TO_FOLD = text(
    f"SELECT {EVENT_COLUMNS} FROM events e WHERE tenant_id = :t AND NOT EXISTS ("
    " SELECT FROM documents d WHERE d.tenant_id = e.tenant_id AND d.kind = e.kind AND d.id = e.id)"
    " ORDER BY e.kind, e.id, e.version"
)
DOCUMENTS = text(
    "SELECT kind, id, version, data FROM documents WHERE tenant_id = :t"
    ' ORDER BY kind COLLATE "C", id COLLATE "C"'
)
ADD_DOCUMENTS = text(
    "INSERT INTO documents (tenant_id, kind, id, version, data, fold)"
    " SELECT :t, d.kind, d.id, d.version, CAST(d.data AS jsonb), d.fold"
    " FROM unnest(CAST(:kinds AS text[]), CAST(:ids AS text[]), CAST(:versions AS integer[]),"
    " CAST(:data AS text[]), CAST(:folds AS smallint[])) AS d (kind, id, version, data, fold)"
)
GAPS = text(
    "SELECT s.kind, s.id FROM (SELECT kind, id, max(version) AS head, count(*) AS events"
    " FROM events WHERE tenant_id = :t GROUP BY kind, id) s"
    " FULL JOIN (SELECT kind, id, version FROM documents WHERE tenant_id = :t) d USING (kind, id)"
    " WHERE s.head IS DISTINCT FROM d.version OR s.events <> s.head LIMIT 1"
)
SUBSCRIPTIONS = text(
    "SELECT id, CAST(data ->> 'slots' AS integer) AS slots FROM documents"
    " WHERE tenant_id = :t AND kind = :k AND CAST(data ->> 'open' AS boolean)"
)
# The tenant's last event, if there is a webhook.
LAST = text(
    "SELECT xid::text AS xid_text, position FROM events WHERE tenant_id = :t AND EXISTS ("
    "SELECT FROM documents WHERE tenant_id = :t AND kind = :k)"
    " ORDER BY events.xid DESC, position DESC LIMIT 1"
)
CHECK_NOW = text("SET CONSTRAINTS ALL IMMEDIATE")


@dataclass(slots=True)
class _Waiting:
    """What is read of the file and not written yet. Rows are of one table."""

    events: list[Recorded] = field(default_factory=list)
    table: str = ""
    rows: list[Mapping[str, str | None]] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)


class PostgresRestorer:
    """On one open transaction of the root tenant."""

    def __init__(
        self,
        connection: AsyncConnection,
        root: str,
        catalogue: Catalogue,
        vault: Callable[[], Vault],
    ) -> None:
        self._connection = connection
        self._root = root
        self._catalogue = catalogue
        self._vault = vault

    async def restore(self, tenant: str, lines: Iterable[bytes]) -> None:
        source = iter(lines)
        manifest = Manifest.model_validate_json(next(source))
        header = Header.model_validate_json(next(source))
        await self._connection.execute(UNBOUNDED)
        await self._connection.execute(SET_TENANT, {"tenant": tenant})
        await self._connection.execute(PLAIN)
        keys = manifest.keys
        if keys is not None and keys.recipient != self._vault().recipient:
            raise InvalidInput(
                "The keys in the file are sealed for another installation.",
                mend="Export again for this one: `webnova tenant recipient` shows its key.",
            )
        take_over = partial(unpacked, tenant=tenant, keys=keys, vault=self._vault)
        writer = _Writer(self._connection, self._catalogue, tenant, take_over)
        await writer.require_room(manifest)
        try:
            digest = await writer.write(source)
            await writer.check_log(Checkpoint.of(header.checkpoint))
            await writer.fold()
            await writer.check_documents(digest)
            await writer.begin_anew()
            # What is checked at the commit must be checked while the rows can still be seen.
            await self._connection.execute(CHECK_NOW)
        except DBAPIError as error:
            _refuse_rows(error)
        await self._connection.execute(SET_TENANT, {"tenant": self._root})


class _Writer:
    """Writes the rows of one tenant, in whose scope the transaction now is."""

    def __init__(
        self,
        connection: AsyncConnection,
        catalogue: Catalogue,
        tenant: str,
        take_over: Callable[[Mapping[str, str | None]], dict[str, str | None]],
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._tenant = tenant
        self._take_over = take_over
        self._columns: dict[str, dict[str, str]] = {}

    async def _run(self, statement: Any, **values: Any) -> Any:
        return await self._connection.execute(statement, {"t": self._tenant, **values})

    async def _events(self, statement: Any) -> AsyncIterator[Recorded]:
        options, values = {"yield_per": PAGE}, {"t": self._tenant}
        async with self._connection.stream(statement, values, execution_options=options) as rows:
            async for row in rows:
                yield recorded(row)

    async def require_room(self, manifest: Manifest) -> None:
        """Raise unless the tenant has no row anywhere and the file's tables are those here."""
        self._columns = await columns(self._connection)
        different = {
            name
            for name in {*manifest.tables, *self._columns}
            if manifest.tables.get(name) != self._columns.get(name)
        }
        if different:
            raise InvalidInput(
                f"The file is of another version; there differ: {', '.join(sorted(different))}.",
                mend="Bring both installations to the same version and export again.",
            )
        for table in {*EXPORTED, *DERIVED, CONTENTS}:
            found = await self._run(
                text(f"SELECT EXISTS (SELECT FROM {table} WHERE tenant_id = :t)")
            )
            if found.scalar_one():
                raise Conflict(
                    f"The tenant {self._tenant!r} has data here already.",
                    mend="A tenant can only be imported where nothing of it is.",
                )

    async def write(self, lines: Iterator[bytes]) -> Digest:
        """Write all that the file holds, in its order; returns what documents it promises."""
        waiting = _Waiting()
        for raw in lines:
            content = json.loads(raw)
            if "event" in content:
                waiting.events.append(event_of_line(Line.model_validate(content)))
            elif "row" in content:
                await self._take(waiting, Row.model_validate(content))
            elif "blob" in content:
                await self._collect(waiting, Part.model_validate(content))
            elif "documents" in content:
                await self._flush(waiting)
                return Digest.model_validate(content)
            if len(waiting.events) + len(waiting.rows) >= PAGE:
                await self._flush(waiting)
        raise InvalidInput("The file ends before its end.")

    async def _take(self, waiting: _Waiting, row: Row) -> None:
        if row.table != waiting.table:
            await self._flush(waiting)
            waiting.table = row.table
        waiting.rows.append(row.row)

    async def _collect(self, waiting: _Waiting, part: Part) -> None:
        waiting.content += base64.b64decode(part.content)
        if part.last:
            content = bytes(waiting.content)
            digest = hashlib.sha256(content).hexdigest()
            await self._run(KEEP, d=digest, c=content)
            waiting.content = bytearray()

    async def _flush(self, waiting: _Waiting) -> None:
        if waiting.events:
            await self._add_events(waiting.events)
            waiting.events = []
        if waiting.rows:
            await self._add_rows(waiting.table, waiting.rows)
            waiting.rows = []

    async def _add_events(self, events: Sequence[Recorded]) -> None:
        await self._run(
            ADD_EVENTS,
            kinds=[event.kind for event in events],
            ids=[event.id for event in events],
            versions=[event.version for event in events],
            event_ids=[event.event_id for event in events],
            types=[event.type for event in events],
            schemas=[event.schema_version for event in events],
            data=[_json(event.data) for event in events],
            metadata=[_json(event.metadata) for event in events],
            at=[event.at for event in events],
        )

    async def _add_rows(self, table: str, rows: Sequence[Mapping[str, str | None]]) -> None:
        if table == SUBJECT_KEYS:
            rows = [self._take_over(row) for row in rows]
        types = self._columns[table]
        names = ", ".join(types)
        casts = ", ".join(f"CAST(r.{name} AS {kind})" for name, kind in types.items())
        arrays = ", ".join(f"CAST(:{name} AS text[])" for name in types)
        statement = text(
            f"INSERT INTO {table} (tenant_id, {names}) SELECT :t, {casts}"
            f" FROM unnest({arrays}) WITH ORDINALITY AS r ({names}, number_) ORDER BY number_"
        )
        await self._run(statement, **{name: [row[name] for row in rows] for name in types})

    async def check_log(self, checkpoint: Checkpoint) -> None:
        """Raise unless the events as they are stored now give the signed root."""
        frontier = Frontier()
        async for event in self._events(IN_ORDER):
            frontier.append(hash_leaf(event_bytes(event)))
        if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root):
            raise InvalidInput(
                "The events can't be kept here exactly as they were signed.",
                mend="Report this together with the file; nothing of it was imported.",
            )

    async def fold(self) -> None:
        """Make every document anew from its events."""
        made: list[Versioned[Any]] = []
        kinds: list[str] = []
        async for history in streams(self._events(TO_FOLD)):
            made.append(self._folded(history))
            kinds.append(history[0].kind)
            if len(made) >= PAGE:
                await self._add_documents(kinds, made)
                made, kinds = [], []
        if made:
            await self._add_documents(kinds, made)

    def _folded(self, history: list[Recorded]) -> Versioned[Any]:
        kind = history[0].kind
        document: type[Document] | None = self._catalogue.documents.get(kind)
        try:
            found = None if document is None else self._catalogue.refold(document, history)
        except NO_HISTORY as error:
            raise InvalidInput(
                f"The events of the {kind} {history[0].id!r} are no history of one.",
                mend="Report this together with the file; nothing of it was imported.",
            ) from error
        if found is None:
            raise InvalidInput(
                f"This installation knows no document of the kind {kind!r}.",
                mend="Bring both installations to the same version and export again.",
            )
        return found

    async def _add_documents(self, kinds: list[str], made: list[Versioned[Any]]) -> None:
        await self._run(
            ADD_DOCUMENTS,
            kinds=kinds,
            ids=[each.id for each in made],
            versions=[each.version for each in made],
            data=[each.document.model_dump_json() for each in made],
            folds=[each.document.fold_version for each in made],
        )
        for kind, each in zip(kinds, made, strict=True):
            if each.document.indexed:
                await self._run(KEEP_FIELDS, k=kind, i=each.id, **fields_of(each.document))

    async def begin_anew(self) -> None:
        """Give every subscription its slots: those of programs from the beginning, so that none
        misses what it had not taken, and the webhooks' from here, so that none is sent again."""
        checkpoints = PostgresCheckpoints(self._connection, self._tenant)
        for row in await self._run(SUBSCRIPTIONS, k=Subscription.kind):
            await checkpoints.open(row.id, row.slots, BEGINNING)
        last = (await self._run(LAST, k=Webhook.kind)).first()
        if last is not None:
            await checkpoints.open(PROJECTION, SLOTS, f"{last.xid_text}-{last.position}")

    async def check_documents(self, digest: Digest) -> None:
        """Raise unless every stream is without a gap and the heads are those of the file."""
        gap = (await self._run(GAPS)).first()
        if gap is not None:
            raise InvalidInput(f"The stream {gap.kind} {gap.id!r} of the file has gaps.")
        heads = DocumentDigest()
        options, values = {"yield_per": PAGE}, {"t": self._tenant}
        async with self._connection.stream(DOCUMENTS, values, execution_options=options) as rows:
            async for row in rows:
                heads.add(row.kind, row.id, row.version, row.data)
        if heads.digest() != digest:
            raise InvalidInput(
                "The events do not fold to the documents that were exported.",
                mend="Bring both installations to the same version and export again.",
            )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _refuse_rows(error: DBAPIError) -> NoReturn:
    """The rows that the database refuses are the file's fault; anything else is not."""
    state = str(getattr(error.orig, "sqlstate", "") or "")
    if state[:2] not in ("22", "23"):
        raise error
    raise InvalidInput(
        "The file holds rows that contradict each other or can't be kept.",
        mend="Export the tenant again; nothing of the file was imported.",
    ) from error
