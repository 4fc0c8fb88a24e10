"""Connections: one pool per role, and transactions that belong to one tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.connections import direct_address, session, unavailable

PATIENCE_MIN = 10
SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
PATIENCE = text(f"SET LOCAL idle_in_transaction_session_timeout = '{PATIENCE_MIN}min'")
# Of servers that know the bound.
UNBOUNDED = text(
    "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'"
)
SET_TENANT = text("SELECT set_config('webnova.tenant', :tenant, true)")


# A statement without a name lives until the next one, inside one transaction: none is left behind
# on a server connection that others use next.
UNPREPARED: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}


def driver_url(url: str) -> str:
    """A plain `postgresql://` address as SQLAlchemy's asyncpg dialect wants it."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


class Database:
    """A pool of connections as one role. Belongs to the event loop that first uses it.

    `url` may name a pooler (`storage.connections.direct_address`).
    """

    def __init__(self, url: str, *, size: int = 10, name: str = "webnova") -> None:
        address, pooled = direct_address(url)
        settings = {
            "application_name": name,
            "search_path": "webnova",
            "idle_in_transaction_session_timeout": "30000",
            "statement_timeout": "30000",
        }
        self.engine: AsyncEngine = create_async_engine(
            driver_url(address),
            pool_size=size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={**session(pooled, settings), **(UNPREPARED if pooled else {})},
        )

    @asynccontextmanager
    async def transaction(
        self, tenant: str | None = None, *, snapshot: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """One transaction, in the scope of the tenant if one is given.

        Without a tenant, row-level security shows no row of any tenant to the application role.
        With `snapshot` it sees one instant, only reads, and may wait for its reader for
        `PATIENCE_MIN` minutes. A database that can't be reached is `Unavailable`.
        """
        try:
            async with self.engine.begin() as connection:
                if snapshot:
                    await connection.execute(SNAPSHOT)
                    await connection.execute(PATIENCE)
                    await connection.execute(UNBOUNDED)
                if tenant is not None:
                    await connection.execute(SET_TENANT, {"tenant": tenant})
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError) as error:
            raise unavailable() from error
        except DBAPIError as error:
            # Without a statement it was the connecting that failed, as while a server starts.
            if error.connection_invalidated or error.statement is None:
                raise unavailable() from error
            raise

    async def close(self) -> None:
        await self.engine.dispose()
