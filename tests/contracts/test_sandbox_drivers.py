"""What every sandbox driver guarantees; what only an isolated one does is tested both ways."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.kernel.errors import InvalidInput
from engine.runtime.sandbox import (
    Limits,
    SandboxDriver,
    SandboxResult,
    SandboxSpec,
    drivers,
    python_paths,
)

PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
ROOT = Path(__file__).parents[2]
MIB = 1 << 20

Run = Callable[..., Awaitable[SandboxResult]]


@pytest.fixture(params=drivers(), ids=lambda driver: driver.name)
async def driver(request: pytest.FixtureRequest) -> SandboxDriver:
    made: SandboxDriver = request.param
    reason = await made.available()
    if reason is not None:
        pytest.skip(reason)
    return made


@pytest.fixture
def run(driver: SandboxDriver, tmp_path: Path) -> Run:
    """Runs Python source in a fresh working directory under tight limits."""
    workdir = tmp_path / "work"
    workdir.mkdir()

    async def python(source: str, *, sink: Any = None, **changes: Any) -> SandboxResult:
        limits = Limits(**{"cpu_s": 20, "wall_s": 30, **changes.pop("limits", {})})
        spec = SandboxSpec(
            argv=(str(PYTHON), "-I", "-c", source),
            cwd=workdir,
            read_only=python_paths(PYTHON),
            limits=limits,
            **changes,
        )
        return await driver.run(spec, on_output=sink)

    return python


def processes_with(token: str) -> list[int]:
    """Pids of processes that have the token in their command line, wherever they live."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if token in " ".join(process.info["cmdline"] or []):
            found.append(process.pid)
    return found


def programs(name: str, token: str) -> list[int]:
    """Pids of processes that are this program itself and no enclosure of it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == [name, token]:
            found.append(process.pid)
    return found


async def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes true within some seconds."""
    for _ in range(400):
        if holds():
            return True
        await asyncio.sleep(0.05)
    return False


async def gone(token: str) -> bool:
    return await until(lambda: not processes_with(token))


async def appeared(token: str, count: int) -> bool:
    return await until(lambda: len(processes_with(token)) >= count)


