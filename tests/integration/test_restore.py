"""A dump, restored into another cluster of Postgres, goes on where the first one was."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.subscriptions.records import (
    AcknowledgeEvents,
    LeaseEvents,
    OpenSubscription,
)
from engine.trust.tokens import TokenRevoked
from storage.bootstrap import bootstrap_database
from storage.database import Database
from storage.transparency import PostgresLogs
from tests.conftest import TestDatabase
from tests.integration.conftest import execute
from webnova.compose import Installation, compose
from webnova.stack.database import prepare_database, role_passwords
from webnova.stack.postgres import EmbeddedPostgres, locate_binaries

ORIGIN = Origin(caller="token:owner")
TENANT = "mover"
BURNT = 3000
"""Transactions of the first cluster before the dump, so that its numbers are ahead."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """Two clusters with the same passwords."""
    secrets = tmp_path / "secrets"
    made = [EmbeddedPostgres(tmp_path / name / "data", secrets) for name in ("first", "second")]
    for server in made:
        server.start()
    yield made[0], made[1]
    for server in made:
        server.stop()


def run(program: str, url: str, *arguments: str) -> None:
    parts = urlsplit(url)
    command = [str(locate_binaries() / program), *arguments]
    address = ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)]
    done = subprocess.run(
        [*command, *address],
        env={**os.environ, "PGPASSWORD": parts.password or ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


async def happen(installation: Installation, stream: str, count: int = 1) -> None:
    append = Append("seen", stream, [NewEvent(TokenRevoked())] * count)
    await installation.streams.append(TENANT, [append], ORIGIN)


async def seen(installation: Installation, after: str | None) -> tuple[list[str], str | None]:
    """The places of all events past the cursor, and the last cursor."""
    places = []
    while page := await installation.feed.read(TENANT, after=after, limit=7):
        places += [f"{each.id}@{each.version}" for each in page]
        after = page[-1].cursor
    return places, after


async def test_a_restored_database_loses_and_repeats_nothing(
    servers: tuple[EmbeddedPostgres, EmbeddedPostgres], tmp_path: Path
) -> None:
    first, second = servers
    old = compose("old", url=await asyncio.to_thread(prepared, first))
    connection = await asyncpg.connect(first.admin_url.reveal())
    for _ in range(BURNT):
        await connection.execute("SELECT pg_current_xact_id()")
    await connection.close()
    for number in range(5):
        await happen(old, f"s{number}", 3)
    opened = OpenSubscription(name="copy", types=["token.*"], start="beginning")
    await execute(old, TENANT, opened)
    leased = await execute(old, TENANT, LeaseEvents(name="copy", consumer="c", limit=4))
    await execute(
        old,
        TENANT,
        AcknowledgeEvents(
            name="copy", slot=leased.slot, fence=leased.fence, cursor=leased.items[-1].cursor
        ),
    )
    await old.logs.sequence(TENANT, 10)
    half = (await old.feed.read(TENANT, after=None, limit=6))[-1].cursor
    before, end = await seen(old, None)
    await old.close()

    dump = tmp_path / "dump"
    database = ["-d", "webnova"]
    run("pg_dump", first.admin_url.reveal(), "-Fc", "-f", str(dump), *database)
    # Whoever read on after the dump was made stands ahead of all that is restored.
    ahead = f"{int(end.partition('-')[0]) + 1000}-{10**9}" if end else ""
    # Dumps hold neither roles nor the database itself.
    passwords = role_passwords(second.secrets_dir)
    await bootstrap_database(second.admin_url.reveal(), passwords)
    run("pg_restore", second.admin_url.reveal(), str(dump), *database)
    new = compose("new", url=await asyncio.to_thread(prepared, second))

    assert (await seen(new, None))[0] == before
    assert (await seen(new, half))[0] == before[6:]
    assert (await seen(new, end))[0] == []
    for number in range(5):
        await happen(new, f"s{number}")
    fresh = [f"s{number}@4" for number in range(5)]
    assert (await seen(new, end))[0] == fresh
    assert (await seen(new, ahead))[0] == fresh
    assert (await seen(new, None))[0] == before + fresh
    leased = await execute(new, TENANT, LeaseEvents(name="copy", consumer="c", limit=500))
    # The subscription itself is one more event, which is not of its topic.
    revoked = [each for each in before + fresh if each.startswith("s")]
    assert [f"{each.id}@{each.version}" for each in leased.items] == revoked[4:]

    logs = PostgresLogs(new.database)
    while await logs.sequence(TENANT, 10):
        continue
    assert (await logs.head(TENANT)).size == len(before + fresh)

    # Starting again in a cluster that is known changes nothing.
    await asyncio.to_thread(prepared, second)
    assert (await seen(new, None))[0] == before + fresh
    await new.close()


def prepared(server: EmbeddedPostgres) -> str:
    return prepare_database(server.admin_url, server.secrets_dir).app.reveal()


async def test_a_pool_of_the_application_bounds_its_transactions(postgres: TestDatabase) -> None:
    for url in (postgres.app_url, postgres.worker_url):
        database = Database(url, size=1)
        async with database.transaction() as connection:
            for name, longest in {
                "transaction_timeout": "2min",
                "idle_in_transaction_session_timeout": "30s",
            }.items():
                shown = await connection.exec_driver_sql(f"SHOW {name}")
                assert shown.scalar_one() == longest
        await database.close()
