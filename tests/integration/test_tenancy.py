"""Suspending a tenant closes every door and loses nothing; resuming opens them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from engine.conductor.driver import RunDriver
from engine.conductor.platforms import Instance
from engine.conductor.requests import CreatePlatform, GetRun
from engine.conductor.runs import Run, RunState
from engine.kernel.contracts import Call
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Conflict, Forbidden, NotFound, TenantSuspended
from engine.trust.tenants import CreateTenant, ResumeTenant, SuspendTenant
from serve_apps.api import create_api
from serve_apps.preview import FRESH_S
from storage.work import PostgresWorkQueue
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from tests.integration.serving import API, ScriptedGateway, bearer, issue, put_into_service, served
from tests.integration.test_durable_runs import NothingDue, ScriptedWorkshop, claim
from webnova.compose import Installation


@pytest.fixture(scope="module")
async def address(installation: Installation) -> AsyncIterator[str]:
    async with served(create_api(installation, ScriptedGateway())) as address:
        yield address


async def register(installation: Installation, tenant: str) -> None:
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="Tenant"))


async def suspend(installation: Installation, tenant: str, reason: str = "unpaid") -> Any:
    return await execute(installation, ROOT_TENANT, SuspendTenant(name=tenant, reason=reason))


async def resume(installation: Installation, tenant: str) -> Any:
    return await execute(installation, ROOT_TENANT, ResumeTenant(name=tenant))


async def test_every_request_of_a_suspended_tenant_is_refused_until_it_is_resumed(
    installation: Installation, address: str, tenant: str
) -> None:
    await register(installation, tenant)
    await execute(installation, tenant, CreatePlatform(name="shop", description="a shop"))
    root = bearer(await issue(installation, ROOT_TENANT))
    member = bearer(await issue(installation, tenant))
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/platforms/shop", None),  # read ahead together with the token
        ("GET", "/platforms", None),
        ("GET", "/events?limit=10", None),
        ("GET", "/audit/checkpoint", None),
        ("POST", "/platforms", {"name": "more", "description": "a shop with more"}),
    ]
    async with httpx.AsyncClient(base_url=f"{address}{API}") as client:
        path = f"/tenants/{tenant}/suspension"
        refused = await client.post(path, json={"reason": "mine"}, headers=member)
        assert refused.status_code == 403
        before = (await client.get("/platforms", headers=member)).json()
        made = await client.post(path, json={"reason": "unpaid"}, headers=root)
        assert made.json()["suspended"]["reason"] == "unpaid"
        for method, place, body in requests:
            answer = await client.request(method, place, json=body, headers=member)
            assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended"), place
            assert "unpaid" in answer.json()["detail"] and answer.json()["mend"]
            assert answer.json()["since"] == made.json()["suspended"]["since"].replace(
                "Z", "+00:00"
            )
        wrong = {"authorization": member["authorization"][:-1] + "_"}
        assert (await client.get("/platforms", headers=wrong)).status_code == 401
        visit = {**root, "x-webnova-tenant": tenant}
        assert (await client.get("/platforms", headers=visit)).json() == before
        assert (await client.get("/audit/export", headers=visit)).status_code == 200
        assert (await client.delete(path, headers=root)).json()["suspended"] is None
        for method, place, body in requests:
            answer = await client.request(method, place, json=body, headers=member)
            assert answer.status_code in (200, 202), answer.text
        again = (await client.get("/platforms", headers=member)).json()["items"]
        assert {each["name"] for each in again} == {"shop", "more"}


async def test_the_platforms_of_a_suspended_tenant_are_not_served(
    installation: Installation, queue: PostgresWorkQueue, address: str, tenant: str
) -> None:
    await register(installation, tenant)
    await execute(installation, tenant, CreatePlatform(name="shop", description="a shop"))
    part = Starlette(routes=[Route("/", lambda request: PlainTextResponse("open"))])
    async with served(part) as place, httpx.AsyncClient(base_url=address) as client:
        await put_into_service(installation, tenant, "shop", 1, place)
        assert (await client.get(f"/p/{tenant}/shop/")).text == "open"
        await close_and_open(installation, queue, client, tenant)


async def close_and_open(
    installation: Installation, queue: PostgresWorkQueue, client: httpx.AsyncClient, tenant: str
) -> None:
    held = next(lease for lease in await claim_all(queue, Instance.kind) if lease.tenant == tenant)
    await suspend(installation, tenant)
    await asyncio.sleep(2 * FRESH_S)
    answer = await client.get(f"/p/{tenant}/shop/")
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
    # The host stops what it can't renew the lease of.
    assert not await queue.renew(held, seconds=15)
    await resume(installation, tenant)
    assert await queue.renew(held, seconds=15)
    assert (await client.get(f"/p/{tenant}/shop/")).text == "open"


async def claim_all(queue: PostgresWorkQueue, kind: str) -> list[Any]:
    return list(await queue.claim("test", kind, limit=1000, per_tenant=1000, seconds=15))


async def test_builds_rest_while_suspended_and_go_on_afterwards(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    await register(installation, tenant)
    accepted = await execute(
        installation, tenant, CreatePlatform(name="shop", description="a shop")
    )
    driver = RunDriver(installation.dispatcher, queue, ScriptedWorkshop())
    lease = await claim(queue, tenant)
    await suspend(installation, tenant)
    assert not await queue.renew(lease, seconds=15)
    await queue.release(lease)
    with pytest.raises(NothingDue):
        await claim(queue, tenant)
    await resume(installation, tenant)
    lease = await claim(queue, tenant)
    assert lease.fence == 2
    await driver.drive(lease)
    run = await installation.dispatcher.ask(GetRun(id=accepted.run), owner(tenant), tenant)
    assert run.state is RunState.SUCCEEDED  # type: ignore[attr-defined]
    assert lease.kind == Run.kind


async def test_only_root_suspends_and_only_what_is_registered(
    installation: Installation, tenant: str
) -> None:
    with pytest.raises(NotFound):
        await suspend(installation, tenant)
    await register(installation, tenant)
    command = SuspendTenant(name=tenant, reason="mine")
    with pytest.raises(Forbidden):
        await execute(installation, tenant, command)
    with pytest.raises(NotFound):
        call = Call(command, owner(tenant), ROOT_TENANT)
        await installation.dispatcher.execute(call)
    with pytest.raises((Conflict, NotFound)):
        await suspend(installation, ROOT_TENANT)
    first = await suspend(installation, tenant, "first")
    assert await suspend(installation, tenant, "second") == first
    assert (await resume(installation, tenant)).suspended is None
    assert (await resume(installation, tenant)).suspended is None
    token = await issue(installation, tenant)
    await suspend(installation, tenant, "third")
    with pytest.raises(TenantSuspended, match="third"):
        await installation.authenticate(token)


async def test_the_database_lets_no_tenant_end_its_own_suspension(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await register(installation, tenant)
    await suspend(installation, tenant)
    app = await asyncpg.connect(postgres.app_url)
    worker = await asyncpg.connect(postgres.worker_url)
    try:
        await app.execute("SELECT set_config('webnova.tenant', $1, false)", tenant)
        assert await app.execute("DELETE FROM webnova.suspensions") == "DELETE 0"
        assert await app.fetchval("SELECT count(*) FROM webnova.suspensions") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(
                "INSERT INTO webnova.suspensions VALUES ($1, now(), 'x')", f"{tenant}-other"
            )
        await app.execute("SELECT set_config('webnova.tenant', 'stranger', false)")
        assert await app.fetchval("SELECT count(*) FROM webnova.suspensions") == 0
        assert tenant in [
            row["tenant_id"]
            for row in await worker.fetch("SELECT tenant_id FROM webnova.suspensions")
        ]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.fetch("SELECT reason FROM webnova.suspensions")
    finally:
        await app.close()
        await worker.close()
