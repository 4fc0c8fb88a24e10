"""Running a started program to its end: output, limits, verdict, and nobody left behind."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from engine.runtime.sandbox import tree
from engine.runtime.sandbox.spec import (
    Limits,
    OutputSink,
    SandboxResult,
    SandboxSpec,
    Verdict,
)

_POLL_S = 0.05
_CHUNK = 65536
_LONGEST_LINE = 65536
_DRAIN_S = 2.0

_OUT_OF_MEMORY = (
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
    "heap out of memory",
    "out of memory",
)
_FILE_TOO_LARGE = ("File too large",)


class Started(ABC):
    """A program that runs inside a driver's enclosure.

    `process` is the enclosure's outermost process; its exit code is the program's (`128 + n` after
    signal `n`). `root` is the process below which the program's whole tree lives.
    """

    process: asyncio.subprocess.Process
    root: int

    def usage(self, limits: Limits) -> tree.TreeUsage:
        """What the program uses; exact in memory only where it is near its limit."""
        return tree.usage(self.root, most=limits.processes, plenty=limits.memory_bytes)

    def signal_program(self, number: signal.Signals) -> None:
        """Signal the program itself; what it started is its own to stop."""
        tree.send(tree.children(self.root), number)

    def exit_code(self) -> int | None:
        """The program's exit code once it has ended; None if it never started."""
        code = self.process.returncode
        return code if code is None or code >= 0 else 128 - code

    async def wait(self) -> int | None:
        """Wait for its end; the program's exit code, or None if it never started."""
        await self.process.wait()
        return self.exit_code()

    @abstractmethod
    async def end(self) -> None:
        """Kill and reap the whole tree and remove what belongs to this run. Safe to repeat."""


@runtime_checkable
class SandboxDriver(Protocol):
    """A way to run a program under limits.

    Guarantees of every driver: when `run` returns, raises or is cancelled, no process of the tree
    is left, and no program survives the death of the calling process. `isolated` says whether the
    program is also kept from other files, processes and networks of the machine.
    """

    @property
    def name(self) -> str: ...

    @property
    def isolated(self) -> bool: ...

    async def available(self) -> str | None:
        """None when it works on this machine, else why not and how to mend it."""
        ...

    async def run(self, spec: SandboxSpec, *, on_output: OutputSink | None = None) -> SandboxResult:
        """Run to the end. `on_output` gets each line (without its newline) as it comes.

        Raises `InvalidInput` if a path of the spec doesn't exist. What the program does, however
        bad, is a result and never an exception.
        """
        ...

    async def start(self, spec: SandboxSpec) -> Started:
        """Start the program and leave it running; the caller ends it.

        Raises `InvalidInput` if a path of the spec doesn't exist.
        """
        ...


_endings: set[asyncio.Task[None]] = set()


async def uninterrupted(starting: Coroutine[Any, Any, Started]) -> Started:
    """Start to the end even when cancelled, and then end what was started.

    A cancelled start may have made processes that nobody has a hold of yet.
    """
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        ending = asyncio.create_task(_end_once_started(task))
        _endings.add(ending)
        ending.add_done_callback(_endings.discard)
        await asyncio.shield(ending)
        raise


async def _end_once_started(task: asyncio.Future[Started]) -> None:
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await task.result().end()


@dataclass(frozen=True)
class Breach:
    """A limit that was passed."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `failure` is None if it did well."""

    exit_code: int | None
    failure: Breach | None
    stdout: str
    stderr: str
    duration_s: float

    def report(self, driver: SandboxDriver, bounds: tuple[list[str], list[str]]) -> SandboxResult:
        """The result; `bounds` are the names of the enforced and the unenforced limits."""
        return SandboxResult(
            exit_code=self.exit_code,
            verdict=self.failure.verdict if self.failure else "ok",
            reason=self.failure.reason if self.failure else "",
            stdout=self.stdout,
            stderr=self.stderr,
            duration_s=self.duration_s,
            driver=driver.name,
            isolated=driver.isolated,
            enforced=bounds[0],
            unenforced=bounds[1],
        )


class _Stream:
    """Reads one pipe: keeps its beginning, hands on its lines, counts against the shared budget."""

    def __init__(self, reader: asyncio.StreamReader, budget: _Budget, sink: OutputSink | None):
        self._reader, self._budget, self._sink = reader, budget, sink
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = ""
        self._kept = bytearray()

    async def read(self) -> None:
        """Read to the end. What exceeds the budget is dropped, but read: an exit is only noticed
        once the pipes are empty."""
        while chunk := await self._reader.read(_CHUNK):
            kept = chunk[: self._budget.take(len(chunk))]
            self._kept += kept
            self._pass_on(self._decoder.decode(kept))
        self._pass_on(self._decoder.decode(b"", final=True))
        if self._line and self._sink:
            self._sink(self._line)

    def _pass_on(self, text: str) -> None:
        if self._sink is None:
            return
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._sink(line.removesuffix("\r"))
        while len(self._line) > _LONGEST_LINE:
            self._sink(self._line[:_LONGEST_LINE])
            self._line = self._line[_LONGEST_LINE:]

    def text(self) -> str:
        return self._kept.decode(errors="replace")


