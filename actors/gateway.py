"""What the HTTP layer asks of the executor."""

from __future__ import annotations

import os
from typing import Any

import ray

from actors.cluster import HOST, PROVIDER, SHARDS, call, find, shard_name
from engine.conductor.hosting import Credentials, credentials
from engine.kernel.errors import Unavailable
from webnova.stack.home import Home


class RayGateway:
    """Calls to the installation's actors, by their names. Handles are looked up once and again
    after a failure."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    async def screen(self, description: str) -> str:
        """The name that a platform so described would get; errors as `ProviderActor.screen`."""
        return str(await self._call(PROVIDER, "screen", description))

    async def logs(self, tenant: str, platform: str, lines: int) -> list[str]:
        """The last lines of the platform's log."""
        found, _ = await self._call(HOST, "logs", tenant, platform, -1)
        return list(found)[-lines:]

    async def logs_since(self, tenant: str, platform: str, offset: int) -> tuple[list[str], int]:
        """Whole lines from a byte offset on, and the offset to go on from."""
        found, end = await self._call(HOST, "logs", tenant, platform, offset)
        return list(found), int(end)

    def nudge(self) -> None:
        """Tell the executor that there may be work. It would find it anyway, a little later."""
        for shard in range(SHARDS):
            try:
                self._handle(shard_name(shard)).nudge.remote()
            except (Unavailable, ray.exceptions.RayError):
                self._handles.pop(shard_name(shard), None)

    def credentials(self, tenant: str, platform: str) -> tuple[str, str]:
        """E-mail and password of the platform's first administrator."""
        key = Home.at(os.environ["WEBNOVA_HOME"]).secret("platform-key")
        made: Credentials = credentials(key, tenant, platform)
        return made.admin_email, made.admin_password.reveal()

    async def _call(self, name: str, method: str, *arguments: Any) -> Any:
        try:
            return await call(getattr(self._handle(name), method).remote(*arguments))
        except Unavailable:
            self._handles.pop(name, None)
            raise

    def _handle(self, name: str) -> Any:
        if name not in self._handles:
            self._handles[name] = find(name)
        return self._handles[name]
