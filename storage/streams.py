"""`engine.ledger.streams.EventStore` on Postgres."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from engine.kernel.clock import Clock, system_clock
from engine.kernel.contracts import Recorded
from engine.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable, VersionConflict
from engine.kernel.ids import uuid7
from engine.ledger.streams import (
    MOST_EVENTS,
    Append,
    Appended,
    Expected,
    Links,
    Origin,
    check_place,
    encoded,
)
from storage.connections import LOST, Connections, unavailable
from storage.joining import Joining

CONFLICT = "WN001"
"""SQLSTATE of the function `append` for a stream that is not at the expected version."""
OVERTAKEN = "WN003"
"""SQLSTATE of the function `append` when a transaction appends behind one that began to write after
it: readers would see the stream out of order. Made again, the transaction is the later one."""
DEADLOCK = "40P01"
LOST_RACES = frozenset({OVERTAKEN, DEADLOCK})
"""SQLSTATEs of an append that had no chance beside another, and has one when it is made again."""
ATTEMPTS = 10
"""How often an append is made that loses such races."""
MOST_LOCKED = 100
"""Streams of one append that are waited for before it begins. Locks take the server's shared
memory; a larger append is made again where it is overtaken."""
SKEWED = "WN002"
"""SQLSTATE of the function `append` when this machine's clock is not the database's."""

COLUMNS = (
    "xid::text AS xid_text, position, tenant_id, kind, id, version, event_id, type,"
    " schema_version, data::text AS data, metadata::text AS metadata, at"
)
PARAMETERS = "$1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11::text::jsonb"
APPEND = f"SELECT webnova.append({PARAMETERS})"
APPEND_ALONE = f"SELECT webnova.append_alone({PARAMETERS})"
APPEND_ONE = (
    "SELECT webnova.append_one($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb, $10)"
)
APPEND_JOINT = "SELECT webnova.append_joint($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
SCOPE = "SELECT set_config('webnova.tenant', $1, true)"
REGISTER = (
    "INSERT INTO webnova.event_ids (tenant_id, event_id, kind, id, version)"
    " SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::integer[])"
    " ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING event_id"
)
LOCK = "SELECT webnova.lock_streams($1, $2, $3)"
KNOWN = (
    "SELECT event_id, kind, id, version FROM webnova.event_ids"
    " WHERE tenant_id = $1 AND event_id = ANY($2)"
)
FORWARDS = (
    f"SELECT {COLUMNS} FROM webnova.events WHERE tenant_id = $1 AND kind = $2 AND id = $3"
    " AND version > $4 ORDER BY version LIMIT $5"
)
BACKWARDS = (
    f"SELECT {COLUMNS} FROM webnova.events WHERE tenant_id = $1 AND kind = $2 AND id = $3"
    " AND ($4 = 0 OR version < $4) ORDER BY version DESC LIMIT $5"
)
BY_EVENT_ID = f"SELECT {COLUMNS} FROM webnova.events WHERE tenant_id = $1 AND event_id = $2"
SIBLINGS = (
    f"SELECT {COLUMNS} FROM webnova.events WHERE tenant_id = $1 AND xid = $2::text::xid8"
    " AND event_id <> $3 AND metadata ->> 'causation' IS NOT DISTINCT FROM $4 ORDER BY position"
)
EFFECTS = (
    f"SELECT {COLUMNS} FROM webnova.events WHERE tenant_id = $1 AND cause = ANY($2)"
    " ORDER BY events.xid, position"
)


class PostgresEventStore:
    """`engine.ledger.streams.EventStore` as the application role."""

    def __init__(self, connections: Connections, clock: Clock = system_clock) -> None:
        self._connections = connections
        self._clock = clock
        self._joining = Joining(self._append_one, self._append_joint)

    async def append(
        self, tenant: str, appends: Sequence[Append], origin: Origin
    ) -> list[Appended]:
        if not appends or any(not each.events for each in appends):
            raise InvalidInput("An append needs at least one stream, and each at least one event.")
        if sum(len(each.events) for each in appends) > MOST_EVENTS:
            raise InvalidInput(
                f"One append takes at most {MOST_EVENTS:,} events.", mend="Append in parts."
            )
        for each in appends:
            check_place(tenant, each, origin)
        rows = [_parameters(tenant, each, origin, self._clock()) for each in appends]
        causation = origin.metadata()["causation"]
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._append(tenant, appends, rows, causation)
            except VersionConflict as error:
                if getattr(error.__cause__, "sqlstate", None) not in LOST_RACES:
                    raise
        return await self._append(tenant, appends, rows, causation)

    async def _append(
        self,
        tenant: str,
        appends: Sequence[Append],
        rows: Sequence[tuple[Any, ...]],
        causation: str,
    ) -> list[Appended]:
        named = any(event.id is not None for each in appends for event in each.events)
        if len(rows) == 1 and not named:
            append, row = appends[0], rows[0]
            if len(append.events) == 1:
                # Events of one transaction are told apart by the call that caused them (`links`).
                keys = (_key(append), causation)
                head = await self._joining.fulfil(tenant, _one(row), keys)
            else:
                head = await self._fetch(APPEND_ALONE, row)
            return [Appended(append.kind, append.id, head)]
        try:
            return await self._append_all(tenant, appends, rows)
        except Conflict:
            if not named:
                raise
            # Perhaps the same append was made at the same time; then it is known by now.
            return await self._append_all(tenant, appends, rows)

    async def _append_one(self, tenant: str, row: tuple[Any, ...]) -> int:
        return int(await self._fetch(APPEND_ONE, row))

    async def _append_joint(
        self, tenant: str, rows: Sequence[tuple[Any, ...]]
    ) -> Sequence[int | None]:
        # In one order everywhere, so that two of these seldom wait for each other.
        order = sorted(range(len(rows)), key=lambda number: rows[number][1:3])
        columns = list(zip(*(rows[number][1:] for number in order), strict=True))
        heads: list[int | None] = [None] * len(rows)
        try:
            found = await self._fetch(APPEND_JOINT, (tenant, *columns))
        except (VersionConflict, asyncpg.PostgresError):
            # One of them is refused, or waits: alone, each gets the answer that is its own.
            return heads
        for number, head in zip(order, found, strict=True):
            heads[number] = head
        return heads

    async def _fetch(self, statement: str, arguments: Sequence[Any]) -> Any:
        with translated():
            async with self._connections.borrow() as connection:
                return await connection.fetchval(statement, *arguments)

    async def _append_all(
        self, tenant: str, appends: Sequence[Append], rows: Sequence[tuple[Any, ...]]
    ) -> list[Appended]:
        with translated():
            async with self._connections.borrow() as connection, connection.transaction():
                await connection.execute(SCOPE, tenant)
                return await _append_all(connection, tenant, appends, rows)

    async def read(
        self,
        tenant: str,
        kind: str,
        id: str,
        *,
        after: int = 0,
        limit: int = 500,
        backwards: bool = False,
    ) -> list[Recorded]:
        statement = BACKWARDS if backwards else FORWARDS
        async with self._reading(tenant) as connection:
            rows = await connection.fetch(statement, tenant, kind, id, after, limit)
            return [recorded(row) for row in rows]

    async def links(self, tenant: str, event_id: str, *, depth: int = 20) -> Links:
        async with self._reading(tenant) as connection:
            event = await _by_id(connection, tenant, event_id)
            if event is None:
                raise NotFound(f"There is no event {event_id!r}.")
            causes: list[Recorded] = []
            before: Recorded | None = event
            while before is not None and len(causes) < depth:
                cause = before.metadata.get("cause")
                before = await _by_id(connection, tenant, cause) if cause else None
                causes += [before] if before is not None else []
            # An import is one transaction of what were many: the call tells them apart.
            same = (str(event.xid), UUID(event_id), event.metadata.get("causation"))
            siblings = await connection.fetch(SIBLINGS, tenant, *same)
            effects: list[Recorded] = []
            front = [event_id]
            for _ in range(depth):
                rows = await connection.fetch(EFFECTS, tenant, front)
                if not rows:
                    break
                effects += [recorded(row) for row in rows]
                front = [str(row["event_id"]) for row in rows]
            return Links(event, causes, [recorded(row) for row in siblings], effects)

    @asynccontextmanager
    async def _reading(self, tenant: str) -> AsyncIterator[asyncpg.Connection]:
        with translated():
            async with (
                self._connections.borrow() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute(SCOPE, tenant)
                yield connection


def recorded(row: asyncpg.Record) -> Recorded:
    return Recorded(
        tenant=row["tenant_id"],
        xid=int(row["xid_text"]),
        position=row["position"],
        kind=row["kind"],
        id=row["id"],
        version=row["version"],
        event_id=str(row["event_id"]),
        type=row["type"],
        schema_version=row["schema_version"],
        data=json.loads(row["data"]),
        metadata=json.loads(row["metadata"]),
        at=row["at"],
    )


def _parameters(tenant: str, append: Append, origin: Origin, at: datetime) -> tuple[Any, ...]:
    """The arguments of the function `append`, in its order."""
    events = append.events
    return (
        tenant,
        append.kind,
        append.id,
        None if append.expected == Expected.ANY else append.expected,
        [each.id or uuid7() for each in events],
        [each.event.type for each in events],
        [each.event.schema_version for each in events],
        [encoded(each.event) for each in events],
        json.dumps(origin.metadata()),
        at,
        None,
    )


def _one(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of `append_one` from those of `append` with a single event."""
    *place, ids, types, schemas, data, metadata, at, _ = row
    return (*place, ids[0], types[0], schemas[0], data[0], metadata, at)


