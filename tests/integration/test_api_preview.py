"""The preview gateway in front of real processes' sockets: streaming, headers, switching."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.conductor.requests import CreatePlatform
from serve_apps.api import create_api
from serve_apps.middleware import MAX_BODY
from tests.integration.conftest import execute
from tests.integration.serving import ScriptedGateway, put_into_service, served
from webnova.compose import Installation

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Part:
    """A platform that tells what reached it."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.left = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/drip", self.drip),
                Route("/endless", self.endless),
                Route("/sum", self.sum, methods=["POST"]),
                Route("/login", self.login),
                Route("/break", self.broken),
                Route("/{path:path}", self.echo, methods=METHODS),
            ]
        )

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        return JSONResponse(
            {
                "version": self.version,
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "query": request.url.query,
                "headers": [[k.decode(), v.decode("latin-1")] for k, v in request.headers.raw],
                "body": body.decode(),
            },
            status_code=418 if request.url.path == "/teapot" else 200,
        )

    async def drip(self, request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for number in range(3):
                yield f"data: {number}\n\n".encode()
                await asyncio.sleep(0.3)

        return StreamingResponse(chunks(), media_type="text/event-stream")

    async def endless(self, request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: more\n\n"
                    await asyncio.sleep(0.02)
            finally:
                self.left.set()

        return StreamingResponse(chunks(), media_type="text/event-stream")

    async def sum(self, request: Request) -> Response:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return PlainTextResponse(str(size))

    async def login(self, request: Request) -> Response:
        response = Response(status_code=303, headers={"location": "/home", "connection": "x-own"})
        response.headers["x-own"] = "for one hop"
        response.set_cookie("session", "s", path="/", domain="example.com")
        response.set_cookie("theme", "t", path="/settings")
        return response

    async def broken(self, request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("gone")

        return StreamingResponse(chunks(), headers={"content-length": "100"})


@pytest.fixture(scope="module")
def app(installation: Installation) -> FastAPI:
    return create_api(installation, ScriptedGateway(), public_url="https://factory.example/")


@pytest.fixture(scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        served(app) as address,
        httpx.AsyncClient(base_url=address, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def sockets() -> AsyncIterator[Path]:
    # The paths of Unix sockets are short: at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="wn-") as directory:
        yield Path(directory)


@pytest.fixture
async def part(installation: Installation, tenant: str, sockets: Path) -> AsyncIterator[Part]:
    await execute(installation, tenant, CreatePlatform(name="shop", description="x"))
    part = Part(1)
    async with served(part.app, uds=str(sockets / "1")) as address:
        await put_into_service(installation, tenant, "shop", 1, address)
        yield part


async def test_requests_pass_as_they_are(
    client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    path = f"/p/{tenant}/shop/a%2Fb/%D8%B9//c?x=1&y=%00&x=2"
    for method in METHODS:
        if method == "HEAD":
            continue
        body = "" if method in ("GET", "OPTIONS") else f"body of {method}"
        seen = (await client.request(method, path, content=body or None)).json()
        assert seen["method"] == method
        assert seen["path"] == "/a%2Fb/%D8%B9//c"
        assert seen["query"] == "x=1&y=%00&x=2"
        assert seen["body"] == body
    head = await client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert int(head.headers["content-length"]) > 0
    assert (await client.get(f"/p/{tenant}/shop/teapot")).status_code == 418
    bare = await client.get(f"/p/{tenant}/shop?x=1")
    assert bare.status_code == 308
    assert bare.headers["location"] == f"/p/{tenant}/shop/?x=1"


async def test_headers_of_one_hop_and_our_own_tokens_stay_here(
    client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    sent = {
        "authorization": f"bearer wn_{tenant}_{'0' * 32}_{'a' * 43}",
        "x-webnova-tenant": "root",
        "x-request-timeout-seconds": "1",
        "connection": "keep-alive, x-private",
        "x-private": "1",
        "te": "trailers",
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-host": "evil.example",
        "x-forwarded-prefix": "/evil",
        "x-kept": "قيمة".encode(),
    }
    seen = dict((await client.get(f"/p/{tenant}/shop/", headers=sent)).json()["headers"])
    for name in ("authorization", "x-webnova-tenant", "x-request-timeout-seconds", "x-private"):
        assert name not in seen
    assert "te" not in seen
    assert seen["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-prefix"] == f"/p/{tenant}/shop"
    assert seen["x-forwarded-host"] == seen["host"] == client.base_url.netloc.decode()
    assert seen["x-kept"].encode("latin-1") == "قيمة".encode()
    own = {"authorization": "Bearer eyJhbGciOi"}
    seen = dict((await client.get(f"/p/{tenant}/shop/", headers=own)).json()["headers"])
    assert seen["authorization"] == own["authorization"]


async def test_links_and_cookies_stay_inside(
    client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    response = await client.get(f"/p/{tenant}/shop/login")
    assert response.status_code == 303
    assert response.headers["location"] == f"/p/{tenant}/shop/home"
    assert "x-own" not in response.headers
    cookies = response.headers.get_list("set-cookie")
    assert [cookie.split("Path=")[1].split(";")[0] for cookie in cookies] == [
        f"/p/{tenant}/shop/",
        f"/p/{tenant}/shop/settings",
    ]
    assert "example.com" not in "".join(cookies)
    client.cookies.clear()


async def test_answers_stream_as_they_come(
    client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    loop = asyncio.get_running_loop()
    async with client.stream("GET", f"/p/{tenant}/shop/drip") as response:
        arrived = [(loop.time(), chunk) async for chunk in response.aiter_raw()]
    assert b"".join(chunk for _, chunk in arrived) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert arrived[-1][0] - arrived[0][0] > 0.3


async def test_bodies_larger_than_the_apis_limit_stream_through(
    client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    async def upload() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * (MAX_BODY // 16)

    response = await client.post(f"/p/{tenant}/shop/sum", content=upload())
    assert response.text == str(64 * (MAX_BODY // 16))


async def test_a_client_who_leaves_frees_the_platform(
    app: FastAPI, client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    async with client.stream("GET", f"/p/{tenant}/shop/endless") as response:
        async for _ in response.aiter_raw():
            break
        assert not part.left.is_set()
    async with asyncio.timeout(10):
        await part.left.wait()
        upstreams = app.state.services.previews.upstreams
        while any(each.users for each in upstreams._open.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_an_answer_that_breaks_off_is_seen_to_break_off(
    client: httpx.AsyncClient, part: Part, tenant: str
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(f"/p/{tenant}/shop/break")


async def test_no_process_no_platform_no_tenant(
    client: httpx.AsyncClient, installation: Installation, tenant: str, sockets: Path
) -> None:
    for path in (f"/p/{tenant}/shop/", "/p/nobody/shop/", "/p/A%00/B/", f"/p/{tenant}/%2e%2e/x"):
        response = await client.get(path)
        assert response.status_code == 404, path
        assert response.json()["code"] == "not_found"
    await execute(installation, tenant, CreatePlatform(name="shop", description="x"))
    building = await client.get(f"/p/{tenant}/shop/")
    assert building.status_code == 503
    assert "built" in building.json()["detail"]
    assert int(building.headers["retry-after"]) >= 1


async def test_a_process_that_is_gone_is_waited_for_and_then_reported(
    client: httpx.AsyncClient,
    installation: Installation,
    tenant: str,
    sockets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await execute(installation, tenant, CreatePlatform(name="shop", description="x"))
    socket = str(sockets / "late")
    await put_into_service(installation, tenant, "shop", 1, f"unix:{socket}")
    waiting = asyncio.create_task(client.post(f"/p/{tenant}/shop/", content="x"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    async with served(Part(1).app, uds=socket):
        assert (await waiting).status_code == 200
    monkeypatch.setattr("serve_apps.preview.PATIENCE_S", 0.1)
    await asyncio.sleep(0.2)
    lost = await client.get(f"/p/{tenant}/shop/")
    assert lost.status_code == 503
    assert "retry-after" in lost.headers


async def test_versions_switch_under_load_without_a_dropped_request(
    client: httpx.AsyncClient, installation: Installation, tenant: str, sockets: Path
) -> None:
    await execute(installation, tenant, CreatePlatform(name="shop", description="x"))
    last, failures, seen = 6, [], []
    done = asyncio.Event()

    async def load(worker: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            method = ("GET", "POST", "PUT")[number % 3]
            body = None if method == "GET" else f"{worker}-{number}"
            response = await client.request(method, f"/p/{tenant}/shop/x", content=body)
            if response.status_code != 200:
                failures.append((method, response.status_code, response.text))
            else:
                seen.append(response.json()["version"])

    async with AsyncExitStack() as current:
        address = await current.enter_async_context(served(Part(1).app, str(sockets / "v1")))
        await put_into_service(installation, tenant, "shop", 1, address)
        workers = [asyncio.create_task(load(number)) for number in range(6)]
        serving = current.pop_all()
        for version in range(2, last + 1):
            await asyncio.sleep(0.3)
            fresh = AsyncExitStack()
            socket = str(sockets / f"v{version}")
            address = await fresh.enter_async_context(served(Part(version).app, socket))
            await put_into_service(installation, tenant, "shop", version, address)
            # What retiring does: the old process serves a moment longer, then drains and ends.
            await asyncio.sleep(0.25)
            await serving.aclose()
            serving = fresh
        await asyncio.sleep(0.3)
        done.set()
        await asyncio.gather(*workers)
        await serving.aclose()
    assert failures == []
    assert set(seen) == set(range(1, last + 1))
    assert len(seen) > 50
