"""The composition root: puts the engine and the storage of one process together."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from engine.conductor.catalogue import CATALOGUE, all_handlers
from engine.conductor.platforms import Instance, Platform
from engine.conductor.requests import GetInstance, GetPlatform, GetRun
from engine.conductor.runs import Run
from engine.forge.versions import BlueprintRecord, GetBlueprint
from engine.kernel.clock import system_clock
from engine.kernel.contracts import Caller, Query, View
from engine.kernel.dispatch import Dispatcher, Handlers, require, shown
from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.personal import Opener
from engine.kernel.secret import Secret
from engine.ledger.archive.archiving import Archivist as MonthArchivist
from engine.ledger.archive.months import ArchivedMonths
from engine.ledger.archive.rebasing import Rebasing
from engine.ledger.archive.retention import DEFAULT_DAYS, Restoration, Retention
from engine.ledger.documents import Refolding
from engine.ledger.metering.store import Holds, Metering
from engine.ledger.subscriptions.store import Checkpoints
from engine.ledger.tenancy.archivist import Archivist
from engine.ledger.tenancy.removal import Removals
from engine.ledger.tenancy.restoring import Restorer
from engine.ledger.tenancy.subjects import Subjects, Vault
from engine.ledger.tenancy.suspension import Suspensions
from engine.ledger.transparency.audit import Auditor
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.publication import Notary, open_publisher
from engine.ledger.transparency.publishing import witnesses
from engine.ledger.transparency.publishing.cosignatures import Cosigner
from engine.ledger.transparency.publishing.witnessing import SeenLogs
from engine.ledger.transparency.queries import Log
from engine.ledger.transparency.upkeep import BATCH
from engine.ledger.webhooks.addresses import AllowedNetworks
from engine.ledger.webhooks.sending import HttpSender
from engine.ledger.webhooks.store import Deliveries
from engine.trust.tenants import GetTenant, Tenant
from engine.trust.tokens import Token, authenticate, parse
from storage.archive import PostgresArchivedMonths, PostgresBases, PostgresMonths
from storage.bootstrap import DatabaseUrls
from storage.budgets import PostgresHolds
from storage.connections import Connections
from storage.database import Database
from storage.documents import PostgresStaleDocuments
from storage.feed import PostgresFeed
from storage.glance import Glances, Key, NotPrefetched
from storage.metering import PostgresMetering, PostgresMeteringBacklog
from storage.portability import PostgresSnapshots
from storage.removal import PostgresPurge, PostgresRemovals
from storage.restoring import PostgresRestorer
from storage.streams import PostgresEventStore
from storage.subjects import PostgresSubjects
from storage.subscriptions import PostgresCheckpoints, PostgresSlots
from storage.suspension import PostgresSuspensions
from storage.transactions import Parts, PostgresTransactions
from storage.transparency import PostgresLog, PostgresLogBacklog, PostgresLogs
from storage.webhooks import PostgresDeliveries, PostgresDeliveryBacklog
from storage.witnessing import PostgresSeenLogs
from storage.work import PostgresWorkQueue
from webnova.stack.home import Home

APP_URL = "WEBNOVA_DATABASE_URL_APP"
WORKER_URL = "WEBNOVA_DATABASE_URL_WORKER"
ERASER_URL = "WEBNOVA_DATABASE_URL_ERASER"
HOME = "WEBNOVA_HOME"
PUBLISHER = "WEBNOVA_CHECKPOINT_PUBLISHER"
"""Where checkpoints are published, as `kind:location`; the home's directory `audit` by default."""

RETENTION = "WEBNOVA_RETENTION_DAYS"
"""Days that a month of events stays in the database after its end; 30 by default."""

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
    Suspensions: PostgresSuspensions,
    Removals: PostgresRemovals,
    SeenLogs: PostgresSeenLogs,
    ArchivedMonths: PostgresArchivedMonths,
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
        publisher = os.environ.get(PUBLISHER) or f"file:{self.home.audit}"
        return _notary(self.home, publisher, os.environ.get(witnesses.SETTING, ""), self.logs)

    def cosigners(self, tenant: str) -> list[Cosigner]:
        """The keys with which the tenant is a witness, the one to hand out first; raises as
        `notary`."""
        if self.home is None:
            raise _homeless()
        self.home.create()
        name = f"{self.home.log_name()}/{tenant}/witness"
        return [Cosigner.derived(name, key) for key in self.home.signing_keys()]

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

    def rebasing(self, directory: Path | None = None) -> Rebasing:
        """What folds bases anew from the archives of the directory, by default the home's; raises
        as `notary`."""
        if directory is None:
            if self.home is None:
                raise _homeless()
            directory = self.home.archive
        return Rebasing(PostgresBases(self.database), CATALOGUE, directory)

    def archivist(self) -> Archivist:
        """Who exports whole tenants; raises as `notary`."""
        snapshots = PostgresSnapshots(self.database, CATALOGUE)
        vault = partial(_vault, self.home)
        return Archivist(self.notary(), self.logs, snapshots, vault, system_clock)

    async def last_checkpoint(self, tenant: str) -> Checkpoint:
        """The published checkpoint of the tenant's log over every event that readers can see.
        Raises as `notary`, and `LogContradiction` for a log that was altered."""
        while await self.logs.sequence(tenant, BATCH) == BATCH:
            continue
        return Checkpoint.of(await self.notary().checkpoint(tenant))

    async def authenticate(self, token: str) -> Caller:
        """The caller whom an API token proves; `Unauthenticated` otherwise, and `TenantSuspended`
        while its tenant is at rest."""
        tenant, id, _ = parse(token)
        with suppress(NotPrefetched):
            seen = await self.glances.read(tenant, [(Token.kind, id)])
            return await authenticate(token, seen, system_clock())
        async with self.transactions.reading(tenant) as reader:
            return await authenticate(token, reader, system_clock())

    async def ask_as(self, token: str, query: Query) -> tuple[Caller, View]:
        """Prove an API token and answer a query in its tenant.

        What the handler will look for is read together with the token where that is known.
        Raises what `authenticate` and `Dispatcher.ask` raise.
        """
        tenant, id, _ = parse(token)
        named = PREFETCHED.get(type(query))
        wanted = [(Token.kind, id), *(named(query) if named is not None else ())]
        reader = await self.glances.read(tenant, wanted)
        caller = await authenticate(token, reader, system_clock())
        if named is not None:
            require(caller, type(query).permission, tenant)
            handler, _ = self.handlers.queries[type(query)]
            with suppress(NotPrefetched):
                return caller, await shown(await handler(query, reader), reader)
        return caller, await self.dispatcher.ask(query, caller, tenant)

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
    home = home or (Home.at(root) if root else None)
    url = url or _required(APP_URL)
    database = Database(url, size=pool, name=name)
    connections = Connections(url, size=pool, name=name)
    transactions = PostgresTransactions(database, CATALOGUE, _parts(home))
    handlers = all_handlers(retention_days())
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
        home=home,
    )


