"""What runs in a sandbox, under which limits, and what is reported back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Verdict = Literal[
    "ok",
    "runtime_error",
    "time_limit",
    "memory_limit",
    "output_limit",
    "policy",
    "internal",
]
OutputSink = Callable[[str], None]

_LOADING = frozenset({"BASH_ENV", "ENV", "GLIBC_TUNABLES"})
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Limits(BaseModel):
    """Bounds on one run. `None` means unlimited, for programs that live long.

    - `cpu_s`: CPU seconds of the whole process tree.
    - `memory_bytes`: data memory of each process, and the proportional set size of the whole tree.
      In an isolated sandbox `/tmp` and `/dev/shm` are in memory too, each with its own bound.
    - `processes`: tasks of the whole tree, that is processes and their threads.
    - `file_bytes`: size of the largest file; in an isolated sandbox also of all of `/tmp`.
    - `wall_s`: seconds from start to end.
    - `output_bytes`: standard output and standard error together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_s: Annotated[float, Field(gt=0)] | None = 60.0
    memory_bytes: Annotated[int, Field(ge=16 << 20)] = 1 << 30
    processes: Annotated[int, Field(ge=1, le=65536)] = 128
    file_bytes: Annotated[int, Field(ge=4096)] = 256 << 20
    wall_s: Annotated[float, Field(gt=0)] | None = 120.0
    output_bytes: Annotated[int, Field(ge=1024)] = 4 << 20


class SandboxSpec(BaseModel):
    """One program to run.

    `cwd` is the working directory, and with `read_write` the only place where an isolated program
    may write anything that outlives it. `read_only` are extra directories or files it may read,
    each seen at its own path. Nothing of the caller's environment is passed on: `env` is all there
    is, beside `PATH`, `HOME`, `TMPDIR` and `LANG`, which have defaults. Variables that make the
    dynamic loader or a shell load code are refused.

    Both networks have nothing but the sandbox's own loopback interface; `loopback` says that the
    program counts on it. In the background a program leaves busy processors to the platform.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: tuple[str, ...] = Field(min_length=1)
    cwd: Path
    read_only: tuple[Path, ...] = ()
    read_write: tuple[Path, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    stdin: bytes | None = Field(default=None, repr=False)
    limits: Limits = Limits()
    network: Literal["none", "loopback"] = "none"
    priority: Literal["background", "normal"] = "background"

    @field_validator("argv")
    @classmethod
    def _arguments(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv[0]:
            raise ValueError("the program's name is empty")
        if any("\0" in argument for argument in argv):
            raise ValueError("an argument holds a NUL character")
        return argv

    @field_validator("env")
    @classmethod
    def _variables(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not _ENV_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name for an environment variable")
            if name.startswith("LD_") or name in _LOADING:
                raise ValueError(f"{name} would load code before the limits are set")
            if "\0" in value:
                raise ValueError(f"the value of {name} holds a NUL character")
        return env

    @model_validator(mode="after")
    def _absolute(self) -> SandboxSpec:
        for path in (self.cwd, *self.read_only, *self.read_write):
            if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
                raise ValueError(f"{str(path)!r} must be an absolute path without '..'")
        return self


class SandboxResult(BaseModel):
    """How a run ended.

    `exit_code` is the program's own; `128 + n` when signal `n` ended it, and `None` when it never
    started. `stdout` and `stderr` hold at most `limits.output_bytes` together, with bytes that are
    no UTF-8 replaced. `enforced` names the limits that this driver on this machine
    holds the program to (`network`, `filesystem` and `environment` among them), `unenforced` those
    that it does not. `reason` says in a sentence why the verdict is not `ok`.
    """

    model_config = ConfigDict(frozen=True)

    exit_code: int | None
    verdict: Verdict
    reason: str = ""
    stdout: str
    stderr: str
    duration_s: float
    driver: str
    isolated: bool
    enforced: list[str]
    unenforced: list[str]