async def _append_all(
    connection: asyncpg.Connection,
    tenant: str,
    appends: Sequence[Append],
    rows: Sequence[tuple[Any, ...]],
) -> list[Appended]:
    named = {event.id for each in appends for event in each.events if event.id is not None}
    known = {row["event_id"]: row for row in await connection.fetch(KNOWN, tenant, list(named))}
    if known:
        return _repeated(appends, named, known)
    if 1 < len(appends) <= MOST_LOCKED:
        keys = [each.kind for each in appends], [each.id for each in appends]
        await connection.execute(LOCK, tenant, *keys)
    found = []
    for append, row in zip(appends, rows, strict=True):
        head = await connection.fetchval(APPEND, *row)
        found.append(Appended(append.kind, append.id, head))
        first = head - len(append.events) + 1
        ids = [
            (event.id, append.kind, append.id, first + number)
            for number, event in enumerate(append.events)
            if event.id is not None
        ]
        if ids:
            kept = await connection.fetch(REGISTER, tenant, *map(list, zip(*ids, strict=True)))
            if len(kept) != len(ids):
                raise Conflict(
                    "An event id stands for more than one event.",
                    mend="Give each event an id of its own; repeat an append with the same ids.",
                )
    return found


def _repeated(
    appends: Sequence[Append], named: set[UUID], known: dict[UUID, asyncpg.Record]
) -> list[Appended]:
    """The answer to an append that was made before; `Conflict` if this is not the same one."""
    found = []
    for append in appends:
        places = [known.get(event.id) for event in append.events if event.id is not None]
        here = [each for each in places if each and (each["kind"], each["id"]) == _key(append)]
        if len(here) != len(append.events):
            raise Conflict(
                "Some of these event ids are known already, and not from the same append.",
                mend="Repeat an append with all its events, or give new events new ids.",
                known=sorted(str(each) for each in named & known.keys())[:20],
            )
        version = max(int(each["version"]) for each in here)
        found.append(Appended(append.kind, append.id, version, repeated=True))
    return found


def _key(append: Append) -> tuple[str, str]:
    return append.kind, append.id


async def _by_id(connection: asyncpg.Connection, tenant: str, event_id: str) -> Recorded | None:
    try:
        wanted = UUID(event_id)
    except ValueError:
        return None
    row = await connection.fetchrow(BY_EVENT_ID, tenant, wanted)
    return None if row is None else recorded(row)


def skewed() -> Unavailable:
    return Unavailable(
        "The clocks of this machine and of the database differ by more than 5 minutes.",
        mend="Synchronise both with a time server (NTP).",
    )


def overtaken() -> VersionConflict:
    return VersionConflict(
        "Others appended to the same streams at the same time.",
        mend="Read them again and repeat the change.",
    )


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver as errors of the engine."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if error.sqlstate == CONFLICT:
            raise VersionConflict(
                "A stream is not at the expected version.", mend="Read it again and repeat."
            ) from error
        if error.sqlstate in LOST_RACES:
            raise overtaken() from error
        if error.sqlstate == SKEWED:
            raise skewed() from error
        if isinstance(error, LOST):
            raise unavailable() from error
        raise
    except LOST as error:
        raise unavailable() from error
