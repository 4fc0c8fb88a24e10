"""Keeping servers alive: start, watch, restart, stop."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.kernel.errors import NotFound, WebNovaError
from engine.kernel.ids import new_id
from engine.runtime.processes.life import Life, socket_directory
from engine.runtime.processes.log import RotatingLog
from engine.runtime.processes.spec import Instance, ProcessSpec, RestartPolicy, State
from engine.runtime.sandbox import SandboxDriver
from engine.runtime.sandbox.enclosure import bounds
from engine.runtime.sandbox.scratch import remove_abandoned

OnChange = Callable[[str, State, str], None]


@dataclass
class _Post:
    """A server's place at the supervisor: it outlives the server's lives."""

    id: str
    spec: ProcessSpec
    log: RotatingLog
    directory: Path
    life: Life
    state: State
    crashes: int = 0
    restarts: int = 0
    watch: asyncio.Task[None] | None = None


class Supervisor:
    """Runs servers through a sandbox driver and restarts them when they fail.

    `on_change(instance_id, state, detail)` hears of every change of state, in order; it must not
    raise. The servers belong to this process, and to the thread of its event loop: when one of them
    dies, however, they end too.
    """

    def __init__(
        self,
        driver: SandboxDriver,
        *,
        policy: RestartPolicy | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self._driver, self._policy = driver, policy or RestartPolicy()
        self._on_change = on_change
        self._posts: dict[str, _Post] = {}
        remove_abandoned()

    async def __aenter__(self) -> Supervisor:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def start(self, spec: ProcessSpec) -> Instance:
        """Start a server; returns once it is healthy.

        Raises `StepFailed` whose field `log` holds the end of what it wrote if it never is, and
        `InvalidInput` for a spec that can't work. After an error nothing of it is left but the log.
        """
        instance_id = new_id("inst")
        self._tell(instance_id, "starting", "")
        log = RotatingLog(spec.log_path, max_bytes=spec.log_max_bytes, backups=spec.log_backups)
        directory = socket_directory()
        try:
            life = await Life.begin(self._driver, spec, directory, log)
        except BaseException as error:
            log.close()
            shutil.rmtree(directory, ignore_errors=True)
            detail = error.detail if isinstance(error, WebNovaError) else "The start was given up."
            self._tell(instance_id, "failed", detail)
            raise
        post = _Post(instance_id, spec, log, directory, life, "starting")
        self._posts[instance_id] = post
        self._move(post, "running", "")
        post.watch = asyncio.create_task(self._watch(post), name=f"watch {instance_id}")
        return self.get(instance_id)

    def get(self, instance_id: str) -> Instance:
        """Raises `NotFound` for one that was never started or is stopped."""
        post = self._post(instance_id)
        enforced, unenforced = bounds(post.spec.limits, isolated=self._driver.isolated)
        unlimited = {"output_bytes", "cpu_s", "wall_s"}
        return Instance(
            id=post.id,
            name=post.spec.name,
            pid=post.life.pid,
            address=str(post.life.address),
            port=post.life.address.port,
            started_at=post.life.started_at,
            state=post.state,
            restarts=post.restarts,
            driver=self._driver.name,
            isolated=self._driver.isolated,
            enforced=tuple(name for name in enforced if name not in unlimited),
            unenforced=tuple(name for name in unenforced if name not in unlimited),
        )

    def instances(self) -> list[Instance]:
        """All that are kept running, and those that were given up, in order of their start."""
        return [self.get(instance_id) for instance_id in self._posts]

    def logs(self, instance_id: str, tail: int = 100) -> list[str]:
        """The last lines it wrote in all its lives, oldest first."""
        return self._post(instance_id).log.tail(tail)

    async def stop(self, instance_id: str, grace_s: float = 10.0) -> None:
        """Ask the server to end (SIGTERM), after `grace_s` seconds kill what is left of it.

        When this returns no process, socket or watcher is left. Raises `NotFound`.
        """
        post = self._post(instance_id)
        self._move(post, "stopping", "")
        if post.watch is not None:
            post.watch.cancel()
            await asyncio.gather(post.watch, return_exceptions=True)
        try:
            await post.life.end(grace_s)
        finally:
            self._posts.pop(instance_id, None)
            post.log.close()
            shutil.rmtree(post.directory, ignore_errors=True)
        self._move(post, "stopped", "")

    async def close(self, grace_s: float = 10.0) -> None:
        """Stop all servers at the same time."""
        stops = [self.stop(instance_id, grace_s) for instance_id in list(self._posts)]
        await asyncio.gather(*stops)

    def _post(self, instance_id: str) -> _Post:
        post = self._posts.get(instance_id)
        if post is None:
            raise NotFound("There is no such running server.", id=instance_id)
        return post

    def _move(self, post: _Post, state: State, detail: str) -> None:
        post.state = state
        self._tell(post.id, state, detail)

    def _tell(self, instance_id: str, state: State, detail: str) -> None:
        if self._on_change is not None:
            self._on_change(instance_id, state, detail)

    async def _watch(self, post: _Post) -> None:
        """Restart the server whenever it is in trouble, until it is given up."""
        policy = self._policy
        try:
            while post.state != "failed":
                detail = await post.life.until_trouble(
                    check_every_s=policy.check_every_s, most_unhealthy=policy.most_unhealthy
                )
                if post.life.age_s >= policy.stable_s:
                    post.crashes = 0
                await post.life.end(0)
                await self._revive(post, detail)
        except Exception as error:
            self._move(post, "failed", f"Watching it failed with {type(error).__name__}.")
            raise

    async def _revive(self, post: _Post, detail: str) -> None:
        """Start it again, as often as the policy allows."""
        while True:
            post.crashes += 1
            if post.crashes >= self._policy.most_crashes:
                self._move(post, "failed", f"{detail} Given up after {post.crashes} crashes.")
                return
            self._move(post, "restarting", detail)
            await asyncio.sleep(self._policy.delay(post.crashes))
            try:
                post.life = await Life.begin(self._driver, post.spec, post.directory, post.log)
            except (WebNovaError, OSError) as error:
                detail = error.detail if isinstance(error, WebNovaError) else "It can't be started."
                continue
            post.restarts += 1
            self._move(post, "running", "")
            return
