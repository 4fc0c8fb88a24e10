"""Starts the installation's core actors and makes the first API token: `python -m actors.start`.

Idempotent: run after every start of the cluster, it starts what is missing.
"""

from __future__ import annotations

import asyncio

import ray

from actors.cluster import SHARDS, call, connect
from actors.host import host
from actors.provider import provider
from actors.sandbox import sandbox
from actors.tenant import tenant_shard
from webnova.first_token import ensure_first_token


async def start() -> None:
    handles = [provider(), sandbox(), host(), *(tenant_shard(n) for n in range(SHARDS))]
    await asyncio.gather(*(call(handle.__ray_ready__.remote()) for handle in handles))
    await ensure_first_token()


def main() -> None:
    connect()
    try:
        asyncio.run(start())
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
