"""The tamper-evident log on a real Postgres: kept up exactly once, and every alteration found."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from engine.conductor.platforms import Platform
from engine.kernel.contracts import Caller
from engine.kernel.dispatch import answer_as
from engine.kernel.errors import Forbidden, InvalidInput, NotFound
from engine.ledger.transparency.canonical import event_bytes
from engine.ledger.transparency.export import Report
from engine.ledger.transparency.merkle import (
    Frontier,
    hash_leaf,
    verify_consistency,
    verify_inclusion,
)
from engine.ledger.transparency.notes import Checkpoint, Note, decoded, opened
from engine.ledger.transparency.proofs import LogContradiction, tree_root
from engine.ledger.transparency.publication import Notary
from engine.ledger.transparency.publishing.files import FilePublisher
from engine.ledger.transparency.queries import (
    ConsistencyProof,
    GetLogHead,
    InclusionProof,
    Log,
    LogHead,
    ProveConsistency,
    ProveInclusion,
)
from engine.ledger.transparency.upkeep import BATCH, Upkeep
from storage.database import Database
from storage.transparency import PostgresLogBacklog
from tests.conftest import TestDatabase
from tests.integration.conftest import owner
from tests.integration.test_ledger import call, requested
from webnova.compose import Installation
from webnova.stack.home import Home


async def write(installation: Installation, tenant: str, *names: str) -> None:
    """One platform's first event for each name, each in a transaction of its own."""
    for name in names:
        async with installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, name, [requested(name)], expected=0)


async def superuser(postgres: TestDatabase) -> Any:
    """A connection that no privilege and no row-level security stops."""
    database = urlsplit(postgres.app_url).path.removeprefix("/")
    return await asyncpg.connect(postgres.admin_url, database=database)


async def keep_up(installation: Installation, tenant: str, limit: int = 100) -> int:
    total = 0
    while count := await installation.logs.sequence(tenant, limit):
        total += count
    return total


async def ask(installation: Installation, tenant: str, view: Any, query: Any) -> Any:
    return answer_as(view, await installation.dispatcher.ask(query, owner(tenant), tenant))


async def check_log(installation: Installation, tenant: str, total: int) -> None:
    """The log holds every event of the feed once, in its order, and its head is their tree."""
    events = await installation.feed.read(tenant, after=None, limit=total + 10)
    entries = [entry async for entry in installation.logs.compared(tenant, total + 10)]
    assert len(events) == len(entries) == total
    frontier = Frontier()
    for number, (event, entry) in enumerate(zip(events, entries, strict=True)):
        assert entry.leaf is not None and entry.event is not None
        assert entry.leaf.index == number
        assert entry.event.event_id == event.event_id == entry.leaf.event_id
        assert entry.leaf.hash == hash_leaf(event_bytes(event))
        frontier.append(entry.leaf.hash)
    head = await installation.logs.head(tenant)
    assert (head.size, head.root) == (total, frontier.root())
    async with installation.transactions.reading(tenant) as reader:
        assert await tree_root(reader.part(Log), total) == head.root


async def test_racing_sequencers_log_each_event_once_in_reading_order(
    installation: Installation, tenant: str
) -> None:
    """Writers commit late and out of order while six sequencers run."""
    total, dice, written = 300, random.Random(11), asyncio.Event()
    gate = asyncio.Semaphore(10)

    async def late(number: int) -> None:
        async with gate, installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, f"p{number}", [requested(f"p{number}")], expected=0)
            await asyncio.sleep(dice.random() * 0.03)

    async def sequencer(limit: int) -> int:
        count = 0
        while not written.is_set():
            count += await installation.logs.sequence(tenant, limit)
            await asyncio.sleep(0)
        return count

    running = [asyncio.create_task(sequencer(limit)) for limit in (1, 2, 3, 7, 50, 300)]
    await asyncio.gather(*(late(number) for number in range(total)))
    written.set()
    counts = await asyncio.gather(*running)
    assert sum(counts) + await keep_up(installation, tenant) == total
    await check_log(installation, tenant, total)


async def test_a_sequencer_that_dies_leaves_nothing_half_done(
    installation: Installation, tenant: str
) -> None:
    await write(installation, tenant, *(f"p{n}" for n in range(5)))
    assert await installation.logs.sequence(tenant, 2) == 2

    async def dies() -> None:
        async with installation.transactions.reading(tenant) as reader:
            assert await reader.part(Log).append(2) == 2
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await dies()
    assert (await installation.logs.head(tenant)).size == 2
    assert await keep_up(installation, tenant, limit=2) == 3
    assert await installation.logs.sequence(tenant, 2) == 0
    await check_log(installation, tenant, 5)


