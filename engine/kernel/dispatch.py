"""The one way in: a call becomes one tenant-scoped transaction, or nothing at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from engine.kernel.contracts import (
    Base,
    Call,
    Caller,
    Command,
    Document,
    Event,
    Query,
    Recorded,
    Versioned,
    View,
)
from engine.kernel.errors import Forbidden, IdempotencyConflict, NotFound, VersionConflict
from engine.kernel.personal import Opener, opened
from engine.kernel.selections import Selection

D = TypeVar("D", bound=Document)
V = TypeVar("V", bound=View)
P = TypeVar("P")

ROOT_TENANT = "root"
"""The tenant of the installation's owner; its members may administer other tenants."""

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A document that was folded anew; `changed` when it had been another."""

    version: int
    changed: bool


class Reader(Protocol):
    """Reading inside one tenant-scoped transaction. Other tenants' rows don't exist here."""

    @property
    def tenant(self) -> str: ...

    async def find(self, document: type[D], id: str) -> Versioned[D] | None: ...

    async def list(
        self,
        document: type[D],
        *,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> Sequence[Versioned[D]]:
        """Documents by id, past the id `after`."""
        ...

    async def select(self, document: type[D], selection: Selection) -> Sequence[Versioned[D]]:
        """Documents that an index finds; `InvalidInput` for a field that has none."""
        ...

    async def ids(
        self, document: type[Document], *, after: str | None = None, limit: int = 100
    ) -> Sequence[str]:
        """Ids of documents in their order, past the id `after`."""
        ...

    async def stale(self, document: type[Document], *, limit: int = 100) -> Sequence[str]:
        """Ids of documents that another version of the fold has made."""
        ...

    async def history(
        self, document: type[Document], id: str, *, from_version: int = 1
    ) -> Sequence[Recorded]:
        """The events of the document that are there; archived ones are not."""
        ...

    async def base(self, document: type[Document], id: str) -> Base | None:
        """What the document was where its archived events end; None when there are none."""
        ...

    async def blob(self, digest: str) -> bytes:
        """Content by its SHA-256 hex digest; `NotFound` when this tenant has none such."""
        ...

    def part(self, contract: Callable[..., P]) -> P:
        """What stores the rows of one feature in tables of their own, inside this transaction.

        `contract` is the feature's protocol, which the composition root has bound to an
        implementation; `LookupError` when it has not. Readers may only call what reads.
        """
        ...


class Transaction(Reader, Protocol):
    """Reading and writing inside one tenant-scoped transaction."""

    async def append(
        self, document: type[D], id: str, events: Sequence[Event], *, expected: int
    ) -> Versioned[D]:
        """Append to the stream that now has `expected` events (0: it does not exist yet).

        The document is folded forward and stored in the same transaction. Raises
        `VersionConflict` when the stream has another length.
        """
        ...

    async def rebuild(self, document: type[D], id: str) -> Rebuilt:
        """Fold a document anew from its events; others who append to it wait.

        Raises `NotFound` for a stream without events.
        """
        ...

    async def guard(self, kind: str, id: str, fence: int) -> None:
        """Hold the work item's lease until commit; `LeaseLost` unless `fence` is the current."""
        ...

    async def put_blob(self, content: bytes) -> str:
        """Keep content and return its SHA-256 hex digest; keeping it again changes nothing."""
        ...

    async def recall(self, key: str, fingerprint: str) -> Mapping[str, Any] | None:
        """Reserve an idempotency key, or return the answer given under it before.

        Waits for a concurrent holder of the key. Raises `IdempotencyConflict` when the key
        belongs to another command.
        """
        ...

    async def remember(self, key: str, answer: Mapping[str, Any]) -> None: ...


class Transactions(Protocol):
    """Opens transactions; leaving the block commits, an exception rolls everything back."""

    def writing(self, call: Call) -> AbstractAsyncContextManager[Transaction]: ...

    def reading(self, tenant: str) -> AbstractAsyncContextManager[Reader]: ...


class Feed(Protocol):
    """Events of one tenant, past and to come, in an order in which none can appear behind."""

    def subscribe(
        self, tenant: str, *, after: str | None, kind: str | None = None, id: str | None = None
    ) -> AsyncIterator[Recorded | None]:
        """Yield events past the cursor, then wait for more; None now and then as a heartbeat."""
        ...


