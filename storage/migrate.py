"""Brings the database's schema up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from storage.clusters import adopt
from storage.database import driver_url

AHEAD = 13
"""For so many months, this one included, events find a partition of their own waiting. Later ones
go to the default partition until the installation is started or upgraded again."""
MONTHS_AHEAD = text("SELECT webnova.make_event_partitions(now()::date, :months)")
LOCK = 0x7765626E6F7661
"""Key of the advisory lock that lets one migrator in at a time (the bytes of "webnova")."""


async def upgrade_async(owner_url: str, *, to: str = "head") -> None:
    """Run every migration up to `to` that the database has not seen, as the owner of the schema.

    A database that was restored into another cluster is made to go on there.

    Any number of processes may call this at once; one works and the others wait.
    """
    engine = create_async_engine(driver_url(owner_url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
            await connection.commit()
            await _migrate(connection, to)
            if to == "head":
                await adopt(connection)
                await connection.execute(MONTHS_AHEAD, {"months": AHEAD})
                await connection.commit()
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
            await connection.commit()
    finally:
        await engine.dispose()


async def _migrate(connection: AsyncConnection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")

    def run(sync_connection: object) -> None:
        config.attributes["connection"] = sync_connection
        command.upgrade(config, to)

    await connection.run_sync(run)
    await connection.commit()


def upgrade(owner_url: str) -> None:
    """`upgrade_async` for callers that have no event loop."""
    asyncio.run(upgrade_async(owner_url))
