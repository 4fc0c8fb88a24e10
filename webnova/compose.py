"""The composition root: puts the engine and the storage of one process together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.conductor.catalogue import CATALOGUE, all_handlers
from engine.conductor.platforms import Instance, Platform
from engine.conductor.requests import GetInstance, GetPlatform, GetRun
from engine.conductor.runs import Run
from engine.forge.versions import BlueprintRecord, GetBlueprint
from engine.kernel.clock import system_clock
from engine.kernel.contracts import Caller, Query, View
from engine.kernel.dispatch import Dispatcher, Handlers, Reader, require
from engine.kernel.errors import Unavailable
from engine.kernel.secret import Secret
from engine.ledger.archive.archiving import Archivist
from engine.ledger.archive.retention import Restoration, Retention
from engine.ledger.metering.store import Holds, Metering
from engine.ledger.subscriptions.store import Checkpoints
from engine.ledger.transparency.audit import Auditor
from engine.ledger.transparency.publication import Notary, open_publisher
from engine.ledger.transparency.queries import Log
from engine.ledger.webhooks.addresses import AllowedNetworks
from engine.ledger.webhooks.sending import HttpSender
from engine.ledger.webhooks.store import Deliveries
from engine.trust.tenants import GetTenant, Tenant
from engine.trust.tokens import Token, authenticate, parse
from storage.archive import PostgresMonths
from storage.bootstrap import DatabaseUrls
from storage.budgets import PostgresHolds
from storage.connections import Connections
from storage.database import Database
from storage.documents import PostgresStaleDocuments
from storage.feed import PostgresFeed
from storage.glance import Glances, Key, NotPrefetched
from storage.metering import PostgresMetering, PostgresMeteringBacklog
from storage.streams import PostgresEventStore
from storage.subscriptions import PostgresCheckpoints, PostgresSlots
from storage.transactions import Parts, PostgresTransactions
from storage.transparency import PostgresLog, PostgresLogBacklog, PostgresLogs
from storage.webhooks import PostgresDeliveries, PostgresDeliveryBacklog
from storage.work import PostgresWorkQueue
from webnova.stack.home import Home

APP_URL = "WEBNOVA_DATABASE_URL_APP"
WORKER_URL = "WEBNOVA_DATABASE_URL_WORKER"
HOME = "WEBNOVA_HOME"
PUBLISHER = "WEBNOVA_CHECKPOINT_PUBLISHER"
"""Where checkpoints are published, as `kind:location`; the home's directory `audit` by default."""

NETWORKS = "WEBNOVA_WEBHOOK_NETWORKS"
"""Private networks that webhooks may be sent into, as `10.0.0.0/8, 127.0.0.1/32`; none by
default."""

PREFETCHED: dict[type[Query], Callable[[Any], Sequence[Key]]] = {
    GetPlatform: lambda query: [(Platform.kind, query.name), (Instance.kind, query.name)],
    GetInstance: lambda query: [(Instance.kind, query.platform)],
    GetRun: lambda query: [(Run.kind, query.id)],
    GetTenant: lambda query: [(Tenant.kind, query.name)],
    GetBlueprint: lambda query: [(BlueprintRecord.kind, query.platform)],
}
"""The documents that a query's handler will look for, so that they can be read ahead. A handler
that looks for others is answered all the same, only more slowly."""

PARTS: Parts = {
    Metering: PostgresMetering,
    Holds: PostgresHolds,
    Log: PostgresLog,
    Checkpoints: PostgresCheckpoints,
    Deliveries: PostgresDeliveries,
}
"""What stores the features that keep tables of their own, by their contracts."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One process's way to the ledger. Belongs to the event loop that first uses it."""

    database: Database
    handlers: Handlers
    dispatcher: Dispatcher
    transactions: PostgresTransactions
    connections: Connections
    feed: PostgresFeed
    streams: PostgresEventStore
    glances: Glances
    logs: PostgresLogs
    home: Home | None

    def notary(self) -> Notary:
        """Who signs and publishes checkpoints here.

        Raises `Unavailable` in a process that knows no home directory, where the keys are.
        """
        if self.home is None:
            raise _homeless()
        return _notary(self.home, os.environ.get(PUBLISHER) or f"file:{self.home.audit}", self.logs)

    def auditor(self) -> Auditor:
        """Who exports and checks logs; raises as `notary`."""
        return Auditor(self.notary(), self.logs)

    def webhook_key(self) -> Secret:
        """What the signing secrets of webhooks are derived from.

        Raises `Unavailable` in a process that knows no home directory.
        """
        if self.home is None:
            raise _homeless()
        return _webhook_key(self.home)

    async def authenticate(self, token: str) -> Caller:
        """The caller whom an API token proves; `Unauthenticated` otherwise."""
        tenant, id, _ = parse(token)
        with suppress(NotPrefetched):
            seen = await self.glances.read(tenant, [(Token.kind, id)])
            return await authenticate(token, seen, system_clock())
        async with self.transactions.reading(tenant) as reader:
            return await authenticate(token, reader, system_clock())

    async def ask_as(self, token: str, query: Query) -> tuple[Caller, View]:
        """Prove an API token and answer a query in its tenant, from one snapshot.

        Raises what `authenticate` and `Dispatcher.ask` raise.
        """
        tenant, id, _ = parse(token)
        named = PREFETCHED.get(type(query))
        if named is not None:
            wanted = [(Token.kind, id), *named(query)]
            with suppress(NotPrefetched):
                return await self._ask(token, query, await self.glances.read(tenant, wanted))
        async with self.transactions.reading(tenant) as reader:
            return await self._ask(token, query, reader)

    async def _ask(self, token: str, query: Query, reader: Reader) -> tuple[Caller, View]:
        caller = await authenticate(token, reader, system_clock())
        require(caller, type(query).permission, reader.tenant)
        handler, _ = self.handlers.queries[type(query)]
        return caller, await handler(query, reader)

    async def close(self) -> None:
        await self.glances.close()
        await self.connections.close()
        await self.database.close()


