"""Connections without what a general pool does at every turn.

They are for statements that are transactions of their own, or that end what they begin: nothing
is checked before a statement and nothing is reset after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from engine.kernel.errors import InvalidInput, Unavailable

LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InterfaceError,
)
"""What asyncpg raises when the server can't be asked, or may not have been."""


POOLER = "pooler"
"""Name of the parameter of an address that tells which kind of pooler stands before the server."""


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection to a pooler that gives each transaction another server connection.

    Sending a statement takes asyncpg two turns, preparing and executing, and between transactions
    another client may get in between them. So no statement here is outside a transaction.
    """

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        # Without arguments it is one turn, and it may be what begins or ends a transaction.
        if not args or self.is_in_transaction():
            return await super().execute(query, *args, timeout=timeout)
        async with self.transaction():
            return await super().execute(query, *args, timeout=timeout)

    async def fetch(self, query: str, *args: Any, **how: Any) -> Any:
        if self.is_in_transaction():
            return await super().fetch(query, *args, **how)
        async with self.transaction():
            return await super().fetch(query, *args, **how)

    async def fetchrow(self, query: str, *args: Any, **how: Any) -> Any:
        if self.is_in_transaction():
            return await super().fetchrow(query, *args, **how)
        async with self.transaction():
            return await super().fetchrow(query, *args, **how)

    async def fetchval(self, query: str, *args: Any, **how: Any) -> Any:
        if self.is_in_transaction():
            return await super().fetchval(query, *args, **how)
        async with self.transaction():
            return await super().fetchval(query, *args, **how)

    async def set_type_codec(self, typename: str, **how: Any) -> None:
        async with self.transaction():
            await super().set_type_codec(typename, **how)


def direct_address(url: str) -> tuple[str, bool]:
    """The address without the parameter `pooler`, and whether it was there.

    `pooler=transaction` says that the address is of a pooler in transaction mode (PgBouncer).
    Then no server connection belongs to anyone between two transactions: nothing may be prepared
    or set there, and the roles' own settings (`storage.bootstrap`) take the place of the session's.
    Raises `InvalidInput` for any other kind.
    """
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    kinds = [value for name, value in given if name == POOLER]
    if any(kind != "transaction" for kind in kinds):
        raise InvalidInput(
            f"The database's address names the pooler {kinds[0][:20]!r}, which is not known.",
            mend="Write pooler=transaction, or leave it out.",
        )
    if not kinds:
        return url, False
    query = urlencode([(name, value) for name, value in given if name != POOLER])
    return urlunsplit(parts._replace(query=query)), True


def session(pooled: bool, settings: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `asyncpg.connect` for a connection with these run-time parameters.

    A pooler takes none but the application's name.
    """
    if not pooled:
        return {"server_settings": dict(settings)}
    return {
        "server_settings": {"application_name": settings["application_name"]},
        "statement_cache_size": 0,
        "connection_class": PooledConnection,
    }


class Connections:
    """Up to `size` connections, opened when needed. Belongs to the event loop that first uses it.

    `url` may name a pooler (`direct_address`). `settings` are run-time parameters of each
    connection, which a pooler does not take.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int = 4,
        name: str = "webnova",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._url, pooled = direct_address(url)
        self._session = session(
            pooled,
            {
                "application_name": name,
                "search_path": "webnova",
                "idle_in_transaction_session_timeout": "30000",
                **(settings or {}),
            },
        )
        self._idle: list[asyncpg.Connection] = []
        self._room = asyncio.Semaphore(size)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of one's own. It is closed unless it comes back outside a transaction.

        Errors of `LOST` are the caller's to judge: only it knows whether its statement may be
        repeated.
        """
        async with self._room:
            connection = await self._take()
            try:
                yield connection
            except asyncpg.PostgresError:
                self._give_back(connection)
                raise
            except BaseException:
                # Also when the caller left in between: an answer may still be on its way.
                connection.terminate()
                raise
            self._give_back(connection)

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await asyncpg.connect(self._url, timeout=10, command_timeout=30, **self._session)

    def _give_back(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle; what is in use goes on."""
        while self._idle:
            self._idle.pop().terminate()


def unavailable() -> Unavailable:
    return Unavailable(
        "The database does not answer.",
        mend="Try again shortly; `webnova status` shows whether it is running.",
    )
