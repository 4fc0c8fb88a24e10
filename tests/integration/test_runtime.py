"""Servers, environments and sandboxes together, with real processes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import secrets
import socket
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvicorn

from engine.kernel.errors import InvalidInput, NotFound, StepFailed, Unavailable
from engine.runtime.dependencies import DependencyCache, Source
from engine.runtime.processes import Address, ProcessSpec, RestartPolicy, Supervisor
from engine.runtime.sandbox import (
    BubblewrapDriver,
    Limits,
    ProcessDriver,
    SandboxSpec,
    choose_driver,
    python_paths,
)

ROOT = Path(__file__).parents[2]
PACKAGES = Path(uvicorn.__file__).parents[1]
PYTHON = Path(sys.executable)
Driver = BubblewrapDriver | ProcessDriver
FAST = RestartPolicy(first_delay_s=0.05, most_crashes=4, check_every_s=0.2, stable_s=300)

APP = """
import asyncio, os, subprocess, sys
print("imported", flush=True)
sick = False

async def app(scope, receive, send):
    global sick
    if scope["type"] != "http":
        return
    path, status, parts = scope["path"], 200, [b"ok"]
    if path == "/health":
        status = 503 if sick else 200
    elif path == "/sicken":
        sick = True
    elif path == "/crash":
        os._exit(3)
    elif path == "/family":
        subprocess.Popen(["sleep", scope["query_string"].decode()], start_new_session=True)
    elif path == "/environment":
        parts = [repr(dict(os.environ)).encode()]
    elif path == "/greedy":
        parts = [str(len(b"x" * (1 << 30))).encode()]
    await send({"type": "http.response.start", "status": status, "headers": []})
    if path == "/stream":
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d\\n" % number, "more_body": True})
            # Goes on only when the reader says that the part before has come.
            while not os.path.exists(f"seen-{number}"):
                await asyncio.sleep(0.01)
        parts = [b"end\\n"]
    for part in parts:
        await send({"type": "http.response.body", "body": part})
"""


@pytest.fixture(params=[BubblewrapDriver, ProcessDriver], ids=["bubblewrap", "process"])
async def driver(request: pytest.FixtureRequest) -> Driver:
    made: Driver = request.param()
    reason = await made.available()
    if reason is not None:
        pytest.skip(reason)
    return made


class Changes:
    """Records what the supervisor tells, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def __call__(self, instance_id: str, state: str, detail: str) -> None:
        self.told.append((instance_id, state, detail))

    def states(self) -> list[str]:
        return [state for _, state, _ in self.told]

    async def until(self, states: list[str]) -> None:
        assert await until(lambda: self.states() == states), self.told


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
async def supervisor(driver: Driver, changes: Changes) -> AsyncIterator[Supervisor]:
    async with Supervisor(driver, policy=FAST, on_change=changes) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path) -> ProcessSpec:
    workdir = tmp_path / "platform"
    workdir.mkdir()
    (workdir / "served.py").write_text(APP)
    return ProcessSpec(
        name="clinic",
        argv=(str(PYTHON), "-m", "uvicorn", "--uds", "{socket}", "--no-access-log", "served:app"),
        cwd=workdir,
        env={"PYTHONPATH": str(PACKAGES)},
        read_only=(*python_paths(PYTHON), PACKAGES),
        log_path=tmp_path / "logs" / "server.log",
        start_timeout_s=40,
    )


