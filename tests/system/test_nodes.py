"""A second node joins the cluster and is lost in the middle of its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from engine.conductor.runs import STEPS, RunKind
from tests.system.conftest import effects, root, small, succeeded
from webnova import Client
from webnova.stack.local import Stack
from webnova.stack.state import load_state

# What `ray start` does on another machine. On this one it would leave the loopback interface.
JOIN = """
import sys, time
from ray._private.node import Node
from ray._private.parameter import RayParams

parameters = RayParams(
    gcs_address=sys.argv[1],
    num_cpus=2,
    node_ip_address="127.0.0.1",
    min_worker_port=0,
    max_worker_port=0,
)
Node(parameters, head=False, shutdown_at_exit=False, spawn_reaper=False)
time.sleep(600)
"""


@contextmanager
def second_node(stack: Stack) -> Iterator[psutil.Process]:
    """Another raylet on this machine, joined to the stack's head as any machine would be."""
    state = load_state(stack.home.stack_file)
    assert state is not None and state.ray is not None and state.ray_address is not None
    environment = psutil.Process(state.ray.pid).environ()
    node = subprocess.Popen(
        [sys.executable, "-c", JOIN, state.ray_address],
        env=environment,
        cwd=root(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    process = psutil.Process(node.pid)
    try:
        yield process
    finally:
        end(process)
        node.wait()


def end(process: psutil.Process) -> None:
    """SIGKILL to the node's processes, the raylet first, all at once."""
    try:
        tree = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for each in sorted(tree, key=lambda each: "raylet" not in each.name()):
        try:
            os.kill(each.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def at_work(process: psutil.Process) -> bool:
    """Whether a driver of a build runs on the node."""
    for each in process.children(recursive=True):
        try:
            line = each.cmdline()
        except psutil.NoSuchProcess:
            continue
        if line and line[0].startswith("ray::BlueprintActor"):
            return True
    return False


def test_builds_survive_the_loss_of_a_node_that_drove_some_of_them(
    stack: Stack, client: Client
) -> None:
    for attempt in range(4):
        with second_node(stack) as node:
            deadline = time.monotonic() + 60
            while not any(each.name() == "raylet" for each in node.children(recursive=True)):
                assert time.monotonic() < deadline, "the second node did not start"
                time.sleep(0.2)
            time.sleep(2)
            names = [f"node-{attempt}-{number}" for number in range(3)]
            runs = {name: client.create(blueprint=small(name)).run for name in names}
            deadline = time.monotonic() + 20
            while not at_work(node) and time.monotonic() < deadline:
                time.sleep(0.05)
            used = at_work(node)
            end(node)
        for name, run in runs.items():
            succeeded(client, run)
            happened = effects(client, name)
            assert happened["run.step_completed"] == len(STEPS[RunKind.BUILD])
            assert happened["platform.released"] == happened["run.succeeded"] == 1
        if used:
            return
    pytest.fail("no build was ever driven on the second node")