def _parts(home: Home | None) -> Parts:
    """`PARTS` and those that need the home's key, which is read when it is first needed."""
    vault = partial(_vault, home)
    subjects = partial(PostgresSubjects, vault=vault)
    restorer = partial(PostgresRestorer, catalogue=CATALOGUE, vault=vault)
    return {**PARTS, Subjects: subjects, Opener: subjects, Restorer: restorer}


@lru_cache(maxsize=8)
def _vault(home: Home | None) -> Vault:
    if home is None:
        raise Unavailable(
            f"The environment has no {HOME}, where the key of personal data is kept.",
            mend="Start the installation with `webnova up`, which sets it for every process.",
        )
    home.create()
    return Vault(home.secret("personal-data-key"))


@lru_cache(maxsize=8)
def _notary(home: Home, publisher: str, listed: str, logs: PostgresLogs) -> Notary:
    """Keys are read once: after one was added or taken away, processes are started again."""
    home.create()
    place = open_publisher(publisher)
    asked = witnesses.configured(listed, os.environ)
    return Notary(home.log_name(), home.signing_keys(), place, logs, asked)


@lru_cache(maxsize=8)
def _webhook_key(home: Home) -> Secret:
    return home.create().secret("webhook-key")


@dataclass(frozen=True, slots=True)
class Archives:
    """One process's way to archive, drop and bring back months of every tenant."""

    installation: Installation
    worker: Database
    archivist: MonthArchivist
    retention: Retention
    restoration: Restoration
    refolding: Refolding

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
    archivist = MonthArchivist(notary, installation.logs, months, directory or home.archive)
    return Archives(
        installation=installation,
        worker=worker,
        archivist=archivist,
        retention=Retention(archivist, months, CATALOGUE, system_clock),
        restoration=Restoration(months),
        refolding=Refolding(
            name,
            PostgresStaleDocuments(worker),
            CATALOGUE,
            installation.dispatcher,
            lambda tenant, error: None,
            installation.rebasing(directory).rebase,
        ),
    )


def retention_days() -> int:
    """Days after its end before a month may be dropped; `InvalidInput` for a setting that is no
    such number."""
    wished = os.environ.get(RETENTION)
    if not wished:
        return DEFAULT_DAYS
    if not (wished.isascii() and wished.isdigit() and 0 < int(wished) < 100_000):
        raise InvalidInput(
            f"{RETENTION} is {wished[:20]!r}.", mend="Give a whole number of days from 1 on."
        )
    return int(wished)


def work_queue(name: str, *, pool: int = 2, url: str | None = None) -> PostgresWorkQueue:
    """The executor's view of due work, as the worker role."""
    return PostgresWorkQueue(Database(url or _required(WORKER_URL), size=pool, name=name))


@dataclass(frozen=True, slots=True)
class Backlogs:
    """What is due in all tenants, as the executor sees it, over one pool of the worker role."""

    logs: PostgresLogBacklog
    books: PostgresMeteringBacklog
    slots: PostgresSlots
    documents: PostgresStaleDocuments
    deliveries: PostgresDeliveryBacklog

    async def close(self) -> None:
        await self.logs.close()


def backlogs(name: str, *, pool: int = 2, url: str | None = None) -> Backlogs:
    database = Database(url or _required(WORKER_URL), size=pool, name=name)
    return Backlogs(
        logs=PostgresLogBacklog(database),
        books=PostgresMeteringBacklog(database),
        slots=PostgresSlots(database),
        documents=PostgresStaleDocuments(database),
        deliveries=PostgresDeliveryBacklog(database),
    )


def purge(name: str, *, pool: int = 1, url: str | None = None) -> PostgresPurge:
    """What deletes the rows of deleted tenants, as the eraser role."""
    return PostgresPurge(Database(url or _required(ERASER_URL), size=pool, name=name))


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
