"""What a supervised server is, and where it can be reached."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine.kernel.errors import InvalidInput
from engine.runtime.sandbox import Limits

State = Literal["starting", "running", "restarting", "stopping", "stopped", "failed"]

LONGEST_SOCKET_PATH = 107
"""Bytes that the path of a Unix socket may have on Linux (`sun_path`, without its last NUL)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ProcessSpec(BaseModel):
    """A server to keep running.

    In `argv`, `{socket}` stands for the path of the Unix socket and `{port}` for the loopback port
    on which it must listen; it also gets them as `WEBNOVA_SOCKET` and `PORT`. Only a driver without
    isolation can offer `tcp`. The server is healthy once `health_url_path` answers 200.

    What it writes goes to `log_path`, which is rotated at `log_max_bytes` and kept `log_backups`
    times; `limits.output_bytes`, `cpu_s` and `wall_s` don't count for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    argv: tuple[str, ...] = Field(min_length=1)
    cwd: Path
    log_path: Path
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    read_only: tuple[Path, ...] = ()
    read_write: tuple[Path, ...] = ()
    limits: Limits = Limits(cpu_s=None, wall_s=None)
    listen: Literal["uds", "tcp"] = "uds"
    health_url_path: str = "/health"
    start_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    log_max_bytes: Annotated[int, Field(ge=4096)] = 10 << 20
    log_backups: Annotated[int, Field(ge=0, le=100)] = 3

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("use letters, digits, '.', '_' and '-'")
        return name

    @field_validator("health_url_path")
    @classmethod
    def _rooted(cls, path: str) -> str:
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError("it must begin with one '/'")
        return path


@dataclass(frozen=True)
class RestartPolicy:
    """When a server that ended is started again.

    The pause begins at `first_delay_s` and is multiplied by `factor` up to `longest_delay_s`. After
    `most_crashes` in a row it is given up; a life of `stable_s` seconds ends the row. A server that
    fails `most_unhealthy` health checks in a row, one each `check_every_s`, is restarted as well.
    """

    first_delay_s: float = 0.5
    factor: float = 2.0
    longest_delay_s: float = 30.0
    most_crashes: int = 5
    stable_s: float = 60.0
    check_every_s: float = 5.0
    most_unhealthy: int = 3

    def delay(self, crashes: int) -> float:
        """Seconds to wait after this many crashes in a row (from 1)."""
        return min(self.first_delay_s * self.factor ** (crashes - 1), self.longest_delay_s)


@dataclass(frozen=True)
class Address:
    """Where a server listens: `unix:/path/to.sock` or `http://127.0.0.1:8000`, as `str` gives it.

    Exactly one of `socket` and `port` is set.
    """

    socket: Path | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises `InvalidInput` for anything but an absolute socket path or a loopback port."""
        if text.startswith("unix:/"):
            return cls(socket=Path(text.removeprefix("unix:")))
        try:
            parts = urlsplit(text)
            if parts.scheme == "http" and parts.hostname == "127.0.0.1" and parts.port:
                return cls(port=parts.port)
        except ValueError as error:
            raise _no_address(text) from error
        raise _no_address(text)

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket is not None else self.base_url

    @property
    def base_url(self) -> str:
        """The URL for requests through `client` or `transport`."""
        return "http://localhost" if self.port is None else f"http://127.0.0.1:{self.port}"

    def transport(self) -> httpx.AsyncHTTPTransport:
        """A transport that connects here, whatever host a request names."""
        socket = str(self.socket) if self.socket is not None else None
        return httpx.AsyncHTTPTransport(uds=socket)

    def client(self, *, timeout_s: float = 5.0) -> httpx.AsyncClient:
        """A client for this server alone: it ignores proxies and follows no redirect."""
        return httpx.AsyncClient(
            base_url=self.base_url,
            transport=self.transport(),
            timeout=timeout_s,
            trust_env=False,
        )


def _no_address(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:200]!r} is not the address of a server.",
        mend="Use `unix:` with an absolute path, or `http://127.0.0.1` with a port.",
    )


@dataclass(frozen=True)
class Instance:
    """A supervised server at one moment. `started_at` is UTC, of its present life.

    `pid` is that of its outermost process; `restarts` counts lives after the first.
    """

    id: str
    name: str
    pid: int
    address: str
    port: int | None
    started_at: datetime
    state: State
    restarts: int
    driver: str
    isolated: bool
    enforced: tuple[str, ...]
    unenforced: tuple[str, ...]
