"""A deleted tenant leaves its name and its last checkpoint, and nobody else loses a row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from engine.conductor.hosting import PlatformHost
from engine.kernel.clock import system_clock
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Conflict, NotFound, Unauthenticated
from engine.kernel.secret import Secret
from engine.ledger.tenancy.removal import Removal
from engine.ledger.transparency.notes import Checkpoint, encoded
from engine.trust import tenants
from engine.trust.tenants import CreateTenant, DeleteTenant, GetTenant, ResumeTenant
from serve_apps.api import create_api
from storage import removal
from storage.database import Database
from storage.portability import CONTENTS, DERIVED, EXPORTED
from storage.removal import ORDER, PostgresPurge
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from tests.integration.test_portability import furnish
from tests.integration.test_tenancy import suspend
from tests.integration.test_transparency import superuser
from webnova.compose import Installation

LEFT = frozenset({"deletions"})


@pytest.fixture
async def purge(postgres: TestDatabase) -> AsyncIterator[PostgresPurge]:
    made = PostgresPurge(Database(postgres.eraser_url, size=2, name="tests-eraser"))
    yield made
    await made.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a suspended tenant's work had had its time to end."""
    monkeypatch.setattr(tenants, "QUIET", timedelta())


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "SETTLE_S", 0)


async def counts(postgres: TestDatabase, tenant: str) -> dict[str, int]:
    connection = await superuser(postgres)
    try:
        return {
            table: await connection.fetchval(
                f"SELECT count(*) FROM webnova.{table} WHERE tenant_id = $1", tenant
            )
            for table in (*EXPORTED, *DERIVED, CONTENTS)
        }
    finally:
        await connection.close()


async def delete(installation: Installation, tenant: str) -> Any:
    mark = await installation.last_checkpoint(tenant)
    command = DeleteTenant(name=tenant, origin=mark.origin, size=mark.size, root=encoded(mark.root))
    return await execute(installation, ROOT_TENANT, command)


async def shown(installation: Installation, tenant: str) -> Any:
    query = GetTenant(name=tenant)
    return await installation.dispatcher.ask(query, owner(ROOT_TENANT), ROOT_TENANT)


def test_the_order_names_every_table_of_tenants() -> None:
    assert set(ORDER) == {*EXPORTED, *DERIVED, CONTENTS} - LEFT


@pytest.mark.usefixtures("later", "settled")
async def test_everything_goes_but_the_proof_and_the_name(
    installation: Installation, postgres: TestDatabase, purge: PostgresPurge, tenant: str
) -> None:
    token = await furnish(installation, tenant)
    await furnish(installation, f"{tenant}-other")
    await suspend(installation, tenant)
    other = await counts(postgres, f"{tenant}-other")
    before = await counts(postgres, tenant)
    assert all(
        before[table] for table in ORDER if table not in ("log_nodes", "log_leaves", "log_heads")
    )
    view = await delete(installation, tenant)
    published = await installation.notary().latest(tenant)
    assert published is not None
    mark = Checkpoint.of(published)
    assert (view.deleted.size, view.deleted.root) == (mark.size, encoded(mark.root))
    assert mark.size == before["events"] and view.deleted.purged_at is None
    assert await purge.pending() == [tenant]
    assert await purge.purge(tenant) is False
    assert await purge.purge(tenant) is True
    assert {table: n for table, n in (await counts(postgres, tenant)).items() if n} == {
        "deletions": 1
    }
    assert await purge.pending() == []
    assert await counts(postgres, f"{tenant}-other") == other
    assert (await shown(installation, tenant)).deleted.purged_at is not None
    assert await installation.notary().latest(tenant) == published
    with pytest.raises(Unauthenticated):
        await installation.authenticate(token)
    assert (await delete_again(installation, tenant)).deleted.size == mark.size
    assert await purge.pending() == []
    for command in (CreateTenant(name=tenant, title="T"), ResumeTenant(name=tenant)):
        with pytest.raises(Conflict):
            await execute(installation, ROOT_TENANT, command)


async def delete_again(installation: Installation, tenant: str) -> Any:
    command = DeleteTenant(name=tenant, origin="x", size=0, root="x")
    return await execute(installation, ROOT_TENANT, command)