CommandHandler = Callable[[Any, Transaction, Call], Awaitable[View]]
QueryHandler = Callable[[Any, Reader], Awaitable[View]]


class Handlers:
    """The map from each command and query to its one handler and the type of its answer."""

    def __init__(self) -> None:
        self.commands: dict[type[Command], tuple[CommandHandler, type[View]]] = {}
        self.queries: dict[type[Query], tuple[QueryHandler, type[View]]] = {}

    def command(
        self, command: type[Command], answer: type[View]
    ) -> Callable[[CommandHandler], CommandHandler]:
        def register(handler: CommandHandler) -> CommandHandler:
            if self.commands.setdefault(command, (handler, answer))[0] is not handler:
                raise ValueError(f"{command.__name__} has two handlers")
            return handler

        return register

    def query(
        self, query: type[Query], answer: type[View]
    ) -> Callable[[QueryHandler], QueryHandler]:
        def register(handler: QueryHandler) -> QueryHandler:
            if self.queries.setdefault(query, (handler, answer))[0] is not handler:
                raise ValueError(f"{query.__name__} has two handlers")
            return handler

        return register

    def include(self, other: Handlers) -> None:
        for command, (handle, answer) in other.commands.items():
            self.command(command, answer)(handle)
        for query, (ask, answer) in other.queries.items():
            self.query(query, answer)(ask)


class Dispatcher:
    """Executes calls and answers queries. Holds no state of its own, so any number may run."""

    def __init__(self, handlers: Handlers, transactions: Transactions) -> None:
        self._handlers = handlers
        self._transactions = transactions

    async def execute(self, call: Call) -> View:
        """Run one command in one transaction and return its answer.

        The permission is checked first. The events and documents that the handler writes commit
        together with the answer remembered for the idempotency key, or not at all. A handler
        that lost a race (`VersionConflict`) is run again on fresh state, up to `ATTEMPTS` times.
        """
        require(call.caller, type(call.command).permission, call.tenant)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(call)
            except VersionConflict:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _once(self, call: Call) -> View:
        handler, answer_type = self._handlers.commands[type(call.command)]
        async with self._transactions.writing(call) as transaction:
            key = call.idempotency_key
            if key is not None:
                before = await transaction.recall(key, call.command.fingerprint())
                if before is not None:
                    return await shown(answer_type.model_validate(dict(before)), transaction)
            answer = await handler(call.command, transaction, call)
            if key is not None:
                await transaction.remember(key, answer.model_dump(mode="json"))
            return await shown(answer, transaction)

    async def ask(self, query: Query, caller: Caller, tenant: str) -> View:
        """Answer one query from one consistent snapshot of the tenant's data."""
        require(caller, type(query).permission, tenant)
        handler, _ = self._handlers.queries[type(query)]
        async with self._transactions.reading(tenant) as reader:
            return await shown(await handler(query, reader), reader)


async def shown(view: View, reader: Reader) -> View:
    """The answer as it is given out: personal data is sealed until here."""
    return await opened(view, reader.part(Opener)) if type(view).personal else view


def require(caller: Caller, permission: str, tenant: str) -> None:
    """Raise `Forbidden` unless the caller may do this in this tenant.

    A member of the root tenant who holds `tenant.administer` may act inside other tenants.
    """
    at_home = caller.tenant == tenant
    visiting = caller.tenant == ROOT_TENANT and caller.may("tenant.administer")
    if not (at_home or visiting):
        raise NotFound("There is no such tenant.")
    if not caller.may(permission):
        raise Forbidden(
            f"This needs the permission {permission!r}.",
            mend="Use a token that holds it, or ask the owner of the tenant.",
            permission=permission,
        )


def answer_as(view_type: type[V], view: View) -> V:
    """The answer under its concrete type, for callers that know what they asked."""
    if not isinstance(view, view_type):
        raise TypeError(f"expected {view_type.__name__}, got {type(view).__name__}")
    return view


__all__ = [
    "ROOT_TENANT",
    "Call",
    "Dispatcher",
    "Feed",
    "Handlers",
    "IdempotencyConflict",
    "Reader",
    "Transaction",
    "Transactions",
    "answer_as",
    "require",
    "shown",
]
