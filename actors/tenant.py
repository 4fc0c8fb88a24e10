"""`TenantActor`: admits the work of the tenants in its shard, fairly, and within their quotas."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from functools import partial
from typing import Any

import ray
import structlog

from actors.background import Background, forever
from actors.blueprint import blueprint_actor
from actors.cluster import HOST, NAMESPACE, SHARDS, call, find, find_or_start, shard_name
from actors.metrics import drive_ended, runs_running
from actors.upkeep import loops
from engine.conductor.driver import LEASE_SECONDS, crash
from engine.conductor.driving import ReadRun, RecordDriverCrash, RunDocument
from engine.conductor.platforms import Instance
from engine.conductor.runs import Run
from engine.kernel.contracts import Call, Caller
from engine.kernel.dispatch import answer_as
from engine.kernel.errors import LeaseLost, Unavailable
from engine.ledger.work import Lease
from webnova.compose import compose, work_queue
from webnova.logging import configure_logging, log_context, trace_id
from webnova.stack.home import Settings

log = structlog.get_logger(__name__)

PAUSE_S = 1.0
"""Between two looks at the queue when nobody nudges."""
LONGEST_REST_S = 30.0


class TenantActor:
    """A shard of the tenants: a reconciler between what Postgres says is due and what Ray runs.

    It keeps no list of its own that matters. Restarted anywhere, it claims what is due and goes
    on; what a lost worker held becomes due again when the lease runs out. At most `capacity` runs
    are under way in the installation, and `per_tenant` of one tenant.
    """

    def __init__(self, shard: int, shards: int) -> None:
        configure_logging(Settings.from_environment().log_format)
        self._shard = (shard, shards)
        self._name = shard_name(shard)
        self._queue = work_queue(self._name, pool=2)
        self._installation = compose(self._name, pool=2)
        self._background = Background(self._name)
        self._wake = asyncio.Event()
        self._driving: set[asyncio.Task[None]] = set()
        self._losses: Counter[str] = Counter()
        cpus = int(ray.cluster_resources().get("CPU", 1))
        self._capacity = _limit("WEBNOVA_MAX_RUNS", 2 * cpus)
        self._per_tenant = _limit("WEBNOVA_MAX_RUNS_PER_TENANT", max(1, self._capacity * 3 // 4))
        self._background.start(forever(self._name, self._turn, pause=PAUSE_S, wake=self._wake))
        for what, (turn, pause) in loops(self._name, self._installation).items():
            name, keep, never = f"{self._name}:{what}", partial(turn, self._shard), asyncio.Event()
            self._background.start(forever(name, keep, pause=pause, wake=never))

    async def nudge(self) -> None:
        """Look at the queue now rather than at the next turn."""
        self._background.wake(self._wake)

    async def limits(self) -> dict[str, int]:
        return {"capacity": self._capacity, "per_tenant": self._per_tenant}

    async def _turn(self) -> None:
        await self._place_instances()
        running = await self._queue.running(Run.kind)
        runs_running(running)
        free = self._capacity - running
        if free <= 0:
            return
        for lease in await self._claim(Run.kind, limit=free, per_tenant=self._per_tenant):
            task = asyncio.create_task(self._drive(lease))
            self._driving.add(task)
            task.add_done_callback(self._driving.discard)

    async def _place_instances(self) -> None:
        for lease in await self._claim(Instance.kind, limit=100, per_tenant=10_000):
            try:
                await call(find(HOST).adopt.remote(lease))
            except Unavailable:
                await self._queue.release(lease)
                raise

    async def _claim(self, kind: str, *, limit: int, per_tenant: int) -> list[Lease]:
        return await self._queue.claim(
            self._name,
            kind,
            limit=limit,
            per_tenant=per_tenant,
            seconds=LEASE_SECONDS,
            shard=self._shard,
        )

    async def _drive(self, lease: Lease) -> None:
        with log_context(tenant=lease.tenant, run=lease.id):
            try:
                run = await self._run(lease)
                platform = run.platform
                structlog.contextvars.bind_contextvars(trace=trace_id(run.trace))
                actor = await self._driver_for(lease, platform)
                state = await _call_or_bury(actor, actor.drive.remote(lease, run.trace))
                drive_ended(state)
                log.info("run driven", platform=platform, state=state)
                if state is not None:
                    # Without the lease the actor may be driving for whoever has it now.
                    await self._dismiss(actor)
            except Unavailable as error:
                log.warning("driver lost", error=error.detail)
                # If it still lives after all, its fencing token is old as soon as another claims.
                with contextlib.suppress(Unavailable):
                    await self._queue.release(lease, rest=self._rest(lease))
            except Exception as error:
                log.exception("driver crashed")
                with contextlib.suppress(LeaseLost, Unavailable):
                    await self._note_crash(lease, error)
                    await self._queue.release(lease)
            else:
                self._losses.pop(lease.id, None)
            self._wake.set()

    def _rest(self, lease: Lease) -> float:
        """Seconds until the run is tried again: none after its first lost driver, then more."""
        before = self._losses[lease.id]
        self._losses[lease.id] += 1
        return min(LONGEST_REST_S, 2.0 ** (before - 1)) if before else 0.0

    async def _note_crash(self, lease: Lease, error: Exception) -> None:
        command = RecordDriverCrash(run=lease.id, fence=lease.fence, cause=crash(error))
        await self._installation.dispatcher.execute(
            Call(command, self._caller(lease), lease.tenant)
        )

    async def _driver_for(self, lease: Lease, platform: str) -> Any:
        """The platform's driver, ready. The lease is kept alive while its process starts."""
        actor = blueprint_actor(lease.tenant, platform)
        ready = asyncio.ensure_future(_call_or_bury(actor, actor.__ray_ready__.remote()))
        while not (await asyncio.wait([ready], timeout=LEASE_SECONDS / 3))[0]:
            if not await self._queue.renew(lease, seconds=LEASE_SECONDS):
                ready.cancel()
                raise Unavailable("The lease ended before the driver had started.")
        await ready
        return actor

    @staticmethod
    async def _dismiss(actor: Any) -> None:
        with contextlib.suppress(Unavailable):
            await call(actor.close.remote())
        ray.kill(actor)

    async def _run(self, lease: Lease) -> Run:
        query = ReadRun(id=lease.id)
        asked = await self._installation.dispatcher.ask(query, self._caller(lease), lease.tenant)
        return answer_as(RunDocument, asked).run

    def _caller(self, lease: Lease) -> Caller:
        return Caller(self._name, lease.tenant, frozenset({"run.drive"}))

    def __repr__(self) -> str:
        return self._name


async def _call_or_bury(actor: Any, reference: Any) -> Any:
    """The remote result; an actor that cannot give it is killed, so that its name is free.

    Ray keeps the name of an actor whose node was lost while the actor was being created, and
    `get_if_exists` would find the dead one for ever.
    """
    try:
        return await call(reference)
    except Unavailable:
        ray.kill(actor)
        raise


def _limit(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() and int(text) > 0 else default


def tenant_shard(shard: int) -> Any:
    return find_or_start(
        lambda: ray.remote(TenantActor),
        shard_name(shard),
        namespace=NAMESPACE,
        args=(shard, SHARDS),
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=16,
    )
