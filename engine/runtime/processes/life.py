"""One life of a supervised server: from its start to the end of its last process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from engine.kernel.errors import InvalidInput, StepFailed
from engine.runtime.processes.log import RotatingLog
from engine.runtime.processes.spec import LONGEST_SOCKET_PATH, Address, ProcessSpec
from engine.runtime.sandbox import Limits, SandboxDriver, SandboxSpec
from engine.runtime.sandbox.execution import Started, over_limit
from engine.runtime.sandbox.scratch import scratch_directory

_CHUNK = 1 << 16
_FIRST_POLL_S = 0.02
_LONGEST_POLL_S = 0.25
_LIMITS_EVERY_S = 1.0
_PORT_ATTEMPTS = 5
_TAIL_LINES = 40
_TAKEN = ("address already in use", f"errno {errno.EADDRINUSE}", "eaddrinuse")


def socket_directory() -> Path:
    """A new private directory, short enough for a socket's path."""
    directory = scratch_directory()
    if len(os.fsencode(directory / "http.sock")) <= LONGEST_SOCKET_PATH:
        return directory
    directory.rmdir()
    return scratch_directory(parent="/tmp")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Life:
    """A started server that has been healthy once."""

    def __init__(self, started: Started, address: Address, spec: ProcessSpec, log: RotatingLog):
        process = started.process
        assert process.stdout is not None and process.stderr is not None
        self.address, self.started_at, self.pid = address, datetime.now(UTC), process.pid
        self._began = time.monotonic()
        self._started, self._spec, self._log = started, spec, log
        self._client = address.client()
        self._pumps = [
            asyncio.create_task(self._pump(reader)) for reader in (process.stdout, process.stderr)
        ]
        self._exited = asyncio.create_task(started.wait())
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def begin(
        cls, launcher: SandboxDriver, spec: ProcessSpec, directory: Path, log: RotatingLog
    ) -> Life:
        """Start the server and wait for its health.

        Raises `StepFailed` with the end of its log if it ends or stays unhealthy, `InvalidInput` if
        it can't be reached the way it wants to listen.
        """
        if spec.listen == "tcp" and launcher.isolated:
            raise InvalidInput(
                "An isolated server has no port that could be reached from outside.",
                mend="Let it listen on the Unix socket.",
            )
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            if spec.listen == "tcp":
                address = Address(port=_free_port())
            else:
                address = Address(socket=directory / "http.sock")
            (directory / "http.sock").unlink(missing_ok=True)
            started = await launcher.start(_sandboxed(spec, address, directory))
            life = cls(started, address, spec, log)
            try:
                await life._healthy()
                return life
            except BaseException as error:
                await life.end(0)
                # Somebody else may have taken the port between our look and its use.
                if attempt == _PORT_ATTEMPTS or not _port_was_taken(error, address):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _pump(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            self._log.write(chunk)

    async def _healthy(self) -> None:
        pause = _FIRST_POLL_S
        while True:
            check = asyncio.create_task(self.is_healthy())
            await asyncio.wait([check, self._exited], return_when=asyncio.FIRST_COMPLETED)
            # In this order: on a port that it didn't get, it is somebody else who answers.
            if self._exited.done():
                check.cancel()
                await asyncio.wait([check, *self._pumps])
                raise self._failure("The server ended before it was healthy.")
            if check.result():
                return
            if self.age_s > self._spec.start_timeout_s:
                raise self._failure("The server did not become healthy in time.")
            await asyncio.wait([self._exited], timeout=pause)
            pause = min(pause * 1.5, _LONGEST_POLL_S)

    def _failure(self, detail: str) -> StepFailed:
        return StepFailed(detail, log=self._log.tail(_TAIL_LINES))

    @property
    def age_s(self) -> float:
        return time.monotonic() - self._began

    async def is_healthy(self) -> bool:
        try:
            answer = await self._client.get(self._spec.health_url_path)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def until_trouble(self, *, check_every_s: float, most_unhealthy: int) -> str:
        """Returns why this life is over: it ended, passed a limit, or stopped being healthy.

        Processes and memory are looked at each second, whatever the health check's pace.
        """
        unhealthy, checked = 0, time.monotonic()
        while True:
            pause = min(_LIMITS_EVERY_S, check_every_s)
            done, _ = await asyncio.wait([self._exited], timeout=pause)
            if done:
                return f"It ended with exit code {self._started.exit_code()}."
            if breach := over_limit(self._started.usage(self._limits), self._limits):
                return breach.reason
            if time.monotonic() - checked >= check_every_s:
                unhealthy = 0 if await self.is_healthy() else unhealthy + 1
                checked = time.monotonic()
                if unhealthy >= most_unhealthy:
                    return "It no longer answers its health check."

    @property
    def _limits(self) -> Limits:
        return self._spec.limits.model_copy(update={"cpu_s": None})

    async def end(self, grace_s: float) -> None:
        """Ask it to end, give it so long, then end its whole tree."""
        try:
            if grace_s > 0 and not self._exited.done():
                self._started.signal_program(signal.SIGTERM)
                await asyncio.wait([self._exited], timeout=grace_s)
        finally:
            # Ended once, however many ask for it, and to the end even when they are cancelled.
            self._ending = self._ending or asyncio.create_task(self._finish())
            await asyncio.shield(self._ending)

    async def _finish(self) -> None:
        await self._started.end()
        await asyncio.wait([self._exited, *self._pumps])
        await self._client.aclose()
        if self.address.socket is not None:
            with contextlib.suppress(FileNotFoundError):
                self.address.socket.unlink()


def _sandboxed(spec: ProcessSpec, address: Address, directory: Path) -> SandboxSpec:
    values = {"WEBNOVA_SOCKET": str(address.socket or ""), "PORT": str(address.port or "")}

    def filled(text: str) -> str:
        return text.replace("{socket}", values["WEBNOVA_SOCKET"]).replace("{port}", values["PORT"])

    return SandboxSpec(
        argv=tuple(filled(argument) for argument in spec.argv),
        cwd=spec.cwd,
        read_only=spec.read_only,
        read_write=(*spec.read_write, directory),
        env={**spec.env, **{name: value for name, value in values.items() if value}},
        limits=spec.limits.model_copy(update={"cpu_s": None, "wall_s": None}),
        network="loopback",
        priority="normal",
    )


def _port_was_taken(error: BaseException, address: Address) -> bool:
    if address.port is None or not isinstance(error, StepFailed):
        return False
    said = "\n".join(error.fields["log"]).lower()
    return any(sign in said for sign in _TAKEN)
