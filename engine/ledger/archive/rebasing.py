"""Bases folded anew from archives, for documents that a newer WebNova folds in another way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from engine.kernel.contracts import Base, Catalogue, Document, Recorded
from engine.kernel.errors import InvalidInput, Unavailable
from engine.ledger.archive.examination import event_lines, examined
from engine.ledger.archive.files import place_of
from engine.ledger.archive.retention import PAGE, logged_events
from engine.ledger.archive.store import Bases, Stream
from engine.ledger.transparency.export import Line, Trust

MOST_EVENTS = 20_000
"""Of the documents that are folded together: so many are held in memory, and the archives are read
once for each time that many."""

Events = Mapping[str, dict[int, Recorded]]
"""For each document its events by version."""


class Rebasing:
    """Makes bases what today's fold makes of the same events.

    Events that are not in the database are read from the archives below `directory`. Such an
    archive must be intact and each of its events what the log knows; who signed it does not matter.
    """

    def __init__(self, bases: Bases, catalogue: Catalogue, directory: Path) -> None:
        self._bases = bases
        self._catalogue = catalogue
        self._directory = directory
        self._in_vain: dict[tuple[str, str, str], object] = {}

    async def rebase(self, tenant: str, kind: str) -> int:
        """Fold anew each base of the kind that another version of the fold has made; how many.

        Raises `Unavailable`, with the months whose archives are not there, when events of some are
        missing; all others are done by then. Raises `InvalidInput` for an archive that is not
        intact and `Conflict` for one that says anything else than the log.
        """
        document = self._catalogue.documents[kind]
        count, lacking = 0, 0
        async for page in self._pages(tenant, document):
            short = await self._fold(tenant, document, page)
            count += len(page) - short
            lacking += short
        if lacking:
            raise await self._absent(tenant, kind, lacking)
        return count

    async def _pages(self, tenant: str, document: type[Document]) -> AsyncIterator[list[Stream]]:
        size, page, after = 0, list[Stream](), ""
        fold = document.fold_version
        while found := await self._bases.stale(tenant, document.kind, fold, after=after):
            for stream in found:
                page.append(stream)
                size += stream.last
                if size >= MOST_EVENTS:
                    yield page
                    size, page = 0, []
            after = found[-1].id
        if page:
            yield page

    async def _fold(self, tenant: str, document: type[Document], page: Sequence[Stream]) -> int:
        """Fold what is whole; how many are not."""
        histories = await self._bases.histories(tenant, page)
        found: Events = {
            stream.id: {event.version: event for event in events}
            for stream, (events, _) in zip(page, histories, strict=True)
        }
        wanted = {each.id: each.last for each in page if len(found[each.id]) < each.last}
        if wanted:
            await self._add_archived(tenant, document.kind, wanted, found)
        bases = []
        for stream, (_, base) in zip(page, histories, strict=True):
            events = sorted(found[stream.id].values(), key=lambda event: event.version)
            if base is not None and len(events) == stream.last:
                folded = self._catalogue.refold(document, events)
                assert folded is not None
                data = folded.document.model_dump(mode="json")
                fresh = Base(stream.id, stream.last, document.fold_version, base.month, data)
                bases.append((document.kind, fresh))
        if bases:
            await self._bases.keep(tenant, bases)
        return len(page) - len(bases)

    async def _add_archived(
        self, tenant: str, kind: str, wanted: Mapping[str, int], found: Events
    ) -> None:
        """Add the wanted events that the archives hold, unless they were searched in vain for the
        same: whoever tries again and again shall not read the same files each time."""
        paths = [path for path in await self._paths(tenant) if path.exists()]
        state = [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        search = (state, dict(wanted), sum(len(found[id]) for id in wanted))
        place = (tenant, kind, min(wanted))
        if self._in_vain.get(place) == search:
            return
        for path in paths:
            lines = await asyncio.to_thread(_lines, path, kind, wanted)
            for at in range(0, len(lines), PAGE):
                for event in await logged_events(self._bases, tenant, lines[at : at + PAGE]):
                    found[event.id].setdefault(event.version, event)
        self._in_vain.pop(place, None)
        if any(len(found[id]) < last for id, last in wanted.items()):
            self._in_vain[place] = search

    async def _paths(self, tenant: str) -> list[Path]:
        months = await self._bases.noted(tenant)
        return [place_of(self._directory, tenant, month) for month in months]

    async def _absent(self, tenant: str, kind: str, number: int) -> Unavailable:
        absent = [path.name for path in await self._paths(tenant) if not path.exists()]
        names = ", ".join(absent)
        return Unavailable(
            f"{number} documents of the kind {kind!r} of the tenant {tenant!r} can't be folded "
            "anew: events of them are neither in the database nor in the archives that are there. "
            + (f"Not there: {names}." if names else "All archives that are known are there."),
            mend=f"Put them back into {str(self._directory / tenant)!r}, or bring them back with "
            "`webnova archive restore FILE`.",
            tenant=tenant,
            absent=absent,
        )


def _lines(path: Path, kind: str, wanted: Mapping[str, int]) -> list[Line]:
    """The lines of an archive with events of the wanted documents, each up to its version."""
    report = examined(path, Trust())
    if not report.intact:
        raise InvalidInput(
            f"The archive {str(path)!r} is not intact: {report.findings[0].message}",
            mend="Put another copy in its place; `webnova audit verify FILE` says more.",
        )
    return [
        line
        for line, _ in event_lines(path)
        if line.stream.kind == kind and line.stream.version <= wanted.get(line.stream.id, 0)
    ]
