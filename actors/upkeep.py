"""What a shard keeps up by itself, beside admitting work: loops over what Postgres says is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from actors.cluster import HOST, call, find
from engine.conductor.catalogue import CATALOGUE, PROJECTIONS
from engine.kernel.errors import Unavailable
from engine.ledger.documents import Refolding
from engine.ledger.metering.upkeep import Bookkeeping
from engine.ledger.subscriptions.projections import Driver
from engine.ledger.subscriptions.store import Stall
from engine.ledger.tenancy.removal import Removal
from engine.ledger.transparency.upkeep import Upkeep
from engine.ledger.webhooks.sending import Postman
from webnova.compose import Installation, backlogs, purge, webhook_sender

log = structlog.get_logger(__name__)

PAUSE_S = 10.0
"""Between two looks at most things: how long an event may wait for its evidence, for instance."""
SENDING_PAUSE_S = 1.0
STALL_S = 5.0
"""A transaction that is open for longer is told about: readers wait for it."""

Shard = tuple[int, int]
Turn = Callable[[Shard], Awaitable[None]]


def loops(name: str, installation: Installation) -> Mapping[str, tuple[Turn, float]]:
    """Each loop by its name: what one turn does for a shard, and the seconds between two turns.

    A turn may be taken for the same shard by any number at once.
    """
    due, tell = backlogs(name), installation.dispatcher
    told = _told("documents not folded")
    refolding = Refolding(name, due.documents, CATALOGUE, tell, told, _rebase(installation))
    projecting = Driver(name, due.slots, PROJECTIONS, tell, _told("projection stopped"))
    postman = Postman(
        name,
        due.deliveries,
        webhook_sender(),
        installation.webhook_key,
        tell,
        _told("webhooks not sent"),
    )
    # An alteration is signed by nobody: it stays here until somebody has looked.
    logs = Upkeep(due.logs, installation.logs, installation.notary, _told("log not published"))
    books = Bookkeeping(name, due.books, tell, _told("books not kept"))

    async def send(shard: Shard) -> None:
        await projecting.turn(shard)
        await postman.turn(shard)

    async def watch(_: Shard) -> None:
        stall = await due.slots.stall()
        if stall is not None and stall.seconds > STALL_S:
            _warn(stall)

    found: dict[str, tuple[Turn, float]] = {
        "log": (logs.turn, PAUSE_S),
        "books": (books.turn, PAUSE_S),
        "documents": (refolding.turn, PAUSE_S),
        "webhooks": (send, SENDING_PAUSE_S),
        "readers": (watch, PAUSE_S),
    }
    try:
        removal = Removal(purge(name), partial(_forget, installation), _told("tenant not removed"))
        found["removal"] = (removal.turn, PAUSE_S)
    except Unavailable as error:
        # Nothing is deleted without the role that may; everything else goes on.
        log.warning("deleted tenants are not removed from here", detail=error.detail)
    return found


def _rebase(installation: Installation) -> Callable[[str, str], Awaitable[int]] | None:
    """None where no archive can be: a process without a home."""
    return None if installation.home is None else installation.rebasing().rebase


def _told(what: str) -> Callable[[str, Exception], None]:
    def tell(tenant: str, error: Exception) -> None:
        log.error(what, tenant=tenant, error=type(error).__name__, detail=str(error))

    return tell


def _warn(stall: Stall) -> None:
    log.warning(
        "a transaction holds up all readers",
        pid=stall.pid,
        application=stall.application,
        state=stall.state,
        seconds=round(stall.seconds, 1),
        mend=f"SELECT pg_terminate_backend({stall.pid})",
    )


async def _forget(installation: Installation, tenant: str) -> None:
    await call(find(HOST).forget.remote(tenant))
    if installation.home is not None:
        await asyncio.to_thread(installation.home.forget, tenant)
