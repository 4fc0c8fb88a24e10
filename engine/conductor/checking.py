"""Runs the tests of a generated project in a sandbox."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from engine.forge.testing import Suite, SuiteReport, merged, parse_junit
from engine.kernel.contracts import Message
from engine.kernel.errors import InvalidInput, StepFailed
from engine.runtime.dependencies import DependencyCache
from engine.runtime.sandbox import Limits, SandboxDriver, SandboxSpec

LOCK = "requirements.lock"
REPORT = "report.xml"
LIMITS = Limits(cpu_s=300, wall_s=300, memory_bytes=1 << 30, processes=128, output_bytes=1 << 20)
TAIL = 100_000


class CheckedSuite(Message):
    """How one suite went, and under what protection it ran."""

    suite: str
    report: SuiteReport
    driver: str
    isolated: bool
    log: str


async def check_suite(
    project: Path, suite: Suite, cache: DependencyCache, driver: SandboxDriver
) -> CheckedSuite:
    """Run one suite of the project in the directory.

    A suite that ends without a readable report, or otherwise than its report says, counts as one
    failed test: what crashed did not pass.
    """
    lock = project / LOCK
    if not lock.is_file():
        raise InvalidInput(
            "That is no generated project: it has no requirements.lock.",
            mend="Name the directory that `webnova generate` wrote.",
        )
    with (
        tempfile.TemporaryDirectory(prefix=".report-", dir=project.parent) as outside,
        await cache.ensure(lock) as environment,
    ):
        report_path = Path(outside) / REPORT
        result = await driver.run(
            SandboxSpec(
                argv=(str(environment.python), *suite.argv(str(report_path))),
                cwd=project,
                read_only=environment.read_only,
                read_write=(Path(outside),),
                env={"PYTHONDONTWRITEBYTECODE": "1", "APP_ENV": "test"},
                limits=LIMITS,
                network="loopback",
            )
        )
        document = report_path.read_bytes() if report_path.is_file() else b""
    log = f"$ suite {suite.name}: {result.verdict} {result.reason}\n{result.stdout}{result.stderr}"
    report = _report(suite, document, result.exit_code, f"{result.verdict} {result.reason}")
    return CheckedSuite(
        suite=suite.name,
        report=report,
        driver=result.driver,
        isolated=result.isolated,
        log=log[-TAIL:],
    )


def _report(suite: Suite, document: bytes, exit_code: int | None, verdict: str) -> SuiteReport:
    try:
        report = parse_junit(document)
    except StepFailed as error:
        return _crashed(suite, f"{error.detail} ({verdict.strip()})")
    if exit_code != 0 and report.failed == 0:
        crashed = _crashed(suite, f"The suite ended with {verdict.strip()}.")
        return merged([report, crashed], report.duration_s)
    return report


def _crashed(suite: Suite, message: str) -> SuiteReport:
    return SuiteReport(failed=1, failures=[{"test": suite.name, "message": message}])


async def check(
    project: Path, suites: list[Suite], cache: DependencyCache, driver: SandboxDriver
) -> tuple[SuiteReport, list[CheckedSuite]]:
    """Run all suites, each in a process of its own, as many at once as they are."""
    began = time.monotonic()
    checked = await asyncio.gather(
        *(check_suite(project, suite, cache, driver) for suite in suites)
    )
    whole = merged([each.report for each in checked], time.monotonic() - began)
    return whole, list(checked)
