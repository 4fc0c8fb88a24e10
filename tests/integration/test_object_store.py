"""Checkpoints of real logs in an object store, named by the settings as an operator does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from engine.kernel.errors import Unavailable
from engine.ledger.transparency.notes import Checkpoint, opened
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import Notary, open_publisher
from tests.conftest import TestDatabase
from tests.contracts.s3_server import S3Server
from tests.integration.test_transparency import keep_up, superuser, write
from webnova.compose import PUBLISHER, Installation


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server().running() as running:
        yield running


@pytest.fixture
def address(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    server.calm()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    address = f"s3://{server.bucket()}/audit"
    monkeypatch.setenv(PUBLISHER, address)
    return address


async def grow(installation: Installation, tenant: str, *names: str) -> None:
    await write(installation, tenant, *names)
    await keep_up(installation, tenant)


async def test_racing_notaries_of_several_processes_publish_one_history(
    installation: Installation, tenant: str, address: str
) -> None:
    """Each notary has a publisher of its own, as each process has."""
    home = installation.home
    assert home is not None
    installation.notary()

    async def publish() -> None:
        publisher = open_publisher(address)
        notary = Notary(home.log_name(), home.signing_keys(), publisher, installation.logs)
        for _ in range(4):
            await notary.checkpoint(tenant)

    async def growing() -> None:
        for number in range(8):
            await grow(installation, tenant, f"p{number}")

    await asyncio.gather(growing(), *(publish() for _ in range(3)))
    note = await installation.notary().checkpoint(tenant)
    assert opened(note, installation.notary().verifiers(tenant))[0].size == 8
    history = list(await open_publisher(address).history(tenant))
    sizes = [Checkpoint.of(each).size for each in history]
    assert history[-1] == note and sizes == sorted(set(sizes))
    assert (await installation.auditor().check(tenant, history)).intact


async def test_a_rewritten_history_is_not_published(
    installation: Installation, postgres: TestDatabase, tenant: str, address: str
) -> None:
    await grow(installation, tenant, "p0", "p1")
    note = await installation.notary().checkpoint(tenant)
    connection = await superuser(postgres)
    try:
        await connection.execute(
            """UPDATE webnova.events SET data = jsonb_set(data, '{description}', '"another"')"""
            " WHERE tenant_id = $1 AND id = 'p0'",
            tenant,
        )
        for table in ("log_leaves", "log_nodes", "log_heads"):
            await connection.execute(f"DELETE FROM webnova.{table} WHERE tenant_id = $1", tenant)
    finally:
        await connection.close()
    await grow(installation, tenant, "p2")
    with pytest.raises(LogContradiction):
        await installation.notary().checkpoint(tenant)
    assert await open_publisher(address).latest(tenant) == note
    report = await installation.auditor().check(tenant, [note])
    assert {each.problem for each in report.findings} == {"rewritten"}


async def test_what_could_not_be_published_is_as_soon_as_the_store_is_back(
    installation: Installation, tenant: str, address: str, server: S3Server
) -> None:
    await grow(installation, tenant, "p0")
    with server.knowing_its_users(), pytest.raises(Unavailable, match="credentials"):
        await installation.notary().checkpoint(tenant)
    assert Checkpoint.of(await installation.notary().checkpoint(tenant)).size == 1