def processes_with(token: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if token in " ".join(process.info["cmdline"] or []):
            found.append(process.pid)
    return found


async def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes true within some seconds."""
    for _ in range(400):
        if holds():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_server_is_reached_over_its_socket(
    supervisor: Supervisor, server: ProcessSpec, driver: Driver, changes: Changes
) -> None:
    instance = await supervisor.start(server)
    assert (instance.state, instance.driver, instance.port) == ("running", driver.name, None)
    assert instance.isolated == driver.isolated
    address = Address.parse(instance.address)
    async with address.client() as client:
        assert (await client.get("/anything")).text == "ok"
    assert "imported" in supervisor.logs(instance.id)
    await supervisor.stop(instance.id)
    assert changes.states() == ["starting", "running", "stopping", "stopped"]
    assert address.socket is not None and not address.socket.parent.exists()
    assert not psutil.pid_exists(instance.pid)
    with pytest.raises(NotFound):
        supervisor.get(instance.id)


async def test_a_response_streams_part_by_part(supervisor: Supervisor, server: ProcessSpec) -> None:
    instance = await supervisor.start(server)
    async with (
        Address.parse(instance.address).client(timeout_s=20) as client,
        client.stream("GET", "/stream") as answer,
    ):
        got = []
        async for line in answer.aiter_lines():
            got.append(line)
            # The server waits for this before it sends the next part.
            (server.cwd / f"seen-{line}").touch()
    assert got == ["0", "1", "2", "end"]


async def test_a_stop_is_gentle_first(supervisor: Supervisor, server: ProcessSpec) -> None:
    instance = await supervisor.start(server)
    post = supervisor._posts[instance.id]
    await supervisor.stop(instance.id, grace_s=20)
    log = "\n".join(server.log_path.read_text().splitlines())
    assert "Application shutdown complete" in log or "Finished server process" in log
    assert post.state == "stopped"


async def test_a_server_that_ignores_the_request_is_killed(
    supervisor: Supervisor, server: ProcessSpec
) -> None:
    stubborn = APP + "\nimport signal\nsignal.signal = lambda *_: None\n"
    stubborn += "import signal as s, _signal\n_signal.signal(15, _signal.SIG_IGN)\n"
    (server.cwd / "served.py").write_text(stubborn)
    argv = (*server.argv[:-1], "--loop", "asyncio", "served:app")
    instance = await supervisor.start(server.model_copy(update={"argv": argv}))
    await supervisor.stop(instance.id, grace_s=0.2)
    assert not psutil.pid_exists(instance.pid)


async def test_a_stop_ends_what_the_server_started(
    supervisor: Supervisor, server: ProcessSpec
) -> None:
    token = f"600.{secrets.randbits(40)}"
    instance = await supervisor.start(server)
    async with Address.parse(instance.address).client() as client:
        await client.get(f"/family?{token}")
    assert processes_with(token)
    await supervisor.stop(instance.id)
    assert processes_with(token) == []


async def test_a_crashed_server_comes_back_at_the_same_address(
    supervisor: Supervisor, server: ProcessSpec, changes: Changes
) -> None:
    first = await supervisor.start(server)
    async with Address.parse(first.address).client() as client:
        with pytest.raises(httpx.HTTPError):
            await client.get("/crash")
        await changes.until(["starting", "running", "restarting", "running"])
        assert (await client.get("/")).text == "ok"
    second = supervisor.get(first.id)
    assert (second.address, second.restarts) == (first.address, 1)
    assert second.pid != first.pid
    assert second.started_at > first.started_at
    assert changes.told[2][2] == "It ended with exit code 3."


async def test_a_server_that_stops_being_healthy_is_restarted(
    supervisor: Supervisor, server: ProcessSpec, changes: Changes
) -> None:
    instance = await supervisor.start(server)
    async with Address.parse(instance.address).client() as client:
        await client.get("/sicken")
    await changes.until(["starting", "running", "restarting", "running"])
    assert "health" in changes.told[2][2]


async def test_a_server_that_crashes_again_and_again_is_given_up(
    supervisor: Supervisor, server: ProcessSpec, changes: Changes
) -> None:
    instance = await supervisor.start(server)
    (server.cwd / "served.py").write_text("raise SystemExit('broken release')")
    psutil.Process(instance.pid).kill()
    await changes.until(["starting", "running", *["restarting"] * 3, "failed"])
    assert supervisor.get(instance.id).state == "failed"
    assert "Given up after 4 crashes" in changes.told[-1][2]
    assert any("broken release" in line for line in supervisor.logs(instance.id))
    await supervisor.stop(instance.id)
    assert supervisor.instances() == []


async def test_a_server_that_can_not_start_says_why(
    supervisor: Supervisor, server: ProcessSpec, changes: Changes
) -> None:
    (server.cwd / "served.py").write_text("raise RuntimeError('no such table')")
    with pytest.raises(StepFailed) as caught:
        await supervisor.start(server)
    assert any("no such table" in line for line in caught.value.fields["log"])
    assert changes.states() == ["starting", "failed"]
    assert supervisor.instances() == []


async def test_a_server_that_never_becomes_healthy_is_ended(
    supervisor: Supervisor, server: ProcessSpec
) -> None:
    token = f"600.{secrets.randbits(40)}"
    spec = server.model_copy(update={"argv": ("sleep", token), "start_timeout_s": 0.5})
    with pytest.raises(StepFailed, match="in time"):
        await supervisor.start(spec)
    assert processes_with(token) == []


async def test_giving_up_a_start_leaves_nothing(
    supervisor: Supervisor, server: ProcessSpec
) -> None:
    token = f"600.{secrets.randbits(40)}"
    task = asyncio.create_task(
        supervisor.start(server.model_copy(update={"argv": ("sleep", token)}))
    )
    assert await until(lambda: bool(processes_with(token)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_with(token) == []


async def test_a_server_that_takes_too_much_memory_is_held_back(
    supervisor: Supervisor, server: ProcessSpec
) -> None:
    limits = Limits(cpu_s=None, wall_s=None, memory_bytes=300 << 20)
    instance = await supervisor.start(server.model_copy(update={"limits": limits}))
    async with Address.parse(instance.address).client() as client:
        answer = await client.get("/greedy")
    assert answer.status_code == 500
    assert await until(lambda: "MemoryError" in "".join(supervisor.logs(instance.id)))


async def test_the_platforms_environment_stays_outside(
    supervisor: Supervisor, server: ProcessSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_MASTER_KEY", "do-not-tell")
    instance = await supervisor.start(server)
    async with Address.parse(instance.address).client() as client:
        text = (await client.get("/environment")).text
    assert "WEBNOVA_SOCKET" in text
    assert "do-not-tell" not in text


async def test_without_isolation_a_server_may_listen_on_a_port(server: ProcessSpec) -> None:
    argv = (*server.argv[:3], "--port", "{port}", "served:app")
    spec = server.model_copy(update={"argv": argv, "listen": "tcp"})
    async with Supervisor(ProcessDriver(), policy=FAST) as supervisor:
        instance = await supervisor.start(spec)
        assert instance.port is not None
        assert instance.address == f"http://127.0.0.1:{instance.port}"
        async with Address.parse(instance.address).client() as client:
            assert (await client.get("/")).text == "ok"


async def test_a_port_that_was_taken_meanwhile_is_replaced(
    server: ProcessSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = (*server.argv[:3], "--port", "{port}", "served:app")
    spec = server.model_copy(update={"argv": argv, "listen": "tcp"})
    with (
        socket.create_server(("127.0.0.1", 0)) as holder,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        taken, free = holder.getsockname()[1], other.getsockname()[1]
        other.close()
        ports = iter([taken, taken, free])
        monkeypatch.setattr("engine.runtime.processes.life._free_port", lambda: next(ports))
        async with Supervisor(ProcessDriver(), policy=FAST) as supervisor:
            assert (await supervisor.start(spec)).port == free


async def test_an_isolated_server_can_not_listen_on_a_port(server: ProcessSpec) -> None:
    driver = BubblewrapDriver()
    if reason := await driver.available():
        pytest.skip(reason)
    async with Supervisor(driver) as supervisor:
        with pytest.raises(InvalidInput, match="isolated"):
            await supervisor.start(server.model_copy(update={"listen": "tcp"}))


async def test_death_of_the_supervisor_ends_its_servers(
    driver: Driver, server: ProcessSpec, tmp_path: Path
) -> None:
    token = secrets.token_hex(8)
    spec = server.model_copy(update={"argv": (*server.argv, "--app-dir", f"../platform/./{token}")})
    (server.cwd / token).mkdir()
    (server.cwd / token / "served.py").write_text(APP)
    source = f"""
import asyncio
from engine.runtime.processes import *
from engine.runtime.sandbox import *
async def main():
    supervisor = Supervisor({type(driver).__name__}())
    spec = ProcessSpec.model_validate_json({spec.model_dump_json()!r})
    print((await supervisor.start(spec)).address)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", source, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    try:
        address = (await owner.stdout.readline()).decode().strip()
        assert address.startswith("unix:")
        assert processes_with(f"./{token}")
    finally:
        owner.kill()
        await owner.wait()
    assert await until(lambda: not processes_with(f"./{token}"))
    # The next supervisor clears away the socket's directory.
    await Supervisor(driver).close()
    assert not Path(address.removeprefix("unix:")).parent.exists()


# Environments


def wheel(name: str, version: str, *, requires: str = "", size: int = 0) -> tuple[str, bytes]:
    """File name and bytes of a minimal wheel with one module and one program."""
    files = {
        f"{name}.py": f"VERSION = {version!r}\ndef main():\n    print({name!r}, VERSION)\n",
        f"{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + (f"Requires-Dist: {requires}\n" if requires else "")
        ),
        f"{name}-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{name}-{version}.dist-info/entry_points.txt": (
            f"[console_scripts]\n{name} = {name}:main\n"
        ),
    }
    if size:
        files[f"{name}_data.txt"] = secrets.token_hex(size // 2)
    record = f"{name}-{version}.dist-info/RECORD"
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text.encode())}\n")
    files[record] = "".join(rows) + f"{record},,\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return f"{name}-{version}-py3-none-any.whl", packed.getvalue()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    directory = tmp_path / "wheels"
    directory.mkdir()
    for made in (
        wheel("alpha", "1.0", size=200_000),
        wheel("alpha", "2.0", size=200_000),
        wheel("beta", "1.0", requires="alpha>=1"),
    ):
        (directory / made[0]).write_bytes(made[1])
    return directory


