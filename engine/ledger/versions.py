"""Every version of every document: what it was, what changed, and who changed each part.

A document is the fold of its events, so each of its versions can be had again by folding fewer of
them. Nothing is stored for it. Versions whose events were archived and dropped are not there until
the archive is brought back; where they end, the document's base stands in for them. Versions show
documents whole, as an audit does, and need its permission.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from engine.kernel.contracts import (
    Base,
    Call,
    Catalogue,
    Command,
    Document,
    Event,
    Query,
    Recorded,
    View,
    complete,
)
from engine.kernel.dispatch import Handlers, Reader, Transaction, require
from engine.kernel.errors import Conflict, InvalidInput, NotFound

MISSING = object()


class VersionQuery(Query):
    """Names the document by its kind and id."""

    permission: ClassVar[str] = "audit.read"

    kind: str
    id: str


class ListVersions(VersionQuery):
    after: int = Field(0, ge=0)
    limit: int = Field(50, ge=1, le=200)


class GetVersion(VersionQuery):
    version: int = Field(ge=1)


class CompareVersions(VersionQuery):
    """Without `new`, up to the present version; without `old`, from the one before `new`."""

    old: int | None = Field(None, ge=0)
    new: int | None = Field(None, ge=1)


class BlameDocument(VersionQuery):
    """Without a version, the present one."""

    version: int | None = Field(None, ge=1)


class RestoreDocument(Command):
    """Make a document what it was at a version, by a change of its own like any other.

    Needs the permission of that change as well. What the kind counts or watches on the side, such
    as which thresholds of a budget were told, goes on.
    """

    permission: ClassVar[str] = "audit.read"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    kind: str
    id: str
    version: int = Field(ge=1)


class Authorship(View):
    """The event that made a version, and who caused it by which command."""

    version: int
    type: str
    at: datetime
    caller: str
    command: str
    event_id: str


class VersionList(View):
    """Versions up to `archived` are in archives, unless they are listed."""

    items: list[Authorship]
    next: int | None = None
    archived: int = 0


class DocumentVersion(View):
    kind: str
    id: str
    version: int
    data: dict[str, Any]


class Difference(View):
    """One value that differs. `path` is its RFC 6901 pointer; what is not there is null."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: JsonValue
    after: JsonValue


class Differences(View):
    old: int
    new: int
    items: list[Difference]


class Blamed(View):
    """One value of the document with the version that gave it its present form."""

    path: str
    value: JsonValue
    by: Authorship


class Blame(View):
    version: int
    items: list[Blamed]


def handlers(catalogue: Catalogue, others: Handlers) -> Handlers:
    """The handlers over the documents of an installation's catalogue.

    `others` has the handlers of the commands that restore them, by the time they are needed.
    """
    made = Handlers()
    versions = Versions(catalogue, others)
    made.command(RestoreDocument, DocumentVersion)(versions.restore)
    made.query(ListVersions, VersionList)(versions.list)
    made.query(GetVersion, DocumentVersion)(versions.get)
    made.query(CompareVersions, Differences)(versions.compare)
    made.query(BlameDocument, Blame)(versions.blame)
    return made


@dataclass(frozen=True, slots=True)
class History:
    """What there is of a document: its events, and the base when they lack some before it."""

    document: type[Document]
    events: Sequence[Recorded]
    base: Base | None

    @property
    def newest(self) -> int:
        last = self.events[-1].version if self.events else 0
        return max(last, self.base.version if self.base else 0)

    def until(self, version: int) -> Sequence[Recorded]:
        """The events up to a version that is there; `NotFound` when it is not."""
        if version > self.newest:
            raise NotFound(f"There is no version {version}; the newest is {self.newest}.")
        found = [each for each in self.events if each.version <= version]
        archived = self.base is not None and version < self.base.version
        if archived and len(found) != version:
            raise self.gone(f"Version {version}")
        return found

    def gone(self, what: str) -> NotFound:
        assert self.base is not None
        return NotFound(
            f"{what} is in the archive of {self.base.month} or of an earlier month.",
            mend="Bring it back with `webnova archive restore FILE`, or read the file itself.",
            month=self.base.month,
        )


