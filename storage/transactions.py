"""The ledger in Postgres: events, the documents folded from them, and what commits with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.kernel.clock import Clock, system_clock
from engine.kernel.contracts import (
    Base,
    Call,
    Catalogue,
    Document,
    Event,
    Recorded,
    Schedulable,
    Versioned,
    canonical_json,
    complete,
)
from engine.kernel.dispatch import Rebuilt
from engine.kernel.errors import (
    IdempotencyConflict,
    LeaseLost,
    NotFound,
    Unavailable,
    UnknownEvent,
    VersionConflict,
)
from engine.kernel.ids import uuid7
from engine.kernel.selections import Selection
from engine.ledger.streams import Origin, encoded
from engine.ledger.tenancy.subjects import Subjects
from storage.database import Database
from storage.documents import KEEP as KEEP_FIELDS
from storage.documents import fields_of
from storage.documents import statement as selected
from storage.streams import CONFLICT, LOST_RACES, SKEWED, overtaken, skewed

D = TypeVar("D", bound=Document)
P = TypeVar("P")

Parts = Mapping[Callable[..., Any], Callable[[AsyncConnection, str], Any]]
"""For each contract of a feature what implements it, made from the open transaction's connection
and its tenant."""

EVENT_COLUMNS = (
    "xid::text AS xid_text, position, tenant_id, kind, id, version, event_id, type, schema_version,"
    " data, metadata, at"
)

FIND = text(
    "SELECT version, data, fold FROM documents WHERE tenant_id = :t AND kind = :k AND id = :i"
    " AND data IS NOT NULL"
)
HOLD = text(FIND.text + " FOR UPDATE")
IDS = text(
    "SELECT id FROM documents WHERE tenant_id = :t AND kind = :k AND data IS NOT NULL"
    " AND id > :after ORDER BY id LIMIT :limit"
)
STALE = text(
    "SELECT id FROM documents WHERE tenant_id = :t AND kind = :k AND data IS NOT NULL"
    " AND fold <> :fold ORDER BY id LIMIT :limit"
)
# How far a kind of the tenant is, so that nobody has to look at all of its documents.
FOLD_OF_KIND = text("SELECT fold FROM document_folds WHERE tenant_id = :t AND kind = :k")
ALL_FOLDED = text(
    "INSERT INTO document_folds (tenant_id, kind, fold) VALUES (:t, :k, :fold)"
    " ON CONFLICT (tenant_id, kind) DO UPDATE SET fold = excluded.fold"
)
HISTORY = text(
    f"SELECT {EVENT_COLUMNS} FROM events"
    " WHERE tenant_id = :t AND kind = :k AND id = :i AND version >= :v ORDER BY version"
)
BASE = text(
    "SELECT version, fold, month, data FROM document_bases"
    " WHERE tenant_id = :t AND kind = :k AND id = :i"
)
APPEND = text(
    "SELECT webnova.append(:t, :k, :i, :expected, CAST(:ids AS uuid[]), CAST(:types AS text[]),"
    " CAST(:schemas AS smallint[]), CAST(:data AS text[]), CAST(CAST(:meta AS text) AS jsonb), :at,"
    " CAST(CAST(:document AS text) AS jsonb), CAST(:fold AS smallint))"
)
STORE = text(
    "UPDATE documents SET data = CAST(CAST(:data AS text) AS jsonb), fold = :fold"
    " WHERE tenant_id = :t AND kind = :k AND id = :i"
)
SCHEDULE = text(
    "INSERT INTO work (tenant_id, kind, id, due_at, priority) VALUES (:t, :k, :i, :at, :p)"
    " ON CONFLICT (tenant_id, kind, id) DO UPDATE SET due_at = :at, priority = :p"
)
FINISH = text("DELETE FROM work WHERE tenant_id = :t AND kind = :k AND id = :i")
GUARD = text("SELECT fence FROM work WHERE tenant_id = :t AND kind = :k AND id = :i FOR UPDATE")
RESERVE = text(
    "INSERT INTO idempotency (tenant_id, key, fingerprint) VALUES (:t, :key, :f)"
    " ON CONFLICT (tenant_id, key) DO NOTHING"
)
RECALL = text("SELECT fingerprint, answer FROM idempotency WHERE tenant_id = :t AND key = :key")
REMEMBER = text(
    "UPDATE idempotency SET answer = :answer WHERE tenant_id = :t AND key = :key"
).bindparams(bindparam("answer", type_=JSONB))
KEEP = text(
    "INSERT INTO blobs (tenant_id, digest, content) VALUES (:t, :d, :c)"
    " ON CONFLICT (tenant_id, digest) DO NOTHING"
)
FETCH = text("SELECT content FROM blobs WHERE tenant_id = :t AND digest = :d")


def recorded(row: Row[Any]) -> Recorded:
    return Recorded(
        tenant=row.tenant_id,
        xid=int(row.xid_text),
        position=row.position,
        kind=row.kind,
        id=row.id,
        version=row.version,
        event_id=str(row.event_id),
        type=row.type,
        schema_version=row.schema_version,
        data=row.data,
        metadata=row.metadata,
        at=row.at,
    )


class PostgresReader:
    """`engine.kernel.dispatch.Reader` on one open transaction."""

    def __init__(
        self, connection: AsyncConnection, tenant: str, catalogue: Catalogue, parts: Parts
    ) -> None:
        self._connection = connection
        self.tenant = tenant
        self._catalogue = catalogue
        self._parts = parts

    def _key(self, kind: str, id: str) -> dict[str, Any]:
        return {"t": self.tenant, "k": kind, "i": id}

    async def find(self, document: type[D], id: str) -> Versioned[D] | None:
        row = (await self._connection.execute(FIND, self._key(document.kind, id))).first()
        return None if row is None else await self._versioned(document, id, row)

    async def _versioned(self, document: type[D], id: str, row: Row[Any]) -> Versioned[D]:
        """The document of a row, folded anew when another version of the fold has made it."""
        if row.fold == document.fold_version:
            return Versioned(id, row.version, document.model_validate(row.data))
        try:
            fresh = await self._refolded(document, id)
        except Unavailable as error:
            return self._former(document, id, row, error)
        assert fresh is not None
        return fresh

    def _former(
        self, document: type[D], id: str, row: Row[Any], error: Unavailable
    ) -> Versioned[D]:
        """What the former fold made, while its events can't be had; `error` when today's code
        can't read it. Nothing is appended to it or decided upon it."""
        try:
            return Versioned(id, row.version, document.model_validate(row.data))
        except ValidationError:
            raise error from None

    async def _refolded(self, document: type[D], id: str) -> Versioned[D] | None:
        history = await self.history(document, id)
        base = None if complete(history) else await self.base(document, id)
        return self._catalogue.refold(document, history, base)

    async def list(
        self,
        document: type[D],
        *,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> Sequence[Versioned[D]]:
        return await self._several(
            document, Selection(after=after, limit=limit, descending=newest_first)
        )

    async def select(self, document: type[D], selection: Selection) -> Sequence[Versioned[D]]:
        await self._bring_up(document)
        return await self._several(document, selection)

    async def _several(self, document: type[D], selection: Selection) -> Sequence[Versioned[D]]:
        sql, values = selected(document, selection)
        rows = (await self._connection.execute(text(sql), {"t": self.tenant, **values})).all()
        return [await self._versioned(document, row.id, row) for row in rows]

    async def ids(
        self, document: type[Document], *, after: str | None = None, limit: int = 100
    ) -> Sequence[str]:
        values = {"t": self.tenant, "k": document.kind, "after": after or "", "limit": limit}
        return (await self._connection.execute(IDS, values)).scalars().all()

    async def stale(self, document: type[Document], *, limit: int = 100) -> Sequence[str]:
        values: dict[str, Any] = {"t": self.tenant, "k": document.kind}
        known = (await self._connection.execute(FOLD_OF_KIND, values)).scalar()
        if (known or 1) == document.fold_version:
            return []
        values |= {"fold": document.fold_version, "limit": limit}
        found = (await self._connection.execute(STALE, values)).scalars().all()
        if not found:
            await self._connection.execute(ALL_FOLDED, values)
        return found

    async def _index(self, id: str, state: Document) -> None:
        """Keep the rows that the document is looked up by."""
        if state.indexed:
            values = {**self._key(state.kind, id), **fields_of(state)}
            await self._connection.execute(KEEP_FIELDS, values)

    async def _bring_up(self, document: type[Document]) -> None:
        """Fold anew what a question about contents would see as another version made it."""
        while found := await self.stale(document):
            for id in found:
                await self.rebuild(document, id)

    async def rebuild(self, document: type[D], id: str) -> Rebuilt:
        key = self._key(document.kind, id)
        row = (await self._connection.execute(HOLD, key)).first()
        fresh = await self._refolded(document, id)
        if row is None or fresh is None:
            raise NotFound(f"There is no {document.kind} {id!r}.")
        data = fresh.document.model_dump(mode="json")
        changed = bool(row.data != data) or row.fold != document.fold_version
        if changed:
            values = {"data": json.dumps(data), "fold": document.fold_version}
            await self._connection.execute(STORE, {**key, **values})
        await self._index(id, fresh.document)
        return Rebuilt(fresh.version, changed)

    async def history(
        self, document: type[Document], id: str, *, from_version: int = 1
    ) -> Sequence[Recorded]:
        values = {**self._key(document.kind, id), "v": from_version}
        return [recorded(row) for row in await self._connection.execute(HISTORY, values)]

    async def base(self, document: type[Document], id: str) -> Base | None:
        row = (await self._connection.execute(BASE, self._key(document.kind, id))).first()
        return None if row is None else Base(id, row.version, row.fold, row.month, row.data)

    async def blob(self, digest: str) -> bytes:
        row = (await self._connection.execute(FETCH, {"t": self.tenant, "d": digest})).first()
        if row is None:
            raise NotFound("There is no content with that digest.", digest=digest)
        return bytes(row.content)

    def part(self, contract: Callable[..., P]) -> P:
        made = self._parts.get(contract)
        if made is None:
            raise LookupError(f"nothing implements {contract.__name__}")
        found: P = made(self._connection, self.tenant)
        return found


class PostgresTransaction(PostgresReader):
    """`engine.kernel.dispatch.Transaction` on one open transaction."""

    def _former(
        self, document: type[D], id: str, row: Row[Any], error: Unavailable
    ) -> Versioned[D]:
        raise error

    def __init__(
        self,
        connection: AsyncConnection,
        call: Call,
        catalogue: Catalogue,
        parts: Parts,
        clock: Clock,
    ) -> None:
        super().__init__(connection, call.tenant, catalogue, parts)
        self._call = call
        self._clock = clock

    async def append(
        self, document: type[D], id: str, events: Sequence[Event], *, expected: int
    ) -> Versioned[D]:
        current = await self.find(document, id)
        version = current.version if current else 0
        if version != expected or not events:
            raise VersionConflict(
                f"The {document.kind} {id!r} is at version {version}, not {expected}.",
                mend="Read it again and repeat the change.",
                version=version,
            )
        state = current.document if current else None
        events = [await self._sealed(document.kind, id, event) for event in events]
        for event in events:
            if type(event) not in document.events:
                raise UnknownEvent(
                    f"The {document.kind} {id!r} has no events of the type {event.type!r}.",
                    mend="List the type in the document's `events`.",
                )
            state = document.fold(state, event)
        assert state is not None
        try:
            head = (
                await self._connection.execute(
                    APPEND, self._append(document.kind, id, expected, events, state)
                )
            ).scalar_one()
        except DBAPIError as error:
            state_code = getattr(error.orig, "sqlstate", None)
            if state_code == SKEWED:
                raise skewed() from error
            if state_code in LOST_RACES:
                raise overtaken() from error
            if state_code != CONFLICT:
                raise
            raise VersionConflict(
                f"The {document.kind} {id!r} was changed by someone else in the meantime.",
                mend="Read it again and repeat the change.",
            ) from error
        stored = Versioned(id, head, state)
        await self._index(id, state)
        await self._schedule(document, stored)
        return stored

    async def _sealed(self, kind: str, id: str, event: Event) -> Event:
        """The event with its personal fields sealed under their subjects' keys."""
        sealed = {}
        for name, named_by in event.personal.items():
            value = getattr(event, name)
            if isinstance(value, str):
                place = canonical_json([kind, id, event.type, name])
                subject = getattr(event, named_by)
                sealed[name] = await self.part(Subjects).seal(subject, place, value)
        return event.model_copy(update=sealed) if sealed else event

    def _append(
        self, kind: str, id: str, expected: int, events: Sequence[Event], state: Document
    ) -> dict[str, Any]:
        call = self._call
        origin = Origin(
            caller=call.caller.id,
            command=type(call.command).__name__,
            causation=call.id,
            correlation=call.correlation,
            cause=call.cause,
            trace=call.trace,
        )
        return {
            **self._key(kind, id),
            "expected": expected,
            "ids": [uuid7() for _ in events],
            "types": [event.type for event in events],
            "schemas": [event.schema_version for event in events],
            "data": [encoded(event) for event in events],
            "meta": json.dumps(origin.metadata()),
            "at": self._clock(),
            "document": state.model_dump_json(),
            "fold": state.fold_version,
        }

    async def _schedule(self, document: type[D], stored: Versioned[D]) -> None:
        """Keep the queue of durable work in step with the document."""
        key = self._key(document.kind, stored.id)
        if isinstance(stored.document, Schedulable):
            due = stored.document.due()
            if due is None:
                await self._connection.execute(FINISH, key)
            else:
                await self._connection.execute(SCHEDULE, {**key, "at": due.at, "p": due.priority})

    async def guard(self, kind: str, id: str, fence: int) -> None:
        row = (await self._connection.execute(GUARD, self._key(kind, id))).first()
        if row is None or row.fence != fence:
            raise LeaseLost(f"The lease on {kind} {id!r} has passed to another worker.")

    async def put_blob(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        await self._connection.execute(KEEP, {"t": self.tenant, "d": digest, "c": content})
        return digest

    async def recall(self, key: str, fingerprint: str) -> Mapping[str, Any] | None:
        values = {"t": self.tenant, "key": key, "f": fingerprint}
        if (await self._connection.execute(RESERVE, values)).rowcount:
            return None
        row = (await self._connection.execute(RECALL, values)).one()
        if row.fingerprint != fingerprint:
            raise IdempotencyConflict(
                "This idempotency key was used before with another request.",
                mend="Use a new key for a new request.",
            )
        answer: Mapping[str, Any] = row.answer
        return answer

    async def remember(self, key: str, answer: Mapping[str, Any]) -> None:
        await self._connection.execute(
            REMEMBER, {"t": self.tenant, "key": key, "answer": dict(answer)}
        )


class PostgresTransactions:
    """`engine.kernel.dispatch.Transactions` as the application role."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        parts: Parts | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._database = database
        self.catalogue = catalogue
        self._parts = parts or {}
        self._clock = clock

    @asynccontextmanager
    async def writing(self, call: Call) -> AsyncIterator[PostgresTransaction]:
        async with self._database.transaction(call.tenant) as connection:
            yield PostgresTransaction(connection, call, self.catalogue, self._parts, self._clock)

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[PostgresReader]:
        async with self._database.transaction(tenant) as connection:
            yield PostgresReader(connection, tenant, self.catalogue, self._parts)
