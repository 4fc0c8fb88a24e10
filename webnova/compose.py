"""The composition root: puts the engine and the storage of one process together."""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine.conductor.catalogue import CATALOGUE, all_handlers
from engine.kernel.clock import system_clock
from engine.kernel.contracts import Caller, Query, View
from engine.kernel.dispatch import Dispatcher, Handlers, require
from engine.kernel.errors import Unavailable
from engine.trust.tokens import authenticate, parse
from storage.database import Database
from storage.feed import PostgresFeed
from storage.transactions import PostgresTransactions
from storage.work import PostgresWorkQueue

APP_URL = "WEBNOVA_DATABASE_URL_APP"
WORKER_URL = "WEBNOVA_DATABASE_URL_WORKER"


@dataclass(frozen=True, slots=True)
class Installation:
    """One process's way to the ledger. Belongs to the event loop that first uses it."""

    database: Database
    handlers: Handlers
    dispatcher: Dispatcher
    transactions: PostgresTransactions
    feed: PostgresFeed

    async def authenticate(self, token: str) -> Caller:
        """The caller whom an API token proves; `Unauthenticated` otherwise."""
        tenant, _, _ = parse(token)
        async with self.transactions.reading(tenant) as reader:
            return await authenticate(token, reader, system_clock())

    async def ask_as(self, token: str, query: Query) -> tuple[Caller, View]:
        """Prove an API token and answer a query in its tenant, in one transaction.

        Raises what `authenticate` and `Dispatcher.ask` raise.
        """
        tenant, _, _ = parse(token)
        async with self.transactions.reading(tenant) as reader:
            caller = await authenticate(token, reader, system_clock())
            require(caller, type(query).permission, tenant)
            handler, _ = self.handlers.queries[type(query)]
            return caller, await handler(query, reader)

    async def close(self) -> None:
        await self.database.close()


def compose(name: str, *, pool: int = 10, url: str | None = None) -> Installation:
    """Connect this process, called `name` in the database's own views, as the application role.

    The address is `url` or the environment's `WEBNOVA_DATABASE_URL_APP`.
    """
    database = Database(url or _required(APP_URL), size=pool, name=name)
    transactions = PostgresTransactions(database, CATALOGUE)
    handlers = all_handlers()
    return Installation(
        database=database,
        handlers=handlers,
        dispatcher=Dispatcher(handlers, transactions),
        transactions=transactions,
        feed=PostgresFeed(database),
    )


def work_queue(name: str, *, pool: int = 2, url: str | None = None) -> PostgresWorkQueue:
    """The executor's view of due work, as the worker role."""
    return PostgresWorkQueue(Database(url or _required(WORKER_URL), size=pool, name=name))


def _required(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise Unavailable(
            f"The environment has no {variable}.",
            mend="Start the installation with `webnova up`, which sets it for every process.",
        )
    return value
