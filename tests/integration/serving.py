"""The API over a real socket, with a gateway that a test scripts instead of a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from engine.conductor.platforms import Instance, InstanceDesired, InstanceStarted
from engine.kernel.contracts import Call
from engine.kernel.errors import NotUnderstood
from engine.trust.tokens import IssueToken, draw
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

API = "/api/v1"


class ScriptedGateway:
    """Understands a description of at least two Latin words; keeps log lines that tests write."""

    def __init__(self) -> None:
        self.nudges = 0
        self.lines: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    async def screen(self, description: str) -> str:
        words = re.findall(r"[a-z]+", description.lower())
        if len(words) < 2:
            raise NotUnderstood("No platform can be derived from this.", mend="Say what it is for.")
        return words[1][:30]

    async def logs(self, tenant: str, platform: str, lines: int) -> list[str]:
        return self.lines[tenant, platform][-lines:]

    async def logs_since(self, tenant: str, platform: str, offset: int) -> tuple[list[str], int]:
        kept = self.lines[tenant, platform]
        return kept[max(offset, 0) :], len(kept)

    def nudge(self) -> None:
        self.nudges += 1

    def credentials(self, tenant: str, platform: str) -> tuple[str, str]:
        return f"admin@{platform}.example", f"password of {tenant}/{platform}"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: Any, uds: str | None = None) -> AsyncIterator[str]:
    """Run an ASGI application on a free port, or on a Unix socket, and give its address."""
    if uds is None:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(uds)
        address = f"unix:{uds}"
    server = _Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        await task
        listener.close()


async def issue(installation: Installation, tenant: str, *permissions: str) -> str:
    """A token of the tenant, with all permissions unless some are named."""
    id, digest, token = draw(tenant)
    command = IssueToken(
        id=id, secret_sha256=digest, label="test", permissions=list(permissions or ("*",))
    )
    await execute(installation, tenant, command)
    return token.reveal()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def put_into_service(
    installation: Installation, tenant: str, platform: str, version: int, address: str
) -> None:
    """Record, as the conductor's release step does, that a process serves the platform."""
    call = Call(
        IssueToken(id="-", secret_sha256="-", label="-", permissions=["-"]), owner(tenant), tenant
    )
    events = [
        InstanceDesired(platform=platform, version=version, bundle="0" * 64),
        InstanceStarted(version=version, address=address, node="here"),
    ]
    async with installation.transactions.writing(call) as transaction:
        found = await transaction.find(Instance, platform)
        await transaction.append(Instance, platform, events, expected=found.version if found else 0)


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The server-sent events of a streamed answer, comments left out."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            if name and not line.startswith(":"):
                fields[name] = value
        elif "data" in fields:
            yield fields
            fields = {}
        else:
            fields = {}
