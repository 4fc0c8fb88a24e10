"""`SandboxActor`: runs code that nobody trusts, one per node, under the node's own limits."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray

from actors.cluster import SANDBOX, find_or_start
from engine.conductor.checking import CheckedSuite, check_suite
from engine.forge.testing import Suite
from engine.runtime.dependencies import DependencyCache
from engine.runtime.sandbox import SandboxDriver, choose_driver
from engine.runtime.workspace import Bundle


class SandboxActor:
    """Runs suites of generated tests, as many at once as the node has cores."""

    def __init__(self) -> None:
        home = Path(os.environ["WEBNOVA_HOME"])
        self._cache = DependencyCache(home / "cache" / "environments")
        self._scratch = home / "run" / "checks"
        # What a predecessor that was killed left behind.
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._driver: SandboxDriver | None = None

    async def prepare(self, lock: bytes) -> dict[str, Any]:
        """Make the environment of a lock file ready on this node."""
        environment = await self._cache.ensure(lock.decode())
        return {
            "environment": environment.digest,
            "created": environment.created,
            "duration_s": environment.duration_s,
        }

    async def check(self, bundle: bytes, suite: Suite) -> CheckedSuite:
        """Run one suite of a bundle in a fresh directory in the sandbox."""
        if self._driver is None:
            self._driver = await choose_driver()
        files = Bundle.unpack(bundle)
        async with self._slots:
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                files.write_to(Path(directory) / "platform")
                return await check_suite(
                    Path(directory) / "platform", suite, self._cache, self._driver
                )

    def __repr__(self) -> str:
        return SANDBOX


def sandbox() -> Any:
    return find_or_start(
        lambda: ray.remote(SandboxActor),
        SANDBOX,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=2,
        max_concurrency=64,
    )
