"""What may be asked of a tenant's log: its head, and proofs."""

from __future__ import annotations

from typing import ClassVar, Protocol
from uuid import UUID

from pydantic import Field

from engine.kernel.contracts import Query, Recorded, View
from engine.kernel.dispatch import Handlers, Reader
from engine.kernel.errors import InvalidInput, NotFound
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import Leaf
from engine.ledger.transparency.notes import encoded
from engine.ledger.transparency.proofs import (
    StoredHashes,
    consistency,
    inclusion,
    tree_root,
)
from engine.ledger.transparency.publication import Head

MOST = 2**62
"""No log is larger."""


class Log(StoredHashes, Protocol):
    """One tenant's log, read in one transaction."""

    async def head(self) -> Head: ...

    async def leaf(self, index: int) -> Leaf | None: ...

    async def leaf_of(self, event_id: UUID) -> Leaf | None: ...

    async def event(self, leaf: Leaf) -> Recorded | None:
        """The event of a leaf as it is stored now."""
        ...


class LogHead(View):
    """The log as the database has it: number of events and root hash (base64)."""

    size: int
    root: str


class InclusionProof(View):
    """Shows that a leaf is in the tree of `size` leaves with this `root` (RFC 6962, 2.1.1).

    Hashes are standard base64. `event` is the canonical text of the event as it is stored now,
    whose leaf hash must be `leaf`; null when it is no longer stored.
    """

    index: int
    size: int
    leaf: str
    hashes: list[str]
    root: str
    event: str | None


class ConsistencyProof(View):
    """Shows that the tree of `old_size` leaves is the beginning of that of `new_size` leaves
    (RFC 6962, 2.1.2). Hashes are standard base64."""

    old_size: int
    new_size: int
    hashes: list[str]
    old_root: str
    new_root: str


class GetLogHead(Query):
    permission: ClassVar[str] = "audit.read"


class ProveInclusion(Query):
    """Name the event or the index. Without a size, the proof is for the whole log."""

    permission: ClassVar[str] = "audit.read"

    event: UUID | None = None
    index: int | None = Field(None, ge=0, lt=MOST)
    size: int | None = Field(None, ge=1, le=MOST)


class ProveConsistency(Query):
    """Without `new_size`, up to the whole log."""

    permission: ClassVar[str] = "audit.read"

    old_size: int = Field(ge=0, le=MOST)
    new_size: int | None = Field(None, ge=0, le=MOST)


handlers = Handlers()


@handlers.query(GetLogHead, LogHead)
async def get_log_head(query: GetLogHead, reader: Reader) -> LogHead:
    head = await reader.part(Log).head()
    return LogHead(size=head.size, root=encoded(head.root))


@handlers.query(ProveInclusion, InclusionProof)
async def prove_inclusion(query: ProveInclusion, reader: Reader) -> InclusionProof:
    log = reader.part(Log)
    if (query.event is None) == (query.index is None):
        raise InvalidInput("Name either the event or the index.")
    size = await _size(log, query.size)
    leaf = None
    if query.event is not None:
        leaf = await log.leaf_of(query.event)
    elif query.index is not None:
        leaf = await log.leaf(query.index)
    if leaf is None or leaf.index >= size:
        raise NotFound(
            f"There is no such event among the first {size} of the log.",
            mend="What was written a moment ago is logged within seconds.",
        )
    event = await log.event(leaf)
    return InclusionProof(
        index=leaf.index,
        size=size,
        leaf=encoded(leaf.hash),
        hashes=[encoded(each) for each in await inclusion(log, leaf.index, size)],
        root=encoded(await tree_root(log, size)),
        event=None if event is None else event_bytes(event).decode(),
    )


@handlers.query(ProveConsistency, ConsistencyProof)
async def prove_consistency(query: ProveConsistency, reader: Reader) -> ConsistencyProof:
    log = reader.part(Log)
    new = await _size(log, query.new_size)
    if query.old_size > new:
        raise InvalidInput(f"The tree of {query.old_size} events is larger than that of {new}.")
    return ConsistencyProof(
        old_size=query.old_size,
        new_size=new,
        hashes=[encoded(each) for each in await consistency(log, query.old_size, new)],
        old_root=encoded(await tree_root(log, query.old_size)),
        new_root=encoded(await tree_root(log, new)),
    )


async def _size(log: Log, wished: int | None) -> int:
    """The wished size of the tree; that of the whole log when none is wished."""
    head = await log.head()
    if wished is not None and wished > head.size:
        raise InvalidInput(
            f"The log has {head.size} events, not {wished}.",
            mend="Ask for a size that the log has reached.",
            size=head.size,
        )
    return head.size if wished is None else wished
