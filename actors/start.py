"""The installation's core actors, and the first API token: `python -m actors.start`.

The API's replicas start the actors: these then belong to Serve's job, which lasts. Ray ends every
idle worker of a job whose driver has gone, so actors of a short-lived program would have to start
new workers for each task. Run after every start of the cluster, this module waits until the actors
are ready (and starts them where no replica did), and makes the first token. All is idempotent.
"""

from __future__ import annotations

import asyncio
from typing import Any

import ray

from actors.cluster import HOST, PROVIDER, SANDBOX, SHARDS, call, connect, find, shard_name
from actors.host import host
from actors.provider import provider
from actors.sandbox import sandbox
from actors.tenant import tenant_shard
from engine.kernel.errors import Unavailable
from webnova.first_token import ensure_first_token

PATIENCE_S, LOOK_S = 30.0, 0.1


def core_actors() -> list[Any]:
    """Handles to the core actors, each started unless it runs; returns without waiting for them."""
    return [provider(), sandbox(), host(), *(tenant_shard(n) for n in range(SHARDS))]


async def start() -> None:
    await _started_by_a_replica()
    await asyncio.gather(*(call(handle.__ray_ready__.remote()) for handle in core_actors()))
    await ensure_first_token()


async def _started_by_a_replica() -> None:
    """Wait for the actors to be known, but not for ever."""
    names = [PROVIDER, SANDBOX, HOST, *(shard_name(n) for n in range(SHARDS))]
    for _ in range(int(PATIENCE_S / LOOK_S)):
        try:
            for name in names:
                find(name)
            return
        except Unavailable:
            await asyncio.sleep(LOOK_S)


def main() -> None:
    connect()
    try:
        asyncio.run(start())
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
