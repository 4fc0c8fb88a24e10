"""Connections to the processes that serve platforms: one small pool for each address."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

MOST_UPSTREAMS = 256
CONNECTIONS = 200
# A platform may take its time and may stream for hours: only getting through to it is bounded.
TIMEOUT = httpx.Timeout(None, connect=5.0, pool=10.0)
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


def repeatable(method: str) -> bool:
    """Whether the method is idempotent (RFC 9110, section 9.2.2)."""
    return method in _REPEATABLE


class Upstream:
    """One process that serves a platform, at `unix:/path/of/socket` or `http://host:port`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.users = 0
        self.retired = False
        kind, _, rest = address.partition(":")
        socket = rest if kind == "unix" else None
        self.base = "http://platform" if socket else address.rstrip("/")
        kept = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=32)
        # A request that must not be sent twice never goes over a connection that the other side
        # may be about to close: then nobody could tell whether it had arrived.
        single = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0)
        self._kept = httpx.AsyncHTTPTransport(uds=socket, limits=kept, trust_env=False)
        self._single = httpx.AsyncHTTPTransport(uds=socket, limits=single, trust_env=False)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer; its body is streamed. Raises `httpx.TransportError`."""
        transport = self._kept if repeatable(request.method) else self._single
        return await transport.handle_async_request(request)

    async def close(self) -> None:
        await self._kept.aclose()
        await self._single.aclose()


class Upstreams:
    """The pools in use; one that nobody asked for lately is closed when its last user is done."""

    def __init__(self, most: int = MOST_UPSTREAMS) -> None:
        self._most = most
        self._open: OrderedDict[str, Upstream] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def using(self, address: str) -> AsyncIterator[Upstream]:
        upstream = self._open.get(address)
        if upstream is None:
            upstream = self._open[address] = Upstream(address)
        self._open.move_to_end(address)
        upstream.users += 1
        while len(self._open) > self._most:
            self.retire(next(iter(self._open)))
        try:
            yield upstream
        finally:
            upstream.users -= 1
            self._close_if_done(upstream)

    def retire(self, address: str) -> None:
        """Take no new requests for an address; those under way end in peace."""
        upstream = self._open.pop(address, None)
        if upstream is not None:
            upstream.retired = True
            self._close_if_done(upstream)

    def _close_if_done(self, upstream: Upstream) -> None:
        if upstream.retired and upstream.users == 0:
            task = asyncio.ensure_future(upstream.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for address in list(self._open):
            self.retire(address)
        await asyncio.gather(*self._closing)
