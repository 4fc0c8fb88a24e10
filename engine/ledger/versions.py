"""Every version of every document: what it was, what changed, and who changed each part.

A document is the fold of its events, so each of its versions can be had again by folding fewer of
them. Nothing is stored for it. Versions show documents whole, as an audit does, and need its
permission.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from engine.kernel.contracts import (
    Call,
    Catalogue,
    Command,
    Document,
    Event,
    Query,
    Recorded,
    View,
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
    items: list[Authorship]
    next: int | None = None


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


class Versions:
    def __init__(self, catalogue: Catalogue, others: Handlers) -> None:
        self._catalogue = catalogue
        self._others = others

    async def list(self, query: ListVersions, reader: Reader) -> VersionList:
        _, history = await self._history(query, reader)
        page = [each for each in history if each.version > query.after][: query.limit]
        last = page[-1].version if page else 0
        more = bool(page) and last < history[-1].version
        return VersionList(items=[_authorship(each) for each in page], next=last if more else None)

    async def get(self, query: GetVersion, reader: Reader) -> DocumentVersion:
        document, history = await self._history(query, reader)
        data = self._at(document, history, query.version)
        return DocumentVersion(kind=query.kind, id=query.id, version=query.version, data=data)

    async def restore(self, command: RestoreDocument, tx: Transaction, call: Call) -> View:
        document, history = await self._history(command, tx)
        self._known(history, command.version)
        wish = self._folded_to(document, history, command.version).restoring()
        if wish is None:
            raise Conflict(
                f"A {command.kind} tells what has happened; no version of it can be restored.",
                mend="Change what it tells of instead.",
            )
        require(call.caller, type(wish).permission, call.tenant)
        handler, _ = self._others.commands[type(wish)]
        await handler(wish, tx, call)
        found = await tx.find(document, command.id)
        assert found is not None
        data = found.document.model_dump(mode="json")
        return DocumentVersion(kind=command.kind, id=command.id, version=found.version, data=data)

    async def compare(self, query: CompareVersions, reader: Reader) -> Differences:
        document, history = await self._history(query, reader)
        new = history[-1].version if query.new is None else query.new
        old = new - 1 if query.old is None else query.old
        if old > new:
            raise InvalidInput(
                f"Version {old} comes after version {new}.", mend="Name the older one first."
            )
        before = dict(_values(self._at(document, history, old))) if old else {}
        after = dict(_values(self._at(document, history, new)))
        return Differences(old=old, new=new, items=list(_differences(before, after)))

    async def blame(self, query: BlameDocument, reader: Reader) -> Blame:
        document, history = await self._history(query, reader)
        version = history[-1].version if query.version is None else query.version
        self._known(history, version)
        known: dict[str, tuple[Any, Recorded]] = {}
        state: Document | None = None
        for recorded in history[:version]:
            state = self._folded(document, state, recorded)
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

    async def _history(
        self, query: VersionQuery | RestoreDocument, reader: Reader
    ) -> tuple[type[Document], Sequence[Recorded]]:
        document = self._catalogue.documents.get(query.kind)
        if document is None:
            known = ", ".join(sorted(self._catalogue.documents))
            raise NotFound(f"No documents are of the kind {query.kind!r}; there are: {known}.")
        history = await reader.history(document, query.id)
        if not history:
            raise NotFound(f"There is no {query.kind} {query.id!r}.")
        return document, history

    def _at(
        self, document: type[Document], history: Sequence[Recorded], version: int
    ) -> dict[str, Any]:
        self._known(history, version)
        return self._folded_to(document, history, version).model_dump(mode="json")

    def _folded_to(
        self, document: type[Document], history: Sequence[Recorded], version: int
    ) -> Document:
        found = self._catalogue.refold(document, history[:version])
        assert found is not None
        return found.document

    @staticmethod
    def _known(history: Sequence[Recorded], version: int) -> None:
        if version > len(history):
            raise NotFound(f"There is no version {version}; the newest is {len(history)}.")

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