def compose(
    name: str, *, pool: int = 10, url: str | None = None, home: Home | None = None
) -> Installation:
    """Connect this process, called `name` in the database's own views, as the application role.

    The address is `url` or the environment's `WEBNOVA_DATABASE_URL_APP`, the home `home` or the
    environment's `WEBNOVA_HOME`.
    """
    root = os.environ.get(HOME)
    url = url or _required(APP_URL)
    database = Database(url, size=pool, name=name)
    connections = Connections(url, size=pool, name=name)
    transactions = PostgresTransactions(database, CATALOGUE, PARTS)
    handlers = all_handlers()
    return Installation(
        database=database,
        handlers=handlers,
        dispatcher=Dispatcher(handlers, transactions),
        transactions=transactions,
        feed=PostgresFeed(connections),
        streams=PostgresEventStore(connections),
        connections=connections,
        glances=Glances(url, name=name),
        logs=PostgresLogs(database),
        home=home or (Home.at(root) if root else None),
    )


@lru_cache(maxsize=8)
def _notary(home: Home, publisher: str, logs: PostgresLogs) -> Notary:
    """Keys are read once: after one was added or taken away, processes are started again."""
    home.create()
    return Notary(home.log_name(), home.signing_keys(), open_publisher(publisher), logs)


@lru_cache(maxsize=8)
def _webhook_key(home: Home) -> Secret:
    return home.create().secret("webhook-key")


@dataclass(frozen=True, slots=True)
class Archives:
    """One process's way to archive, drop and bring back months of every tenant."""

    installation: Installation
    worker: Database
    archivist: Archivist
    retention: Retention
    restoration: Restoration

    async def close(self) -> None:
        await self.worker.close()
        await self.installation.close()


def archives(
    name: str, urls: DatabaseUrls, home: Home, *, directory: Path | None = None
) -> Archives:
    """What keeps archives below `directory`, the home's own by default."""
    installation = compose(name, pool=2, url=urls.app.reveal(), home=home)
    worker = Database(urls.worker.reveal(), size=1, name=name)
    months = PostgresMonths(installation.database, worker, urls.owner.reveal())
    notary = installation.notary()
    archivist = Archivist(notary, installation.logs, months, directory or home.archive)
    return Archives(
        installation=installation,
        worker=worker,
        archivist=archivist,
        retention=Retention(archivist, months, CATALOGUE, system_clock),
        restoration=Restoration(months),
    )


def work_queue(name: str, *, pool: int = 2, url: str | None = None) -> PostgresWorkQueue:
    """The executor's view of due work, as the worker role."""
    return PostgresWorkQueue(Database(url or _required(WORKER_URL), size=pool, name=name))


def log_backlog(name: str, *, pool: int = 1, url: str | None = None) -> PostgresLogBacklog:
    """Which logs are behind their events, as the worker role."""
    return PostgresLogBacklog(Database(url or _required(WORKER_URL), size=pool, name=name))


def metering_backlog(
    name: str, *, pool: int = 1, url: str | None = None
) -> PostgresMeteringBacklog:
    """Whose books are to be kept, as the worker role."""
    return PostgresMeteringBacklog(Database(url or _required(WORKER_URL), size=pool, name=name))


def slots(name: str, *, pool: int = 1, url: str | None = None) -> PostgresSlots:
    """The slots of projections that are behind, as the worker role."""
    return PostgresSlots(Database(url or _required(WORKER_URL), size=pool, name=name))


def stale_documents(name: str, *, pool: int = 1, url: str | None = None) -> PostgresStaleDocuments:
    """Which documents another version has folded, as the worker role."""
    return PostgresStaleDocuments(Database(url or _required(WORKER_URL), size=pool, name=name))


def delivery_backlog(
    name: str, *, pool: int = 1, url: str | None = None
) -> PostgresDeliveryBacklog:
    """Who has webhooks to be sent, as the worker role."""
    return PostgresDeliveryBacklog(Database(url or _required(WORKER_URL), size=pool, name=name))


def webhook_sender() -> HttpSender:
    """Sends webhooks, to public addresses and where the environment allows it.

    Raises `InvalidInput` for a setting that is no list of networks.
    """
    return HttpSender(AllowedNetworks.parse(os.environ.get(NETWORKS, "")))


def _homeless() -> Unavailable:
    return Unavailable(
        f"The environment has no {HOME}, where the keys are kept.",
        mend="Start the installation with `webnova up`, which sets it for every process.",
    )


def _required(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise Unavailable(
            f"The environment has no {variable}.",
            mend="Start the installation with `webnova up`, which sets it for every process.",
        )
    return value
