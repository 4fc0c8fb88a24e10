"""Connections without what a general pool does at every turn.

They are for statements that are transactions of their own, or that end what they begin: nothing
is checked before a statement and nothing is reset after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from engine.kernel.errors import Unavailable

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


class Connections:
    """Up to `size` connections, opened when needed. Belongs to the event loop that first uses it.

    `settings` are run-time parameters of each connection.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int = 4,
        name: str = "webnova",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._url = url
        self._settings = {
            "application_name": name,
            "search_path": "webnova",
            "idle_in_transaction_session_timeout": "30000",
            **(settings or {}),
        }
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
        return await asyncpg.connect(
            self._url, timeout=10, command_timeout=30, server_settings=self._settings
        )

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
