"""Runs survive their drivers: leases, fencing, retries, cancelling and fairness."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from engine.conductor.driver import RunDriver, crash
from engine.conductor.driving import CompleteStep, RecordDriverCrash, StartStep
from engine.conductor.platforms import Instance, Platform
from engine.conductor.requests import (
    BuildPlatform,
    CancelRun,
    CreatePlatform,
    GetRun,
    RollBackPlatform,
)
from engine.conductor.runs import MAX_ATTEMPTS, STEPS, Run, RunKind, RunState
from engine.conductor.workshop import Described, Launched, Prepared, Progress, TestReport
from engine.kernel.contracts import Call
from engine.kernel.errors import Conflict, LeaseLost, StepFailed, Unavailable
from engine.ledger.work import Lease
from storage.work import PostgresWorkQueue
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

BLUEPRINT: dict[str, Any] = {
    "name": "shop",
    "title": {"en": "Shop"},
    "entities": {"Product": {"fields": {"name": {"type": "string"}}}},
}


class ScriptedWorkshop:
    """Does each step at once, counts it, and fails as a test's script says."""

    def __init__(self, script: dict[str, list[BaseException]] | None = None) -> None:
        self.calls: Counter[str] = Counter()
        self._script = script or {}
        self.slow: str | None = None
        self.reached = asyncio.Event()

    async def _note(self, step: str) -> None:
        self.calls[step] += 1
        if self._script.get(step):
            raise self._script[step].pop(0)
        if self.slow == step:
            self.reached.set()
            await asyncio.sleep(60)

    async def describe(self, name: str, description: str, progress: Progress) -> Described:
        await self._note("describe")
        return Described(
            blueprint={**BLUEPRINT, "name": name},
            analyser="scripted",
            confidence=1.0,
            archetypes=[],
            assumptions=[],
        )

    async def generate(
        self,
        name: str,
        blueprint: dict[str, Any],
        history: list[dict[str, Any]],
        progress: Progress,
    ) -> bytes:
        await self._note("generate")
        await progress(0.5, "halfway")
        return f"bundle of {name} after {len(history)}".encode()

    async def prepare(self, bundle: bytes) -> Prepared:
        await self._note("prepare")
        return Prepared(environment="e", created=False, duration_s=0.1)

    async def test(self, name: str, bundle: bytes, progress: Progress) -> TestReport:
        await self._note("test")
        return TestReport(
            passed=3,
            failed=0,
            skipped=0,
            duration_s=0.1,
            driver="scripted",
            isolated=True,
            failures=[],
            log="ok",
        )

    async def launch(self, tenant: str, name: str, version: int, bundle: bytes) -> Launched:
        await self._note("launch")
        return Launched(address=f"unix:/{name}-v{version}", node="here")

    async def retire(self, tenant: str, name: str, keep: int) -> None:
        await self._note("retire")


class NothingDue(Exception):
    pass


async def claim(queue: PostgresWorkQueue, tenant: str, seconds: float = 15) -> Lease:
    leases = await queue.claim("t", Run.kind, limit=500, per_tenant=100, seconds=seconds)
    for other in leases:
        if other.tenant != tenant:
            await queue.release(other)
    mine = [lease for lease in leases if lease.tenant == tenant]
    if not mine:
        raise NothingDue
    return mine[0]


async def state_of(installation: Installation, tenant: str, run: str) -> Any:
    return await installation.dispatcher.ask(GetRun(id=run), owner(tenant), tenant)


async def event_types(installation: Installation, tenant: str) -> Counter[str]:
    return Counter(event.type for event in await installation.feed.read(tenant, after=None))


