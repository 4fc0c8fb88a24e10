"""Server-sent events: nothing lost, nothing twice, nothing left over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from engine.conductor.driving import ConfirmCancel
from engine.conductor.requests import CancelRun, CreatePlatform
from serve_apps.api import create_api
from storage.work import PostgresWorkQueue
from tests.integration.conftest import execute
from tests.integration.serving import API, ScriptedGateway, bearer, frames, issue, served
from webnova.compose import Installation

SSE = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture(scope="module")
def app(installation: Installation, gateway: ScriptedGateway) -> FastAPI:
    return create_api(installation, gateway)


@pytest.fixture(scope="module")
async def address(app: FastAPI) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


@pytest.fixture
async def client(
    installation: Installation, address: str, tenant: str
) -> AsyncIterator[httpx.AsyncClient]:
    headers = bearer(await issue(installation, tenant))
    timeout = httpx.Timeout(30)
    async with httpx.AsyncClient(
        base_url=f"{address}{API}", headers=headers, timeout=timeout
    ) as client:
        yield client


async def _settled(app: FastAPI) -> None:
    """Wait until the server has let go of every stream."""
    async with asyncio.timeout(10):
        while app.state.services.streams.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_reader_who_reconnects_again_and_again_misses_nothing(
    installation: Installation, client: httpx.AsyncClient, tenant: str
) -> None:
    writers, each = 4, 12
    expected = 1 + writers * each * 3  # the token; three events for each platform

    async def write(writer: int) -> None:
        for number in range(each):
            command = CreatePlatform(name=f"w{writer}-{number}", description="x")
            await execute(installation, tenant, command)

    writing = [asyncio.create_task(write(number)) for number in range(writers)]
    seen: list[str] = []
    last: dict[str, str] = {}
    async with asyncio.timeout(60):
        while len(seen) < expected:
            async with client.stream("GET", "/events", headers={**SSE, **last}) as response:
                assert response.status_code == 200
                assert response.headers["content-type"].startswith("text/event-stream")
                taken = 0
                async for frame in frames(response):
                    seen.append(frame["id"])
                    last = {"last-event-id": frame["id"]}
                    taken += 1
                    if taken == 7 or len(seen) == expected:
                        break
    await asyncio.gather(*writing)
    assert len(set(seen)) == len(seen) == expected
    pages = (await client.get("/events", params={"limit": 500})).json()["items"]
    assert [item["cursor"] for item in pages] == seen


async def test_a_frame_is_the_event_of_the_page(client: httpx.AsyncClient) -> None:
    body = {"name": "watched", "description": "عيادة a clinic\nin two lines"}
    assert (await client.post("/platforms", json=body)).status_code == 202
    items = (await client.get("/events")).json()["items"]
    async with client.stream("GET", "/events", headers=SSE) as response:
        found = []
        async for frame in frames(response):
            found.append(frame)
            if len(found) == len(items):
                break
    assert [json.loads(frame["data"]) for frame in found] == items
    assert [frame["event"] for frame in found] == [item["type"] for item in items]


async def test_a_run_is_streamed_to_its_end(
    installation: Installation,
    client: httpx.AsyncClient,
    queue: PostgresWorkQueue,
    tenant: str,
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="run", description="x"))
    await execute(installation, tenant, CreatePlatform(name="other", description="x"))

    async def read(last: str | None = None) -> list[dict[str, str]]:
        headers = {"last-event-id": last} if last else {}
        path = f"/runs/{accepted.run}/events"
        async with client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200
            return [frame async for frame in frames(response)]

    reading = asyncio.create_task(read())
    await execute(installation, tenant, CancelRun(id=accepted.run))
    lease = None
    async with asyncio.timeout(20):
        while lease is None:
            found = await queue.claim("t", "run", limit=50, per_tenant=50, seconds=30)
            lease = next((each for each in found if each.id == accepted.run), None)
    await execute(installation, tenant, ConfirmCancel(run=accepted.run, fence=lease.fence))
    async with asyncio.timeout(20):
        seen = await reading
    types = [frame["event"] for frame in seen]
    assert types == ["run.requested", "run.cancel_requested", "run.cancelled"]
    assert [frame["event"] for frame in await read(seen[0]["id"])] == types[1:]
    done = await client.get(
        f"/runs/{accepted.run}/events", headers={"last-event-id": seen[-1]["id"]}
    )
    assert done.status_code == 204


async def test_clients_who_leave_free_everything(
    app: FastAPI, installation: Installation, client: httpx.AsyncClient
) -> None:
    await _settled(app)
    for _ in range(5):
        async with client.stream("GET", "/events", headers=SSE) as response:
            async for _ in frames(response):
                break
            assert app.state.services.streams.open == 1
        await _settled(app)
    assert installation.feed._listeners == 0


async def test_streams_end_politely_when_the_process_stops(
    installation: Installation, tenant: str
) -> None:
    app = create_api(installation, ScriptedGateway())
    token = await issue(installation, tenant)
    async with (
        served(app) as address,
        httpx.AsyncClient(base_url=f"{address}{API}", headers=bearer(token)) as client,
        client.stream("GET", "/events", headers=SSE) as response,
    ):
        reading = asyncio.create_task(_all(response))
        await asyncio.sleep(0.2)
        assert not reading.done()
        app.state.services.streams.close()
        async with asyncio.timeout(5):
            # An answer that was cut off would raise here.
            assert len(await reading) == 1
        again = await client.get("/events", headers=SSE)
        assert again.status_code == 200


async def _all(response: httpx.Response) -> list[dict[str, str]]:
    return [frame async for frame in frames(response)]


async def test_a_stream_ends_when_its_token_is_revoked(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_apps.events.HEARTBEAT_S", 0.0)
    body = {"label": "brief", "permissions": ["event.read"]}
    token = (await client.post("/tokens", json=body)).json()
    headers = {**SSE, **bearer(token["token"])}
    async with client.stream("GET", "/events", headers=headers) as response:
        reading = asyncio.create_task(_all(response))
        await asyncio.sleep(0.2)
        assert not reading.done()
        await client.delete(f"/tokens/{token['id']}")
        async with asyncio.timeout(10):
            seen = await reading
    assert seen[-1]["event"] == "token.revoked"


async def test_a_bad_place_in_the_stream_is_refused_before_it_begins(
    client: httpx.AsyncClient,
) -> None:
    for cursor in ("yesterday", "1-2-3", "99999999999999999999-1"):
        response = await client.get("/events", headers={**SSE, "last-event-id": cursor})
        assert response.status_code == 422
        assert response.json()["code"] == "invalid_input"


async def test_logs_are_followed_and_resumed(
    client: httpx.AsyncClient, gateway: ScriptedGateway, tenant: str
) -> None:
    await client.post("/platforms", json={"name": "noisy", "description": "a clinic"})
    log = gateway.lines[tenant, "noisy"]
    log += [f"old {number}" for number in range(10)]
    path, params = "/platforms/noisy/logs", {"follow": "true", "lines": "2"}
    async with client.stream("GET", path, params=params) as response:
        source = frames(response)
        assert [(await anext(source))["data"] for _ in range(2)] == ["old 8", "old 9"]
        log.append("new سطر")
        fresh = await anext(source)
    assert fresh["data"] == "new سطر"
    assert fresh["id"] == "11"
    log.append("while away")
    resumed = {"last-event-id": fresh["id"]}
    async with client.stream("GET", path, params=params, headers=resumed) as response:
        assert (await anext(frames(response)))["data"] == "while away"