@pytest.fixture
def cache(tmp_path: Path, wheels: Path) -> DependencyCache:
    return DependencyCache(tmp_path / "cache", source=Source(wheels=wheels))


async def test_an_environment_is_made_once_and_runs_in_a_sandbox(
    cache: DependencyCache, tmp_path: Path
) -> None:
    first = await cache.ensure("alpha==1.0\n", python=sys.executable)
    second = await cache.ensure("# the same\nAlpha == 1.0".replace(" == ", "=="))
    assert (first.created, second.created) == (True, False)
    assert (first.path, first.digest) == (second.path, second.digest)
    workdir = tmp_path / "work"
    workdir.mkdir()
    driver = await choose_driver()
    for argv in ((str(first.python), "-m", "alpha"), (str(first.path / "bin" / "alpha"),)):
        spec = SandboxSpec(argv=argv, cwd=workdir, read_only=first.read_only)
        result = await driver.run(spec)
        assert result.verdict == "ok", result.stderr
    assert result.stdout == "alpha 1.0\n"
    module = first.path.glob("lib/python*/site-packages/alpha.py")
    assert [path.stat().st_mode & 0o222 for path in module] == [0]
    assert list(first.path.glob("lib/python*/site-packages/__pycache__/alpha.*.pyc"))


async def test_callers_in_several_processes_share_one_making(
    cache: DependencyCache, tmp_path: Path, wheels: Path
) -> None:
    source = f"""
import asyncio, json
from pathlib import Path
from engine.runtime.dependencies import *
async def main():
    source = Source(wheels=Path({str(wheels)!r}))
    cache = DependencyCache(Path({str(tmp_path / "cache")!r}), source=source)
    made = await asyncio.gather(*(cache.ensure("alpha==1.0") for _ in range(3)))
    print(json.dumps([environment.created for environment in made]))
asyncio.run(main())
"""
    others = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [json.loads((await other.communicate())[0]) for other in others]
    assert sum(sum(created) for created in said) == 1


