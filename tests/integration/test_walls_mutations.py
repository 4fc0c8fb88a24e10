"""Each wall is weakened in turn, and each time it is seen; untouched, nothing crosses."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest

from engine.conductor.platforms import Platform
from engine.conductor.requests import CreatePlatform
from engine.kernel.contracts import Call
from engine.kernel.errors import NotFound
from engine.ledger.metering.store import Holds, Metering
from engine.ledger.transparency.queries import Log
from storage.bootstrap import bootstrap_database
from storage.migrate import upgrade_async
from tests.integration.catalogue import violations
from tests.integration.conftest import owner
from tests.integration.crossing import Pair, crossings, furnish, inhabit, mutations, tables
from webnova.compose import Installation, compose
from webnova.stack.database import role_passwords
from webnova.stack.postgres import EmbeddedPostgres

PAIR = Pair(us="ours", them="theirs")
FRESH = """
CREATE TABLE webnova.fresh (tenant_id text NOT NULL, id text NOT NULL, amount numeric NOT NULL,
    PRIMARY KEY (tenant_id, id));
ALTER TABLE webnova.fresh OWNER TO webnova_owner;
ALTER TABLE webnova.fresh ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.fresh FORCE ROW LEVEL SECURITY;
CREATE POLICY fresh_of_tenant ON webnova.fresh TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()));
GRANT SELECT, INSERT ON webnova.fresh TO webnova_app;
"""


@dataclass(frozen=True)
class Scratch:
    installation: Installation
    admin_url: str
    blobs: dict[str, str]


@pytest.fixture(scope="module")
async def scratch(postgres_server: EmbeddedPostgres) -> AsyncIterator[Scratch]:
    """A database of its own, in which three tenants have rows in every table and partition."""
    name = f"walls_{uuid4().hex[:8]}"
    admin = postgres_server.admin_url.reveal()
    passwords = role_passwords(postgres_server.secrets_dir)
    urls = await bootstrap_database(admin, passwords, database=name)
    await upgrade_async(urls.owner.reveal())
    installation = compose("walls", url=urls.app.reveal(), pool=4)
    blobs = {t: await inhabit(installation, t) for t in (PAIR.us, PAIR.them, "third")}
    admin_url = f"{admin.rpartition('/')[0]}/{name}"
    connection = await asyncpg.connect(admin_url)
    await furnish(connection, await tables(connection), PAIR)
    await connection.close()
    yield Scratch(installation, admin_url, blobs)
    await installation.close()


@pytest.fixture
async def admin(scratch: Scratch) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(scratch.admin_url)
    yield connection
    await connection.close()


async def test_nothing_crosses_the_walls_as_they_are(admin: asyncpg.Connection) -> None:
    found = await tables(admin)
    assert {"events", "events_default", "documents", "reservations"} <= {t.name for t in found}
    async with admin.transaction():
        for pair in (PAIR, Pair(PAIR.them, PAIR.us)):
            assert await crossings(admin, found, pair) == set()


async def test_each_weakened_wall_is_seen_by_the_lint_and_by_what_crosses(
    admin: asyncpg.Connection,
) -> None:
    assert await violations(admin) == set()
    found = await tables(admin)
    missed, tried = [], 0
    for table in found:
        for mutation in mutations(table):
            attempt = admin.transaction()
            await attempt.start()
            await admin.execute(mutation)
            linted = await violations(admin)
            (mutated,) = [each for each in await tables(admin) if each.name == table.name]
            crossed = await crossings(admin, [mutated], PAIR)
            await attempt.rollback()
            tried += 1
            if not linted or not crossed:
                missed.append((mutation, linted, crossed))
    assert missed == []
    assert tried >= 4 * len(found)


async def test_a_new_table_is_tried_without_a_change(admin: asyncpg.Connection) -> None:
    async with admin.transaction():
        await admin.execute(FRESH)
        assert await violations(admin) == set()
        (fresh,) = [each for each in await tables(admin) if each.name == "fresh"]
        await furnish(admin, [fresh], PAIR)
        assert await crossings(admin, [fresh], PAIR) == set()
        assert len(list(mutations(fresh))) == 5
        for mutation in mutations(fresh):
            async with admin.transaction():
                attempt = admin.transaction()
                await attempt.start()
                await admin.execute(mutation)
                assert await crossings(admin, [fresh], PAIR), mutation
                await attempt.rollback()
        await admin.execute("DROP TABLE webnova.fresh")


async def test_the_stores_show_each_tenant_its_own_only(scratch: Scratch) -> None:
    """The storage classes themselves, asked in one tenant for what another has."""
    made = scratch.installation
    for us, them in itertools.permutations((PAIR.us, PAIR.them, "third"), 2):
        for event in await made.feed.read(us, after=None):
            assert event.tenant == us
        (note,) = await made.streams.read(us, "note", "a", limit=1)
        assert note.data == {"by": us}
        (other,) = await made.streams.read(them, "note", "a", limit=1)
        with pytest.raises(NotFound):
            await made.streams.links(us, other.event_id)
        async with made.transactions.writing(Call(CreatePlatform(name="any"), owner(us), us)) as tx:
            assert {e.tenant for e in await tx.history(Platform, "shop")} == {us}
            with pytest.raises(NotFound):
                await tx.blob(scratch.blobs[them])
            assert await tx.recall(f"key-{them}", "f") is None
            assert await tx.part(Log).leaf_of(UUID(other.event_id)) is None
            (unrated,) = await tx.part(Metering).unrated()
            assert unrated.events == 1
            period = unrated.period
            assert await tx.part(Holds).standing(f"cap-{them}", period) is None
            standing = await tx.part(Holds).standing(f"cap-{us}", period)
            assert standing is not None and standing.held == 1


async def test_statistics_do_not_tell_what_rows_hold(admin: asyncpg.Connection) -> None:
    await admin.execute("ANALYZE webnova.blobs, webnova.documents")
    assert await admin.fetchval("SELECT count(*) FROM pg_stats WHERE schemaname = 'webnova'")
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE webnova_app")
        shown = "SELECT count(*) FROM pg_stats WHERE schemaname = 'webnova'"
        assert await admin.fetchval(shown) == 0
