"""Ten thousand operations of three tenants on one connection, against a model of each.

The same through a pooler that gives the one server connection to another client at every
transaction (`tests.integration.scale`).
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlalchemy import text

from engine.conductor.requests import CreatePlatform
from storage import database, streams
from storage.bootstrap import DatabaseUrls
from tests.conftest import TestDatabase
from tests.integration.conftest import execute
from tests.integration.crossing import inhabit
from tests.integration.pooler import pgbouncer
from tests.integration.scale import sized
from tests.integration.tenancy_model import OPERATIONS, Tenant, World
from webnova.compose import Installation, backlogs, compose, work_queue
from webnova.stack.database import role_passwords, role_urls, through_pooler
from webnova.stack.postgres import EmbeddedPostgres

FULL = 10_000
STEPS = 50
_worlds = itertools.count(1)

Step = tuple[int, int, int]
"""Which operation, of which tenant, and the seed of its dice."""
steps = st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 2), st.integers(0, 2**32 - 1))


class Walls(RuleBasedStateMachine):
    """The rules are one operation, or one of each tenant at the same time.

    Nothing more is done after `wanted` operations, unless one of them has failed: then it is
    repeated to find the shortest way there.
    """

    installation: Installation
    loop: asyncio.AbstractEventLoop
    wanted: int
    done = 0
    failed = False

    def __init__(self) -> None:
        super().__init__()
        number = next(_worlds)
        self.world = World(self.installation, [Tenant(f"w{number}-{name}") for name in "abc"])

    def run(self, *operations: Step) -> None:
        async def together() -> None:
            async with asyncio.timeout(120):
                await asyncio.gather(*(self.begin(*each) for each in operations))

        if self.done >= self.wanted and not self.failed:
            return
        type(self).done += len(operations)
        try:
            self.loop.run_until_complete(together())
        except BaseException:
            type(self).failed = True
            raise

    def begin(self, which: int, tenant: int, seed: int) -> Awaitable[None]:
        return OPERATIONS[which](self.world, self.world.tenants[tenant], random.Random(seed))

    @rule(step=steps)
    def one(self, step: Step) -> None:
        self.run(step)

    @rule(all_of=st.tuples(steps, steps, steps))
    def at_once(self, all_of: tuple[Step, Step, Step]) -> None:
        self.run(*((which, tenant, seed) for tenant, (which, _, seed) in enumerate(all_of)))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where personal data finds its key."""
    monkeypatch.setenv("WEBNOVA_HOME", str(tmp_path / "home"))


def prove(url: str, *, pool: int, wanted: int, shrink: bool = True) -> None:
    """Run the machine for so many operations, over `pool` connections."""
    loop = asyncio.new_event_loop()
    installation = compose("walls", url=url, pool=pool)
    bound = {"installation": installation, "loop": loop, "wanted": wanted, "done": 0}
    machine = type("Bound", (Walls,), bound)
    configuration = settings(
        max_examples=max(1, round(wanted / (STEPS * 2))),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=configuration)
    finally:
        loop.run_until_complete(installation.close())
        loop.close()
    if machine.done < wanted:
        pytest.fail(f"only {machine.done} operations were done")


def test_one_connection_never_carries_a_tenant_over(postgres: TestDatabase) -> None:
    prove(postgres.app_url, pool=1, wanted=sized(FULL))


@pytest.fixture
def pooled_urls(
    postgres: TestDatabase, postgres_server: EmbeddedPostgres, tmp_path: Path
) -> Iterator[DatabaseUrls]:
    passwords = role_passwords(postgres_server.secrets_dir)
    assert postgres_server.port is not None
    with pgbouncer(tmp_path / "pooler", postgres_server.port, passwords) as place:
        urls = role_urls(postgres_server.admin_url, postgres_server.secrets_dir)
        yield through_pooler(urls, place)


@pytest.fixture
def pooled_url(pooled_urls: DatabaseUrls) -> str:
    return pooled_urls.app.reveal()


def test_one_server_connection_behind_a_pooler_never_carries_a_tenant_over(
    pooled_url: str,
) -> None:
    prove(pooled_url, pool=3, wanted=sized(FULL))


@pytest.mark.parametrize("module", [database, streams])
def test_a_tenant_that_outlives_its_transaction_is_caught(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    """The proof can fail: where the tenant is set for the session, the machine says so."""
    name = "SET_TENANT" if module is database else "SCOPE"
    statement = str(getattr(module, name)).replace(", true)", ", false)")
    assert "false" in statement
    monkeypatch.setattr(module, name, text(statement) if module is database else statement)
    with pytest.raises(AssertionError):
        prove(postgres.app_url, pool=1, wanted=1000, shrink=False)


async def test_the_pooler_gives_all_clients_the_same_server_connection(pooled_url: str) -> None:
    """What the proof above rests on, and that nothing is left prepared on it."""
    installation = compose("walls", url=pooled_url, pool=3)
    try:
        pids = set()
        left = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"
        borrow = installation.connections.borrow
        async with borrow() as one, borrow() as two:
            for connection in (one, two):
                pids.add(await connection.fetchval("SELECT pg_backend_pid() + $1::integer", 0))
            assert await one.fetchval(left) == 0
        assert len(pids) == 1
        async with installation.database.transaction("t") as session:
            await session.exec_driver_sql("SELECT 1")
        async with installation.connections.borrow() as one:
            assert await one.fetchval(left) == 0
            assert await one.fetchval("SHOW statement_timeout") == "30s"
    finally:
        await installation.close()


async def test_the_executor_works_behind_the_pooler(
    postgres: TestDatabase, pooled_urls: DatabaseUrls
) -> None:
    tenant = f"pooled-{next(_worlds)}"
    installation = compose("walls", url=pooled_urls.app.reveal(), pool=2)
    worker = pooled_urls.worker.reveal()
    queue, due = work_queue("walls", url=worker), backlogs("walls", url=worker)
    try:
        await inhabit(installation, tenant)
        await execute(installation, tenant, CreatePlatform(name="later", description="x"))
        claimed = await queue.claim("me", "run", limit=1000, per_tenant=5, seconds=30)
        (lease, *_) = [each for each in claimed if each.tenant == tenant]
        assert await queue.renew(lease, seconds=30)
        assert tenant in await due.logs.behind()
        assert tenant not in await due.books.unsettled()
        for each in claimed:
            await queue.release(each)
        stream = installation.feed.subscribe(tenant, after=None)
        first = await anext(stream)
        assert first is not None and first.tenant == tenant
        await stream.aclose()  # type: ignore[attr-defined]
    finally:
        for each in (queue, due, installation):
            await each.close()


async def test_a_session_setting_does_cross_behind_the_pooler(pooled_url: str) -> None:
    """The proof above can fail: a tenant that is set for the session is seen by the next."""
    address = pooled_url.partition("?")[0]
    first, second = [await asyncpg.connect(address, statement_cache_size=0) for _ in range(2)]
    try:
        await first.execute("SELECT set_config('webnova.tenant', 'first', false)")
        shown: Any = await second.fetchval("SHOW webnova.tenant")
        assert shown == "first"
        await second.execute("RESET webnova.tenant")
    finally:
        await first.close()
        await second.close()
