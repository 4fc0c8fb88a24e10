"""A few documents of one tenant in a single round trip: the path of every authenticated read.

An ordinary transaction costs a round trip each to check the connection, begin, set the tenant, read
each document and commit. Here one statement, which is a transaction of its own, does it all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from engine.kernel.contracts import Base, Document, Recorded, Versioned
from engine.kernel.selections import Selection
from engine.ledger.tenancy.suspension import Suspension, Suspensions
from storage.connections import LOST, Connections, unavailable

D = TypeVar("D", bound=Document)
P = TypeVar("P")
Key = tuple[str, str]
"""Kind and id of a document."""

# The tenant must be set before row-level security looks at it. Each part depends on the one before
# (LATERAL, and OFFSET 0 keeps the planner from merging them), so no other order is possible; if
# one were, there would be no tenant yet and no row to see. Whether the tenant is suspended comes
# with it, as a row that has an instant and no kind, and a version once the tenant is deleted.
GLANCE = """
WITH scope AS MATERIALIZED (SELECT set_config('webnova.tenant', $1, true) AS tenant)
SELECT d.kind, d.id, d.version, d.data, d.fold, NULL::timestamptz AS since
FROM scope s
CROSS JOIN unnest($2::text[], $3::text[]) AS wanted (kind, id)
CROSS JOIN LATERAL (
    SELECT kind, id, version, data::text AS data, fold FROM webnova.documents
    WHERE tenant_id = s.tenant AND kind = wanted.kind AND id = wanted.id AND data IS NOT NULL
    OFFSET 0
) d
UNION ALL
SELECT NULL, NULL, r.deleted, r.reason, NULL, r.since
FROM scope s
CROSS JOIN LATERAL (
    SELECT reason, since,
        (SELECT 1 FROM webnova.deletions d WHERE d.tenant_id = s.tenant) AS deleted
    FROM webnova.suspensions WHERE tenant_id = s.tenant OFFSET 0
) r
"""


class NotPrefetched(Exception):
    """A handler looked for something that was not read ahead; ask in a transaction instead."""


class Known:
    """`engine.ledger.tenancy.suspension.Suspensions` as read ahead; it changes nothing."""

    def __init__(self, suspension: Suspension | None) -> None:
        self._suspension = suspension

    async def current(self) -> Suspension | None:
        return self._suspension

    async def begin(self, tenant: str, suspension: Suspension) -> None:
        raise NotPrefetched

    async def end(self, tenant: str) -> None:
        raise NotPrefetched


class PrefetchedReader:
    """`engine.kernel.dispatch.Reader` over documents of one snapshot, read ahead."""

    def __init__(
        self,
        tenant: str,
        wanted: Sequence[Key],
        found: Mapping[Key, tuple[int, str, int]],
        suspension: Suspension | None,
    ) -> None:
        self.tenant = tenant
        self._suspension = suspension
        self._wanted = frozenset(wanted)
        self._found = found

    async def find(self, document: type[D], id: str) -> Versioned[D] | None:
        key = (document.kind, id)
        if key not in self._wanted:
            raise NotPrefetched
        if key not in self._found:
            return None
        version, data, fold = self._found[key]
        if fold != document.fold_version:
            raise NotPrefetched
        return Versioned(id, version, document.model_validate_json(data))

    async def list(
        self,
        document: type[D],
        *,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> Sequence[Versioned[D]]:
        raise NotPrefetched

    async def select(self, document: type[D], selection: Selection) -> Sequence[Versioned[D]]:
        raise NotPrefetched

    async def ids(
        self, document: type[Document], *, after: str | None = None, limit: int = 100
    ) -> Sequence[str]:
        raise NotPrefetched

    async def stale(self, document: type[Document], *, limit: int = 100) -> Sequence[str]:
        raise NotPrefetched

    async def history(
        self, document: type[Document], id: str, *, from_version: int = 1
    ) -> Sequence[Recorded]:
        raise NotPrefetched

    async def base(self, document: type[Document], id: str) -> Base | None:
        raise NotPrefetched

    async def blob(self, digest: str) -> bytes:
        raise NotPrefetched

    def part(self, contract: Callable[..., P]) -> P:
        if contract is not Suspensions:
            raise NotPrefetched
        found: Any = Known(self._suspension)
        part: P = found
        return part


class Glances:
    """Documents of one tenant, each call one statement. Belongs to the loop that first uses it."""

    def __init__(self, url: str, *, size: int = 4, name: str = "webnova") -> None:
        # There is one statement, and planning it anew takes longer than running it.
        once = {"plan_cache_mode": "force_generic_plan"}
        self._connections = Connections(url, size=size, name=name, settings=once)

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
                raise unavailable() from error
        found: dict[Key, tuple[int, str, int]] = {}
        suspension = None
        for row in rows:
            if row["since"] is None:
                found[row["kind"], row["id"]] = row["version"], row["data"], row["fold"]
            else:
                deleted = row["version"] is not None
                suspension = Suspension(row["since"], row["data"], deleted)
        return PrefetchedReader(tenant, wanted, found, suspension)

    async def _fetch(self, tenant: str, wanted: Sequence[Key]) -> list[Any]:
        kinds = [kind for kind, _ in wanted]
        ids = [id for _, id in wanted]
        async with self._connections.borrow() as connection:
            rows: list[Any] = await connection.fetch(GLANCE, tenant, kinds, ids)
            return rows

    async def close(self) -> None:
        await self._connections.close()