def family(token: str) -> str:
    """A program that starts a child and a double-forked one in a session of its own, then waits."""
    return f"""
import os, subprocess, time
subprocess.Popen(["sleep", "{token}"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "{token}"])
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


def sleeping_time() -> str:
    """A duration for `sleep` that no other test uses."""
    return f"600.{secrets.randbits(40)}"


async def test_reports_success_and_both_streams(run: Run, driver: SandboxDriver) -> None:
    result = await run("import sys; print('hello'); print('مرحبا', file=sys.stderr)")
    assert (result.verdict, result.exit_code, result.reason) == ("ok", 0, "")
    assert (result.stdout, result.stderr) == ("hello\n", "مرحبا\n")
    assert (result.driver, result.isolated) == (driver.name, driver.isolated)


async def test_passes_standard_input_and_its_end(run: Run) -> None:
    sent = b"\xd9\x85 line\n" * 40_000
    result = await run("import sys; d = sys.stdin.buffer.read(); print(len(d), d[:2])", stdin=sent)
    assert result.stdout == f"{len(sent)} {sent[:2]!r}\n"


async def test_without_input_the_program_reads_the_end_at_once(run: Run) -> None:
    result = await run("import sys; print(repr(sys.stdin.read()))")
    assert result.stdout == "''\n"


async def test_a_program_that_ignores_its_input_is_no_failure(run: Run) -> None:
    result = await run("print('done')", stdin=b"x" * (4 * MIB))
    assert (result.verdict, result.stdout) == ("ok", "done\n")


async def test_reports_the_programs_own_exit_code(run: Run) -> None:
    result = await run("raise SystemExit(7)")
    assert (result.verdict, result.exit_code) == ("runtime_error", 7)


async def test_reports_an_exception_as_runtime_error(run: Run) -> None:
    result = await run("print(1 / 0)")
    assert (result.verdict, result.exit_code) == ("runtime_error", 1)
    assert "ZeroDivisionError" in result.stderr


async def test_reports_a_crash_as_128_plus_its_signal(run: Run) -> None:
    result = await run("import os; os.kill(os.getpid(), 11)")
    expected = 128 + signal.SIGSEGV
    # The first process of a process namespace ignores its own signals; the program is not it.
    assert (result.verdict, result.exit_code) == ("runtime_error", expected)


async def test_reports_a_program_that_does_not_exist(driver: SandboxDriver, tmp_path: Path) -> None:
    result = await driver.run(SandboxSpec(argv=("no-such-program",), cwd=tmp_path))
    assert (result.verdict, result.exit_code) == ("runtime_error", 127)
    assert "no-such-program" in result.stderr


async def test_a_missing_directory_is_invalid_input(driver: SandboxDriver, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="working directory"):
        await driver.run(SandboxSpec(argv=("true",), cwd=tmp_path / "none"))
    with pytest.raises(InvalidInput, match="doesn't exist"):
        spec = SandboxSpec(argv=("true",), cwd=tmp_path, read_only=(tmp_path / "none",))
        await driver.run(spec)


@pytest.mark.parametrize("path", ["/", "/tmp", "/usr", "/etc/ssl", "/proc", "/dev/shm"])
async def test_refuses_a_working_directory_of_the_system(driver: SandboxDriver, path: str) -> None:
    with pytest.raises(InvalidInput):
        await driver.run(SandboxSpec(argv=("true",), cwd=Path(path)))


async def test_hands_on_lines_while_the_program_runs(run: Run) -> None:
    lines: list[str] = []
    released = asyncio.Event()

    def sink(line: str) -> None:
        lines.append(line)
        released.set()

    # The program ends only by its limit, so a line in time can't come from its end.
    source = "import time; print('first', flush=True); time.sleep(600)"
    task = asyncio.create_task(run(source, sink=sink))  # type: ignore[arg-type]
    await asyncio.wait_for(released.wait(), 20)
    assert lines == ["first"]
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_lines_come_whole_whatever_the_chunks(run: Run) -> None:
    lines: list[str] = []
    source = r"""
import os
for piece in (b"\xd9", b"\x85a", b"b\ncd", b"\r\n\n", b"end"):
    os.write(1, piece)
"""
    await run(source, sink=lines.append)
    assert lines == ["مab", "cd", "", "end"]


async def test_bytes_that_are_no_text_are_replaced(run: Run) -> None:
    result = await run(r"import os; os.write(1, b'a\xff\x00b')")
    assert result.stdout == "a\ufffd\0b"


async def test_a_failing_sink_ends_the_program_and_is_reported(run: Run) -> None:
    token = sleeping_time()

    def sink(line: str) -> None:
        raise RuntimeError(f"no room for {line}")

    with pytest.raises(RuntimeError, match="no room for ready"):
        await run(family(token), sink=sink)
    assert await gone(token)


async def test_wall_time_ends_the_whole_tree(run: Run) -> None:
    token = sleeping_time()
    result = await run(family(token), limits={"wall_s": 2})
    assert result.verdict == "time_limit"
    assert "ready" in result.stdout
    assert processes_with(token) == []


async def test_processor_time_ends_a_busy_tree(run: Run) -> None:
    source = "import os\nos.fork(); os.fork()\nwhile True: pass"
    result = await run(source, limits={"cpu_s": 1, "wall_s": 25})
    assert result.verdict == "time_limit"
    assert "CPU" in result.reason


async def test_what_a_program_leaves_behind_ends_with_it(run: Run) -> None:
    token = sleeping_time()
    source = family(token).replace("time.sleep(600)", "")
    result = await run(source)
    assert (result.verdict, result.stdout) == ("ok", "ready\n")
    assert processes_with(token) == []


async def test_cancelling_ends_the_whole_tree(run: Run) -> None:
    token = sleeping_time()
    task = asyncio.create_task(run(family(token)))  # type: ignore[arg-type]
    assert await appeared(token, 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_with(token) == []


async def test_death_of_the_platform_ends_the_whole_tree(
    driver: SandboxDriver, tmp_path: Path
) -> None:
    token = sleeping_time()
    parent_source = f"""
