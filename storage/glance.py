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
    """A pool of connections that are never inside a transaction between two statements.

    Belongs to the event loop that first uses it.
    """

    def __init__(self, url: str, *, size: int = 4, name: str = "webnova") -> None:
        self._url = url
        self._size = size
        self._name = name
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def read(self, tenant: str, wanted: Sequence[Key]) -> PrefetchedReader:
        """The wanted documents as of one instant; `Unavailable` if the database can't be asked."""
        kinds = [kind for kind, _ in wanted]
        ids = [id for _, id in wanted]
        try:
            rows = await self._fetch(tenant, kinds, ids)
        except LOST:
            try:
                # The connection may have died of old age. A read can be repeated.
                rows = await self._fetch(tenant, kinds, ids)
            except LOST as error:
                raise Unavailable(
                    "The database does not answer.",
                    mend="Try again shortly; `webnova status` shows whether it is running.",
                ) from error
        found = {(row["kind"], row["id"]): (row["version"], row["data"]) for row in rows}
        return PrefetchedReader(tenant, wanted, found)

    async def _fetch(self, tenant: str, kinds: list[str], ids: list[str]) -> list[Any]:
        pool = self._pool or await self._open()
        async with pool.acquire() as connection:
            rows: list[Any] = await connection.fetch(GLANCE, tenant, kinds, ids)
            return rows

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._size,
                    timeout=10,
                    command_timeout=30,
                    # Nothing outlives a statement, so nothing needs to be reset.
                    reset=_leave,
                    server_settings={"application_name": self._name, "search_path": "webnova"},
                )
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


async def _leave(connection: Any) -> None:
    pass
