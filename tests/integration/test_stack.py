"""The local stack as a whole: real Postgres, real Ray head, real Serve, killed in every way.

The tests run in the order of the file and share one stack, because starting one is what takes
the time. They bring their own small application, so that a failure here is the stack's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest

from engine.kernel.errors import Unavailable
from webnova.stack.home import Home
from webnova.stack.local import Stack, StackStatus
from webnova.stack.ports import is_free
from webnova.stack.processes import tree, wait_gone
from webnova.stack.ray_head import MARK
from webnova.stack.state import load_state

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

ROOT = Path(__file__).parents[2]

APPLICATION = """
    import asyncio
    import os

    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse
    from ray import serve

    api = FastAPI()


    @serve.deployment
    @serve.ingress(api)
    class Api:
        @api.get("/environment")
        async def environment(self, request: Request):
            return {"variables": dict(os.environ), "headers": dict(request.headers)}

        @api.get("/sleep")
        async def sleep(self, seconds: float):
            await asyncio.sleep(seconds)
            return {"slept": seconds}

        @api.get("/stream")
        async def stream(self, count: int):
            async def events():
                for number in range(count):
                    yield f"id: {number}\\n\\n"
                    await asyncio.sleep(0.1)

            return StreamingResponse(events(), media_type="text/event-stream")


    def build(args):
        return Api.bind()