import asyncio
from pathlib import Path
from engine.runtime.sandbox import *
spec = SandboxSpec(
    argv=({str(PYTHON)!r}, "-I", "-c", {family(token)!r}),
    cwd=Path({str(tmp_path)!r}),
    read_only=python_paths(Path({str(PYTHON)!r})),
)
asyncio.run({type(driver).__name__}().run(spec))
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", parent_source, cwd=ROOT)
    try:
        assert await appeared(token, 2)
    finally:
        parent.kill()
        await parent.wait()
    assert await gone(token)


async def test_a_fork_bomb_is_stopped(run: Run) -> None:
    # It stops by itself after eleven doublings, so that a driver that fails this test does not
    # take the machine with it.
    token = secrets.token_hex(8)
    source = f"""
import os, time  # {token}
for _ in range(11):
    try:
        os.fork()
    except OSError:
        pass
time.sleep(600)
"""
    result = await run(source, limits={"processes": 40})
    assert result.verdict == "policy"
    assert "40 processes" in result.reason
    assert processes_with(token) == []


async def test_the_kernel_bounds_tasks_wherever_that_is_claimed(run: Run) -> None:
    source = """
import os, signal
for _ in range(150):
    try:
        if os.fork() == 0:
            signal.pause()
    except OSError as error:
        print("refused", error.errno, flush=True)
        break
"""
    result = await run(source, limits={"processes": 40})
    if "processes" in result.enforced:
        assert "refused 11" in result.stdout or result.verdict == "policy"
    else:
        assert "processes" in result.unenforced


async def test_threads_count_as_processes(run: Run) -> None:
    source = """
import threading, time
for _ in range(60):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(600)
"""
    result = await run(source, limits={"processes": 30})
    assert result.verdict in ("policy", "runtime_error")


async def test_memory_of_one_process_is_bounded(run: Run) -> None:
    result = await run("x = bytearray(400 << 20); print(len(x))", limits={"memory_bytes": 96 * MIB})
    assert result.verdict == "memory_limit"
    assert result.stdout == ""


async def test_memory_of_the_tree_is_bounded(run: Run) -> None:
    source = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        block = b"x" * (60 << 20)
        time.sleep(600)
time.sleep(600)
"""
    result = await run(source, limits={"memory_bytes": 120 * MIB})
    assert result.verdict == "memory_limit"


async def test_shared_memory_counts_too(run: Run) -> None:
    source = """
import mmap, time
block = mmap.mmap(-1, 200 << 20)
for start in range(0, 200 << 20, 4096):
    block[start] = 1
print("filled", flush=True)
time.sleep(600)
"""
    result = await run(source, limits={"memory_bytes": 96 * MIB})
    assert result.verdict == "memory_limit"


async def test_output_is_bounded_and_its_beginning_kept(run: Run) -> None:
    source = "import sys\nwhile True: sys.stdout.write('y' * 1000)"
    result = await run(source, limits={"output_bytes": 100_000})
    assert result.verdict == "output_limit"
    assert result.stdout == "y" * 100_000


async def test_output_past_the_limit_is_found_even_when_the_program_ends_at_once(run: Run) -> None:
    result = await run("print('z' * 60_000)", limits={"output_bytes": 50_000})
    assert result.verdict == "output_limit"


async def test_one_line_without_end_is_handed_on_in_parts(run: Run) -> None:
    parts: list[str] = []
    result = await run("print('q' * 300_000, end='')", sink=parts.append)
    assert result.verdict == "ok"
    assert "".join(parts) == "q" * 300_000
    assert len(parts) > 1


async def test_file_size_is_bounded(run: Run, tmp_path: Path) -> None:
    source = "f = open('big', 'wb')\nwhile True: f.write(b'x' * 65536)"
    result = await run(source, limits={"file_bytes": MIB})
    assert result.verdict == "output_limit"
    assert (tmp_path / "work" / "big").stat().st_size <= MIB


async def test_all_of_an_isolated_scratch_directory_is_bounded(
    run: Run, driver: SandboxDriver
) -> None:
    source = """