class Versions:
    def __init__(self, catalogue: Catalogue, others: Handlers) -> None:
        self._catalogue = catalogue
        self._others = others

    async def list(self, query: ListVersions, reader: Reader) -> VersionList:
        history = await self._history(query, reader)
        page = [each for each in history.events if each.version > query.after][: query.limit]
        last = page[-1].version if page else 0
        more = bool(page) and last < history.events[-1].version
        return VersionList(
            items=[_authorship(each) for each in page],
            next=last if more else None,
            archived=history.base.version if history.base else 0,
        )

    async def get(self, query: GetVersion, reader: Reader) -> DocumentVersion:
        history = await self._history(query, reader)
        data = self._at(history, query.version)
        return DocumentVersion(kind=query.kind, id=query.id, version=query.version, data=data)

    async def restore(self, command: RestoreDocument, tx: Transaction, call: Call) -> View:
        history = await self._history(command, tx)
        wish = self._folded_to(history, command.version).restoring()
        if wish is None:
            raise Conflict(
                f"A {command.kind} tells what has happened; no version of it can be restored.",
                mend="Change what it tells of instead.",
            )
        require(call.caller, type(wish).permission, call.tenant)
        handler, _ = self._others.commands[type(wish)]
        await handler(wish, tx, call)
        found = await tx.find(history.document, command.id)
        assert found is not None
        data = found.document.model_dump(mode="json")
        return DocumentVersion(kind=command.kind, id=command.id, version=found.version, data=data)

    async def compare(self, query: CompareVersions, reader: Reader) -> Differences:
        history = await self._history(query, reader)
        new = history.newest if query.new is None else query.new
        old = new - 1 if query.old is None else query.old
        if old > new:
            raise InvalidInput(
                f"Version {old} comes after version {new}.", mend="Name the older one first."
            )
        before = dict(_values(self._at(history, old))) if old else {}
        after = dict(_values(self._at(history, new)))
        return Differences(old=old, new=new, items=list(_differences(before, after)))

    async def blame(self, query: BlameDocument, reader: Reader) -> Blame:
        history = await self._history(query, reader)
        version = history.newest if query.version is None else query.version
        events = history.until(version)
        if history.base is not None:
            raise history.gone(f"Who wrote what up to version {history.base.version}")
        known: dict[str, tuple[Any, Recorded]] = {}
        state: Document | None = None
        for recorded in events:
            state = self._folded(history.document, state, recorded)
            fresh = dict(_values(state.model_dump(mode="json")))
            kept = {path for path in fresh if path in known and known[path][0] == fresh[path]}
            known = {
                path: known[path] if path in kept else (value, recorded)
                for path, value in fresh.items()
            }
        items = [
            Blamed(path=path, value=value, by=_authorship(recorded))
            for path, (value, recorded) in known.items()
        ]
        return Blame(version=version, items=items)

    async def _history(self, query: VersionQuery | RestoreDocument, reader: Reader) -> History:
        document = self._catalogue.documents.get(query.kind)
        if document is None:
            known = ", ".join(sorted(self._catalogue.documents))
            raise NotFound(f"No documents are of the kind {query.kind!r}; there are: {known}.")
        events = await reader.history(document, query.id)
        base = None if complete(events) else await reader.base(document, query.id)
        if not events and base is None:
            raise NotFound(f"There is no {query.kind} {query.id!r}.")
        return History(document, events, base)

    def _at(self, history: History, version: int) -> dict[str, Any]:
        return self._folded_to(history, version).model_dump(mode="json")

    def _folded_to(self, history: History, version: int) -> Document:
        events = history.until(version)
        found = self._catalogue.refold(history.document, events, history.base)
        assert found is not None
        return found.document

    def _folded(
        self, document: type[Document], state: Document | None, recorded: Recorded
    ) -> Document:
        event = self._catalogue.decode(recorded.type, recorded.data, recorded.schema_version)
        return document.fold(state, event)


def _values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, by its RFC 6901 pointer; empty collections are values."""
    parts: Iterator[tuple[str, Any]]
    if isinstance(value, dict) and value:
        parts = iter(value.items())
    elif isinstance(value, list) and value:
        parts = ((str(number), item) for number, item in enumerate(value))
    else:
        yield path, value
        return
    for name, item in parts:
        yield from _values(item, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")


def _differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path, MISSING), after.get(path, MISSING)
        if old is MISSING:
            yield Difference(path=path, change="added", before=None, after=new)
        elif new is MISSING:
            yield Difference(path=path, change="removed", before=old, after=None)
        elif old != new:
            yield Difference(path=path, change="changed", before=old, after=new)


def _authorship(recorded: Recorded) -> Authorship:
    return Authorship(
        version=recorded.version,
        type=recorded.type,
        at=recorded.at,
        caller=str(recorded.metadata.get("caller", "")),
        command=str(recorded.metadata.get("command", "")),
        event_id=recorded.event_id,
    )
