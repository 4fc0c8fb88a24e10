"""A run as it goes: what its events say about each step, and how that is shown."""

# ruff: noqa: PLC0415
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from webnova.cli.output import Output, isolated, seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from webnova.client.models import Event, Run
    from webnova.client.synchronous import Client

LABELS = {
    "describe": "Understand the description",
    "plan": "Plan the platform",
    "generate": "Generate the code and its tests",
    "prepare": "Prepare the dependencies",
    "test": "Run the tests in the sandbox",
    "release": "Start the new version",
    "retire": "Retire the old version",
    "database": "Start Postgres",
    "schema": "Bring the schema up to date",
    "ray": "Start Ray",
    "serve": "Deploy the API",
    "actors": "Start the actors",
}
_SIGNS = {"waiting": " ", "started": "•", "done": "✓", "skipped": "–", "failed": "✗"}


@dataclass
class StepLine:
    """One step as shown. `state` is waiting, started, done, skipped or failed."""

    name: str
    state: str = "waiting"
    fraction: float = 0.0
    message: str = ""
    began: float | None = None
    duration_s: float | None = None

    @property
    def label(self) -> str:
        return LABELS.get(self.name, self.name)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "skipped", "failed")


class Tracker:
    """Folds the events of a run into the lines that are shown."""

    def __init__(self, names: list[str]) -> None:
        self.steps = {name: StepLine(name) for name in names}
        self._started: dict[str, datetime] = {}

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls([step.name for step in run.steps])

    def take(self, event: Event) -> StepLine | None:
        """The line that the event changed, if any."""
        name = event.data.get("step")
        if not isinstance(name, str):
            return None
        step = self.steps.setdefault(name, StepLine(name))
        match event.type:
            case "run.step_started":
                self._started[name] = event.at
                attempt = event.data.get("attempt", 1)
                step.state = "started"
                step.message = f"attempt {attempt}" if attempt != 1 else ""
                step.began = step.began or time.monotonic()
            case "run.step_progressed":
                step.fraction = float(event.data.get("fraction", step.fraction))
                step.message = str(event.data.get("message", ""))
            case "run.step_completed":
                self._end(step, "done", event.at)
                step.message = summary(name, event.data.get("output"))
            case "run.step_postponed":
                step.state = "waiting"
                step.message = _cause(event.data.get("cause")) + " Trying again."
            case "run.failed":
                self._end(step, "failed", event.at)
                step.message = ""
            case _:
                return None
        return step

    def _end(self, step: StepLine, state: str, at: datetime) -> None:
        step.state, step.fraction = state, 1.0 if state == "done" else step.fraction
        if step.name in self._started:
            step.duration_s = max(0.0, (at - self._started[step.name]).total_seconds())


def summary(step: str, output: Any) -> str:
    """What a completed step tells about its result, in a few words."""
    if not isinstance(output, dict):
        return ""
    match step:
        case "describe":
            nearest = str((output.get("archetypes") or ["something new"])[0])
            sure = output.get("confidence")
            known = f"{nearest}, {sure:.0%} sure" if isinstance(sure, int | float) else nearest
            return f"{known} ({output.get('analyser', '')})"
        case "plan":
            return f"{output.get('entities')} entities, {output.get('roles')} roles"
        case "prepare":
            pages = ", pages built" if output.get("pages") else ""
            return ("made anew" if output.get("created") else "from the cache") + pages
        case "generate":
            return f"{int(output.get('bytes', 0)) / 1024:.0f} kB packed"
        case "test":
            skipped = f", {output['skipped']} skipped" if output.get("skipped") else ""
            walls = output.get("driver", "") if output.get("isolated") else "unisolated"
            return (
                f"{output.get('passed')} passed, {output.get('failed')} failed{skipped} ({walls})"
            )
        case "release":
            return f"version {output.get('version')}"
        case _:
            return ""


def _cause(cause: Any) -> str:
    return str(cause.get("detail", "")) if isinstance(cause, dict) else ""


class StepBoard:
    """Shows steps as they go: bars on a terminal, a line for each ended step elsewhere."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._live: Progress | None = None
        self._rows: dict[str, TaskID] = {}
        self._told: set[str] = set()
        if not output.as_json and output.console.is_terminal:
            self._live = _progress(output)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, step: StepLine) -> None:
        if self._live is not None:
            self._draw(self._live, step)
        elif step.ended and step.name not in self._told:
            self._told.add(step.name)
            took = f" {seconds(step.duration_s)}" if step.duration_s is not None else ""
            more = f" · {isolated(step.message)}" if step.message else ""
            self._output.say(f"{_SIGNS[step.state]} {step.label}{took}{more}")

    def _draw(self, live: Progress, step: StepLine) -> None:
        row = self._rows.get(step.name)
        if row is None:
            row = live.add_task("", total=1.0, start=False, took=None, message="")
            self._rows[step.name] = row
        if step.state == "started" and not live.tasks[live.task_ids.index(row)].started:
            live.start_task(row)
        took = step.duration_s if step.ended else None
        if step.ended:
            live.stop_task(row)
        live.update(
            row,
            description=f"{_SIGNS[step.state]} {step.label}",
            completed=1.0 if step.state in ("done", "skipped") else step.fraction,
            took=took,
            message=isolated(step.message),
        )


def _progress(output: Output) -> Progress:
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Took(ProgressColumn):
        """The recorded duration, and until there is one the time since the step began."""

        def render(self, task: Task) -> Text:
            took = task.fields.get("took")
            shown = took if took is not None else task.elapsed
            return Text(seconds(shown).rjust(9), style="cyan")

    # On a narrow terminal only what a step tells is cut short: never its name or its time.
    whole = Column(no_wrap=True, min_width=max(map(len, LABELS.values())) + 2)
    message = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=whole),
        BarColumn(bar_width=max(6, min(24, output.console.width - 76))),
        Took(table_column=Column(no_wrap=True, min_width=9)),
        TextColumn("{task.fields[message]}", style="dim", markup=False, table_column=message),
        expand=True,
        console=output.console,
        transient=False,
    )


def follow(output: Output, client: Client, run: str) -> Run:
    """Show the run until it ends; the run as it ended."""
    tracker = Tracker.of(client.run(run))
    with StepBoard(output) as board:
        for event in client.follow(run):
            changed = tracker.take(event)
            if changed is not None:
                board.show(changed)
    return client.run(run)


def step_reporter(output: Output) -> tuple[StepBoard, Callable[[str, str], None]]:
    """A board and the callback that `Stack.up` tells its progress to."""
    board = StepBoard(output)
    steps: dict[str, StepLine] = {}

    def report(name: str, state: str) -> None:
        step = steps.setdefault(name, StepLine(name))
        step.state = state
        now = time.monotonic()
        step.began = step.began or now
        if step.ended:
            step.duration_s = now - step.began
        board.show(step)

    return board, report