import os, tempfile
for name in range(4):
    with open(os.path.join(tempfile.gettempdir(), str(name)), "wb") as file:
        file.write(b"x" * (3 << 20))
"""
    result = await run(source, limits={"file_bytes": 4 * MIB})
    assert (result.verdict == "ok") == (not driver.isolated)


async def test_no_network_beyond_the_sandbox(run: Run, driver: SandboxDriver) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = f"""
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=5).close()
    print("reached")
except OSError as error:
    print("refused", error.errno)
"""
    async with server:
        result = await run(source, network="loopback")
    assert (result.stdout == "reached\n") == (not driver.isolated)
    assert ("network" in result.enforced) == driver.isolated
    assert ("network" in result.unenforced) == (not driver.isolated)


async def test_an_isolated_network_has_only_its_loopback(run: Run, driver: SandboxDriver) -> None:
    source = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname(), timeout=5).close()
print(sorted(name for _, name in socket.if_nameindex()))
"""
    result = await run(source, network="loopback")
    assert result.verdict == "ok"
    if driver.isolated:
        assert result.stdout == "['lo']\n"


async def test_the_environment_is_only_what_was_given(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_MASTER_KEY", "do-not-tell")
    result = await run(
        "import os, json; print(json.dumps(dict(os.environ)))", env={"COLOUR": "green"}
    )
    assert '"COLOUR": "green"' in result.stdout
    assert "do-not-tell" not in result.stdout
    names = {"PATH", "HOME", "TMPDIR", "LANG", "COLOUR", "PWD", "LC_CTYPE"}
    assert set(json.loads(result.stdout)) <= names


async def test_variables_never_show_in_a_command_line(run: Run) -> None:
    secret = secrets.token_hex(16)
    task = asyncio.create_task(
        run(  # type: ignore[arg-type]
            f"import time; time.sleep(600)  # {secret[:8]}", env={"DATABASE_PASSWORD": secret}
        )
    )
    assert await appeared(secret[:8], 1)
    shown = processes_with(secret)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shown == []


async def test_cancelling_at_any_moment_leaves_nothing(
    driver: SandboxDriver, tmp_path: Path
) -> None:
    token = sleeping_time()
    spec = SandboxSpec(argv=("sleep", token), cwd=tmp_path)
    for step in range(24):
        task = asyncio.create_task(driver.run(spec))  # type: ignore[arg-type]
        await asyncio.sleep(step * 0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        assert processes_with(token) == []


async def test_death_of_the_platform_at_any_moment_leaves_nothing(
    driver: SandboxDriver, tmp_path: Path
) -> None:
    token = sleeping_time()
    source = f"""
import asyncio
from pathlib import Path
from engine.runtime.sandbox import *
async def main():
    driver = {type(driver).__name__}()
    await driver.available()
    print("now", flush=True)
    await driver.run(SandboxSpec(argv=("sleep", {token!r}), cwd=Path({str(tmp_path)!r})))
asyncio.run(main())
"""
    for step in range(8):
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"now\n"
        await asyncio.sleep(step * 0.003)
        parent.kill()
        await parent.wait()
        assert await until(lambda: not programs("sleep", token))
    # Empty enclosures may be left, until the next platform looks whether it can make its own.
    await type(driver)().available()
    assert await gone(token)


async def test_other_files_can_not_be_read_if_isolated(
    run: Run, driver: SandboxDriver, tmp_path: Path
) -> None:
    hidden = tmp_path / "secret"
    hidden.write_text("treasure")
    paths = [str(hidden), "/etc/shadow", str(Path.home()), str(ROOT / "pyproject.toml"), "/sys"]
    source = f"""
import os
print([path for path in {paths!r} if os.path.exists(path)])
try:
    print(open({str(hidden)!r}).read())
except OSError:
    print("hidden")
"""
    result = await run(source)
    assert ("treasure" in result.stdout) == (not driver.isolated)
    assert ("filesystem" in result.enforced) == driver.isolated
    if driver.isolated:
        # A directory on the way to a mounted Python exists, with nothing else in it.
        visible = eval(result.stdout.splitlines()[0])
        assert set(visible) <= {str(Path.home())}


async def test_other_processes_are_not_seen_if_isolated(run: Run, driver: SandboxDriver) -> None:
    result = await run(
        "import os; print(len([name for name in os.listdir('/proc') if name.isdigit()]))"
    )
    if driver.isolated:
        assert int(result.stdout) <= 3


async def test_nothing_outside_the_working_directory_can_be_written_if_isolated(
    run: Run, driver: SandboxDriver, tmp_path: Path
) -> None:
    targets = [str(tmp_path / "escaped"), "/escaped", "/usr/escaped", "/etc/escaped"]
    targets += ["/dev/escaped", str(PYTHON.parent / "escaped")]
    # Opened for appending, these stay as they are.
    targets += ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"]
    if not driver.isolated:
        targets = targets[:1]
    source = f"""
for path in {targets!r}:
    try:
        open(path, "a").close()
        print(path)
    except OSError:
        pass
open("inside", "w").write("kept")
"""
    result = await run(source)
    assert result.verdict == "ok"
    if driver.isolated:
        # The private /tmp may be written, but that is not the one out here.
        assert result.stdout in ("", f"{tmp_path}/escaped\n")
    assert (tmp_path / "escaped").exists() == (not driver.isolated)
    assert (tmp_path / "work" / "inside").read_text() == "kept"


async def test_an_extra_directory_is_readable_and_not_writable_if_isolated(
    driver: SandboxDriver, tmp_path: Path
) -> None:
    given, workdir = tmp_path / "given", tmp_path / "work"
    given.mkdir()
    workdir.mkdir()
    (given / "data").write_text("shared")
    spec = SandboxSpec(
        argv=("sh", "-c", f"cat {given}/data; echo x > {given}/new"),
        cwd=workdir,
        read_only=(given,),
    )
    result = await driver.run(spec)
    assert result.stdout == "shared"
    assert (given / "new").exists() == (not driver.isolated)


async def test_no_capability_and_no_new_namespace_if_isolated(
    driver: SandboxDriver, tmp_path: Path
) -> None:
    script = "grep CapBnd /proc/self/status; unshare -U true && echo nested"
    result = await driver.run(SandboxSpec(argv=("sh", "-c", script), cwd=tmp_path))
    if driver.isolated:
        assert "CapBnd:\t0000000000000000" in result.stdout
        assert "nested" not in result.stdout


async def test_runs_at_the_same_time_do_not_meet(run: Run) -> None:
    results = await asyncio.gather(
        *(run(f"import time; time.sleep(0.2); print({number})") for number in range(8))
    )
    assert [result.stdout for result in results] == [f"{number}\n" for number in range(8)]


async def test_leaves_no_directory_and_no_open_file(run: Run) -> None:
    await run("pass")
    before = sorted(os.listdir("/proc/self/fd"))
    results = [await run("import os, tempfile; print(tempfile.mkdtemp())") for _ in range(3)]
    await asyncio.sleep(0)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not [made for result in results if (made := Path(result.stdout.strip())).exists()]


async def test_every_limit_is_either_enforced_or_said_not_to_be(run: Run) -> None:
    result = await run("pass")
    everything = {"cpu_s", "memory_bytes", "processes", "file_bytes", "wall_s", "output_bytes"}
    everything |= {"network", "filesystem", "environment"}
    assert set(result.enforced) | set(result.unenforced) == everything
    assert not set(result.enforced) & set(result.unenforced)
