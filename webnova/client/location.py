"""Which installation the client speaks to, and with which token."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.secret import Secret
from webnova.stack.home import Home
from webnova.stack.state import load_state

DEFAULT_HOME = "~/.webnova"


@dataclass(frozen=True, slots=True)
class Location:
    """An installation's base URL without a slash at its end, and the token to use there."""

    url: str
    token: Secret | None

    @property
    def is_local(self) -> bool:
        return is_loopback(self.url)


def locate(
    url: str | None = None, token: str | None = None, environ: Mapping[str, str] | None = None
) -> Location:
    """Find the installation: arguments first, then the environment, then the local home.

    The address is `WEBNOVA_URL`, else that of the running stack in `WEBNOVA_HOME`, else
    `WEBNOVA_PUBLIC_URL`, which processes of the cluster have. The token is `WEBNOVA_TOKEN`, else
    the first token of the local home, which is never sent to another machine's address. Raises
    `Unavailable` when nothing names an address and no local stack runs.
    """
    env = os.environ if environ is None else environ
    home = home_of(env)
    named = url or env.get("WEBNOVA_URL", "").strip()
    own = None if named else _running(home) or env.get("WEBNOVA_PUBLIC_URL", "").strip()
    base = _checked(named or own or "")
    given = token or env.get("WEBNOVA_TOKEN", "").strip()
    if given:
        return Location(base, Secret(given))
    return Location(base, first_token(home) if own or is_loopback(base) else None)


def home_of(environ: Mapping[str, str] | None = None) -> Home:
    """The home that the environment names."""
    env = os.environ if environ is None else environ
    return Home.at(env.get("WEBNOVA_HOME", "").strip() or DEFAULT_HOME)


def first_token(home: Home) -> Secret | None:
    """The token made at the home's first start, or None when there is none to read."""
    return _content(home.first_token_file)


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _running(home: Home) -> str | None:
    state = load_state(home.stack_file)
    if state is None or state.http_port is None or not state.supervisor.alive:
        return None
    return f"http://127.0.0.1:{state.http_port}"


def _checked(url: str) -> str:
    if not url:
        raise Unavailable(
            "WebNova is not running here.",
            mend="Start it with `webnova up`, or set WEBNOVA_URL to an installation.",
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise InvalidInput(
            f"{url[:80]!r} is not the address of an installation.",
            mend="Write it as http://host:port, for example http://127.0.0.1:8000.",
        )
    return url.rstrip("/")


def _content(path: Path) -> Secret | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return Secret(text) if text else None
