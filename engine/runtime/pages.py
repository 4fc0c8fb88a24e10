"""Builds the pages of a generated project in a sandbox, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from engine.kernel.errors import StepFailed
from engine.runtime.dependencies import PackageCache, Packages
from engine.runtime.sandbox import Limits, SandboxDriver, SandboxResult, SandboxSpec
from engine.runtime.workspace import Bundle

WEB = "web/"
DIST = "web/dist/"
MANIFEST = "web/package.json"
LOCK = "web/package-lock.json"
LIMITS = Limits(cpu_s=300, wall_s=300, memory_bytes=4 << 30, processes=128, output_bytes=1 << 20)
"""The memory that is counted is what Node.js sets aside; its heap has a bound of its own."""
HEAP_MIB = 1024
TAIL = 20_000
_VITE = "node_modules/vite/bin/vite.js"


def wants_pages(files: Mapping[str, bytes]) -> bool:
    """Whether a project has sources of pages that nobody has built yet."""
    return LOCK in files and f"{DIST}index.html" not in files


async def with_pages(
    project: Bundle, directory: Path, cache: PackageCache, driver: SandboxDriver
) -> Bundle:
    """The project and its built pages, below `web/dist`. `directory` must be empty.

    The same project gives the same pages. Raises `StepFailed` with the builder's words when it
    can't be built, and what the cache raises when its packages can't be had.
    """
    sources = {
        path.removeprefix(WEB): content
        for path, content in project.files.items()
        if path.startswith(WEB)
    }
    place = directory / "web"
    await asyncio.to_thread(Bundle(sources).write_to, place)
    with await cache.ensure(project.files[MANIFEST], project.files[LOCK]) as packages:
        result = await _build(place, packages, driver)
    if result.exit_code != 0 or result.verdict != "ok":
        raise StepFailed(
            f"The pages can't be built ({result.verdict}). {result.reason}".strip(),
            mend="See the run's log for what the builder said.",
            log=f"$ vite build\n{result.stdout}{result.stderr}"[-TAIL:],
        )
    built = await asyncio.to_thread(Bundle.read_from, place / "dist")
    pages = {f"{DIST}{path}": content for path, content in built.files.items()}
    return Bundle({**project.files, **pages}, project.executable)


async def _build(place: Path, packages: Packages, driver: SandboxDriver) -> SandboxResult:
    await asyncio.to_thread((place / "node_modules").symlink_to, packages.modules)
    return await driver.run(
        SandboxSpec(
            # The other way to load its settings writes beside the packages, which are read-only.
            argv=(
                *(str(packages.node), f"--max-old-space-size={HEAP_MIB}"),
                *(_VITE, "build", "--configLoader", "runner"),
            ),
            cwd=place,
            read_only=packages.read_only,
            env={"NODE_ENV": "production", "NO_COLOR": "1"},
            limits=LIMITS,
        )
    )
