"""The event store, the documents and the walls between tenants, on a real Postgres."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import text

from engine.conductor.platforms import Platform, PlatformRequested
from engine.conductor.requests import CreatePlatform, GetPlatform
from engine.kernel.contracts import Call, Recorded
from engine.kernel.errors import (
    Conflict,
    Forbidden,
    IdempotencyConflict,
    NotFound,
    VersionConflict,
)
from engine.trust.tenants import CreateTenant
from engine.trust.tokens import IssueToken, RevokeToken, draw
from storage.connections import Connections
from storage.feed import PostgresFeed
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

AT = datetime(2026, 1, 1, tzinfo=UTC)


def requested(name: str) -> PlatformRequested:
    return PlatformRequested(name=name, description="x", at=AT)


def call(tenant: str) -> Call:
    return Call(CreatePlatform(name="any"), owner(tenant), tenant)


async def test_only_one_of_two_writers_at_the_same_version_wins(
    installation: Installation, tenant: str
) -> None:
    async def write() -> str:
        async with installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, "shop", [requested("shop")], expected=0)
        return "won"

    outcomes = await asyncio.gather(*(write() for _ in range(8)), return_exceptions=True)
    assert outcomes.count("won") == 1
    assert sum(isinstance(each, VersionConflict) for each in outcomes) == 7


async def test_a_failed_transaction_leaves_no_event_and_no_document(
    installation: Installation, tenant: str
) -> None:
    with pytest.raises(RuntimeError, match="halfway"):
        async with installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, "shop", [requested("shop")], expected=0)
            raise RuntimeError("halfway")
    async with installation.transactions.reading(tenant) as reader:
        assert await reader.find(Platform, "shop") is None
        assert await reader.history(Platform, "shop") == []


async def test_the_same_idempotency_key_answers_the_same_and_acts_once(
    installation: Installation, tenant: str
) -> None:
    command = CreatePlatform(name="shop", description="a shop")
    answers = await asyncio.gather(
        *(execute(installation, tenant, command, key="k1") for _ in range(6))
    )
    assert len({answer.run for answer in answers}) == 1
    with pytest.raises(IdempotencyConflict):
        await execute(installation, tenant, CreatePlatform(name="other"), key="k1")
    with pytest.raises(Conflict):
        await execute(installation, tenant, command, key="k2")


async def test_a_failed_command_does_not_use_up_its_key(
    installation: Installation, tenant: str
) -> None:
    with pytest.raises(Forbidden):
        await execute(installation, tenant, CreateTenant(name="mine", title="Mine"), key="k")
    await execute(installation, tenant, CreatePlatform(name="shop"), key="k")


async def test_permissions_are_checked_before_anything_happens(
    installation: Installation, tenant: str
) -> None:
    stranger = Call(CreatePlatform(name="shop"), owner("elsewhere"), tenant)
    with pytest.raises(NotFound):
        await installation.dispatcher.execute(stranger)
    with pytest.raises(NotFound):
        await installation.dispatcher.ask(GetPlatform(name="shop"), owner("elsewhere"), tenant)


async def test_a_token_proves_its_caller_until_it_is_revoked(
    installation: Installation, tenant: str
) -> None:
    id, secret_hash, token = draw(tenant)
    issue = IssueToken(id=id, secret_sha256=secret_hash, label="ci", permissions=["platform.read"])
    await execute(installation, tenant, issue)
    caller = await installation.authenticate(token.reveal())
    assert (caller.tenant, caller.permissions) == (tenant, {"platform.read"})
    with pytest.raises(Forbidden):
        await installation.dispatcher.execute(Call(CreatePlatform(name="shop"), caller, tenant))
    other = token.reveal()[:-1] + ("A" if token.reveal()[-1] != "A" else "B")
    for wrong in (other, "", "wn_x_y_z", token.reveal().replace(tenant, "elsewhere")):
        with pytest.raises(Exception, match="missing, wrong, expired"):
            await installation.authenticate(wrong)
    await execute(installation, tenant, RevokeToken(id=id))
    with pytest.raises(Exception, match="revoked"):
        await installation.authenticate(token.reveal())


async def test_readers_lose_no_event_under_concurrent_writers(
    installation: Installation, tenant: str
) -> None:
    """Writers commit late and out of order; a reader that follows sees each event once."""
    total, dice = 400, random.Random(7)

    async def write(number: int) -> None:
        name = f"p{number}"
        async with installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, name, [requested(name)], expected=0)
            await asyncio.sleep(dice.random() * 0.05)

    async def follow() -> list[Recorded]:
        seen: list[Recorded] = []
        async for event in installation.feed.subscribe(tenant, after=None):
            if event is not None:
                seen.append(event)
            if len(seen) == total:
                break
        return seen

    readers = [asyncio.create_task(follow()) for _ in range(3)]
    gate = asyncio.Semaphore(12)

    async def gated(number: int) -> None:
        async with gate:
            await write(number)

    await asyncio.gather(*(gated(number) for number in range(total)))
    async with asyncio.timeout(30):
        results = await asyncio.gather(*readers)
    for seen in results:
        assert len({event.event_id for event in seen}) == total
        places = [(event.xid, event.position) for event in seen]
        assert places == sorted(places)


async def test_a_cursor_by_position_alone_would_lose_events(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    """The harness above can fail: what it guards against does happen."""
    late_may_commit = asyncio.Event()

    async def late() -> None:
        async with installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, "late", [requested("late")], expected=0)
            await late_may_commit.wait()

    writer = asyncio.create_task(late())
    await asyncio.sleep(0.1)
    async with installation.transactions.writing(call(tenant)) as tx:
        await tx.append(Platform, "early", [requested("early")], expected=0)
    connection = await asyncpg.connect(postgres.app_url)
    select = "SELECT position, id FROM webnova.events WHERE position > $1 ORDER BY position"
    await connection.execute("SELECT set_config('webnova.tenant', $1, false)", tenant)
    naive = [(row["position"], row["id"]) for row in await connection.fetch(select, 0)]
    careful = await installation.feed.read(tenant, after=None)
    late_may_commit.set()
    await writer
    naive += [(row["position"], row["id"]) for row in await connection.fetch(select, naive[-1][0])]
    await connection.close()
    careful += await installation.feed.read(tenant, after=None)
    assert [id for _, id in naive] == ["early"]
    assert sorted(event.id for event in careful) == ["early", "late"]


async def test_no_side_door_shows_another_tenants_rows(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await execute(installation, tenant, CreatePlatform(name="secret", description="s"))
    connection = await asyncpg.connect(postgres.app_url)
    tables = ["events", "documents", "idempotency", "work", "blobs"]
    try:
        for setting in (None, "", "elsewhere"):
            if setting is not None:
                await connection.execute("SELECT set_config('webnova.tenant', $1, false)", setting)
            for table in tables:
                query = f"SELECT count(*) FROM webnova.{table} WHERE tenant_id = $1"
                assert await connection.fetchval(query, tenant) == 0, (table, setting)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO webnova.blobs VALUES ($1, 'd', 'x')", tenant)
        for forbidden in (
            "UPDATE webnova.events SET data = '{}'",
            "DELETE FROM webnova.events",
            "TRUNCATE webnova.events",
            "ALTER TABLE webnova.events DISABLE ROW LEVEL SECURITY",
            "DROP POLICY events_of_tenant ON webnova.events",
            "SET ROLE webnova_owner",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(forbidden)
    finally:
        await connection.close()


async def test_a_quiet_stream_shows_signs_of_life_on_a_busy_database(
    installation: Installation, tenant: str
) -> None:
    feed = PostgresFeed(installation.connections, interval=0.01, heartbeat=0.3)

    async def others_work() -> None:
        while True:
            async with installation.database.transaction() as connection:
                await connection.execute(text("SELECT pg_current_xact_id()"))

    busy = asyncio.create_task(others_work())
    try:
        async with asyncio.timeout(20):
            stream = feed.subscribe(tenant, after=None)
            assert [await anext(stream) for _ in range(3)] == [None, None, None]
            await stream.aclose()  # type: ignore[attr-defined]
    finally:
        busy.cancel()


class Faltering(Connections):
    """Connections of which one is lost: the tenth to be borrowed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.lost = asyncio.Event()
        self._borrowed = 0

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[asyncpg.Connection]:
        self._borrowed += 1
        if self._borrowed == 10:
            self.lost.set()
            raise ConnectionResetError
        async with super().borrow() as connection:
            yield connection


async def test_a_subscriber_outlives_a_lost_connection(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    """It is told of the next event, and not only when its next sign of life is due."""
    connections = Faltering(postgres.app_url)
    feed = PostgresFeed(connections, interval=0.01, heartbeat=3600)
    waiting = asyncio.ensure_future(anext(feed.subscribe(tenant, after=None)))
    try:
        async with asyncio.timeout(60):
            # By then the subscriber has read what there is, and only its feed still asks.
            await connections.lost.wait()
            await execute(installation, tenant, CreatePlatform(name="shop"))
            event = await waiting
    finally:
        await connections.close()
    assert event is not None
    assert event.type == "platform.requested"


async def test_the_executor_sees_keys_of_work_and_nothing_else(postgres: TestDatabase) -> None:
    connection = await asyncpg.connect(postgres.worker_url)
    try:
        await connection.fetch("SELECT tenant_id, kind, id, fence FROM webnova.work")
        for table in ("events", "documents", "idempotency", "blobs"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM webnova.{table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM webnova.work")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE webnova.work SET tenant_id = 'x'")
    finally:
        await connection.close()
