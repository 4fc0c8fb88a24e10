"""What is known about a running stack, kept in the home's `run/stack.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from webnova.stack.home import write_private
from webnova.stack.processes import ProcessRef

Phase = Literal["starting", "running", "stopping", "failed"]
StepState = Literal["started", "done", "skipped", "failed"]

STEPS = ("database", "schema", "ray", "serve", "actors")
"""The steps of a start, in order of their beginning."""


class Step(BaseModel):
    """One step of the start. `seconds` counts from its beginning to its end."""

    name: str
    state: StepState
    detail: str = ""
    seconds: float = 0.0


class StackState(BaseModel):
    """Written by the supervisor only, always as a whole.

    `instance` marks the environment of every process of this stack (`WEBNOVA_STACK`).
    `temporary` names what the stack keeps outside its home.
    """

    instance: str
    supervisor: ProcessRef
    phase: Phase = "starting"
    steps: list[Step] = Field(default_factory=list)
    postgres: ProcessRef | None = None
    postgres_port: int | None = None
    ray: ProcessRef | None = None
    ray_address: str | None = None
    http_port: int | None = None
    public_url: str | None = None
    dashboard_url: str | None = None
    ingress: str = ""
    temporary: list[str] = Field(default_factory=list)
    restarts: dict[str, int] = Field(default_factory=dict)
    failure: str = ""
    mend: str = ""

    def save(self, path: Path) -> None:
        write_private(path, self.model_dump_json(indent=1) + "\n")


def load_state(path: Path) -> StackState | None:
    """The last state written, or None when there is none that can be read."""
    try:
        return StackState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
