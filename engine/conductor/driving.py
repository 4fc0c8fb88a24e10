"""What the executor records about runs and instances, always under a lease.

Each command carries the lease's fencing token. A driver that lost its lease can't record anything
any more, so two drivers never both carry a run forward.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from engine.conductor.platforms import (
    Instance,
    InstanceDesired,
    InstanceFailed,
    InstanceStarted,
    Platform,
    PlatformLaunched,
    PlatformReleased,
    PlatformRunEnded,
    Release,
)
from engine.conductor.requests import end_run_of
from engine.conductor.runs import (
    ENDED,
    MAX_ATTEMPTS,
    Run,
    RunCancelled,
    RunFailed,
    RunKind,
    RunState,
    RunSucceeded,
    RunView,
    StepCompleted,
    StepPostponed,
    StepProgressed,
    StepStarted,
    StepState,
    view,
)
from engine.forge.versions import BlueprintRecord, BlueprintSaved, save
from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Event, Query, Versioned, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import LeaseLost, NotFound
from engine.ledger.metering.usage import Meter, UsageEvent, record

handlers = Handlers()
now: Callable[[], datetime] = system_clock


class RunCommand(Command):
    """Base of what the driver of a run may record."""

    permission: ClassVar[str] = "run.drive"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    run: str
    fence: int


class StartStep(RunCommand):
    """Record that a step is about to be tried.

    When it was tried `MAX_ATTEMPTS` times and its driver died each time, the run fails instead.
    """

    emits: ClassVar[tuple[type[Event], ...]] = (
        StepStarted,
        PlatformLaunched,
        RunFailed,
        PlatformRunEnded,
    )
    step: str


class ReportProgress(RunCommand):
    emits: ClassVar[tuple[type[Event], ...]] = (StepProgressed,)
    step: str
    fraction: float
    message: str


class CompleteStep(RunCommand):
    """Record a step's result together with what it changes elsewhere. The last one ends the run."""

    emits: ClassVar[tuple[type[Event], ...]] = (
        StepCompleted,
        BlueprintSaved,
        PlatformReleased,
        InstanceDesired,
        InstanceStarted,
        RunSucceeded,
        PlatformRunEnded,
    )
    step: str
    output: dict[str, Any]


class PostponeStep(RunCommand):
    emits: ClassVar[tuple[type[Event], ...]] = (StepPostponed, RunFailed, PlatformRunEnded)
    step: str
    cause: dict[str, Any]
    log: str | None = None


class FailRun(RunCommand):
    emits: ClassVar[tuple[type[Event], ...]] = (RunFailed, PlatformRunEnded)
    step: str
    cause: dict[str, Any]
    log: str | None = None


class RecordDriverCrash(RunCommand):
    """The driver itself failed, outside any step. It counts as a try of the step that is next, so
    that a run that no driver can carry ends as failed instead of being tried for ever."""

    emits: ClassVar[tuple[type[Event], ...]] = (
        StepStarted,
        StepPostponed,
        RunFailed,
        PlatformRunEnded,
    )
    cause: dict[str, Any]


class ConfirmCancel(RunCommand):
    emits: ClassVar[tuple[type[Event], ...]] = (RunCancelled, PlatformRunEnded)


class KeepBlob(Command):
    """Keep content-addressed bytes. Keeping the same again changes nothing, so it has no event."""

    permission: ClassVar[str] = "run.drive"
    emits: ClassVar[tuple[type[Event], ...]] = ()

    content: bytes


class RecordInstance(Command):
    """The host's account of the instance that it holds the lease of."""

    permission: ClassVar[str] = "run.drive"
    emits: ClassVar[tuple[type[Event], ...]] = (InstanceStarted, InstanceFailed)

    platform: str
    fence: int
    version: int
    address: str | None = None
    node: str = ""
    detail: str = ""
    retry_in_s: float = 5.0


class Kept(View):
    digest: str


class Recorded(View):
    pass


class ReadRun(Query):
    """The run as its driver needs it, nothing hidden."""

    permission: ClassVar[str] = "run.drive"
    id: str


class RunDocument(View):
    run: Run
    releases: list[Release]
    launched: list[int]
    current: int | None
    next_version: int


class ReadInstance(Query):
    permission: ClassVar[str] = "run.drive"
    platform: str


class InstanceDocument(View):
    instance: Instance


class ReadBlob(Query):
    permission: ClassVar[str] = "run.drive"
    digest: str


class Blob(View):
    content: bytes


