"""What people ask of platforms: create, build, roll back, cancel, look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from engine.conductor.platforms import (
    Instance,
    Platform,
    PlatformAccepted,
    PlatformList,
    PlatformName,
    PlatformRequested,
    PlatformRunEnded,
    PlatformRunStarted,
    PlatformView,
    view,
)
from engine.conductor.runs import (
    ENDED,
    Run,
    RunCancelRequested,
    RunKind,
    RunList,
    RunRequested,
    RunView,
)
from engine.conductor.runs import view as run_view
from engine.forge.versions import BlueprintRecord, BlueprintSaved, save
from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Event, Query, Versioned, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import Conflict, NotFound
from engine.kernel.ids import new_id
from engine.kernel.selections import OneOf, Selection
from engine.ledger.tenancy.suspension import require_active

handlers = Handlers()
now: Callable[[], datetime] = system_clock


class CreatePlatform(Command):
    """Ask for a platform, by a description that will be analysed or by a finished Blueprint."""

    permission: ClassVar[str] = "platform.create"
    emits: ClassVar[tuple[type[Event], ...]] = (
        PlatformRequested,
        BlueprintSaved,
        RunRequested,
        PlatformRunStarted,
    )

    name: PlatformName
    description: str | None = Field(None, max_length=20_000)
    blueprint: dict[str, Any] | None = None


class BuildPlatform(Command):
    """Bring the running platform to its Blueprint; with `blueprint`, save that first."""

    permission: ClassVar[str] = "platform.build"
    emits: ClassVar[tuple[type[Event], ...]] = (BlueprintSaved, RunRequested, PlatformRunStarted)

    name: str
    blueprint: dict[str, Any] | None = None


class RollBackPlatform(Command):
    """Put an earlier release back into service: the given version, or the one before."""

    permission: ClassVar[str] = "platform.build"
    emits: ClassVar[tuple[type[Event], ...]] = (RunRequested, PlatformRunStarted)

    name: str
    version: int | None = Field(None, ge=1)


class CancelRun(Command):
    permission: ClassVar[str] = "platform.build"
    emits: ClassVar[tuple[type[Event], ...]] = (RunCancelRequested,)

    id: str


class GetPlatform(Query):
    permission: ClassVar[str] = "platform.read"
    name: str


class ListPlatforms(Query):
    permission: ClassVar[str] = "platform.read"
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class GetInstance(Query):
    permission: ClassVar[str] = "platform.read"
    platform: str


class InstanceView(View):
    platform: str
    version: int
    state: str
    address: str | None
    node: str | None


class GetRun(Query):
    permission: ClassVar[str] = "run.read"
    id: str


class ListRuns(Query):
    permission: ClassVar[str] = "run.read"
    platform: str | None = None
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


@handlers.command(CreatePlatform, PlatformAccepted)
async def create_platform(command: CreatePlatform, tx: Transaction, call: Call) -> PlatformAccepted:
    if await tx.find(Platform, command.name):
        raise Conflict(
            f"A platform called {command.name!r} exists.",
            mend="Choose another name, or build the existing one.",
        )
    requested = PlatformRequested(name=command.name, description=command.description, at=now())
    stored = await tx.append(Platform, command.name, [requested], expected=0)
    kind = RunKind.CREATE
    if command.blueprint is not None:
        await save(tx, command.name, command.blueprint, "written")
        kind = RunKind.BUILD
    return await _start(tx, call, stored, kind, {"description": command.description})


@handlers.command(BuildPlatform, PlatformAccepted)
async def build_platform(command: BuildPlatform, tx: Transaction, call: Call) -> PlatformAccepted:
    stored = await _idle(tx, command.name)
    if command.blueprint is not None:
        await save(tx, command.name, command.blueprint, "written")
    elif await tx.find(BlueprintRecord, command.name) is None:
        raise Conflict(
            f"The platform {command.name!r} has no Blueprint yet.",
            mend="Send one with the build.",
        )
    return await _start(tx, call, stored, RunKind.BUILD, {})


@handlers.command(RollBackPlatform, PlatformAccepted)
async def roll_back(command: RollBackPlatform, tx: Transaction, call: Call) -> PlatformAccepted:
    stored = await _idle(tx, command.name)
    platform = stored.document
    earlier = [each.version for each in platform.releases if each.version != platform.current]
    wished = command.version
    if wished is None:
        before = [number for number in earlier if number < (platform.current or 0)]
        wished = max(before, default=None)
    if wished is None or wished not in earlier:
        known = ", ".join(map(str, earlier)) or "none"
        raise Conflict(
            f"The platform {command.name!r} has no such earlier release; there are: {known}."
        )
    return await _start(tx, call, stored, RunKind.ROLLBACK, {"version": wished})


@handlers.command(CancelRun, RunView)
async def cancel_run(command: CancelRun, tx: Transaction, call: Call) -> RunView:
    found = await _run(tx, command.id)
    if found.document.state in ENDED or found.document.cancel_requested:
        return run_view(found.document)
    stored = await tx.append(Run, command.id, [RunCancelRequested()], expected=found.version)
    return run_view(stored.document)


@handlers.query(GetPlatform, PlatformView)
async def get_platform(query: GetPlatform, reader: Reader) -> PlatformView:
    found = await _platform(reader, query.name)
    instance = await reader.find(Instance, query.name)
    return view(found.document, instance.document if instance else None)


@handlers.query(ListPlatforms, PlatformList)
async def list_platforms(query: ListPlatforms, reader: Reader) -> PlatformList:
    found = await reader.list(Platform, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    items = []
    for each in page:
        instance = await reader.find(Instance, each.id)
        items.append(view(each.document, instance.document if instance else None))
    return PlatformList(items=items, next=page[-1].id if len(found) > len(page) else None)


@handlers.query(GetInstance, InstanceView)
async def get_instance(query: GetInstance, reader: Reader) -> InstanceView:
    # Those who use a platform have no token of its tenant: their way in is closed here.
    await require_active(reader)
    found = await reader.find(Instance, query.platform)
    if found is None:
        raise NotFound(f"No release of a platform {query.platform!r} is in service.")
    shown = found.document.model_dump(include=set(InstanceView.model_fields))
    return InstanceView.model_validate(shown)


@handlers.query(GetRun, RunView)
async def get_run(query: GetRun, reader: Reader) -> RunView:
    return run_view((await _run(reader, query.id)).document)


@handlers.query(ListRuns, RunList)
async def list_runs(query: ListRuns, reader: Reader) -> RunList:
    where = {"platform": OneOf((query.platform,))} if query.platform else {}
    newest = Selection(where=where, descending=True, after=query.after, limit=query.limit + 1)
    found = await reader.select(Run, newest)
    page = found[: query.limit]
    return RunList(
        items=[run_view(each.document) for each in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


async def _start(
    tx: Transaction,
    call: Call,
    platform: Versioned[Platform],
    kind: RunKind,
    input: dict[str, Any],
) -> PlatformAccepted:
    id = new_id("run")
    requested = RunRequested(
        id=id,
        platform=platform.id,
        kind=kind,
        input=input,
        requested_by=call.caller.id,
        trace=call.trace,
        at=now(),
    )
    await tx.append(Run, id, [requested], expected=0)
    started = PlatformRunStarted(run=id)
    stored = await tx.append(Platform, platform.id, [started], expected=platform.version)
    instance = await tx.find(Instance, platform.id)
    shown = view(stored.document, instance.document if instance else None)
    return PlatformAccepted(platform=shown, run=id)


async def end_run_of(tx: Transaction, run: Run, outcome: str) -> None:
    """Note on the platform that its active run is over; part of the caller's transaction."""
    found = await _platform(tx, run.platform)
    if found.document.active_run == run.id:
        ended = PlatformRunEnded(run=run.id, outcome=outcome)
        await tx.append(Platform, run.platform, [ended], expected=found.version)


async def _platform(reader: Reader, name: str) -> Versioned[Platform]:
    found = await reader.find(Platform, name)
    if found is None:
        raise NotFound(f"There is no platform {name!r}.")
    return found


async def _idle(tx: Transaction, name: str) -> Versioned[Platform]:
    found = await _platform(tx, name)
    if found.document.active_run:
        raise Conflict(
            f"A run of the platform {name!r} is under way.",
            mend="Wait for it to end, or cancel it.",
            run=found.document.active_run,
        )
    return found


async def _run(reader: Reader, id: str) -> Versioned[Run]:
    found = await reader.find(Run, id)
    if found is None:
        raise NotFound(f"There is no run {id!r}.")
    return found
