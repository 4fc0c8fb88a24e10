"""Reads and writes of the API beside a bare Ray Serve endpoint and plain uvicorn, in one run.

    python benchmarks/api.py            (with the stack running: `make up`)

The three answer from this machine, are measured in turns (A B C A B C …) and reported as medians
over the turns, with the API's p50 as a ratio of the others'.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import ray
from fastapi import FastAPI
from ray import serve

from benchmarks.load import Figures, measure
from webnova import Client
from webnova.stack.home import Settings
from webnova.stack.local import Stack

TURNS, SECONDS = 5, 2.0
bare = FastAPI()


@bare.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@serve.deployment(name="Bare", max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(bare)
class Bare:
    pass


@contextmanager
def plain_uvicorn() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "benchmarks.api:bare", "--log-level", "error"]
    server = subprocess.Popen([*command, "--port", str(port)], cwd=Path(__file__).parents[1])
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait(url)
        yield url
    finally:
        server.terminate()
        server.wait()


@contextmanager
def bare_serve(base: str) -> Iterator[str]:
    serve.run(Bare.bind(), name="bare", route_prefix="/bare")
    try:
        _wait(f"{base}/bare/")
        yield f"{base}/bare/"
    finally:
        serve.delete("bare")


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers at {url}")


async def turns(targets: dict[str, tuple[str, dict[str, str]]], connections: int) -> None:
    found: dict[str, list[Figures]] = {name: [] for name in targets}
    for _ in range(TURNS):
        for name, (url, headers) in targets.items():
            found[name].append(
                await measure(url, headers=headers, connections=connections, seconds=SECONDS)
            )
    print(f"\n{connections} connection(s), median of {TURNS} turns of {SECONDS:.0f} s")
    p50 = {name: statistics.median(each.p50 for each in figures) for name, figures in found.items()}
    for name, figures in found.items():
        p99 = statistics.median(each.p99 for each in figures)
        rate = statistics.median(each.rate for each in figures)
        print(f"  {name:30} p50 {p50[name]:6.2f} ms  p99 {p99:6.2f} ms  {rate:7.0f}/s")
    for other in ("bare Ray Serve endpoint", "plain uvicorn"):
        print(f"  authenticated read / {other}: {p50['authenticated read'] / p50[other]:.2f} (p50)")


async def writes(client: Client) -> None:
    """A write is one transaction with its event, document and remembered answer."""
    times = []
    for number in range(100):
        began = time.perf_counter()
        client.issue_token(label=f"bench {number}", permissions=["platform.read"])
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    print(
        f"\nwrite (issue a token, client included): p50 {times[50]:.1f} ms  p99 {times[98]:.1f} ms"
    )


def main() -> None:
    settings = Settings.from_environment()
    stack = Stack(settings.home)
    status = stack.up()
    assert status.url and status.ray_address
    if os.environ.get("RAY_AUTH_MODE") != "token":
        # Ray reads these when it is imported, which has happened by now: begin anew with them.
        os.environ.update(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN_PATH=str(settings.home.ray_token_file),
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        )
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", "api"])
    ray.init(address=status.ray_address, log_to_driver=False, namespace="benchmark")
    token = settings.home.first_token_file.read_text().strip()
    client = Client(url=status.url, token=token)
    client.create_tenant("bench", "Benchmark") if not _known(client) else None
    read = f"{status.url.rstrip('/')}/api/v1/tenants/bench"
    with plain_uvicorn() as plain, bare_serve(status.url.rstrip("/")) as served:
        targets = {
            "authenticated read": (read, {"Authorization": f"Bearer {token}"}),
            "bare Ray Serve endpoint": (served, {}),
            "plain uvicorn": (plain, {}),
        }
        for connections in (1, 16):
            asyncio.run(turns(targets, connections))
    asyncio.run(writes(client))


def _known(client: Client) -> bool:
    return any(tenant.name == "bench" for tenant in client.tenants())


if __name__ == "__main__":
    main()