async def test_an_open_transaction_holds_the_log_back_and_loses_nothing(
    installation: Installation, tenant: str
) -> None:
    commit = asyncio.Event()
    begun = asyncio.Event()

    async def late() -> None:
        async with installation.transactions.writing(call(tenant)) as tx:
            await tx.append(Platform, "late", [requested("late")], expected=0)
            begun.set()
            await commit.wait()

    writer = asyncio.create_task(late())
    await begun.wait()
    await write(installation, tenant, "early")
    before = await installation.logs.sequence(tenant, 10)
    commit.set()
    await writer
    assert before + await keep_up(installation, tenant) == 2
    await check_log(installation, tenant, 2)


async def test_more_than_a_stored_subtree_in_several_batches(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    """600 events in batches that cut across the subtrees of 256 leaves."""
    connection = await superuser(postgres)
    try:
        await connection.execute(
            "INSERT INTO webnova.events (tenant_id, kind, id, version, event_id, type,"
            " schema_version, data, metadata, at) SELECT $1, 'platform', 'p' || n, 1,"
            " gen_random_uuid(), 'platform.requested', 1, jsonb_build_object('n', n), '{}', now()"
            " FROM generate_series(1, 600) n",
            tenant,
        )
        assert [await installation.logs.sequence(tenant, 250) for _ in range(4)] == [
            250,
            250,
            100,
            0,
        ]
        await check_log(installation, tenant, 600)
        nodes = await connection.fetch(
            "SELECT level, index FROM webnova.log_nodes WHERE tenant_id = $1 ORDER BY index", tenant
        )
        assert [tuple(row) for row in nodes] == [(8, 0), (8, 1)]
    finally:
        await connection.close()


async def test_proofs_hold_against_the_published_checkpoint(
    installation: Installation, tenant: str
) -> None:
    await write(installation, tenant, *(f"p{n}" for n in range(9)))
    await keep_up(installation, tenant)
    notary = installation.notary()
    first, _ = opened(await notary.checkpoint(tenant), notary.verifiers(tenant))
    await write(installation, tenant, *(f"q{n}" for n in range(4)))
    await keep_up(installation, tenant)
    second, _ = opened(await notary.checkpoint(tenant), notary.verifiers(tenant))
    assert (first.size, second.size) == (9, 13)

    events = await installation.feed.read(tenant, after=None)
    for number, event in enumerate(events):
        query = ProveInclusion(event=UUID(event.event_id), size=13)
        found = await ask(installation, tenant, InclusionProof, query)
        assert found.index == number
        assert found.event is not None
        leaf = hash_leaf(found.event.encode())
        hashes = [decoded(each, "hash") for each in found.hashes]
        assert verify_inclusion(leaf, number, 13, hashes, second.root)
    grown = await ask(installation, tenant, ConsistencyProof, ProveConsistency(old_size=9))
    hashes = [decoded(each, "hash") for each in grown.hashes]
    assert verify_consistency((9, first.root), (13, second.root), hashes)
    assert (await ask(installation, tenant, LogHead, GetLogHead())).size == 13

    for query, error in (
        (ProveInclusion(index=13), NotFound),
        (ProveInclusion(index=9, size=9), NotFound),
        (ProveInclusion(event=UUID(int=1)), NotFound),
        (ProveInclusion(), InvalidInput),
        (ProveInclusion(index=1, size=14), InvalidInput),
        (ProveConsistency(old_size=14), InvalidInput),
        (ProveConsistency(old_size=9, new_size=8), InvalidInput),
    ):
        with pytest.raises(error):
            await ask(installation, tenant, InclusionProof, query)


async def test_proofs_need_the_permission(installation: Installation, tenant: str) -> None:
    reader = Caller(id="token:reader", tenant=tenant, permissions=frozenset({"event.read"}))
    for query in (GetLogHead(), ProveInclusion(index=0), ProveConsistency(old_size=0)):
        with pytest.raises(Forbidden):
            await installation.dispatcher.ask(query, reader, tenant)


async def test_an_export_stays_consistent_while_events_keep_coming(
    installation: Installation, tenant: str
) -> None:
    await write(installation, tenant, *(f"p{n}" for n in range(20)))
    await keep_up(installation, tenant)
    lines = installation.auditor().export(tenant)
    header = await anext(lines)
    await write(installation, tenant, *(f"q{n}" for n in range(20)))
    await keep_up(installation, tenant)
    rest = [line async for line in lines]
    assert b'"tenant"' in header
    assert len(rest) == 20
    report = await installation.auditor().check(tenant)
    assert (report.intact, report.size) == (True, 40)


async def test_logs_that_are_behind_are_found_by_the_executor_role(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    database = Database(postgres.worker_url, size=1, name="tests-backlog")
    backlog = PostgresLogBacklog(database)
    try:
        assert tenant not in await backlog.behind()
        await write(installation, tenant, "a", "b")
        shards = [await backlog.behind((shard, 3)) for shard in range(3)]
        assert sum(tenant in found for found in shards) == 1
        await installation.logs.sequence(tenant, 1)
        assert tenant in await backlog.behind()
        await keep_up(installation, tenant)
        assert tenant not in await backlog.behind()
    finally:
        await backlog.close()


async def test_nobody_but_the_owner_of_the_database_can_change_a_leaf(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await write(installation, tenant, "a")
    await keep_up(installation, tenant)
    connection = await asyncpg.connect(postgres.app_url)
    worker = await asyncpg.connect(postgres.worker_url)
    try:
        await connection.execute("SELECT set_config('webnova.tenant', $1, false)", tenant)
        assert await connection.fetchval("SELECT count(*) FROM webnova.log_leaves") == 1
        for table in ("log_leaves", "log_nodes"):
            for statement in ("UPDATE {} SET hash = hash", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement.format(f"webnova.{table}"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM webnova.log_heads")
        await connection.execute("SELECT set_config('webnova.tenant', 'elsewhere', false)")
        for table in ("log_leaves", "log_nodes", "log_heads"):
            count = f"SELECT count(*) FROM webnova.{table} WHERE tenant_id = $1"
            assert await connection.fetchval(count, tenant) == 0
        await worker.fetch("SELECT tenant_id, xid, position FROM webnova.events")
        for seen in ("data FROM webnova.events", "id FROM webnova.events", "* FROM log_heads"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await worker.fetch(f"SELECT {seen.replace('FROM log', 'FROM webnova.log')}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.fetch("SELECT * FROM webnova.log_leaves")
    finally:
        await connection.close()
        await worker.close()


class Altered:
    """A log of ten events, its checkpoints published and kept outside, and a superuser."""

    def __init__(
        self, installation: Installation, tenant: str, connection: Any, outside: list[str]
    ) -> None:
        self.installation = installation
        self.tenant = tenant
        self.connection = connection
        self.outside = outside

    async def sql(self, statement: str, *values: Any) -> None:
        done = await self.connection.execute(statement, self.tenant, *values)
        assert not done.endswith(" 0"), f"nothing was altered: {statement}"

    async def check(self) -> Report:
        """As an auditor does who was given the checkpoints at the time."""
        return await self.installation.auditor().check(self.tenant, self.outside)

    async def found(self) -> set[tuple[str, int | None]]:
        report = await self.check()
        assert not report.intact
        return {(each.problem, each.index) for each in report.findings}

    async def rebuild_log(self) -> None:
        """Throw the log away and let it be made anew from the events as they are now."""
        for table in ("log_leaves", "log_nodes", "log_heads"):
            await self.connection.execute(
                f"DELETE FROM webnova.{table} WHERE tenant_id = $1", self.tenant
            )
        await keep_up(self.installation, self.tenant)


@pytest.fixture
async def altered(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> AsyncIterator[Altered]:
    outside = []
    for part in range(2):
        await write(installation, tenant, *(f"p{part * 5 + n}" for n in range(5)))
        await keep_up(installation, tenant)
        outside.append(await installation.notary().checkpoint(tenant))
    connection = await superuser(postgres)
    yield Altered(installation, tenant, connection, outside)
    await connection.close()


OF_EVENT = "tenant_id = $1 AND id = $2"


async def test_an_untouched_ledger_is_intact(altered: Altered) -> None:
    report = await altered.check()
    assert report.intact and report.outside and report.size == 10
    assert len(report.signed_by) == 1


@pytest.mark.parametrize(
    "change",
    [
        """data = jsonb_set(data, '{description}', '"another"')""",
        """metadata = jsonb_set(metadata, '{caller}', '"token:other"')""",
        "at = at + interval '1 microsecond'",
        "type = 'platform.failed'",
        "version = 2",
        "schema_version = 2",
        "kind = 'token'",
    ],
)
async def test_an_edited_event_is_named(altered: Altered, change: str) -> None:
    await altered.sql(f"UPDATE webnova.events SET {change} WHERE {OF_EVENT}", "p3")
    report = await altered.check()
    (finding,) = report.findings
    assert (finding.problem, finding.index, finding.id) == ("altered", 3, "p3")


async def test_a_deleted_event_is_named(altered: Altered) -> None:
    await altered.sql(f"DELETE FROM webnova.events WHERE {OF_EVENT}", "p7")
    (finding,) = (await altered.check()).findings
    assert (finding.problem, finding.index, finding.id) == ("missing", 7, "p7")


async def test_an_inserted_event_is_named(altered: Altered) -> None:
    await altered.sql(
        "INSERT INTO webnova.events (position, xid, tenant_id, kind, id, version, event_id, type,"
        " schema_version, data, metadata, at) OVERRIDING SYSTEM VALUE"
        " SELECT -position, xid, tenant_id, kind, 'forged', version, gen_random_uuid(), type,"
        f" schema_version, data, metadata, at FROM webnova.events WHERE {OF_EVENT}",
        "p4",
    )
    (finding,) = (await altered.check()).findings
    assert (finding.problem, finding.index, finding.id) == ("not_logged", None, "forged")


async def test_reordered_events_are_named(altered: Altered) -> None:
    await altered.sql(
        "UPDATE webnova.events a SET xid = b.xid FROM webnova.events b WHERE a.tenant_id = $1"
        " AND b.tenant_id = $1 AND (a.id, b.id) IN (('p2', 'p6'), ('p6', 'p2'))"
    )
    assert await altered.found() == {("moved", 2), ("moved", 6)}


async def test_events_reordered_together_with_the_log_are_named(altered: Altered) -> None:
    for table in ("events", "log_leaves"):
        await altered.sql(
            f"UPDATE webnova.{table} a SET xid = b.xid FROM webnova.{table} b"
            " WHERE a.tenant_id = $1 AND b.tenant_id = $1"
            " AND (a.id, b.id) IN (('p2', 'p6'), ('p6', 'p2'))"
        )
    found = await altered.found()
    assert {problem for problem, _ in found} == {"moved"}
    await altered.sql(
        "UPDATE webnova.log_leaves SET index = index + 1000 WHERE tenant_id = $1"
        " AND id IN ('p2', 'p6')"
    )
    await altered.sql(
        "UPDATE webnova.log_leaves SET index = CASE id WHEN 'p2' THEN 6 ELSE 2 END"
        " WHERE tenant_id = $1 AND index >= 1000"
    )
    assert await altered.found() == {("rewritten", None)}


async def test_a_tail_cut_off_with_its_log_is_found(altered: Altered) -> None:
    await altered.sql("DELETE FROM webnova.events WHERE tenant_id = $1 AND id IN ('p8', 'p9')")
    assert await altered.found() == {("missing", 8), ("missing", 9)}
    await altered.rebuild_log()
    assert (await altered.installation.logs.head(altered.tenant)).size == 8
    with pytest.raises(LogContradiction):
        await altered.installation.notary().checkpoint(altered.tenant)
    assert await altered.found() == {("shortened", None)}


async def test_a_history_rewritten_as_a_whole_is_found_and_bounded(altered: Altered) -> None:
    """Events and log agree with each other afterwards; only what lies outside disagrees."""
    await altered.sql(
        """UPDATE webnova.events SET data = jsonb_set(data, '{description}', '"another"')"""
        f" WHERE {OF_EVENT}",
        "p6",
    )
    await altered.rebuild_log()
    await check_log(altered.installation, altered.tenant, 10)
    with pytest.raises(LogContradiction):
        await altered.installation.notary().checkpoint(altered.tenant)
    report = await altered.check()
    assert {each.problem for each in report.findings} == {"rewritten"}
    assert "the first 5 still are" in report.findings[0].message


async def test_later_events_do_not_cover_a_rewritten_history(altered: Altered) -> None:
    await altered.sql(f"DELETE FROM webnova.events WHERE {OF_EVENT}", "p1")
    await altered.rebuild_log()
    await write(altered.installation, altered.tenant, "new1", "new2")
    await keep_up(altered.installation, altered.tenant)
    with pytest.raises(LogContradiction):
        await altered.installation.notary().checkpoint(altered.tenant)
    assert "rewritten" in {problem for problem, _ in await altered.found()}


async def test_a_published_directory_that_is_rewritten_too_meets_the_outside_checkpoint(
    altered: Altered, tmp_path: Path
) -> None:
    """The intruder has the signing key and everything on the machine, but not our copy."""
    await altered.sql(
        """UPDATE webnova.events SET data = jsonb_set(data, '{description}', '"another"')"""
        f" WHERE {OF_EVENT}",
        "p0",
    )
    await altered.rebuild_log()
    honest = altered.installation.notary()
    home = altered.installation.home
    assert home is not None
    publisher = FilePublisher(tmp_path)
    forger = Notary(home.log_name(), home.signing_keys(), publisher, altered.installation.logs)
    forged = await forger.checkpoint(altered.tenant)
    assert opened(forged, honest.verifiers(altered.tenant))[0].size == 10
    assert Checkpoint.of(forged) != Checkpoint.of(altered.outside[1])
    assert await altered.found() == {("rewritten", None)}


async def test_missing_leaves_are_named(altered: Altered) -> None:
    await altered.sql("DELETE FROM webnova.log_leaves WHERE tenant_id = $1 AND index = 4")
    found = await altered.found()
    assert {("gap", 5), ("not_logged", None)} <= found


async def test_missing_nodes_stop_the_notary(altered: Altered) -> None:
    await altered.sql("DELETE FROM webnova.log_leaves WHERE tenant_id = $1 AND index = 4")
    await write(altered.installation, altered.tenant, "more")
    await keep_up(altered.installation, altered.tenant)
    with pytest.raises(LogContradiction):
        await altered.installation.notary().checkpoint(altered.tenant)


async def test_upkeep_logs_and_publishes_and_one_bad_log_holds_up_no_other(
    altered: Altered, installation: Installation, postgres: TestDatabase
) -> None:
    tenant, failures = f"{altered.tenant}-good", list[tuple[str, type[Exception]]]()
    database = Database(postgres.worker_url, size=1, name="tests-upkeep")
    backlog = PostgresLogBacklog(database)
    upkeep = Upkeep(
        backlog,
        installation.logs,
        installation.notary,
        lambda failed, error: failures.append((failed, type(error))),
    )
    try:
        await upkeep.turn()
        failures.clear()
        await altered.sql(f"DELETE FROM webnova.events WHERE {OF_EVENT}", "p1")
        await altered.rebuild_log()
        await write(installation, altered.tenant, "more")
        await write(installation, tenant, *(f"p{n}" for n in range(BATCH + 1)))
        for _ in range(2):
            await upkeep.turn()
        assert failures == [(altered.tenant, LogContradiction)] * 2
        assert not {tenant, altered.tenant} & set(await backlog.behind())
    finally:
        await backlog.close()
    published = await installation.notary().latest(tenant)
    assert published is not None and Checkpoint.of(published).size == BATCH + 1
    assert await installation.notary().latest(altered.tenant) == altered.outside[1]


async def test_while_a_key_is_replaced_both_sign_what_is_published(
    installation: Installation, tenant: str, tmp_path: Path
) -> None:
    await write(installation, tenant, "one")
    await keep_up(installation, tenant)
    home, publisher = Home.at(tmp_path / "home").create(), FilePublisher(tmp_path / "audit")

    def notary() -> Notary:
        return Notary(home.log_name(), home.signing_keys(), publisher, installation.logs)

    old = notary().verifiers(tenant)
    assert opened(await notary().checkpoint(tenant), old)[1] == old
    home.secret("audit-signing-key-next")
    both = notary().verifiers(tenant)
    assert both[0] == old[0] and len(both) == 2
    note = await notary().checkpoint(tenant)
    for known in (both[:1], both[1:], both):
        assert opened(note, known)[1] == known
    (home.secrets / "audit-signing-key-next").replace(home.secrets / "audit-signing-key")
    assert notary().verifiers(tenant) == both[1:]
    assert await notary().checkpoint(tenant) == note
    await write(installation, tenant, "two")
    await keep_up(installation, tenant)
    note = await notary().checkpoint(tenant)
    assert len(Note.parse(note).signatures) == 1
    assert opened(note, both)[1] == both[1:]
    assert await publisher.latest(tenant) == note
    assert [Checkpoint.of(each).size for each in await publisher.history(tenant)] == [1, 2]


async def test_racing_notaries_publish_one_history(installation: Installation, tenant: str) -> None:
    async def publish() -> None:
        for _ in range(5):
            await installation.notary().checkpoint(tenant)

    async def grow() -> None:
        for number in range(12):
            await write(installation, tenant, f"p{number}")
            await keep_up(installation, tenant)

    await asyncio.gather(grow(), *(publish() for _ in range(4)))
    note = await installation.notary().checkpoint(tenant)
    assert Checkpoint.of(note).size == 12
    home = installation.home
    assert home is not None
    history = await FilePublisher(home.audit).history(tenant)
    assert history[-1] == note
    sizes = [Checkpoint.of(each).size for each in history]
    assert sizes == sorted(set(sizes))
    report = await installation.auditor().check(tenant, history)
    assert report.intact