"""


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    place = tmp_path_factory.mktemp("application")
    (place / "small_application.py").write_text(textwrap.dedent(APPLICATION))
    configuration = (ROOT / "serve.yaml").read_text()
    (place / "serve.yaml").write_text(
        configuration.replace("serve_apps.app:build", "small_application:build")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEBNOVA_SERVE_CONFIG", str(place / "serve.yaml"))
        patch.setenv("WEBNOVA_CORE_ACTORS", "off")
        patch.setenv("PYTHONPATH", str(place))
        patch.setenv("ANTHROPIC_API_KEY", "handed-through")
        for name in ("WEBNOVA_DATABASE_URL", "WEBNOVA_RAY_ADDRESS", "WEBNOVA_HTTP_PORT"):
            patch.delenv(name, raising=False)
        yield


def outside_traces() -> set[str]:
    """What lies outside of homes though no living process uses it.

    Other stacks may run on this machine; what they use is not counted, nor what is another user's:
    whether that is used, nobody else is told.
    """
    me = os.getuid()
    used = b""
    for process in psutil.process_iter():
        for name in ("maps", "environ", "cmdline"):
            with contextlib.suppress(OSError):
                used += Path(f"/proc/{process.pid}/{name}").read_bytes()
    named = [Path("/dev/shm") / name for name in os.listdir("/dev/shm")]
    named += Path(tempfile.gettempdir()).glob("webnova-*")
    segments = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    attached, user = 6, 7  # columns: how many processes, whose
    left = set()
    for path in named:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_uid == me and str(path).encode() not in used:
                left.add(str(path))
    return left | {
        f"segment {words[1]}"
        for words in segments
        if words[attached] == "0" and words[user] == str(me)
    }


def clean_since(traces: set[str]) -> bool:
    """Whether nothing new is left; other stacks get a moment to tidy up theirs."""
    return bool(eventually(lambda: outside_traces() <= traces, within=15))


def processes_of(home: Home) -> list[psutil.Process]:
    """Every process that knows the home, by its environment, arguments or directory."""
    text = str(home.root).encode()
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            place = Path(f"/proc/{process.pid}")
            known = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
            if text in known or process.cwd().startswith(str(home.root)):
                found.append(process)
    return found


def eventually(check: Callable[[], Any], *, within: float = 120.0) -> Any:
    deadline = time.monotonic() + within
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {check}"
        time.sleep(0.2)


def answers(status: StackStatus) -> bool:
    try:
        return httpx.get(f"{status.url}/sleep?seconds=0", timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


def part(stack: Stack, name: str) -> Any:
    return next(part for part in stack.status().parts if part.name == name)


@pytest.fixture(scope="module")
def traces() -> set[str]:
    return outside_traces()


@pytest.fixture(scope="module")
def stack(traces: set[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    deep = tmp_path_factory.mktemp("a home with spaces") / ("deep" * 20)
    stack = Stack(Home.at(deep))
    yield stack
    stack.down()


def test_up_tells_its_steps_and_runs(stack: Stack) -> None:
    assert stack.status().state == "stopped"
    told: list[tuple[str, str]] = []
    status = stack.up(lambda step, state: told.append((step, state)))
    assert status.state == "running"
    assert [part.name for part in status.parts if part.state == "running"] == [
        *("supervisor", "postgres", "ray", "serve", "actors")
    ]
    for step in ("database", "schema", "ray", "serve"):
        assert told.index((step, "started")) < told.index((step, "done"))
    assert ("actors", "skipped") in told
    assert answers(status)


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = stack.status()
    told: list[str] = []
    assert stack.up(lambda step, state: told.append(step)) == before
    assert told == []


def test_workers_get_the_application_role_only(stack: Stack) -> None:
    status = stack.status()
    found = httpx.get(f"{status.url}/environment").json()["variables"]
    assert found["WEBNOVA_HOME"] == str(stack.home.root)
    assert found["WEBNOVA_PUBLIC_URL"] == status.url
    assert found["ANTHROPIC_API_KEY"] == "handed-through"
    assert found["WEBNOVA_DATABASE_URL_APP"].startswith("postgresql://webnova_app:")
    assert found["WEBNOVA_DATABASE_URL_WORKER"].startswith("postgresql://webnova_worker:")
    assert "WEBNOVA_DATABASE_URL" not in found
    admin = (stack.home.secrets / "postgres-admin").read_text()
    assert admin not in "".join(found.values())


def test_nothing_is_open_to_other_machines_without_the_token(stack: Stack) -> None:
    processes = processes_of(stack.home)
    names = {process.pid: process.name() for process in processes}
    assert len(names) > 10
    open_ports = [
        (names[item.pid], item.laddr.port)
        for item in psutil.net_connections(kind="inet")
        if item.pid in names
        and item.status == psutil.CONN_LISTEN
        and item.laddr.ip.removeprefix("::ffff:") != "127.0.0.1"
    ]
    assert {name for name, _ in open_ports} <= {"ray::ServeReplica:webnova:Api", "ray::ServeRepli"}
    for _, port in open_ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=10)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    dashboard = stack.status().dashboard_url
    assert httpx.get(f"{dashboard}/api/serve/applications/").status_code in (401, 403)
    assert part(stack, "serve").detail == "ingress: haproxy, fenced to loopback"


def test_no_client_header_and_no_timeout_cuts_an_answer(stack: Stack) -> None:
    url = stack.status().url
    hurried = {"x-request-timeout-seconds": "0.1"}
    assert httpx.get(f"{url}/sleep?seconds=1", headers=hurried).json() == {"slept": 1.0}
    assert httpx.get(f"{url}/stream?count=20", headers=hurried).text.count("id: ") == 20
    headers = httpx.get(f"{url}/environment", headers=hurried).json()["headers"]
    assert "x-request-timeout-seconds" not in headers


def test_secrets_are_in_no_log_and_no_command_line(stack: Stack) -> None:
    secrets = [path.read_text().strip() for path in stack.home.secrets.iterdir()]
    assert len(secrets) >= 5
    logs = [path for path in stack.home.root.glob("**/logs/**/*") if path.is_file()]
    texts = [path.read_text(errors="replace") for path in logs]
    texts += [" ".join(process.cmdline()) for process in processes_of(stack.home)]
    texts.append(stack.home.stack_file.read_text())
    assert len(texts) > 20
    assert not [text for text in texts for secret in secrets if secret in text]


def test_a_second_home_runs_beside_the_first(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = stack.status()
    traces = outside_traces()
    second = Stack(Home.at(tmp_path_factory.mktemp("second")))
    try:
        status = second.up()
        assert status.url != first.url
        assert status.dashboard_url != first.dashboard_url
        assert answers(status)
        assert answers(first)
    finally:
        second.down()
    assert processes_of(second.home) == []
    assert clean_since(traces)
    assert answers(first)


def test_killed_postgres_comes_back_where_it_was(stack: Stack) -> None:
    before = part(stack, "postgres")
    os.kill(before.pid, signal.SIGKILL)
    eventually(lambda: part(stack, "postgres").pid not in (None, before.pid), within=30)
    assert part(stack, "postgres").port == before.port
    assert stack.status().state == "running"


def test_killed_control_service_brings_the_head_and_the_api_back(stack: Stack) -> None:
    before, status = part(stack, "ray"), stack.status()
    members = tree([psutil.Process(before.pid)])
    control = next(process for process in members if process.name() == "gcs_server")
    control.kill()
    eventually(lambda: part(stack, "ray").pid not in (None, before.pid))
    eventually(lambda: stack.status().state == "running" and answers(status))
    assert stack.status().url == status.url
    assert wait_gone(members, 10) == []


def test_after_a_killed_supervisor_up_starts_afresh(stack: Stack) -> None:
    state = load_state(stack.home.stack_file)
    assert state is not None
    orphans = processes_of(stack.home)
    os.kill(state.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not state.supervisor.alive, within=10)
    assert stack.status().state == "degraded"
    status = stack.up()
    assert status.state == "running"
    assert answers(status)
    assert wait_gone(orphans, 10) == []


def test_down_in_order_keeps_the_data_and_nothing_else(stack: Stack, traces: set[str]) -> None:
    marker = stack.home.workspace / "platform"
    marker.mkdir()
    status = stack.status()
    assert status.state == "running"
    state = load_state(stack.home.stack_file)
    assert state is not None
    stack.down()
    assert_nothing_left(stack.home, traces, status, state.instance)
    assert marker.is_dir()
    assert (stack.home.postgres_data / "PG_VERSION").exists()
    stack.down()


def test_interrupted_up_leaves_nothing(stack: Stack, traces: set[str]) -> None:
    process = begin_up(stack)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert processes_of(stack.home) == []
    assert clean_since(traces)
    assert stack.status().state == "stopped"


def test_down_after_everything_was_killed_leaves_nothing(stack: Stack, traces: set[str]) -> None:
    process = begin_up(stack)
    eventually(lambda: "gcs_server" in {each.name() for each in processes_of(stack.home)})
    status, state = stack.status(), load_state(stack.home.stack_file)
    assert state is not None
    assert state.postgres is not None
    assert state.ray is not None
    for pid in (state.supervisor.pid, state.postgres.pid, state.ray.pid):
        os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert b"Unavailable" in errors
    stack.down()
    assert stack.status().state == "stopped"
    assert_nothing_left(stack.home, traces, status, state.instance)


def begin_up(stack: Stack) -> subprocess.Popen[bytes]:
    """Another program's `up`, as far as the head being started."""
    program = (
        # A test run in the background of a shell ignores it, and children inherit that.
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from webnova.stack.local import Stack\n"
        "from webnova.stack.home import Home\n"
        f"Stack(Home.at({str(stack.home.root)!r})).up()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ['PYTHONPATH']}"},
        stderr=subprocess.PIPE,
    )
    eventually(lambda: (state := load_state(stack.home.stack_file)) and state.ray)
    return process


def test_an_application_that_fails_is_told_and_leaves_nothing(
    stack: Stack, traces: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "serve.yaml"
    broken.write_text((ROOT / "serve.yaml").read_text().replace("serve_apps.app", "absent_module"))
    monkeypatch.setenv("WEBNOVA_SERVE_CONFIG", str(broken))
    with pytest.raises(Unavailable, match="absent_module"):
        stack.up()
    assert stack.status().state == "failed"
    assert processes_of(stack.home) == []
    assert clean_since(traces)


def assert_nothing_left(home: Home, traces: set[str], status: StackStatus, instance: str) -> None:
    assert processes_of(home) == []
    marked = f"{MARK}={instance}".encode()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            assert marked not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert clean_since(traces)
    assert [path.name for path in home.run.iterdir()] == ["supervisor.lock"]
    assert not [path for path in home.root.rglob("*") if path.is_socket()]
    ports = [part.port for part in status.parts if part.port]
    assert len(ports) == 2
    assert all(is_free(port) for port in ports)