@pytest.mark.usefixtures("later", "settled")
async def test_a_purge_that_dies_is_taken_up_again(
    installation: Installation,
    postgres: TestDatabase,
    purge: PostgresPurge,
    tenant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It dies after every single step, until there is nothing left to die at."""
    await furnish(installation, tenant)
    await suspend(installation, tenant)
    await delete(installation, tenant)
    monkeypatch.setattr(removal, "BATCH", 3)
    whole, deaths = PostgresPurge._batch, 0

    async def dies(self: PostgresPurge, tenant: str, table: str, order: str) -> int:
        count = await whole(self, tenant, table, order)
        if count:
            raise RuntimeError("killed")
        return count

    monkeypatch.setattr(PostgresPurge, "_batch", dies)
    failures: list[str] = []
    files: list[str] = []

    async def forget(name: str) -> None:
        files.append(name)

    work = Removal(purge, forget, lambda name, error: failures.append(f"{name}: {error}"))
    while await purge.pending():
        await work.turn()
        deaths += 1
        assert deaths < 500
    assert set(failures) == {f"{tenant}: killed"} and len(failures) == deaths - 1 > 10
    assert set(files) == {tenant}
    assert sum((await counts(postgres, tenant)).values()) == 1


@pytest.mark.usefixtures("later")
async def test_what_commits_late_is_still_removed(
    installation: Installation, postgres: TestDatabase, purge: PostgresPurge, tenant: str
) -> None:
    await furnish(installation, tenant)
    await suspend(installation, tenant)
    await delete(installation, tenant)
    assert [await purge.purge(tenant) for _ in range(3)] == [False, False, False]
    connection = await superuser(postgres)
    try:
        await connection.execute("INSERT INTO webnova.blobs VALUES ($1, 'late', 'x')", tenant)
        await connection.execute(
            "UPDATE webnova.deletions SET requested_at = now() - interval '2 min'"
            " WHERE tenant_id = $1",
            tenant,
        )
    finally:
        await connection.close()
    assert [await purge.purge(tenant) for _ in range(2)] == [False, True]
    assert sum((await counts(postgres, tenant)).values()) == 1


async def test_only_a_tenant_that_was_suspended_long_enough_is_deleted(
    installation: Installation, tenant: str
) -> None:
    await furnish(installation, tenant)
    with pytest.raises(Conflict, match="not suspended"):
        await delete(installation, tenant)
    await suspend(installation, tenant)
    with pytest.raises(Conflict, match="a moment ago") as refused:
        await delete(installation, tenant)
    assert 0 < refused.value.fields["retry_after"] <= tenants.QUIET.total_seconds() + 1
    with pytest.raises(NotFound):
        await delete_again(installation, f"{tenant}-nobody")
    with pytest.raises(Exception, match="root tenant only"):
        await execute(installation, tenant, DeleteTenant(name=tenant, origin="", size=0, root=""))


async def test_the_database_keeps_the_eraser_to_what_root_has_given_up(
    installation: Installation, postgres: TestDatabase, purge: PostgresPurge, tenant: str
) -> None:
    """Whatever code runs under the role: neither a living tenant nor a suspended one is touched."""
    await furnish(installation, tenant)
    before = await counts(postgres, tenant)
    assert not await purge.purge(tenant)
    await suspend(installation, tenant)
    await purge.purge(tenant)
    after = await counts(postgres, tenant)
    assert after == {**before, "suspensions": 1}
    app = await asyncpg.connect(postgres.app_url)
    eraser = await asyncpg.connect(postgres.eraser_url)
    try:
        scope = "SELECT set_config('webnova.tenant', $1, false)"
        for connection in (app, eraser):
            await connection.execute(scope, tenant)
        assert await eraser.execute("DELETE FROM webnova.events") == "DELETE 0"
        assert await eraser.fetchval("SELECT count(*) FROM webnova.events") == 0
        for refused in (
            "INSERT INTO webnova.deletions (tenant_id) VALUES ('x')",
            "INSERT INTO webnova.blobs VALUES ('x', 'd', 'x')",
            "UPDATE webnova.events SET data = '{}'",
            "TRUNCATE webnova.events",
            "DELETE FROM webnova.events_default",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await eraser.execute(refused)
        note = "INSERT INTO webnova.deletions (tenant_id) VALUES ($1)"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(note, tenant)
        await app.execute(scope, "root")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(note, f"{tenant}-active")
        for refused in ("DELETE FROM webnova.events", "DELETE FROM webnova.deletions"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(refused)
    finally:
        await app.close()
        await eraser.close()


async def test_the_files_of_a_tenant_go_and_those_of_others_stay(tmp_path: Path) -> None:
    for name in ("gone", "gone-too", "kept"):
        data = tmp_path / "workspace" / name / "shop" / "data"
        data.mkdir(parents=True)
        (data / "platform.db").write_text(name)
    host = PlatformHost(tmp_path, Secret("key"))
    await host.forget("gone")
    await host.forget("gone")
    left = sorted(each.name for each in (tmp_path / "workspace").iterdir())
    assert left == ["gone-too", "kept"]


async def test_over_http(
    installation: Installation, postgres: TestDatabase, purge: PostgresPurge, tenant: str
) -> None:
    theirs = bearer(await furnish(installation, tenant))
    async with (
        served(create_api(installation, ScriptedGateway())) as address,
        httpx.AsyncClient(base_url=f"{address}{API}") as client,
    ):
        client.headers.update(bearer(await issue(installation, ROOT_TENANT)))
        path = f"/tenants/{tenant}"
        refused = await client.delete(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        await client.post(f"{path}/suspension", json={"reason": "ended"})
        refused = await client.delete(path)
        assert refused.status_code == 409 and refused.json()["retry_after"] > 0
        await age(postgres, tenant)
        made = await client.delete(path)
        assert made.status_code == 202, made.text
        assert made.json()["deleted"]["size"] > 0
        for method, path_ in (("GET", "/platforms"), ("GET", "/runs"), ("POST", "/platforms")):
            refused = await client.request(method, path_, headers=theirs, json={"name": "x"})
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        shop = await client.get(f"{address}/p/{tenant}/shop/")
        assert (shop.status_code, shop.json()["code"]) == (404, "tenant_deleted")
        visit = {"x-webnova-tenant": tenant}
        assert (await client.get("/platforms", headers=visit)).status_code == 404
        assert (await client.get(f"{path}/export")).status_code == 409
        assert (await client.delete(path)).json() == made.json()
        await purge.purge(tenant)
        assert (await client.delete(path)).json() == made.json()
        body = {"name": tenant, "title": "Again"}
        assert (await client.post("/tenants", json=body)).status_code == 409
        shown = (await client.get(path)).json()
        assert shown["deleted"] == made.json()["deleted"]


async def age(postgres: TestDatabase, tenant: str) -> None:
    """Let the suspension be of a while ago."""
    since = json.dumps((system_clock() - timedelta(minutes=5)).isoformat())
    connection = await superuser(postgres)
    try:
        await connection.execute(
            "UPDATE webnova.documents"
            " SET data = jsonb_set(data, '{suspended,since}', $2::text::jsonb)"
            " WHERE tenant_id = 'root' AND kind = 'tenant' AND id = $1",
            tenant,
            since,
        )
    finally:
        await connection.close()
