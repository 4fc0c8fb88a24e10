"""Reading events as they happen, without ever missing one.

Positions are drawn before commit, so a reader that remembers only a position skips events of
writers that commit late. Readers here go by `(xid, position)` and look only at transactions below
the horizon, `pg_snapshot_xmin(pg_current_snapshot())`: every such transaction has ended, so nothing
can appear behind the cursor any more. The price is that one long transaction holds readers up; the
pools' `idle_in_transaction_session_timeout` and `statement_timeout`, and the roles'
`transaction_timeout`, bound that. `storage.clusters` keeps the order when the database moves to
another server.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator

from engine.kernel.contracts import Recorded
from engine.kernel.errors import InvalidInput, Unavailable
from storage.connections import Connections
from storage.streams import COLUMNS, recorded, translated

CURSOR = re.compile(r"(\d{1,19})-(\d{1,18})")
PULSE = "SELECT pg_current_snapshot()::text"
# One statement sets the tenant and reads, as in `storage.glance`: the parts depend on each other,
# so that the tenant is set before row-level security looks at it.
READ = f"""
SELECT e.* FROM (SELECT set_config('webnova.tenant', $1, true) AS tenant OFFSET 0) s
CROSS JOIN LATERAL (
    SELECT {COLUMNS}, xid FROM webnova.events
    WHERE tenant_id = s.tenant AND (xid, position) > ($2::text::xid8, $3)
      AND xid < webnova.horizon() {{conditions}}
    ORDER BY events.xid, events.position LIMIT $4
) e ORDER BY e.xid, e.position
"""


class PostgresFeed:
    """`engine.kernel.dispatch.Feed`.

    Subscribers of one process share a single pulse: one small query every `interval` seconds
    while anyone listens, none otherwise. Each subscriber reads again only when the pulse shows
    that some transaction has ended since. Appending pays nothing for it, as it would for a NOTIFY.
    """

    def __init__(
        self, connections: Connections, *, interval: float = 0.02, heartbeat: float = 15.0
    ) -> None:
        self._connections = connections
        self._interval = interval
        self._heartbeat = heartbeat
        self._listeners = 0
        self._snapshot = ""
        self._changed = asyncio.Condition()
        self._pulse: asyncio.Task[None] | None = None

    async def read(
        self,
        tenant: str,
        *,
        after: str | None,
        kind: str | None = None,
        id: str | None = None,
        limit: int = 500,
    ) -> list[Recorded]:
        """The next events past the cursor, oldest first, at most `limit`.

        Raises `InvalidInput` for a cursor that this store never gave out.
        """
        xid, position = parse_cursor(after)
        given = {"kind": kind, "id": id}
        filters = {name: value for name, value in given.items() if value is not None}
        conditions = "".join(
            f" AND {name} = ${number}" for number, name in enumerate(filters, start=5)
        )
        statement = READ.format(conditions=conditions)
        with translated():
            async with self._connections.borrow() as connection:
                rows = await connection.fetch(
                    statement, tenant, str(xid), position, limit, *filters.values()
                )
        return [recorded(row) for row in rows]

    async def subscribe(
        self, tenant: str, *, after: str | None, kind: str | None = None, id: str | None = None
    ) -> AsyncIterator[Recorded | None]:
        self._listeners += 1
        self._ensure_pulse()
        told = time.monotonic()
        try:
            while True:
                seen = self._snapshot
                events = await self.read(tenant, after=after, kind=kind, id=id)
                for event in events:
                    yield event
                    after = event.cursor
                    told = time.monotonic()
                # Others' transactions end the wait too, however seldom one is of interest here.
                quiet = time.monotonic() - told
                if not events and quiet < self._heartbeat:
                    await self._wait(seen, self._heartbeat - quiet)
                elif not events:
                    yield None
                    told = time.monotonic()
        finally:
            self._listeners -= 1

    async def _wait(self, seen: str, seconds: float) -> None:
        """Until some transaction has ended since the snapshot `seen`, but not longer."""
        self._ensure_pulse()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: self._snapshot != seen)

    def _ensure_pulse(self) -> None:
        if self._pulse is None or self._pulse.done():
            self._pulse = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while self._listeners:
            try:
                with translated():
                    async with self._connections.borrow() as connection:
                        snapshot = str(await connection.fetchval(PULSE))
            except Unavailable:
                # Who listens is woken, and learns the same by its own read.
                snapshot = ""
            if snapshot != self._snapshot:
                async with self._changed:
                    self._snapshot = snapshot
                    self._changed.notify_all()
            await asyncio.sleep(self._interval)


def parse_cursor(cursor: str | None) -> tuple[int, int]:
    """The `(xid, position)` of a cursor; the beginning for None."""
    if cursor is None:
        return 0, 0
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise InvalidInput(
            "That is not a place in the event stream.",
            mend="Send the id of the last event you received, or leave it out to start anew.",
        )
    return int(match[1]), int(match[2])
