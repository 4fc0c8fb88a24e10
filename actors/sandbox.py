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
from engine.conductor.checking import LOCK, CheckedSuite, check_suite
from engine.conductor.workshop import Prepared
from engine.forge.testing import Suite
from engine.kernel.errors import StepFailed
from engine.runtime.dependencies import DependencyCache, PackageCache
from engine.runtime.pages import wants_pages, with_pages
from engine.runtime.sandbox import SandboxDriver, choose_driver
from engine.runtime.workspace import Bundle


class SandboxActor:
    """Builds pages and runs suites of generated tests, as many at once as the node has cores."""

    def __init__(self) -> None:
        home = Path(os.environ["WEBNOVA_HOME"])
        self._cache = DependencyCache(home / "cache" / "environments")
        self._packages = PackageCache(home / "cache" / "packages", self._cache)
        self._scratch = home / "run" / "checks"
        # What a predecessor that was killed left behind.
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        self._slots = asyncio.Semaphore(os.cpu_count() or 1)
        self._driver: SandboxDriver | None = None

    async def prepare(self, bundle: bytes) -> Prepared:
        """Make the environment of a bundle ready on this node, and build its pages."""
        project = Bundle.unpack(bundle)
        if LOCK not in project.files:
            raise StepFailed("The bundle has no list of locked dependencies.")
        environment, built = await asyncio.gather(
            self._cache.ensure(project.files[LOCK].decode()), self._with_pages(project)
        )
        return Prepared(
            environment=environment.digest,
            created=environment.created,
            duration_s=environment.duration_s,
            bundle=built,
        )

    async def _with_pages(self, project: Bundle) -> bytes | None:
        if not wants_pages(project.files):
            return None
        driver = await self._choose_driver()
        async with self._slots:
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                built = await with_pages(project, Path(directory), self._packages, driver)
        return await asyncio.to_thread(built.pack)

    async def check(self, bundle: bytes, suite: Suite) -> CheckedSuite:
        """Run one suite of a bundle in a fresh directory in the sandbox."""
        driver = await self._choose_driver()
        files = Bundle.unpack(bundle)
        async with self._slots:
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                files.write_to(Path(directory) / "platform")
                return await check_suite(Path(directory) / "platform", suite, self._cache, driver)

    async def _choose_driver(self) -> SandboxDriver:
        if self._driver is None:
            self._driver = await choose_driver()
        return self._driver

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
