"""Where everything of one local installation lives, and what the environment says about it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast

from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.secret import Secret

LogFormat = Literal["json", "console"]

DEFAULT_HTTP_PORT = 8000


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, readable by its owner alone.

    A reader sees the old content or the new, never a part, whenever the writer is killed.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def keep_secret(path: Path, *, length: int = 32) -> Secret:
    """The secret kept in `path`, made of `length` random bytes at the first call.

    Two processes that ask at once get the same secret. The file has mode 0600.
    """
    try:
        return Secret(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        pass
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(length))
            file.flush()
            os.fsync(file.fileno())
        # Another process may have been first; then its secret counts.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return Secret(path.read_text(encoding="utf-8").strip())


@dataclass(frozen=True)
class Home:
    """The directory of one installation. Nothing of the stack is kept anywhere else.

    Only its owner may enter it (mode 0700). `create()` makes all directories and is idempotent.
    """

    root: Path

    @classmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        return cls(Path(os.path.abspath(os.path.expanduser(root))))

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def postgres_data(self) -> Path:
        return self.postgres / "data"

    @property
    def ray(self) -> Path:
        return self.root / "ray"

    @property
    def ray_storage(self) -> Path:
        """The durable store of Ray's control service."""
        return self.ray / "gcs"

    @property
    def ray_sessions(self) -> Path:
        """Ray's own temporary directory; emptied when the stack stops."""
        return self.ray / "sessions"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def stack_file(self) -> Path:
        return self.run / "stack.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def ray_token_file(self) -> Path:
        return self.secrets / "ray-token"

    @property
    def first_token_file(self) -> Path:
        """Holds the first API token, written once when the first tenant is made."""
        return self.secrets / "first-api-token"

    @property
    def audit(self) -> Path:
        """Published checkpoints, unless they are published elsewhere, and the log's name."""
        return self.root / "audit"

    @property
    def archive(self) -> Path:
        """Archived months of events, unless they are archived elsewhere."""
        return self.root / "archive"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def workspace(self) -> Path:
        """The platforms: one directory for each."""
        return self.root / "workspace"

    def create(self) -> Self:
        """Make every directory. Raises `Unavailable` when the place can't be used."""
        directories = (
            self.root,
            self.postgres,
            self.ray,
            self.logs,
            self.run,
            self.secrets,
            self.audit,
            self.cache,
            self.workspace,
        )
        try:
            for directory in directories:
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.root.stat().st_uid == os.geteuid():
                self.root.chmod(0o700)
            probe = self.run / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise Unavailable(
                f"The home directory can't be used: {error.strerror or error}.",
                mend="Set WEBNOVA_HOME to a directory that you own and may write to.",
            ) from error
        return self

    def forget(self, tenant: str) -> None:
        """Remove the tenant's archived months. Published checkpoints stay as proof."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.archive / tenant)

    def secret(self, name: str) -> Secret:
        """The secret called `name`, made at random when it is asked for the first time."""
        return keep_secret(self.secrets / name)

    def signing_keys(self) -> list[Secret]:
        """The keys that sign checkpoints, the one in use first; made when there is none.

        A second key in a file `audit-signing-key-…` signs as well: so a key is replaced while
        readers still know the old one.
        """
        others = sorted(self.secrets.glob("audit-signing-key-*"))
        return [self.secret("audit-signing-key"), *(keep_secret(each) for each in others)]

    def log_name(self) -> str:
        """The installation's part of the names of its logs, drawn once and public."""
        return f"webnova-{keep_secret(self.audit / 'log-name', length=12).reveal()}"


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    `database_url`: an administrator's URL of an existing Postgres; None means the embedded one.
    `database_pooler`: `host:port` of a pooler in transaction mode before it.
    `ray_address`: an existing Ray cluster; None means a head of our own.
    `http_port`: the wished port; another one is chosen when it is taken.
    `core_actors`: whether this stack runs WebNova's actors, or only what its serve.yaml names.
    """

    home: Home
    database_url: Secret | None
    ray_address: str | None
    http_port: int
    log_format: LogFormat
    core_actors: bool = True
    database_pooler: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read `WEBNOVA_*`. Raises `InvalidInput` that names the variable and the mend."""
        env = os.environ if environ is None else environ
        url = env.get("WEBNOVA_DATABASE_URL", "").strip()
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise InvalidInput(
                "WEBNOVA_DATABASE_URL is not a Postgres address.",
                mend="Write it as postgresql://user:password@host:5432/database.",
            )
        return cls(
            home=Home.at(env.get("WEBNOVA_HOME", "").strip() or "~/.webnova"),
            database_url=Secret(url) if url else None,
            ray_address=env.get("WEBNOVA_RAY_ADDRESS", "").strip() or None,
            http_port=_port(env.get("WEBNOVA_HTTP_PORT", "").strip()),
            log_format=_log_format(env.get("WEBNOVA_LOG_FORMAT", "").strip()),
            core_actors=_switch("WEBNOVA_CORE_ACTORS", env.get("WEBNOVA_CORE_ACTORS", "").strip()),
            database_pooler=_place(env.get("WEBNOVA_DATABASE_POOLER", "").strip()),
        )


def _place(text: str) -> str | None:
    """`host:port`, where the host may be an IPv6 address in brackets."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or set(host) & set("/@?# "):
        raise InvalidInput(
            f"WEBNOVA_DATABASE_POOLER is {text[:20]!r}, which is not an address.",
            mend="Write it as host:port, such as 10.0.0.5:6432.",
        )
    return text


def _port(text: str) -> int:
    if not text:
        return DEFAULT_HTTP_PORT
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise InvalidInput(
            f"WEBNOVA_HTTP_PORT is {text[:20]!r}, which is not a port.",
            mend="Set it to a number from 1 to 65535, or leave it out for 8000.",
        )
    return int(text)


def _log_format(text: str) -> LogFormat:
    if text not in ("", "json", "console"):
        raise InvalidInput(
            f"WEBNOVA_LOG_FORMAT is {text[:20]!r}, which is not a log format.",
            mend="Set it to json or console.",
        )
    return cast(LogFormat, text or "console")


def _switch(name: str, text: str) -> bool:
    if text not in ("", "on", "off"):
        raise InvalidInput(f"{name} is {text[:20]!r}.", mend="Set it to on or off.")
    return text != "off"