async def test_a_half_made_environment_is_never_used(
    cache: DependencyCache, tmp_path: Path
) -> None:
    made = await cache.ensure("alpha==1.0")
    made.release()
    made.path.chmod(0o755)
    (made.path / "environment.json").unlink()
    assert not cache.verify(made.digest)
    again = await cache.ensure("alpha==1.0")
    assert again.created
    assert cache.verify(made.digest)
    assert len(list((tmp_path / "cache" / "quarantine").iterdir())) == 1


async def test_a_maker_that_was_killed_leaves_nothing_in_the_way(
    cache: DependencyCache, tmp_path: Path
) -> None:
    made = await cache.ensure("alpha==1.0")
    made.release()
    half = tmp_path / "cache" / "building" / made.digest
    half.mkdir()
    (half / "junk").write_text("half")
    made.path.rename(tmp_path / "elsewhere")
    assert (await cache.ensure("alpha==1.0")).created
    assert not half.exists()


async def test_a_lock_that_can_not_be_installed_is_invalid(cache: DependencyCache) -> None:
    with pytest.raises(InvalidInput) as caught:
        await cache.ensure("alpha==9.9")
    assert "alpha" in caught.value.fields["reason"]
    assert "/" not in caught.value.fields["reason"]


async def test_a_lock_without_all_dependencies_is_invalid(cache: DependencyCache) -> None:
    with pytest.raises(InvalidInput) as caught:
        await cache.ensure("beta==1.0")
    assert "alpha" in caught.value.fields["reason"]
    assert (await cache.ensure("beta==1.0\nalpha==2.0")).created


