"""The local stack as the CLI sees it: up, down, status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel

from engine.kernel.errors import Unavailable
from engine.kernel.secret import Secret
from webnova.stack.home import Home
from webnova.stack.locks import OTHER_SUPERVISOR, take_lock
from webnova.stack.ports import LOOPBACK, is_listening
from webnova.stack.processes import wait_gone
from webnova.stack.ray_head import PROJECT_ROOT
from webnova.stack.remains import clean
from webnova.stack.state import STEPS, StackState, load_state

Progress = Callable[[str, str], None]
"""Called with a step's name (one of `STEPS`) and its new state: started, done, skipped, failed."""

PartState = Literal["running", "starting", "stopped", "failed"]

_UP_TIMEOUT_S = 600.0
_DOWN_TIMEOUT_S = 90.0
_OTHER_PATIENCE_S = 30.0
_NO_REASON = "The stack did not start."
_LOOK = "supervisor.log in the logs directory of the home says why."


class PartStatus(BaseModel):
    """One part of the stack. `detail` is for people."""

    name: str
    state: PartState
    pid: int | None = None
    port: int | None = None
    url: str | None = None
    detail: str = ""


class StackStatus(BaseModel):
    """The whole: `running` when every part runs, `degraded` when one doesn't (yet again)."""

    state: Literal["stopped", "starting", "running", "degraded", "stopping", "failed"]
    home: str
    url: str | None = None
    docs_url: str | None = None
    dashboard_url: str | None = None
    ray_address: str | None = None
    parts: list[PartStatus] = []
    detail: str = ""


class Stack:
    """One home's stack. Every method may be called by several programs at once."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def ray_token(self) -> Secret:
        """The token that the head asks for (also in the dashboard)."""
        return self.home.secret("ray-token")

    # -- up -----------------------------------------------------------------------------------

    def up(self, progress: Progress | None = None) -> StackStatus:
        """Start what doesn't run; returns when everything answers.

        Does nothing when the stack runs. Raises `Unavailable` with the reason and the mend when
        it can't be started; then, as after Ctrl-C, nothing of it is left.
        """
        report = progress or _silent
        self.home.create()
        status = self.status()
        if status.state == "running":
            return status
        state = load_state(self.home.stack_file)
        if state is not None and state.supervisor.alive and state.phase == "stopping":
            self._wait_gone(state)
            state = None
        if state is not None and state.supervisor.alive:
            self._follow(None, report)
            return self.status()
        child = self._spawn()
        try:
            self._follow(child, report)
        except BaseException:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            child.wait(_DOWN_TIMEOUT_S)
            raise
        return self.status()

    def _spawn(self) -> subprocess.Popen[bytes]:
        from_here = str(PROJECT_ROOT)
        path = [from_here, *filter(None, [os.environ.get("PYTHONPATH")])]
        with (self.home.logs / "supervisor.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "webnova.stack.supervisor", "--home", str(self.home.root)],
                cwd=from_here,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _follow(self, child: subprocess.Popen[bytes] | None, report: Progress) -> None:
        """Tell the progress of the supervisor until it runs. Raises `Unavailable` otherwise."""
        told: dict[str, str] = {}
        began = time.monotonic()
        while time.monotonic() - began < _UP_TIMEOUT_S:
            ended = child is not None and child.poll() is not None
            state = load_state(self.home.stack_file)
            if state is not None and (child is None or state.supervisor.pid == child.pid):
                alive = state.supervisor.alive
                if alive or child is not None:
                    _tell(state, told, report)
                if state.phase == "running" and alive:
                    return
                # Another's supervisor cleans up before it writes what it does.
                patient = child is None and time.monotonic() - began < _OTHER_PATIENCE_S
                if not alive and not patient:
                    raise Unavailable(state.failure or _NO_REASON, mend=state.mend or _LOOK)
            elif child is not None and child.returncode == OTHER_SUPERVISOR:
                child = None  # somebody else was first: follow theirs
            elif ended:
                raise Unavailable(_NO_REASON, mend=_LOOK)
            time.sleep(0.05)
        raise Unavailable("The stack takes too long to start.", mend=_LOOK)

    # -- down ---------------------------------------------------------------------------------

    def down(self) -> None:
        """Stop everything; the home's data stay. Idempotent, and cleans up after a crash."""
        if not self.home.run.is_dir():
            return
        state = load_state(self.home.stack_file)
        if state is not None and (supervisor := state.supervisor.process()) is not None:
            supervisor.send_signal(signal.SIGTERM)
            self._wait_gone(state)
        lock = take_lock(self.home)
        if lock is None:
            raise Unavailable("The stack is being started or stopped by somebody else.")
        with lock:
            clean(self.home, load_state(self.home.stack_file))
            self.home.stack_file.unlink(missing_ok=True)

    def _wait_gone(self, state: StackState) -> None:
        process = state.supervisor.process()
        if process is not None and wait_gone([process], _DOWN_TIMEOUT_S):
            raise Unavailable(
                "The stack is slow to stop.", mend="Try again; supervisor.log says what it does."
            )

    # -- status -------------------------------------------------------------------------------

    def status(self) -> StackStatus:
        """What runs now, looked at and not remembered; takes a few milliseconds."""
        state = load_state(self.home.stack_file)
        home = str(self.home.root)
        if state is None:
            return StackStatus(state="stopped", home=home)
        alive = state.supervisor.alive
        parts = [
            PartStatus(
                name="supervisor",
                state="running" if alive else "stopped",
                pid=state.supervisor.pid if alive else None,
            ),
            *_parts(state),
        ]
        url = state.public_url
        found = StackStatus(
            state="running",
            home=home,
            url=url,
            docs_url=f"{url}/docs" if url else None,
            dashboard_url=state.dashboard_url,
            ray_address=state.ray_address,
            parts=parts,
        )
        if state.phase == "failed":
            found.state, found.detail = "failed", f"{state.failure} {state.mend}".strip()
        elif not alive and all(part.state != "running" for part in parts):
            found.state = "stopped"
        elif state.phase != "running" and alive:
            found.state = state.phase
        elif any(part.state != "running" for part in parts):
            found.state = "degraded"
        return found


