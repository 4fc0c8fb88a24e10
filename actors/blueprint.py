"""`BlueprintActor`: drives the runs of one platform."""

from __future__ import annotations

import os
import threading
from typing import Any

import ray
import structlog

from actors.cluster import find_or_start, tenant_namespace
from actors.metrics import step_ended
from actors.workshop import RayWorkshop
from engine.conductor.driver import RunDriver
from engine.ledger.work import Lease
from webnova.compose import compose, work_queue
from webnova.logging import configure_logging, log_context, trace_id
from webnova.stack.home import Settings

log = structlog.get_logger(__name__)

IDLE_S = 30.0


class BlueprintActor:
    """One process per platform that is being built, gone when the build is over.

    It owns nothing that Postgres does not know: when it dies, the lease runs out and another one
    goes on with the step that was open.
    """

    def __init__(self, platform: str) -> None:
        configure_logging(Settings.from_environment().log_format)
        self._name = f"blueprint:{platform}"
        self._installation = compose(self._name, pool=4)
        self._queue = work_queue(self._name, pool=1)
        self._driver = RunDriver(
            self._installation.dispatcher, self._queue, RayWorkshop(), observe=_note
        )
        self._idle = self._leave_when_idle()

    async def drive(self, lease: Lease, trace: str) -> str | None:
        """Drive the leased run; how it stands afterwards, or None if the lease was lost.

        `trace` is the `traceparent` of the request that the run came from.
        """
        self._idle.cancel()
        try:
            with log_context(tenant=lease.tenant, run=lease.id, trace=trace_id(trace)):
                state = await self._driver.drive(lease)
                return None if state is None else str(state)
        finally:
            self._idle = self._leave_when_idle()

    @staticmethod
    def _leave_when_idle() -> threading.Timer:
        """End this process if nobody needs it: whoever started it may be gone itself."""
        timer = threading.Timer(IDLE_S, os._exit, (0,))
        timer.daemon = True
        timer.start()
        return timer

    async def close(self) -> None:
        await self._installation.close()
        await self._queue.close()

    def __repr__(self) -> str:
        return self._name


def _note(step: str, outcome: str, seconds: float) -> None:
    step_ended(step, outcome, seconds)
    log.info("step ended", step=step, outcome=outcome, seconds=round(seconds, 3))


def blueprint_actor(tenant: str, platform: str) -> Any:
    """The platform's driver, started if need be; it ends with the actor that started it.

    Ray keeps warm workers apart by the detached actor that they work for in the end. Not being
    detached, all drivers of a shard share the shard's workers.
    """
    return find_or_start(
        lambda: ray.remote(BlueprintActor),
        f"blueprint:{platform}",
        namespace=tenant_namespace(tenant),
        args=(platform,),
        lifetime=None,
        num_cpus=0,
        max_concurrency=4,
    )
