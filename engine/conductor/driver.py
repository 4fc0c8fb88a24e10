"""Drives one run to its end, or as far as this process lives."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Callable

from engine.conductor.driving import (
    CompleteStep,
    ConfirmCancel,
    FailRun,
    KeepBlob,
    Kept,
    PostponeStep,
    ReadRun,
    ReportProgress,
    RunCommand,
    RunDocument,
    StartStep,
)
from engine.conductor.runs import ENDED, RunState, RunView, StepState
from engine.conductor.steps import STEP_FUNCTIONS, StepContext
from engine.conductor.workshop import Progress, Workshop
from engine.kernel.contracts import Call, Caller, Command
from engine.kernel.dispatch import Dispatcher, answer_as
from engine.kernel.errors import LeaseLost, Unavailable, VersionConflict, WebNovaError
from engine.ledger.work import Lease, WorkQueue

LEASE_SECONDS = 15.0
PROGRESS_EVERY_S = 0.3

Observer = Callable[[str, str, float], None]
"""Told each step that was tried: its name, `CompleteStep` or what else was recorded, seconds."""


class RunDriver:
    """Carries runs forward, one step at a time, each recorded before and after.

    Guarantees: nothing is recorded without the lease; a step that was completed is never run
    again; an error with an HTTP status below 500 ends the run as failed with that cause, any
    other is tried again with growing pauses up to `MAX_ATTEMPTS`, and then fails the run.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        queue: WorkQueue,
        workshop: Workshop,
        *,
        observe: Observer | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._queue = queue
        self._workshop = workshop
        self._observe = observe
        self._traces: dict[str, str] = {}

    async def drive(self, lease: Lease) -> RunState | None:
        """Drive the leased run until it ends or has to wait; its state then.

        None means that the lease passed to another driver, who now has the say.
        """
        work = asyncio.create_task(self._steps(lease))
        watch = asyncio.create_task(self._watch(lease, work))
        try:
            return await work
        except LeaseLost:
            return None
        except asyncio.CancelledError:
            if watch.done() and not watch.cancelled() and watch.result() == "cancel":
                await self._record(lease, ConfirmCancel(run=lease.id, fence=lease.fence))
                return RunState.CANCELLED
            if watch.done() and not watch.cancelled() and watch.result() == "lost":
                return None
            raise
        finally:
            watch.cancel()
            self._traces.pop(lease.id, None)
            with contextlib.suppress(asyncio.CancelledError, WebNovaError):
                await watch
            with contextlib.suppress(WebNovaError):
                await self._queue.release(lease)

    async def _steps(self, lease: Lease) -> RunState | None:
        while True:
            state = await self._read(lease)
            run = state.run
            self._traces[run.id] = run.trace
            if run.state in ENDED:
                return run.state
            if run.cancel_requested:
                await self._record(lease, ConfirmCancel(run=run.id, fence=lease.fence))
                return RunState.CANCELLED
            step = run.next_step()
            assert step is not None
            shown = await self._record(
                lease, StartStep(run=run.id, fence=lease.fence, step=step.name)
            )
            if shown.state is RunState.FAILED:
                return shown.state
            shown = await self._perform(lease, state, step.name)
            if shown.state in ENDED or self._is_waiting(shown):
                return shown.state

    @staticmethod
    def _is_waiting(shown: RunView) -> bool:
        following = next(each for each in shown.steps if each.state is not StepState.DONE)
        return following.attempts > 0

    async def _perform(self, lease: Lease, state: RunDocument, step: str) -> RunView:
        began = time.monotonic()
        outcome = await self._try(lease, state, step)
        if self._observe is not None:
            self._observe(step, type(outcome).__name__, time.monotonic() - began)
        return await self._record(lease, outcome)

    async def _try(self, lease: Lease, state: RunDocument, step: str) -> RunCommand:
        """Run the step; what is to be recorded of it."""
        async with self._progress(lease, step) as progress:
            context = StepContext(
                tenant=lease.tenant,
                state=state,
                caller=self._caller(lease),
                dispatcher=self._dispatcher,
                workshop=self._workshop,
                progress=progress,
            )
            ids = {"run": lease.id, "fence": lease.fence, "step": step}
            try:
                output = await STEP_FUNCTIONS[step](context)
                return CompleteStep.model_validate({**ids, "output": output})
            except LeaseLost:
                raise
            except WebNovaError as error:
                kind = PostponeStep if _may_pass(error) else FailRun
                log = await self._keep(lease, _account(error))
                return kind.model_validate({**ids, "cause": _cause(error), "log": log})
            except Exception as error:  # noqa: BLE001 - recorded in the run, with its full account
                log = await self._keep(lease, _account(error))
                cause = crash(error, f"Step {step!r}")
                return PostponeStep.model_validate({**ids, "cause": cause, "log": log})

    @contextlib.asynccontextmanager
    async def _progress(self, lease: Lease, step: str) -> AsyncIterator[Progress]:
        last = 0.0

        async def report(fraction: float, message: str) -> None:
            nonlocal last
            if time.monotonic() - last >= PROGRESS_EVERY_S:
                last = time.monotonic()
                await self._record(
                    lease,
                    ReportProgress(
                        run=lease.id,
                        fence=lease.fence,
                        step=step,
                        fraction=min(1.0, max(0.0, fraction)),
                        message=message[:200],
                    ),
                )

        yield report

    async def _watch(self, lease: Lease, work: asyncio.Task[RunState | None]) -> str:
        """Renew the lease and look for a request to cancel; stop the work when it must stop."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            try:
                if time.monotonic() - renewed > LEASE_SECONDS / 3:
                    if not await self._queue.renew(lease, seconds=LEASE_SECONDS):
                        work.cancel()
                        return "lost"
                    renewed = time.monotonic()
                if (await self._read(lease)).run.cancel_requested:
                    work.cancel()
                    return "cancel"
            except Unavailable:
                if time.monotonic() - renewed > LEASE_SECONDS:
                    work.cancel()
                    return "lost"

    async def _read(self, lease: Lease) -> RunDocument:
        query = ReadRun(id=lease.id)
        asked = await self._dispatcher.ask(query, self._caller(lease), lease.tenant)
        return answer_as(RunDocument, asked)

    async def _record(self, lease: Lease, command: RunCommand) -> RunView:
        call = self._call(lease, command)
        return answer_as(RunView, await self._dispatcher.execute(call))

    async def _keep(self, lease: Lease, account: str) -> str:
        call = self._call(lease, KeepBlob(content=account.encode()))
        return answer_as(Kept, await self._dispatcher.execute(call)).digest

    def _call(self, lease: Lease, command: Command) -> Call:
        """The command as part of the run, in the trace of whoever asked for it."""
        trace = self._traces.get(lease.id, "")
        return Call(command, self._caller(lease), lease.tenant, trace=trace)

    @staticmethod
    def _caller(lease: Lease) -> Caller:
        return Caller(
            id=f"run:{lease.id}",
            tenant=lease.tenant,
            permissions=frozenset({"run.drive", "blueprint.read"}),
        )


def _may_pass(error: WebNovaError) -> bool:
    return error.status >= 500 or isinstance(error, VersionConflict)


def _account(error: Exception) -> str:
    """Everything that is known about an error, for the run's log: what was written on the way
    (an error's field `log`, text or lines) and the trace."""
    written = error.fields.get("log", "") if isinstance(error, WebNovaError) else ""
    text = written if isinstance(written, str) else "\n".join(map(str, written))
    return f"{text}\n\n{''.join(traceback.format_exception(error))}"


def _cause(error: WebNovaError) -> dict[str, object]:
    """The problem as the run shows it; its log is kept apart."""
    return {name: value for name, value in error.problem().items() if name != "log"}


def crash(error: Exception, what: str = "The driver of the run") -> dict[str, object]:
    """An error that nobody foresaw as the problem of a run; the log has the whole account."""
    return {
        "type": "urn:webnova:problem:step_crashed",
        "title": "A step crashed",
        "status": 500,
        "code": "step_crashed",
        "detail": f"{what} stopped with {type(error).__name__}; the log has the account.",
    }