@handlers.command(StartStep, RunView)
async def start_step(command: StartStep, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    step = next(each for each in found.document.steps if each.name == command.step)
    if step.attempts >= MAX_ATTEMPTS:
        cause = {
            "type": "urn:webnova:problem:poisoned",
            "title": "The run was given up",
            "status": 500,
            "code": "poisoned",
            "detail": f"Step {command.step!r} was tried {step.attempts} times and its worker"
            " was lost each time.",
        }
        return await _fail(tx, found, RunFailed(step=command.step, cause=cause, at=now()))
    if command.step == "release":
        await _note_launch(tx, found.document)
    started = StepStarted(step=command.step, attempt=step.attempts + 1, at=now())
    return view((await tx.append(Run, found.id, [started], expected=found.version)).document)


@handlers.command(ReportProgress, RunView)
async def report_progress(command: ReportProgress, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    event = StepProgressed(step=command.step, fraction=command.fraction, message=command.message)
    return view((await tx.append(Run, found.id, [event], expected=found.version)).document)


@handlers.command(CompleteStep, RunView)
async def complete_step(command: CompleteStep, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    run = found.document
    effect = EFFECTS.get(command.step)
    if effect is not None:
        await effect(tx, run, command.output)
    events: list[Event] = [StepCompleted(step=command.step, output=command.output, at=now())]
    if run.steps[-1].name == command.step:
        events.append(RunSucceeded(at=now()))
    stored = await tx.append(Run, found.id, events, expected=found.version)
    if stored.document.state is RunState.SUCCEEDED:
        await end_run_of(tx, run, "succeeded")
        await _meter(tx, stored.document)
    return view(stored.document)


@handlers.command(PostponeStep, RunView)
async def postpone_step(command: PostponeStep, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    step = next(each for each in found.document.steps if each.name == command.step)
    if step.attempts >= MAX_ATTEMPTS:
        failed = RunFailed(step=command.step, cause=command.cause, log=command.log, at=now())
        return await _fail(tx, found, failed)
    event = _postponed(step.name, step.attempts, command.cause)
    return view((await tx.append(Run, found.id, [event], expected=found.version)).document)


@handlers.command(RecordDriverCrash, RunView)
async def record_driver_crash(command: RecordDriverCrash, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    step = found.document.next_step()
    if found.document.state in ENDED or step is None:
        return view(found.document)
    tries = step.attempts + 1
    events: list[Event] = [StepStarted(step=step.name, attempt=tries, at=now())]
    if tries < MAX_ATTEMPTS:
        events.append(_postponed(step.name, tries, command.cause))
    stored = await tx.append(Run, found.id, events, expected=found.version)
    if tries < MAX_ATTEMPTS:
        return view(stored.document)
    return await _fail(tx, stored, RunFailed(step=step.name, cause=command.cause, at=now()))


@handlers.command(FailRun, RunView)
async def fail_run(command: FailRun, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    failed = RunFailed(step=command.step, cause=command.cause, log=command.log, at=now())
    return await _fail(tx, found, failed)


@handlers.command(ConfirmCancel, RunView)
async def confirm_cancel(command: ConfirmCancel, tx: Transaction, call: Call) -> RunView:
    found = await _held(tx, command)
    cancelled = RunCancelled(at=now())
    stored = await tx.append(Run, found.id, [cancelled], expected=found.version)
    await end_run_of(tx, found.document, "was cancelled")
    await _meter(tx, stored.document)
    return view(stored.document)


@handlers.command(KeepBlob, Kept)
async def keep_blob(command: KeepBlob, tx: Transaction, call: Call) -> Kept:
    return Kept(digest=await tx.put_blob(command.content))


@handlers.command(RecordInstance, Recorded)
async def record_instance(command: RecordInstance, tx: Transaction, call: Call) -> Recorded:
    await tx.guard(Instance.kind, command.platform, command.fence)
    found = await tx.find(Instance, command.platform)
    if found is None or found.document.version != command.version:
        raise LeaseLost("Another release is in service by now.")
    if command.address is None:
        retry_at = now() + timedelta(seconds=command.retry_in_s)
        event: Event = InstanceFailed(
            version=command.version, detail=command.detail, retry_at=retry_at
        )
    else:
        event = InstanceStarted(version=command.version, address=command.address, node=command.node)
    await tx.append(Instance, command.platform, [event], expected=found.version)
    return Recorded()


@handlers.query(ReadRun, RunDocument)
async def read_run(query: ReadRun, reader: Reader) -> RunDocument:
    found = await reader.find(Run, query.id)
    if found is None:
        raise NotFound(f"There is no run {query.id!r}.")
    platform = await reader.find(Platform, found.document.platform)
    assert platform is not None
    return RunDocument(
        run=found.document,
        releases=platform.document.releases,
        launched=platform.document.launched,
        current=platform.document.current,
        next_version=platform.document.next_version,
    )


@handlers.query(ReadInstance, InstanceDocument)
async def read_instance(query: ReadInstance, reader: Reader) -> InstanceDocument:
    found = await reader.find(Instance, query.platform)
    if found is None:
        raise NotFound(f"No release of a platform {query.platform!r} is in service.")
    return InstanceDocument(instance=found.document)


@handlers.query(ReadBlob, Blob)
async def read_blob(query: ReadBlob, reader: Reader) -> Blob:
    return Blob(content=await reader.blob(query.digest))


async def _held(tx: Transaction, command: RunCommand) -> Versioned[Run]:
    await tx.guard(Run.kind, command.run, command.fence)
    found = await tx.find(Run, command.run)
    if found is None:
        raise NotFound(f"There is no run {command.run!r}.")
    return found


async def _fail(tx: Transaction, found: Versioned[Run], failed: RunFailed) -> RunView:
    stored = await tx.append(Run, found.id, [failed], expected=found.version)
    await end_run_of(tx, found.document, "failed")
    await _meter(tx, stored.document)
    return view(stored.document)


def _postponed(step: str, tries: int, cause: dict[str, Any]) -> StepPostponed:
    retry_at = now() + timedelta(seconds=min(60.0, 2.0 ** (tries - 1)))
    return StepPostponed(step=step, cause=cause, retry_at=retry_at)


async def _meter(tx: Transaction, run: Run) -> None:
    """Record what a run consumed, in the transaction that ends it.

    Compute seconds are the wall-clock time of each step's last attempt. A build counts when it
    succeeded; going back to an earlier release is none.
    """
    assert run.ended_at is not None
    amounts = {Meter.COMPUTE_SECONDS: _seconds(run, run.ended_at)}
    if run.state is RunState.SUCCEEDED and run.run_kind is not RunKind.ROLLBACK:
        amounts[Meter.BUILDS] = Decimal(1)
    events = [
        UsageEvent(
            source="webnova.runs",
            id=f"{run.id}.{meter}",
            meter=meter,
            quantity=quantity,
            user=run.requested_by,
            platform=run.platform,
            occurred_at=run.ended_at,
            attributes={"run": run.id, "kind": run.run_kind.value},
        )
        for meter, quantity in amounts.items()
    ]
    await record(tx, events, run.ended_at)


def _seconds(run: Run, end: datetime) -> Decimal:
    total = timedelta()
    for step in run.steps:
        finished = end if step.state is StepState.RUNNING else step.finished_at
        if step.started_at is not None and finished is not None:
            total += max(finished - step.started_at, timedelta())
    return Decimal(total // timedelta(microseconds=1)).scaleb(-6)


async def _note_launch(tx: Transaction, run: Run) -> None:
    """From now on the database may have grown to this version, even if the release fails."""
    planned = run.output("plan")
    platform = await tx.find(Platform, run.platform)
    assert platform is not None
    if planned and planned["blueprint_version"] not in platform.document.launched:
        launched = PlatformLaunched(blueprint_version=planned["blueprint_version"])
        await tx.append(Platform, run.platform, [launched], expected=platform.version)


async def _describe(tx: Transaction, run: Run, output: dict[str, Any]) -> None:
    await save(tx, run.platform, output["blueprint"], "described")


async def _release(tx: Transaction, run: Run, output: dict[str, Any]) -> None:
    platform = await tx.find(Platform, run.platform)
    assert platform is not None
    version = int(output["version"])
    earlier = platform.document.release(version)
    blueprint = await tx.find(BlueprintRecord, run.platform)
    assert blueprint is not None
    release = earlier or Release(
        version=version,
        blueprint_version=int(output["blueprint_version"]),
        bundle=output["bundle"],
        run=run.id,
        at=now(),
    )
    title = blueprint.document.content.get("title", {})
    released = PlatformReleased(release=release, title=title, restored=earlier is not None)
    await tx.append(Platform, run.platform, [released], expected=platform.version)
    instance = await tx.find(Instance, run.platform)
    events = [
        InstanceDesired(platform=run.platform, version=version, bundle=release.bundle),
        InstanceStarted(version=version, address=output["address"], node=output["node"]),
    ]
    expected = instance.version if instance else 0
    await tx.append(Instance, run.platform, events, expected=expected)


EFFECTS: dict[str, Callable[[Transaction, Run, dict[str, Any]], Awaitable[None]]] = {
    "describe": _describe,
    "release": _release,
}