async def test_a_wheel_with_another_hash_is_refused(cache: DependencyCache, wheels: Path) -> None:
    content = (wheels / "alpha-1.0-py3-none-any.whl").read_bytes()
    right = hashlib.sha256(content).hexdigest()
    with pytest.raises(InvalidInput):
        await cache.ensure(f"alpha==1.0 --hash=sha256:{'0' * 64}")
    assert (await cache.ensure(f"alpha==1.0 \\\n    --hash=sha256:{right}")).created


async def test_an_unreachable_registry_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    source = Source(index_url=f"http://127.0.0.1:{port}/simple")
    with pytest.raises(Unavailable) as caught:
        await DependencyCache(tmp_path / "cache", source=source).ensure("alpha==1.0")
    assert caught.value.mend
    assert str(port) not in caught.value.fields["reason"]


async def test_an_unknown_python_is_invalid(cache: DependencyCache) -> None:
    for wanted in ("9.9", "/nowhere/python3"):
        with pytest.raises(InvalidInput, match="no such Python"):
            await cache.ensure("alpha==1.0", python=wanted)


async def test_pruning_takes_the_longest_unused_and_spares_what_is_in_use(
    cache: DependencyCache,
) -> None:
    used = await cache.ensure("alpha==1.0")
    old = await cache.ensure("alpha==2.0")
    recent = await cache.ensure("beta==1.0\nalpha==2.0")
    for environment in (old, recent):
        environment.release()
    os.utime(used.path / "environment.json", (1, 1))
    os.utime(old.path / "environment.json", (2, 2))
    everything = await cache.prune(1 << 40)
    without_downloads = await cache.prune(everything - 1)
    assert without_downloads < everything
    assert used.path.exists() and recent.path.exists() and old.path.exists()
    assert await cache.prune(without_downloads - 1) < without_downloads
    assert used.path.exists() and recent.path.exists() and not old.path.exists()
    await cache.prune(0)
    assert used.path.exists() and not recent.path.exists()
    used.release()
    assert await cache.prune(0) == 0
    assert (await cache.ensure("alpha==1.0")).created


async def test_sandboxes_work_while_a_server_runs(
    supervisor: Supervisor, server: ProcessSpec, driver: Driver, tmp_path: Path
) -> None:
    """A generated suite reaches its own server inside the sandbox, never the running one."""
    await supervisor.start(server)
    workdir = tmp_path / "suite"
    workdir.mkdir()
    source = f"""
import socket
sock = socket.socket(socket.AF_UNIX)
try:
    sock.connect({supervisor.instances()[0].address.removeprefix("unix:")!r})
    print("reached")
except OSError:
    print("hidden")
"""
    spec: dict[str, Any] = {"argv": (str(PYTHON), "-c", source), "cwd": workdir}
    result = await driver.run(SandboxSpec(**spec, read_only=python_paths(PYTHON)))
    assert result.stdout == ("hidden\n" if driver.isolated else "reached\n")
