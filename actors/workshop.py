"""`engine.conductor.workshop.Workshop` on Ray: tasks that fan out, actors that own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ray

from actors.cluster import HOST, PROVIDER, SANDBOX, call, find
from engine.conductor.checking import CheckedSuite
from engine.conductor.workshop import Described, Launched, Prepared, Progress, TestReport
from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import load, load_data
from engine.forge.generate import join, parts, render
from engine.forge.resolve import resolve
from engine.forge.targets.contract import Unit
from engine.forge.testing import merged, suites
from engine.runtime.workspace import Bundle

UNITS_PER_TASK = 4
"""A unit renders in a few milliseconds; a task must carry enough of them to be worth its call."""


def render_units(blueprint: Blueprint, units: list[Unit]) -> dict[str, dict[str, str]]:
    return render(blueprint, units)


class RayWorkshop:
    async def describe(self, name: str, description: str, progress: Progress) -> Described:
        await progress(0.1, "reading the description")
        described: Described = await call(find(PROVIDER).describe.remote(name, description))
        return described

    async def generate(
        self,
        name: str,
        blueprint: dict[str, Any],
        history: list[dict[str, Any]],
        progress: Progress,
    ) -> bytes:
        document = load_data(blueprint)
        units = parts(document, [load_data(each) for each in history])
        groups = _groups(units)
        task = ray.remote(render_units)
        pending = [
            call(
                task.options(name=f"generate:{name}/{part}", num_cpus=0.5, max_retries=3).remote(
                    document, group
                )
            )
            for part, group in groups
        ]
        rendered: dict[str, dict[str, str]] = {}
        for done, result in enumerate(asyncio.as_completed(pending), start=1):
            rendered |= await result
            await progress(done / len(pending), f"{len(rendered)} of {len(units)} parts")
        bundle = await asyncio.to_thread(join, document, units, rendered)
        return await asyncio.to_thread(bundle.pack)

    async def prepare(self, bundle: bytes) -> Prepared:
        prepared: Prepared = await call(find(SANDBOX).prepare.remote(bundle))
        return prepared

    async def test(self, name: str, bundle: bytes, progress: Progress) -> TestReport:
        began = time.monotonic()
        blueprint = Bundle.unpack(bundle).files["blueprint.yaml"]
        wanted = suites(resolve(load(blueprint).blueprint))
        shared = ray.put(bundle)
        runner = find(SANDBOX)
        pending = [call(runner.check.remote(shared, suite)) for suite in wanted]
        checked: list[CheckedSuite] = []
        for result in asyncio.as_completed(pending):
            checked.append(await result)
            passed = sum(each.report.passed for each in checked)
            await progress(len(checked) / len(pending), f"{passed} tests passed")
        whole = merged((each.report for each in checked), time.monotonic() - began)
        return TestReport(
            passed=whole.passed,
            failed=whole.failed,
            skipped=whole.skipped,
            duration_s=round(whole.duration_s, 3),
            driver=checked[0].driver,
            isolated=all(each.isolated for each in checked),
            failures=[failure.model_dump() for failure in whole.failures],
            log="\n".join(each.log for each in sorted(checked, key=lambda each: each.suite)),
        )

    async def launch(self, tenant: str, name: str, version: int, bundle: bytes) -> Launched:
        launched: Launched = await call(find(HOST).launch.remote(tenant, name, version, bundle))
        return launched

    async def retire(self, tenant: str, name: str, keep: int) -> None:
        await call(find(HOST).retire.remote(tenant, name, keep))


def _groups(units: list[Unit]) -> list[tuple[str, list[Unit]]]:
    """The units in groups for one task each, named by what they hold."""
    kinds: dict[str, list[Unit]] = {"backend": [], "tests": []}
    for unit in units:
        kinds["tests" if unit.name.startswith("tests/") else "backend"].append(unit)
    return [
        (f"{kind}-{number}" if number else kind, members[start : start + UNITS_PER_TASK])
        for kind, members in kinds.items()
        for number, start in enumerate(range(0, len(members), UNITS_PER_TASK))
    ]
