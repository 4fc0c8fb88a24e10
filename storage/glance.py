"""A few documents of one tenant in a single round trip: the path of every authenticated read.

An ordinary transaction costs a round trip each to check the connection, begin, set the tenant, read
each document and commit. Here one statement, which is a transaction of its own, does it all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from engine.kernel.contracts import Document, Recorded, Versioned
from engine.kernel.errors import Unavailable

D = TypeVar("D", bound=Document)
Key = tuple[str, str]
"""Kind and id of a document."""

# The tenant must be set before row-level security looks at it. Each part depends on the one before
# (LATERAL, and OFFSET 0 keeps the planner from merging them), so no other order is possible; if
# one were, there would be no tenant yet and no row to see.
GLANCE = """
SELECT d.kind, d.id, d.version, d.data
FROM (SELECT set_config('webnova.tenant', $1, true) AS tenant OFFSET 0) s
CROSS JOIN unnest($2::text[], $3::text[]) AS wanted (kind, id)
CROSS JOIN LATERAL (
    SELECT kind, id, version, data::text AS data FROM webnova.documents
    WHERE tenant_id = s.tenant AND kind = wanted.kind AND id = wanted.id OFFSET 0
) d
"""
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InterfaceError,
)


class NotPrefetched(Exception):
    """A handler looked for something that was not read ahead; ask in a transaction instead."""


class PrefetchedReader:
    """`engine.kernel.dispatch.Reader` over documents of one snapshot, read ahead."""

    def __init__(
        self, tenant: str, wanted: Sequence[Key], found: Mapping[Key, tuple[int, str]]
    ) -> None:
        self.tenant = tenant
        self._wanted = frozenset(wanted)
        self._found = found

    async def find(self, document: type[D], id: str) -> Versioned[D] | None:
        key = (document.kind, id)
        if key not in self._wanted:
            raise NotPrefetched
        if key not in self._found:
            return None
        version, data = self._found[key]
        return Versioned(id, version, document.model_validate_json(data))

    async def list(
        self,
        document: type[D],
        *,
        where: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> Sequence[Versioned[D]]:
        raise NotPrefetched

    async def history(
        self, document: type[Document], id: str, *, from_version: int = 1
    ) -> Sequence[Recorded]:
        raise NotPrefetched

    async def blob(self, digest: str) -> bytes:
        raise NotPrefetched


class Glances:
    """A few connections that are never inside a transaction between two statements.

    They hold no state, so they need none of what a general pool does at every turn. Belongs to the
    event loop that first uses it.
    """

    def __init__(self, url: str, *, size: int = 4, name: str = "webnova") -> None:
        self._url = url
        self._settings = {
            "application_name": name,
            "search_path": "webnova",
            # There is one statement, and planning it anew takes longer than running it.
            "plan_cache_mode": "force_generic_plan",
        }
        self._idle: list[asyncpg.Connection] = []
        self._room = asyncio.Semaphore(size)

    async def read(self, tenant: str, wanted: Sequence[Key]) -> PrefetchedReader:
        """The wanted documents as of one instant; `Unavailable` if the database can't be asked."""
        try:
            rows = await self._fetch(tenant, wanted)
        except LOST:
            # The connection may have died while it was idle, and the others with it.
            await self.close()
            try:
                rows = await self._fetch(tenant, wanted)
            except LOST as error:
                raise Unavailable(
                    "The database does not answer.",
                    mend="Try again shortly; `webnova status` shows whether it is running.",
                ) from error
        found = {(row["kind"], row["id"]): (row["version"], row["data"]) for row in rows}
        return PrefetchedReader(tenant, wanted, found)

    async def _fetch(self, tenant: str, wanted: Sequence[Key]) -> list[Any]:
        kinds = [kind for kind, _ in wanted]
        ids = [id for _, id in wanted]
        async with self._room:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                rows: list[Any] = await connection.fetch(GLANCE, tenant, kinds, ids)
            except BaseException:
                # Also when the caller left in between: an answer may still be on its way.
                connection.terminate()
                raise
            self._idle.append(connection)
            return rows

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url, timeout=10, command_timeout=30, server_settings=self._settings
        )

    async def close(self) -> None:
        """Close what is idle; what is in use goes on."""
        while self._idle:
            self._idle.pop().terminate()
