"""What a tenant may know of its archives: which months left the database, and into which files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from pydantic import AwareDatetime, Field

from engine.kernel.contracts import Query, View
from engine.kernel.dispatch import Handlers, Reader
from engine.ledger.archive.retention import DEFAULT_DAYS
from engine.ledger.metering.periods import Period


class ArchivedMonth(View):
    """A month of the tenant in an archive, which held each of its events when it was verified.

    `stored` of its `events` are in the database: none once it is dropped, all after it was brought
    back. `size` and `root` (base64) are of the log in the archive's checkpoint, `bytes` and
    `sha256` (hex) of the file; these and `verified_at` are null where they were not kept.
    """

    month: str
    events: int
    stored: int
    first_leaf: int
    last_leaf: int
    size: int | None
    root: str | None
    bytes: int | None
    sha256: str | None
    verified_at: AwareDatetime | None


class ArchivedMonthList(View):
    """`retention_days`: a month stays in the database for so many days after its end, unless
    whoever drops it names others."""

    items: list[ArchivedMonth]
    next: str | None
    retention_days: int


class ListArchivedMonths(Query):
    """Archived months from the oldest on, past the month `after`."""

    permission: ClassVar[str] = "audit.read"

    after: Period | None = None
    limit: int = Field(50, ge=1, le=200)


class ArchivedMonths(Protocol):
    """The notes on one tenant's archives, read in one transaction."""

    async def months(self, after: str | None, limit: int) -> Sequence[ArchivedMonth]: ...


class ArchiveNotes:
    def __init__(self, days: int = DEFAULT_DAYS) -> None:
        self._days = days

    def handlers(self) -> Handlers:
        made = Handlers()
        made.query(ListArchivedMonths, ArchivedMonthList)(self.list)
        return made

    async def list(self, query: ListArchivedMonths, reader: Reader) -> ArchivedMonthList:
        found = await reader.part(ArchivedMonths).months(query.after, query.limit + 1)
        page = list(found[: query.limit])
        return ArchivedMonthList(
            items=page,
            next=page[-1].month if len(found) > len(page) else None,
            retention_days=self._days,
        )
