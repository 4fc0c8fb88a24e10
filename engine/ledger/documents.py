"""Documents of any kind: found by their indexed fields, and folded anew from their events.

A document is what its events give. Folding it anew gives the same bytes, unless somebody changed
the row by hand or the fold itself has changed; then this mends it, while everybody goes on working:
each document is locked for itself, and no longer than its own folding takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Protocol, Self

from pydantic import Field

from engine.kernel.contracts import (
    Call,
    Caller,
    Catalogue,
    Command,
    Document,
    Event,
    Query,
    View,
)
from engine.kernel.dispatch import Dispatcher, Handlers, Reader, Transaction, answer_as
from engine.kernel.errors import NotFound, WebNovaError
from engine.kernel.selections import Selection, parsed, sort_of

LOG = "documents"


class DocumentsRebuilt(Event):
    """`changed` names documents that were not what their events give."""

    type = "documents.rebuilt"
    document_kind: str
    checked: int
    changed: list[str]


class Rebuilding(Document):
    """What was found when documents were folded anew, in sum."""

    kind = "rebuilding"
    events = (DocumentsRebuilt,)

    checked: int = 0
    changed: int = 0

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert isinstance(event, DocumentsRebuilt)
        before = state or cls()
        return cls(
            checked=before.checked + event.checked,
            changed=before.changed + len(event.changed),
        )


class RebuildDocuments(Command):
    """Fold anew: one document, or the next of a kind past the id `after`."""

    permission: ClassVar[str] = "document.rebuild"
    emits: ClassVar[tuple[type[Event], ...]] = (DocumentsRebuilt,)

    kind: str
    id: str | None = None
    after: str | None = None
    limit: int = Field(100, ge=1, le=500)
    stale: bool = Field(False, description="Only those that another version of the fold made.")


class FindDocuments(Query):
    """Documents whose indexed fields meet all conditions, by `order` or by id."""

    permission: ClassVar[str] = "audit.read"

    kind: str
    where: list[str] = []
    order: str | None = None
    descending: bool = False
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class Rebuilt(View):
    """`changed` names those that were not what their events give; `next` is where to go on."""

    kind: str
    checked: int
    changed: list[str]
    next: str | None


class FoundDocument(View):
    id: str
    version: int
    data: dict[str, Any]


class DocumentList(View):
    items: list[FoundDocument]
    next: str | None = None


class Documents:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def handlers(self) -> Handlers:
        made = Handlers()
        made.command(RebuildDocuments, Rebuilt)(self.rebuild)
        made.query(FindDocuments, DocumentList)(self.find)
        return made

    async def rebuild(self, command: RebuildDocuments, tx: Transaction, call: Call) -> Rebuilt:
        document = self._kind(command.kind)
        ids, more = await self._wanted(document, command, tx)
        changed = [id for id in ids if (await tx.rebuild(document, id)).changed]
        if ids:
            told = DocumentsRebuilt(document_kind=command.kind, checked=len(ids), changed=changed)
            found = await tx.find(Rebuilding, LOG)
            await tx.append(Rebuilding, LOG, [told], expected=found.version if found else 0)
        return Rebuilt(
            kind=command.kind,
            checked=len(ids),
            changed=changed,
            next=ids[-1] if more else None,
        )

    @staticmethod
    async def _wanted(
        document: type[Document], command: RebuildDocuments, tx: Transaction
    ) -> tuple[Sequence[str], bool]:
        if command.id is not None:
            return [command.id], False
        if command.stale:
            ids = await tx.stale(document, limit=command.limit)
        else:
            ids = await tx.ids(document, after=command.after, limit=command.limit)
        return ids, len(ids) == command.limit

    async def find(self, query: FindDocuments, reader: Reader) -> DocumentList:
        document = self._kind(query.kind)
        if query.order is not None:
            sort_of(document, query.order)
        selection = Selection(
            where=parsed(document, query.where),
            order=query.order,
            descending=query.descending,
            after=query.after,
            limit=query.limit + 1,
        )
        found = await reader.select(document, selection)
        page = found[: query.limit]
        return DocumentList(
            items=[
                FoundDocument(
                    id=each.id, version=each.version, data=each.document.model_dump(mode="json")
                )
                for each in page
            ],
            next=page[-1].id if len(found) > len(page) else None,
        )

    def _kind(self, kind: str) -> type[Document]:
        document = self._catalogue.documents.get(kind)
        if document is None:
            known = ", ".join(sorted(self._catalogue.documents))
            raise NotFound(f"No documents are of the kind {kind!r}; there are: {known}.")
        return document


class Stale(Protocol):
    async def stale(
        self, folds: dict[str, int], shard: tuple[int, int] = (0, 1)
    ) -> Sequence[tuple[str, str]]:
        """Tenants of the shard with each kind of which they have documents that were made by
        another version of the fold than the given."""
        ...


class Refolded(View):
    """How many documents of a kind were folded anew; `failure` says why others were not."""

    tenant: str
    kind: str
    documents: int
    failure: str | None = None


class Refolding:
    """Folds anew what a new version of WebNova folds in another way, while it is in use.

    `rebase` makes what stands in for a kind's archived events fit first.
    """

    def __init__(
        self,
        name: str,
        backlog: Stale,
        catalogue: Catalogue,
        dispatcher: Dispatcher,
        failed: Callable[[str, Exception], None],
        rebase: Callable[[str, str], Awaitable[object]] | None = None,
    ) -> None:
        self._rebase = rebase
        self._name = name
        self._backlog = backlog
        self._folds = {kind: each.fold_version for kind, each in catalogue.documents.items()}
        self._dispatcher = dispatcher
        self._failed = failed

    async def turn(self, shard: tuple[int, int] = (0, 1)) -> None:
        for tenant, kind in await self._backlog.stale(self._folds, shard):
            try:
                await self.refold(tenant, kind)
            except Exception as error:  # noqa: BLE001 - told; the kind stays stale
                self._failed(tenant, error)

    async def everything(self) -> list[Refolded]:
        """Fold anew all that is stale, for whoever waits for it; no failure holds up the others."""
        found = []
        for tenant, kind in sorted(await self._backlog.stale(self._folds)):
            try:
                done = Refolded(tenant=tenant, kind=kind, documents=await self.refold(tenant, kind))
            except Exception as error:  # noqa: BLE001 - told; the kind stays stale
                self._failed(tenant, error)
                told = str(error) if isinstance(error, WebNovaError) else type(error).__name__
                done = Refolded(tenant=tenant, kind=kind, documents=0, failure=told)
            found.append(done)
        return found

    async def refold(self, tenant: str, kind: str) -> int:
        """Fold anew the tenant's stale documents of a kind; how many."""
        if self._rebase is not None:
            await self._rebase(tenant, kind)
        caller = Caller(self._name, tenant, frozenset({RebuildDocuments.permission}))
        command = RebuildDocuments(kind=kind, stale=True)
        count = 0
        while True:
            answer = await self._dispatcher.execute(Call(command, caller, tenant))
            done = answer_as(Rebuilt, answer)
            count += done.checked
            if not done.checked:
                return count