async def test_a_run_goes_through_all_its_steps_once(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    workshop = ScriptedWorkshop()
    lease = await claim(queue, tenant)
    assert await RunDriver(installation.dispatcher, queue, workshop).drive(lease) == "succeeded"
    assert set(workshop.calls.values()) == {1}
    run = await state_of(installation, tenant, accepted.run)
    assert [step.name for step in run.steps] == list(STEPS[RunKind.CREATE])
    assert all(step.state == "done" and step.attempts == 1 for step in run.steps)
    types = await event_types(installation, tenant)
    assert types["platform.released"] == types["blueprint.saved"] == types["run.succeeded"] == 1
    async with installation.transactions.reading(tenant) as reader:
        instance = await reader.find(Instance, "shop")
        platform = await reader.find(Platform, "shop")
    assert instance and instance.document.address == "unix:/shop-v1"
    assert platform and platform.document.current == 1 and platform.document.active_run is None


@pytest.mark.parametrize("step", STEPS[RunKind.CREATE])
@pytest.mark.parametrize("moment", ["during", "after"])
async def test_a_driver_that_dies_at_any_step_is_replaced(
    installation: Installation, queue: PostgresWorkQueue, tenant: str, step: str, moment: str
) -> None:
    """Its lease runs out, another driver goes on, and every effect is there once."""
    await execute(installation, tenant, CreatePlatform(name="shop", description="d"))

    class Dying(RunDriver):
        async def _record(self, lease: Lease, command: Any) -> Any:
            dies = isinstance(command, CompleteStep) and command.step == step
            if dies and moment == "during":
                raise KeyboardInterrupt
            recorded = await super()._record(lease, command)
            if dies:
                raise KeyboardInterrupt
            return recorded

    workshop = ScriptedWorkshop()
    first = await claim(queue, tenant, seconds=0.2)
    task = asyncio.ensure_future(_swallow(Dying(installation.dispatcher, queue, workshop), first))
    await task
    types = await event_types(installation, tenant)
    if types["run.succeeded"] == 0:
        second = await claim(queue, tenant)
        assert second.fence > first.fence
        driver = RunDriver(installation.dispatcher, queue, workshop)
        assert await driver.drive(second) == "succeeded"
        with pytest.raises(LeaseLost):
            late = StartStep(run=first.id, fence=first.fence, step=step)
            await execute(installation, tenant, late)
    types = await event_types(installation, tenant)
    assert types["platform.released"] == types["blueprint.saved"] == types["run.succeeded"] == 1
    assert types["run.step_completed"] == len(STEPS[RunKind.CREATE])


async def _swallow(driver: RunDriver, lease: Lease) -> None:
    """Run a driver to its death. KeyboardInterrupt must not reach the event loop itself."""

    class Death(Exception):
        pass

    original = driver._record

    async def record(lease: Lease, command: Any) -> Any:
        try:
            return await original(lease, command)
        except KeyboardInterrupt:
            raise Death from None

    driver._record = record  # type: ignore[method-assign]
    with pytest.raises(Death):
        await driver.drive(lease)


async def test_everything_that_a_run_records_is_in_the_trace_of_its_request(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    wish = Call(CreatePlatform(name="shop", description="d"), owner(tenant), tenant, trace=trace)
    await installation.dispatcher.execute(wish)
    driver = RunDriver(installation.dispatcher, queue, ScriptedWorkshop())
    assert await driver.drive(await claim(queue, tenant)) == "succeeded"
    events = await installation.feed.read(tenant, after=None)
    assert len(events) > 20
    assert {event.metadata["trace"] for event in events} == {trace}


async def test_a_run_that_no_driver_can_carry_ends_as_failed(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    for number in range(1, MAX_ATTEMPTS + 1):
        lease = await claim_when_due(queue, tenant)
        cause = crash(TypeError("drive() takes one argument"))
        noted = RecordDriverCrash(run=lease.id, fence=lease.fence, cause=cause)
        run = await execute(installation, tenant, noted)
        await queue.release(lease)
        assert (run.state is RunState.FAILED) is (number == MAX_ATTEMPTS)
    run = await state_of(installation, tenant, accepted.run)
    assert "TypeError" in run.cause["detail"]
    # The platform is free for the next run.
    again = await execute(installation, tenant, BuildPlatform(name="shop", blueprint=BLUEPRINT))
    driver = RunDriver(installation.dispatcher, queue, ScriptedWorkshop())
    assert await driver.drive(await claim_when_due(queue, tenant)) == "succeeded"
    assert (await state_of(installation, tenant, again.run)).state is RunState.SUCCEEDED


async def test_a_released_run_may_rest_before_it_is_claimed_again(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    first = await claim(queue, tenant)
    await queue.release(first, rest=0.6)
    with pytest.raises(NothingDue):
        await claim(queue, tenant)
    second = await claim_when_due(queue, tenant)
    assert second.fence > first.fence


async def claim_when_due(queue: PostgresWorkQueue, tenant: str) -> Lease:
    async with asyncio.timeout(20):
        while True:
            try:
                return await claim(queue, tenant)
            except NothingDue:
                await asyncio.sleep(0.1)


async def test_a_passing_fault_is_retried_with_pauses(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    workshop = ScriptedWorkshop({"generate": [Unavailable("no node"), OSError("disk")]})
    driver = RunDriver(installation.dispatcher, queue, workshop)
    for expected in ("running", "running", "succeeded"):
        assert await driver.drive(await claim_when_due(queue, tenant)) == expected
    run = await state_of(installation, tenant, accepted.run)
    assert next(step for step in run.steps if step.name == "generate").attempts == 3
    assert workshop.calls["describe"] == 1


async def test_a_fault_of_the_content_fails_the_run_at_once_and_keeps_its_log(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    workshop = ScriptedWorkshop({"test": [StepFailed("2 tests failed")]})
    lease = await claim(queue, tenant)
    assert await RunDriver(installation.dispatcher, queue, workshop).drive(lease) == "failed"
    run = await state_of(installation, tenant, accepted.run)
    assert run.cause["detail"] == "2 tests failed"
    async with installation.transactions.reading(tenant) as reader:
        platform = await reader.find(Platform, "shop")
    assert platform and platform.document.active_run is None and platform.document.current is None
    await execute(installation, tenant, BuildPlatform(name="shop"))


async def test_a_crash_ends_as_failed_with_the_full_account(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    crashes: list[BaseException] = [ZeroDivisionError("boom") for _ in range(MAX_ATTEMPTS)]
    driver = RunDriver(installation.dispatcher, queue, ScriptedWorkshop({"generate": crashes}))
    outcome: RunState | None = None
    async with asyncio.timeout(40):
        while outcome != "failed":
            try:
                outcome = await driver.drive(await claim(queue, tenant))
            except NothingDue:
                await asyncio.sleep(0.2)
    run = await state_of(installation, tenant, accepted.run)
    assert run.cause["code"] == "step_crashed" and "boom" not in str(run.cause)
    async with installation.transactions.reading(tenant) as reader:
        assert b"ZeroDivisionError: boom" in await reader.blob(run.log)


async def test_a_poisoned_run_is_given_up_and_does_not_block_the_next(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    await execute(installation, tenant, CreatePlatform(name="other", description="d"))
    for _ in range(MAX_ATTEMPTS):
        leases = await queue.claim("t", Run.kind, limit=500, per_tenant=100, seconds=0.05)
        lease = next(each for each in leases if each.id == accepted.run)
        start = StartStep(run=lease.id, fence=lease.fence, step="describe")
        await execute(installation, tenant, start)
        await asyncio.sleep(0.1)
    leases = await queue.claim("t", Run.kind, limit=500, per_tenant=100, seconds=15)
    driver = RunDriver(installation.dispatcher, queue, ScriptedWorkshop())
    outcomes = {}
    for lease in leases:
        if lease.tenant == tenant:
            outcomes[lease.id] = await driver.drive(lease)
    assert outcomes.pop(accepted.run) == "failed"
    assert list(outcomes.values()) == ["succeeded"]
    assert (await state_of(installation, tenant, accepted.run)).cause["code"] == "poisoned"


async def test_a_run_can_be_cancelled_while_a_step_works(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    accepted = await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    workshop = ScriptedWorkshop()
    workshop.slow = "test"
    driver = RunDriver(installation.dispatcher, queue, workshop)
    work = asyncio.create_task(driver.drive(await claim(queue, tenant)))
    async with asyncio.timeout(20):
        await workshop.reached.wait()
        await execute(installation, tenant, CancelRun(id=accepted.run))
        assert await work == "cancelled"
    assert (await state_of(installation, tenant, accepted.run)).state == "cancelled"
    types = await event_types(installation, tenant)
    assert types["platform.released"] == 0 and types["run.cancelled"] == 1


async def test_build_and_rollback_make_and_restore_releases(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    workshop = ScriptedWorkshop()
    driver = RunDriver(installation.dispatcher, queue, workshop)
    await execute(installation, tenant, CreatePlatform(name="shop", blueprint=BLUEPRINT))
    with pytest.raises(Conflict, match="under way"):
        await execute(installation, tenant, BuildPlatform(name="shop"))
    assert await driver.drive(await claim(queue, tenant)) == "succeeded"
    with pytest.raises(Conflict, match="no such earlier release"):
        await execute(installation, tenant, RollBackPlatform(name="shop"))
    changed = {**BLUEPRINT, "title": {"en": "Shop 2"}}
    await execute(installation, tenant, BuildPlatform(name="shop", blueprint=changed))
    assert await driver.drive(await claim(queue, tenant)) == "succeeded"
    await execute(installation, tenant, RollBackPlatform(name="shop"))
    assert await driver.drive(await claim(queue, tenant)) == "succeeded"
    async with installation.transactions.reading(tenant) as reader:
        platform = await reader.find(Platform, "shop")
        instance = await reader.find(Instance, "shop")
    assert platform and [each.version for each in platform.document.releases] == [1, 2]
    assert platform.document.current == 1
    assert instance and instance.document.version == 1


async def test_a_busy_tenant_does_not_starve_another(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    many, one = f"{tenant}-many", f"{tenant}-one"
    for number in range(60):
        await execute(installation, many, CreatePlatform(name=f"p{number}", description="d"))
    await execute(installation, one, CreatePlatform(name="only", description="d"))
    leases = await queue.claim("t", Run.kind, limit=500, per_tenant=3, seconds=15)
    mine = Counter(lease.tenant for lease in leases if lease.tenant in (many, one))
    assert mine == {many: 3, one: 1}
    again = await queue.claim("t", Run.kind, limit=500, per_tenant=3, seconds=15)
    assert not [lease for lease in again if lease.tenant in (many, one)]
    for lease in leases:
        await queue.release(lease)


async def test_an_item_is_leased_to_one_of_many_claimants(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    for number in range(30):
        await execute(installation, tenant, CreatePlatform(name=f"p{number}", description="d"))
    claims = await asyncio.gather(
        *(queue.claim(f"c{n}", Run.kind, limit=20, per_tenant=100, seconds=15) for n in range(4))
    )
    mine = [lease.id for leases in claims for lease in leases if lease.tenant == tenant]
    assert len(mine) == len(set(mine)) > 0
