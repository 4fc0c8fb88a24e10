"""Platforms: what the tenant owns, from the first sentence to the running release."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from engine.conductor.runs import EPOCH
from engine.forge.blueprint.model import Slug
from engine.kernel.contracts import Document, Due, Event, Message, View

PlatformName = Slug


class Release(Message):
    """One version of a platform that passed its tests and was put into service."""

    version: int
    blueprint_version: int
    bundle: str
    run: str
    at: datetime


class PlatformRequested(Event):
    type = "platform.requested"
    name: str
    description: str | None
    at: datetime


class PlatformRunStarted(Event):
    type = "platform.run_started"
    run: str


class PlatformRunEnded(Event):
    type = "platform.run_ended"
    run: str
    outcome: str


class PlatformLaunched(Event):
    """A version was started for the first time, so the platform's database may have its shape."""

    type = "platform.launched"
    blueprint_version: int


class PlatformReleased(Event):
    """A version took over. `release` is new, or an earlier one brought back."""

    type = "platform.released"
    release: Release
    title: dict[str, str]
    restored: bool = False


class Platform(Document):
    kind = "platform"
    events = (
        PlatformRequested,
        PlatformRunStarted,
        PlatformRunEnded,
        PlatformLaunched,
        PlatformReleased,
    )
    fold_version = 2
    indexed = ("requested_at", "current")

    name: str
    description: str | None
    requested_at: datetime
    title: dict[str, str] = {}
    active_run: str | None = None
    last_run: str | None = None
    last_outcome: str | None = None
    current: int | None = None
    releases: list[Release] = []
    launched: list[int] = []
    """Versions of the Blueprint that the database has grown through, oldest first."""

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, PlatformRequested):
            return cls(name=event.name, description=event.description, requested_at=event.at)
        assert state is not None
        match event:
            case PlatformRunStarted():
                changes: dict[str, Any] = {"active_run": event.run, "last_run": event.run}
            case PlatformRunEnded():
                changes = {"active_run": None, "last_outcome": event.outcome}
            case PlatformLaunched():
                changes = {"launched": [*state.launched, event.blueprint_version]}
            case PlatformReleased():
                releases = [*state.releases]
                if not event.restored:
                    releases.append(event.release)
                changes = {
                    "current": event.release.version,
                    "title": event.title,
                    "releases": releases,
                }
            case _:
                raise ValueError(f"a platform has no event {event.type}")
        return state.model_copy(update=changes)

    def release(self, version: int | None) -> Release | None:
        return next((each for each in self.releases if each.version == version), None)

    @property
    def next_version(self) -> int:
        return max((each.version for each in self.releases), default=0) + 1


class InstanceState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


class InstanceDesired(Event):
    """The release that shall be in service, and where its code is."""

    type = "instance.desired"
    platform: str
    version: int
    bundle: str


class InstanceStarted(Event):
    type = "instance.started"
    private = frozenset({"address"})

    version: int
    address: str
    node: str


class InstanceFailed(Event):
    type = "instance.failed"
    version: int
    detail: str
    retry_at: datetime


class Instance(Document):
    """The process that serves a platform. Being hosted is a work item that never ends."""

    kind = "instance"
    events = (InstanceDesired, InstanceStarted, InstanceFailed)

    platform: str
    version: int
    bundle: str
    state: InstanceState = InstanceState.STARTING
    address: str | None = None
    node: str | None = None
    detail: str | None = None
    retry_at: datetime = EPOCH

    def due(self) -> Due | None:
        return Due(at=self.retry_at)

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, InstanceDesired):
            fresh = cls(platform=event.platform, version=event.version, bundle=event.bundle)
            if state is None:
                return fresh
            # The previous release goes on serving until the new one has an address.
            return fresh.model_copy(update={"address": state.address, "node": state.node})
        assert state is not None
        match event:
            case InstanceStarted():
                changes: dict[str, Any] = {
                    "state": InstanceState.RUNNING,
                    "address": event.address,
                    "node": event.node,
                    "detail": None,
                    "retry_at": EPOCH,
                }
            case InstanceFailed():
                changes = {
                    "state": InstanceState.FAILED,
                    "address": None,
                    "detail": event.detail,
                    "retry_at": event.retry_at,
                }
            case _:
                raise ValueError(f"an instance has no event {event.type}")
        return state.model_copy(update=changes)


class PlatformState(StrEnum):
    BUILDING = "building"
    RUNNING = "running"
    STARTING = "starting"
    FAILED = "failed"


class PlatformView(View):
    name: str
    title: dict[str, str]
    state: PlatformState
    version: int | None
    description: str | None
    run: str | None
    building: bool
    detail: str | None
    requested_at: datetime
    releases: list[Release]


class PlatformList(View):
    items: list[PlatformView]
    next: str | None = None


class PlatformAccepted(View):
    """The platform and the run that will bring it to the wished state."""

    platform: PlatformView
    run: str


def view(platform: Platform, instance: Instance | None) -> PlatformView:
    """What a reader sees: the platform as wished and its instance as it is."""
    detail = None
    if platform.current is None:
        if platform.active_run:
            state = PlatformState.BUILDING
        else:
            state, detail = PlatformState.FAILED, f"The last run {platform.last_outcome}."
    elif instance is None or instance.state is InstanceState.STARTING:
        state = PlatformState.STARTING
    elif instance.state is InstanceState.FAILED:
        state, detail = PlatformState.FAILED, instance.detail
    else:
        state = PlatformState.RUNNING
    return PlatformView(
        name=platform.name,
        title=platform.title,
        state=state,
        version=platform.current,
        description=platform.description,
        run=platform.last_run,
        building=platform.active_run is not None,
        detail=detail,
        requested_at=platform.requested_at,
        releases=platform.releases,
    )
