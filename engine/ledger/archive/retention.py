"""Dropping a month of events that archives stand in for, and bringing it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path

from engine.kernel.clock import Clock
from engine.kernel.contracts import Base, Catalogue, Recorded, View
from engine.kernel.errors import Conflict, InvalidInput
from engine.ledger.archive.archiving import Archivist, Compared
from engine.ledger.archive.examination import event_lines, examined
from engine.ledger.archive.store import Bases, History, Months, Stream
from engine.ledger.metering.periods import end_of
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import Line, Trust, event_of_line
from engine.ledger.transparency.merkle import hash_leaf
from engine.ledger.transparency.notes import decoded_hash

DEFAULT_DAYS = 30
"""Days that must have passed since the end of a month before it may be dropped."""
PAGE = 500
COMPARE = "Compare an export with a checkpoint kept outside: `webnova audit verify`."


class DroppedMonth(View):
    """`bases` counts the documents whose state was kept in place of their events."""

    month: str
    tenants: int
    events: int
    bases: int


class RestoredMonth(View):
    """`restored` counts the events that were not there before."""

    tenant: str
    month: str
    events: int
    restored: int


class Retention:
    """Drops months, and only those that every archive stands in for."""

    def __init__(
        self, archivist: Archivist, months: Months, catalogue: Catalogue, clock: Clock
    ) -> None:
        self._archivist = archivist
        self._months = months
        self._catalogue = catalogue
        self._clock = clock

    async def drop(self, month: str, *, days: int = DEFAULT_DAYS) -> DroppedMonth:
        """Drop the events of a month of all tenants.

        Raises `Conflict`, with the tenant and what stands against it, and changes no event: when
        the month ended less than `days` ago, a log lacks events, an archive is not intact or says
        anything else than the database, or somebody still needs events up to the month's end.
        Raises `NotFound` when there is no archive, no event or no partition of the month, and
        `Unavailable` when a document can't be folded up to there.
        """
        due = end_of(month) + timedelta(days=days)
        if self._clock() < due:
            raise Conflict(
                f"The month {month} may be dropped from {due:%Y-%m-%d} on, {days} days after its "
                "end.",
                mend="Wait until then, or name fewer days.",
            )
        tenants = await self._archivist.tenants(month)
        compared = {each: await self._archivist.compare(each, month) for each in tenants}
        for tenant, found in compared.items():
            await self._refuse_needed(tenant, month, found)
        bases = 0
        for tenant, found in compared.items():
            bases += await self._keep_bases(tenant, month)
            await self._months.note(tenant, found.archived, self._clock())
        events = {tenant: found.archived.events for tenant, found in compared.items()}
        await self._months.drop(month, events)
        return DroppedMonth(
            month=month, tenants=len(events), events=sum(events.values()), bases=bases
        )

    async def _refuse_needed(self, tenant: str, month: str, found: Compared) -> None:
        obstacles = await self._months.obstacles(tenant, found.last)
        if obstacles:
            raise Conflict(
                f"Events of {month} of the tenant {tenant!r} are still needed: "
                f"{'; '.join(obstacles)}.",
                mend="Let them catch up, deliver or remove them first.",
                tenant=tenant,
                obstacles=list(obstacles),
            )

    async def _keep_bases(self, tenant: str, month: str) -> int:
        count, size, page = 0, 0, list[Stream]()
        async for stream in self._months.streams(tenant, month):
            page.append(stream)
            size += stream.last
            if size >= PAGE:
                count += await self._keep_page(tenant, month, page)
                size, page = 0, []
        return count + (await self._keep_page(tenant, month, page) if page else 0)

    async def _keep_page(self, tenant: str, month: str, page: Sequence[Stream]) -> int:
        histories = await self._months.histories(tenant, page)
        bases = [
            (stream.kind, self._base(tenant, month, stream, history))
            for stream, history in zip(page, histories, strict=True)
            # A base of a later version covers this month as well.
            if history[1] is None or history[1].version <= stream.last
        ]
        await self._months.keep(tenant, bases)
        return len(bases)

    def _base(self, tenant: str, month: str, stream: Stream, history: History) -> Base:
        """What the document was at its last version of the month."""
        document = self._catalogue.documents.get(stream.kind)
        if document is None:
            raise Conflict(
                f"The tenant {tenant!r} has documents of the kind {stream.kind!r}, which this "
                "installation can't fold.",
                mend="Drop the month with the version of WebNova that knows the kind.",
                tenant=tenant,
            )
        found = self._catalogue.refold(document, *history)
        assert found is not None
        data = found.document.model_dump(mode="json")
        return Base(stream.id, found.version, document.fold_version, month, data)


async def logged_events(bases: Bases, tenant: str, lines: Sequence[Line]) -> list[Recorded]:
    """The events of an intact archive's lines; `Conflict` when the log knows one otherwise."""
    events = [event_of_line(line) for line in lines]
    known = await bases.leaves(tenant, [event.event_id for event in events])
    for line, event in zip(lines, events, strict=True):
        leaf, logged = decoded_hash(line.leaf or "", "leaf"), known.get(event.event_id)
        here = (line.index, leaf, (event.xid, event.position))
        genuine = hash_leaf(event_bytes(event)) == leaf
        if logged is None or not genuine or (logged.index, logged.hash, logged.place) != here:
            raise Conflict(
                f"The log knows event {line.index} of the tenant {tenant!r} otherwise.",
                mend=COMPARE,
            )
    return events


class Restoration:
    """Brings the events of an archive back to where they were."""

    def __init__(self, months: Months) -> None:
        self._months = months

    async def restore(self, path: Path) -> RestoredMonth:
        """Insert the events of an archive that are not there; those that are stay as they are.

        Ids, versions, instants, metadata and places are what they were, so cursors and the log go
        on to hold. Raises `InvalidInput` when the file is no archive or is not intact, and
        `Conflict` when the log knows its events otherwise. Who has signed it is of no concern:
        each event is held against the log. May be repeated, also after it was cut off.
        """
        report = examined(path, Trust())
        if not report.intact:
            raise InvalidInput(
                f"The archive {str(path)!r} is not intact: {report.findings[0].message}",
                mend="Use another copy; `webnova audit verify FILE` says more.",
            )
        before = await self._months.count(report.tenant, report.month)
        await self._months.make(report.month)
        lines = event_lines(path)
        while page := [line for line, _ in islice(lines, PAGE)]:
            await self._insert(report.tenant, page)
        after = await self._months.count(report.tenant, report.month)
        return RestoredMonth(
            tenant=report.tenant,
            month=report.month,
            events=report.events,
            restored=after - before,
        )

    async def _insert(self, tenant: str, lines: Sequence[Line]) -> None:
        events = await logged_events(self._months, tenant, lines)
        leaves = {
            event.event_id: (decoded_hash(line.leaf or "", "leaf"), (event.xid, event.position))
            for line, event in zip(lines, events, strict=True)
        }

        def check(stored: list[Recorded]) -> None:
            found = {
                event.event_id: (hash_leaf(event_bytes(event)), (event.xid, event.position))
                for event in stored
            }
            if found != leaves:
                raise Conflict(
                    f"Events of the tenant {tenant!r} are stored otherwise than in the archive.",
                    mend=COMPARE,
                )

        await self._months.restore(tenant, events, check)
