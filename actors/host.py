"""`HostActor`: keeps the released platforms of its node running.

Being hosted is a work item that never ends. The host holds the lease on each platform that it
runs; when the host dies, so do its processes, the leases run out, and the platforms are placed
anew from what Postgres says should run.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import ray
import structlog

from actors.background import Background, forever
from actors.cluster import HOST, find_or_start, node_id
from engine.conductor.driver import LEASE_SECONDS
from engine.conductor.driving import (
    Blob,
    InstanceDocument,
    ReadBlob,
    ReadInstance,
    RecordInstance,
)
from engine.conductor.hosting import PlatformHost
from engine.conductor.workshop import Launched
from engine.kernel.contracts import Call, Caller, Command
from engine.kernel.dispatch import answer_as
from engine.kernel.errors import LeaseLost, NotFound, WebNovaError
from engine.ledger.work import Lease
from webnova.compose import compose, work_queue
from webnova.logging import configure_logging
from webnova.stack.home import Home, Settings

log = structlog.get_logger(__name__)

Key = tuple[str, str]


class HostActor:
    def __init__(self) -> None:
        configure_logging(Settings.from_environment().log_format)
        self._installation = compose(HOST, pool=4)
        self._queue = work_queue(HOST, pool=2)
        self._background = Background(HOST)
        self._wake = asyncio.Event()
        self._leases: dict[Key, Lease] = {}
        self._node = node_id()
        home = Home.at(os.environ["WEBNOVA_HOME"])
        self._host = PlatformHost(home.root, home.secret("platform-key"))
        self._background.start(forever(HOST, self._tend, pause=LEASE_SECONDS / 4, wake=self._wake))

    async def launch(self, tenant: str, name: str, version: int, bundle: bytes) -> Launched:
        """Start a release beside the one that serves; returns when it is healthy."""
        address = await self._background.run(self._host.launch(tenant, name, version, bundle))
        return Launched(address=address, node=self._node)

    async def adopt(self, lease: Lease) -> None:
        """Take responsibility for a platform, under the lease."""
        self._leases[lease.tenant, lease.id] = lease
        self._background.start(self._settle(lease))

    async def retire(self, tenant: str, name: str, keep: int) -> None:
        await self._background.run(self._host.retire(tenant, name, keep))

    async def forget(self, tenant: str) -> None:
        """Remove what a deleted tenant has on this node."""
        await self._background.run(self._host.forget(tenant))

    async def logs(self, tenant: str, name: str, offset: int) -> tuple[list[str], int]:
        return self._host.logs(tenant, name, offset)

    async def hosted(self) -> list[str]:
        return self._host.running()

    async def _tend(self) -> None:
        """Renew every lease; look after what is not as it should be."""
        for key, lease in list(self._leases.items()):
            if not await self._queue.renew(lease, seconds=LEASE_SECONDS):
                if self._leases.get(key) == lease:
                    del self._leases[key]
                    await self._host.retire(*key, keep=0)
                continue
            await self._settle(lease)

    async def _settle(self, lease: Lease) -> None:
        """Make what runs equal to what Postgres says should run."""
        try:
            instance = (await self._instance(lease)).instance
            address = self._host.address(lease.tenant, lease.id, instance.version)
            if address is None:
                bundle = await self._bundle(lease, instance.bundle)
                address = await self._host.launch(lease.tenant, lease.id, instance.version, bundle)
            if address != instance.address or instance.node != self._node:
                await self._record(lease, instance.version, address=address, node=self._node)
        except LeaseLost:
            self._leases.pop((lease.tenant, lease.id), None)
        except WebNovaError as error:
            log.warning("platform does not start", tenant=lease.tenant, platform=lease.id)
            await self._give_back(lease, error)

    async def _give_back(self, lease: Lease, error: WebNovaError) -> None:
        """Note why the platform isn't running, and let it be placed again after a while."""
        self._leases.pop((lease.tenant, lease.id), None)
        try:
            version = (await self._instance(lease)).instance.version
            await self._record(lease, version, detail=error.detail[:500])
        except (LeaseLost, NotFound):
            return
        await self._queue.release(lease)

    async def _instance(self, lease: Lease) -> InstanceDocument:
        query = ReadInstance(platform=lease.id)
        asked = await self._installation.dispatcher.ask(query, _caller(lease), lease.tenant)
        return answer_as(InstanceDocument, asked)

    async def _bundle(self, lease: Lease, digest: str) -> bytes:
        query = ReadBlob(digest=digest)
        asked = await self._installation.dispatcher.ask(query, _caller(lease), lease.tenant)
        return answer_as(Blob, asked).content

    async def _record(self, lease: Lease, version: int, **what: str) -> None:
        command: Command = RecordInstance.model_validate(
            {"platform": lease.id, "fence": lease.fence, "version": version, **what}
        )
        await self._installation.dispatcher.execute(Call(command, _caller(lease), lease.tenant))

    def __repr__(self) -> str:
        return HOST


def _caller(lease: Lease) -> Caller:
    return Caller(HOST, lease.tenant, frozenset({"run.drive"}))


def host() -> Any:
    return find_or_start(
        lambda: ray.remote(HostActor),
        HOST,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=2,
        max_concurrency=64,
    )