class _Budget:
    """Bytes that all streams of a program may hold together."""

    def __init__(self, total: int) -> None:
        self._total, self._used = total, 0
        self._exceeded = asyncio.Event()

    def take(self, count: int) -> int:
        granted = min(count, self._total - self._used)
        self._used += granted
        if granted < count:
            self._exceeded.set()
        return granted

    async def breach(self) -> Breach:
        await self._exceeded.wait()
        return Breach("output_limit", f"It wrote more than {self._total} bytes.")

    @property
    def exceeded(self) -> bool:
        return self._exceeded.is_set()


def over_limit(used: tree.TreeUsage, limits: Limits) -> Breach | None:
    """The limit that this consumption passes, if any."""
    if used.tasks > limits.processes:
        return Breach("policy", f"It ran more than {limits.processes} processes and threads.")
    if used.memory_bytes > limits.memory_bytes:
        return Breach("memory_limit", f"It used more than {limits.memory_bytes} bytes of memory.")
    if limits.cpu_s is not None and used.cpu_s > limits.cpu_s:
        return Breach("time_limit", f"It used more than {limits.cpu_s:g} s of CPU time.")
    return None


async def _watch(started: Started, limits: Limits, began: float) -> Breach:
    while True:
        # Past the limit it is known for a fork bomb; counting on would only lose time.
        if breach := over_limit(started.usage(limits), limits):
            return breach
        if limits.wall_s is not None and time.monotonic() - began > limits.wall_s:
            return Breach("time_limit", f"It ran longer than {limits.wall_s:g} s.")
        await asyncio.sleep(_POLL_S)


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if process.stdin is None:
        return
    # A program may end, or close its input, before it has read everything.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data or b"")
        await process.stdin.drain()
    process.stdin.close()


def judge(exit_code: int | None, stderr: str, limits: Limits) -> Breach | None:
    """The verdict on a program that ended by itself; None if it did well.

    A limit of the kernel shows only in how the program dies, and a runtime may turn it into an
    exception of its own, so the end of standard error is read too. That can only rename a failure,
    never hide one.
    """
    if exit_code == 0:
        return None
    if exit_code is None:
        return Breach("internal", "The sandbox could not start the program.")
    ended_by = exit_code - 128
    tail = stderr[-4096:]
    if ended_by == signal.SIGXCPU:
        return Breach("time_limit", f"It used more than {limits.cpu_s or 0:g} s of CPU time.")
    if ended_by == signal.SIGXFSZ or any(sign in tail for sign in _FILE_TOO_LARGE):
        return Breach("output_limit", f"It wrote a file of more than {limits.file_bytes} bytes.")
    if any(sign in tail for sign in _OUT_OF_MEMORY):
        return Breach("memory_limit", f"It needed more than {limits.memory_bytes} bytes of memory.")
    if ended_by == signal.SIGSYS:
        return Breach("policy", "It used a system call that is not allowed.")
    if 0 < ended_by < signal.NSIG:
        return Breach("runtime_error", f"Signal {ended_by} ended it.")
    return Breach("runtime_error", f"It ended with exit code {exit_code}.")


class Execution:
    """One run of a started program; see `SandboxDriver.run` for the guarantees."""

    def __init__(self, started: Started, spec: SandboxSpec, sink: OutputSink | None) -> None:
        process = started.process
        assert process.stdout is not None and process.stderr is not None
        self._started, self._spec = started, spec
        self._budget = _Budget(spec.limits.output_bytes)
        self._out = _Stream(process.stdout, self._budget, sink)
        self._err = _Stream(process.stderr, self._budget, sink)
        self._began = time.monotonic()

    async def finish(self) -> Outcome:
        process, limits = self._started.process, self._spec.limits
        exited = asyncio.create_task(self._started.wait())
        pumps = {asyncio.create_task(stream.read()) for stream in (self._out, self._err)}
        watch = asyncio.create_task(_watch(self._started, limits, self._began))
        flood = asyncio.create_task(self._budget.breach())
        feed = asyncio.create_task(_feed(process, self._spec.stdin))
        everything: set[asyncio.Task[Any]] = {exited, watch, flood, feed, *pumps}
        breach: Breach | None = None
        try:
            pending = set(everything)
            while exited in pending and breach is None:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                breach = _first_breach(done)
            await self._started.end()
            duration = time.monotonic() - self._began
            drained, _ = await asyncio.wait(pumps, timeout=_DRAIN_S)
            for pump in drained:
                pump.result()
            if breach is None and self._budget.exceeded:
                breach = await self._budget.breach()
        finally:
            for task in everything:
                task.cancel()
            # Must complete even if this run is being cancelled: nobody else ends the tree.
            await asyncio.shield(self._started.end())
            await asyncio.gather(*everything, return_exceptions=True)
        stderr = self._err.text()
        code = self._started.exit_code()
        return Outcome(
            exit_code=code,
            failure=breach or judge(code, stderr, limits),
            stdout=self._out.text(),
            stderr=stderr,
            duration_s=duration,
        )


def _first_breach(done: Iterable[asyncio.Task[Any]]) -> Breach | None:
    return next((found for task in done if isinstance(found := task.result(), Breach)), None)
