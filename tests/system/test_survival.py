"""Whatever is killed, nothing that was accepted is lost and nothing happens twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from engine.conductor.runs import STEPS, RunKind
from tests.system.conftest import effects, small, succeeded
from webnova import Client
from webnova.stack.local import Stack
from webnova.stack.state import load_state


def processes(stack: Stack, title: str) -> list[psutil.Process]:
    """Processes of this installation whose title, as Ray sets it, begins so."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
            if line and line[0].startswith(title):
                home = process.environ().get("WEBNOVA_HOME")
                if home == str(stack.home.root):
                    found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def kill(stack: Stack, title: str) -> int:
    """Kill them with no chance to say goodbye; how many there were."""
    killed = 0
    for process in processes(stack, title):
        os.kill(process.pid, signal.SIGKILL)
        killed += 1
    return killed


def started_steps(client: Client, run: str) -> Iterator[str]:
    """The names of the run's steps, each as it starts for the first time."""
    seen = set()
    for event in client.follow(run):
        step = event.data.get("step")
        if event.type == "run.step_started" and step not in seen:
            seen.add(step)
            yield str(step)


def kill_the_driver_of(stack: Stack, client: Client, run: str, step: str) -> bool:
    """Kill whoever drives the run at this step; False if the step was over before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        states = {each.name: each.state for each in client.run(run).steps}
        if states[step] == "done":
            return False
        if kill(stack, "ray::BlueprintActor"):
            return True
        time.sleep(0.05)
    raise AssertionError(f"nobody came to drive {step}")


def once(client: Client, name: str, steps: int) -> None:
    happened = effects(client, name)
    assert happened["run.step_completed"] == steps
    for effect in ("platform.requested", "platform.released", "run.succeeded"):
        assert happened[effect] == 1, happened
    assert happened["blueprint.saved"] == 1


def test_a_build_whose_driver_is_killed_at_every_step_completes(
    stack: Stack, client: Client
) -> None:
    accepted = client.create("A library: members borrow books, each book has an isbn and a title")
    killed = {
        step: kill_the_driver_of(stack, client, accepted.run, step)
        for step in started_steps(client, accepted.run)
    }
    run = succeeded(client, accepted.run)
    assert list(killed) == list(STEPS[RunKind.CREATE])
    # Steps of a few milliseconds are over before anybody can be killed in them.
    assert {step for step, done in killed.items() if done} >= {"generate", "test", "release"}
    assert sum(step.attempts for step in run.steps) > len(run.steps)
    once(client, accepted.platform.name, len(STEPS[RunKind.CREATE]))


@pytest.mark.parametrize(
    ("victim", "at"),
    [
        ("ray::SandboxActor", "test"),
        ("ray::HostActor", "release"),
        ("ray::TenantActor", "generate"),
        ("ray::render_units", "generate"),
        ("ray::ServeReplica:webnova:Api", "test"),
        ("ray::ProviderActor", "plan"),
    ],
)
def test_a_build_survives_the_loss_of_a_worker(
    stack: Stack, client: Client, name: str, victim: str, at: str
) -> None:
    accepted = client.create(blueprint=small(name))
    for step in started_steps(client, accepted.run):
        if step == at:
            time.sleep(0.2)
            killed = kill(stack, victim)
            assert killed or victim == "ray::render_units"
    succeeded(client, accepted.run)
    once(client, name, len(STEPS[RunKind.BUILD]))


def test_a_build_survives_the_loss_of_postgres(stack: Stack, client: Client, name: str) -> None:
    accepted = client.create(blueprint=small(name))
    for step in started_steps(client, accepted.run):
        if step == "test":
            state = load_state(stack.home.stack_file)
            assert state is not None and state.postgres is not None
            os.kill(state.postgres.pid, signal.SIGKILL)
            break
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{client.url}/health").status_code == 200:
                break
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    succeeded(client, accepted.run)
    once(client, name, len(STEPS[RunKind.BUILD]))


def test_a_released_platform_comes_back_after_its_host_is_killed(
    stack: Stack, client: Client, name: str
) -> None:
    succeeded(client, client.create(blueprint=small(name)).run)
    url = client.platform(name).url
    assert kill(stack, "ray::HostActor")
    deadline = time.monotonic() + 90
    status = 0
    while time.monotonic() < deadline and status != 200:
        time.sleep(0.5)
        status = httpx.get(f"{url}health", timeout=30).status_code
    assert status == 200


def test_a_killed_platform_process_is_restarted(stack: Stack, client: Client, name: str) -> None:
    succeeded(client, client.create(blueprint=small(name)).run)
    url = client.platform(name).url
    place = stack.home.workspace / "root" / name
    victims = [
        process
        for process in psutil.process_iter()
        if process.name().startswith("python") and _works_in(process, str(place))
    ]
    assert victims
    for victim in victims:
        victim.kill()
    deadline = time.monotonic() + 60
    status = 0
    while time.monotonic() < deadline and status != 200:
        time.sleep(0.3)
        status = httpx.get(f"{url}health", timeout=30).status_code
    assert status == 200
    assert effects(client, name)["platform.released"] == 1


def _works_in(process: psutil.Process, place: str) -> bool:
    try:
        return process.cwd().startswith(place)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