def _parts(state: StackState) -> list[PartStatus]:
    steps = {step.name: step.state for step in state.steps}
    external = state.postgres_port is None and steps.get("database") == "done"
    joined = state.ray is None and steps.get("ray") == "done"
    postgres = state.postgres is not None and state.postgres.alive
    ray = state.ray is not None and state.ray.alive
    serve = state.http_port is not None and is_listening(state.http_port, _host(state))
    actors = (ray or joined) and steps.get("actors") in ("done", "skipped")
    return [
        PartStatus(
            name="postgres",
            state=_seen(postgres or external, state),
            pid=state.postgres.pid if state.postgres and postgres else None,
            port=state.postgres_port,
            detail=_again(state, "postgres", "external" if external else ""),
        ),
        PartStatus(
            name="ray",
            state=_seen(ray or joined, state),
            pid=state.ray.pid if state.ray and ray else None,
            url=state.dashboard_url,
            detail=_again(state, "ray", "joined" if joined else state.ray_address or ""),
        ),
        PartStatus(
            name="serve",
            state=_seen(serve, state),
            port=state.http_port,
            url=state.public_url,
            detail=f"ingress: {state.ingress}",
        ),
        PartStatus(
            name="actors",
            state=_seen(actors, state),
            detail="none to start" if steps.get("actors") == "skipped" else "",
        ),
    ]


def _host(state: StackState) -> str:
    return urlsplit(state.public_url or "").hostname or LOOPBACK


def _seen(running: bool, state: StackState) -> PartState:
    if running:
        return "running"
    return "starting" if state.supervisor.alive and state.phase != "stopping" else "stopped"


def _again(state: StackState, name: str, detail: str) -> str:
    count = state.restarts.get(name, 0)
    return f"{detail} (started again {count}×)".strip() if count else detail


def _tell(state: StackState, told: dict[str, str], report: Progress) -> None:
    for name in STEPS:
        for step in state.steps:
            if step.name == name and told.get(name) != step.state:
                if name not in told and step.state != "started":
                    report(name, "started")
                told[name] = step.state
                report(name, step.state)


def _silent(step: str, state: str) -> None:
    """For callers that don't want to see the progress."""
