from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.conductor.checking import LOCK
from engine.kernel.contracts import Call, Caller, Command
from engine.runtime.dependencies import DependencyCache, Environment
from storage.database import Database
from storage.work import PostgresWorkQueue
from tests.conftest import TestDatabase
from tests.integration.generated import write_project
from webnova.compose import Installation, compose
from webnova.stack.home import Home

_tenants = itertools.count(1)


@pytest.fixture(scope="session")
async def installation(
    postgres: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    home = Home.at(tmp_path_factory.mktemp("home"))
    made = compose("tests", url=postgres.app_url, pool=24, home=home)
    yield made
    await made.close()


@pytest.fixture(scope="session")
async def queue(postgres: TestDatabase) -> AsyncIterator[PostgresWorkQueue]:
    database = Database(postgres.worker_url, size=4, name="tests-worker")
    yield PostgresWorkQueue(database)
    await database.close()


@pytest.fixture
def tenant() -> str:
    """The name of a tenant that no other test uses."""
    return f"tenant-{next(_tenants)}"


@pytest.fixture
async def app(postgres: TestDatabase, tenant: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the application that sees the rows of the test's tenant."""
    connection = await asyncpg.connect(postgres.app_url)
    await connection.execute("SELECT set_config('webnova.tenant', $1, false)", tenant)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def environment(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Environment]:
    """What the lock of every generated platform names, kept between sessions."""
    cache = request.config.cache
    assert cache is not None
    example = Path(__file__).parents[2] / "examples" / "clinic.yaml"
    lock = write_project(example, tmp_path_factory.mktemp("locked")) / LOCK
    with await DependencyCache(cache.mkdir("environments")).ensure(lock) as made:
        yield made


def owner(tenant: str) -> Caller:
    return Caller(id="token:owner", tenant=tenant, permissions=frozenset({"*"}))


async def execute(
    installation: Installation, tenant: str, command: Command, key: str | None = None
) -> Any:
    call = Call(command, owner(tenant), tenant, idempotency_key=key)
    return await installation.dispatcher.execute(call)
