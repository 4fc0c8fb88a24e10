"""The preview gateway: a platform's own HTTP interface below `/p/<tenant>/<platform>/`.

Nothing is buffered beyond what a repetition needs. Which process serves a platform is looked up for
each request through a cache of `FRESH_S` seconds; when it can't be reached, the address is looked
up again and the request repeated if that is safe. So a switch of versions drops no request, as
long as the old process goes on serving for a moment after the new address was recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.conductor.platforms import PlatformView
from engine.conductor.requests import GetInstance, GetPlatform, InstanceView
from engine.kernel.contracts import Caller
from engine.kernel.dispatch import Dispatcher, answer_as
from engine.kernel.errors import InvalidInput, NotFound, TenantDeleted, Unavailable
from serve_apps.events import Streams, WatchedStream
from serve_apps.forwarding import Target, request_headers, response_headers
from serve_apps.problems import BadGateway
from serve_apps.upstream import TIMEOUT, Upstream, Upstreams, repeatable

FRESH_S = 0.1
PATIENCE_S = 5.0
MOST_KEPT = 64 * 1024
MOST_CACHED = 10_000
MOST_BROKEN = 2
"""How often a request that may have arrived is sent again."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Failures before anything of the request was sent."""

Lookup = Callable[[str, str], Awaitable[str]]

_log = structlog.get_logger(__name__)


class Addresses:
    """Where each platform is served right now. `moved` is told each address that was left."""

    def __init__(self, lookup: Lookup, moved: Callable[[str], None]) -> None:
        self._lookup = lookup
        self._moved = moved
        self._known: dict[tuple[str, str], tuple[float, str]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[str]] = {}

    async def of(self, tenant: str, platform: str, *, anew: bool = False) -> str:
        """The address, at most `FRESH_S` seconds old; `anew`: not from the cache.

        Concurrent requests share one look-up. Raises `NotFound` and `Unavailable`.
        """
        key = (tenant, platform)
        known = self._known.get(key)
        if not anew and known is not None and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key))
        return await asyncio.shield(asking)

    async def _ask(self, key: tuple[str, str]) -> str:
        try:
            asked = time.monotonic()
            address = await self._lookup(*key)
            before = self._known.get(key, (0.0, address))[1]
            if before != address:
                self._moved(before)
            if len(self._known) >= MOST_CACHED:
                self._known.clear()
            self._known[key] = (asked, address)
            return address
        except BaseException:
            self._known.pop(key, None)
            raise
        finally:
            del self._asking[key]


def instance_lookup(dispatcher: Dispatcher) -> Lookup:
    """Looks addresses up in the ledger."""

    async def lookup(tenant: str, platform: str) -> str:
        gateway = Caller("preview", tenant, frozenset({"platform.read"}))
        try:
            view = await dispatcher.ask(GetInstance(platform=platform), gateway, tenant)
            address = answer_as(InstanceView, view).address
        except TenantDeleted:
            raise
        except NotFound:
            # Says whether there is such a platform at all.
            found = await dispatcher.ask(GetPlatform(name=platform), gateway, tenant)
            building = answer_as(PlatformView, found).building
            raise _absent("is still being built" if building else "was never released") from None
        if address is None:
            raise _absent("is not running at the moment")
        return address

    return lookup


def _absent(why: str) -> Unavailable:
    return Unavailable(
        f"The platform {why}.",
        mend="Try again shortly; `webnova show` tells its state and `webnova logs` the reason.",
        retry_after=2,
    )


class Body:
    """A request's body that can be sent again, as long as it is small enough to be kept."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._kept: list[bytes] = []
        self._size = 0
        self._source: AsyncGenerator[bytes, None] | None = None
        self.complete = False
        self.replayable = True

    async def prefetch(self) -> None:
        """Read until the end or until it is too large to keep."""
        self._source = self._request.stream()
        while self._size <= MOST_KEPT and not self.complete:
            await self._read()

    async def _read(self) -> bytes:
        assert self._source is not None
        try:
            chunk = await anext(self._source)
        except StopAsyncIteration:
            self.complete = True
            return b""
        self._size += len(chunk)
        if self.replayable:
            self._kept.append(chunk)
        return chunk

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        for chunk in self._kept:
            if chunk:
                yield chunk
        while not self.complete:
            self.replayable = False
            if chunk := await self._read():
                yield chunk


@dataclass(slots=True)
class Previews:
    """The gateway of one process."""

    addresses: Addresses
    upstreams: Upstreams
    streams: Streams

    async def forward(self, request: Request, target: Target) -> Response:
        """The platform's answer, streamed.

        Raises `NotFound` (no such platform), `Unavailable` (no process serves it now) and
        `BadGateway` (it broke off before its answer began).
        """
        body = Body(request)
        await body.prefetch()
        deadline = time.monotonic() + PATIENCE_S
        address = await self.addresses.of(target.tenant, target.platform)
        pause, broken = 0.02, 0
        while True:
            stack = AsyncExitStack()
            upstream = await stack.enter_async_context(self.upstreams.using(address))
            try:
                response = await self._send(request, target, body, upstream)
                return self._streamed(response, target, stack)
            except httpx.TransportError as error:
                await stack.aclose()
                broken += not isinstance(error, UNSENT)
                if broken > MOST_BROKEN or time.monotonic() > deadline:
                    raise _broken(error) from error
                if not _may_repeat(request.method, body, error):
                    raise _broken(error) from error
                _log.info("preview repeats a request", cause=type(error).__name__)
            except BaseException:
                await stack.aclose()
                raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)
            address = await self.addresses.of(target.tenant, target.platform, anew=True)

    async def _send(
        self, request: Request, target: Target, body: Body, upstream: Upstream
    ) -> httpx.Response:
        headers = request_headers(request, target)
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)
        try:
            url = httpx.URL(upstream.base).copy_with(raw_path=target.raw_path)
        except httpx.InvalidURL as error:
            raise InvalidInput("The address is not one that can be passed on.") from error
        sent = httpx.Request(
            request.method,
            url,
            headers=headers,
            content=body.__aiter__() if has_body else None,
            extensions={"timeout": TIMEOUT.as_dict()},
        )
        if not body.complete:
            return await upstream.send(sent)
        return await unless_left(request, upstream.send(sent))

    def _streamed(
        self, response: httpx.Response, target: Target, stack: AsyncExitStack
    ) -> Response:
        headers = response_headers(response.headers.raw, target)
        stack.push_async_callback(response.aclose)
        return WatchedStream(
            _chunks(response),
            response.status_code,
            raw_headers=headers,
            streams=self._closable(response),
            held=stack,
        )

    def _closable(self, response: httpx.Response) -> Streams | None:
        """Only streams without an end are ended when the process shuts down."""
        kind = response.headers.get("content-type", "")
        return self.streams if kind.startswith("text/event-stream") else None

    async def close(self) -> None:
        await self.upstreams.close()


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        yield chunk


def _may_repeat(method: str, body: Body, error: httpx.TransportError) -> bool:
    return body.replayable and (isinstance(error, UNSENT) or repeatable(method))


def _broken(error: httpx.TransportError) -> Unavailable | BadGateway:
    if isinstance(error, UNSENT):
        return _absent("can't be reached at the moment")
    return BadGateway("The platform broke off before it answered.", mend="See its logs.")


async def unless_left(request: Request, answer: Awaitable[httpx.Response]) -> httpx.Response:
    """The answer, or `ClientDisconnect` as soon as the client leaves while it is waited for."""
    waiting = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ClientDisconnect
        return waiting.result()
    finally:
        leaving.cancel()
        if not waiting.done():
            waiting.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
