"""Runs: durable processes made of recorded steps.

A run is a stream of events like any other aggregate. Accepting it is a commit; whoever holds its
lease drives it; every step is recorded before it starts and after it ends, so a run whose driver
dies goes on with the step that was open. What a step changes in other aggregates is appended in
the same transaction that records its completion, so it happens once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import Field

from engine.kernel.contracts import Document, Due, Event, Message, View

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MAX_ATTEMPTS = 4
"""How often a step is started before its run is given up as poisoned."""


class RunKind(StrEnum):
    CREATE = "create"
    BUILD = "build"
    ROLLBACK = "rollback"


STEPS: dict[RunKind, tuple[str, ...]] = {
    RunKind.CREATE: ("describe", "plan", "generate", "prepare", "test", "release", "retire"),
    RunKind.BUILD: ("plan", "generate", "prepare", "test", "release", "retire"),
    RunKind.ROLLBACK: ("prepare", "release", "retire"),
}


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})


class RunRequested(Event):
    type = "run.requested"
    id: str
    platform: str
    kind: RunKind
    input: dict[str, Any]
    requested_by: str
    trace: str = ""
    """The `traceparent` of the request; everything that the run records carries it."""
    at: datetime


class StepStarted(Event):
    type = "run.step_started"
    step: str
    attempt: int
    at: datetime


class StepProgressed(Event):
    """Shown to those who watch; the fold ignores it, so losing one would cost nothing."""

    type = "run.step_progressed"
    step: str
    fraction: float = Field(ge=0, le=1)
    message: str


HIDDEN = frozenset({"address", "blueprint"})
"""Parts of a step's output that are for the machinery, not for readers of the run."""


class StepCompleted(Event):
    type = "run.step_completed"
    private = frozenset(f"output.{name}" for name in HIDDEN)

    step: str
    output: dict[str, Any]
    at: datetime


class StepPostponed(Event):
    """The step failed for a reason that may pass; it is tried again at `retry_at`."""

    type = "run.step_postponed"
    step: str
    cause: dict[str, Any]
    retry_at: datetime


class RunSucceeded(Event):
    type = "run.succeeded"
    at: datetime


class RunFailed(Event):
    """`cause` is an RFC 9457 problem; `log` the digest of a blob with the full account."""

    type = "run.failed"
    step: str
    cause: dict[str, Any]
    log: str | None = None
    at: datetime


class RunCancelRequested(Event):
    type = "run.cancel_requested"


class RunCancelled(Event):
    type = "run.cancelled"
    at: datetime


class Step(Message):
    name: str
    state: StepState = StepState.PENDING
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    output: dict[str, Any] = {}


class Run(Document):
    kind = "run"
    events = (
        RunRequested,
        StepStarted,
        StepProgressed,
        StepCompleted,
        StepPostponed,
        RunSucceeded,
        RunFailed,
        RunCancelRequested,
        RunCancelled,
    )
    fold_version = 2
    indexed = ("platform", "state", "requested_at")

    id: str
    platform: str
    run_kind: RunKind
    state: RunState
    steps: list[Step]
    input: dict[str, Any]
    requested_by: str
    trace: str = ""
    requested_at: datetime
    ended_at: datetime | None = None
    retry_at: datetime = EPOCH
    cancel_requested: bool = False
    cause: dict[str, Any] | None = None
    log: str | None = None

    def due(self) -> Due | None:
        return None if self.state in ENDED else Due(at=self.retry_at)

    def next_step(self) -> Step | None:
        return next((step for step in self.steps if step.state is not StepState.DONE), None)

    def output(self, step: str) -> dict[str, Any]:
        """What a completed step gave; empty when the run has no such step or it isn't done."""
        return next((each.output for each in self.steps if each.name == step), {})

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, RunRequested):
            return cls(
                id=event.id,
                platform=event.platform,
                run_kind=event.kind,
                state=RunState.QUEUED,
                steps=[Step(name=name) for name in STEPS[event.kind]],
                input=event.input,
                requested_by=event.requested_by,
                trace=event.trace,
                requested_at=event.at,
            )
        assert state is not None
        return state._with(event)

    def _with(self, event: Event) -> Self:
        match event:
            case StepStarted():
                started = {"state": StepState.RUNNING, "attempts": event.attempt}
                changed = self._step(event.step, **started, started_at=event.at)
                return changed.model_copy(update={"state": RunState.RUNNING, "retry_at": EPOCH})
            case StepCompleted():
                done = {"state": StepState.DONE, "finished_at": event.at}
                return self._step(event.step, **done, output=event.output)
            case StepPostponed():
                waiting = self._step(event.step, state=StepState.PENDING)
                return waiting.model_copy(update={"retry_at": event.retry_at})
            case RunSucceeded():
                return self._ended(RunState.SUCCEEDED, event.at)
            case RunFailed():
                failed = self._step(event.step, state=StepState.FAILED, finished_at=event.at)
                why = {"cause": event.cause, "log": event.log}
                return failed._ended(RunState.FAILED, event.at).model_copy(update=why)
            case RunCancelRequested():
                return self.model_copy(update={"cancel_requested": True, "retry_at": EPOCH})
            case RunCancelled():
                return self._ended(RunState.CANCELLED, event.at)
            case _:
                return self

    def _step(self, name: str, **changes: Any) -> Self:
        steps = [
            step.model_copy(update=changes) if step.name == name else step for step in self.steps
        ]
        return self.model_copy(update={"steps": steps})

    def _ended(self, state: RunState, at: datetime) -> Self:
        return self.model_copy(update={"state": state, "ended_at": at})


class StepView(View):
    name: str
    state: StepState
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    output: dict[str, Any]


class RunView(View):
    id: str
    platform: str
    kind: RunKind
    state: RunState
    steps: list[StepView]
    requested_by: str
    requested_at: datetime
    ended_at: datetime | None
    cause: dict[str, Any] | None
    log: str | None
    """Digest of the full account of a failure, to be read at `/runs/{id}/log`."""


class RunList(View):
    items: list[RunView]
    next: str | None = None


def view(run: Run) -> RunView:
    return RunView(
        id=run.id,
        platform=run.platform,
        kind=run.run_kind,
        state=run.state,
        steps=[_step_view(step) for step in run.steps],
        requested_by=run.requested_by,
        requested_at=run.requested_at,
        ended_at=run.ended_at,
        cause=run.cause,
        log=run.log,
    )


def _step_view(step: Step) -> StepView:
    duration = None
    if step.started_at and step.finished_at:
        duration = (step.finished_at - step.started_at).total_seconds()
    shown = {name: value for name, value in step.output.items() if name not in HIDDEN}
    return StepView(
        name=step.name,
        state=step.state,
        attempts=step.attempts,
        started_at=step.started_at,
        finished_at=step.finished_at,
        duration_s=duration,
        output=shown,
    )
