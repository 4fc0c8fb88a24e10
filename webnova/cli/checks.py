"""The checks of `webnova doctor`: what the machine must offer, and the mend where it doesn't."""

from __future__ import annotations

import asyncio
import locale
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import uv

from engine.forge.regeneration.git import Git
from engine.kernel.errors import Unavailable, WebNovaError
from engine.runtime.sandbox import BubblewrapDriver
from webnova.cli.shapes import Finding
from webnova.stack.home import Settings
from webnova.stack.local import Stack
from webnova.stack.ports import is_free
from webnova.stack.postgres import locate_binaries

_GIB = 1 << 30
OLDEST_PYTHON = (3, 11)
_LEAST_DISK, _GOOD_DISK = 1 * _GIB, 4 * _GIB
_LEAST_MEMORY, _GOOD_MEMORY = 1 * _GIB, 3 * _GIB
_GOOD_SHARED_MEMORY = 1 * _GIB
"""As much as Ray's object store of the local stack may use."""

Check = Callable[[Settings], Finding]


def diagnose(settings: Settings) -> list[Finding]:
    """Every check, in the order in which a person would mend them. Changes nothing."""
    return [check(settings) for check in CHECKS]


def python(settings: Settings) -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return _problem("python", found, "Install Python 3.11 or newer, then `make setup`.")
    return _ok("python", found)


def operating_system(settings: Settings) -> Finding:
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if sys.platform != "linux":
        mend = "Sandboxes are isolated on Linux only; use a Linux machine for untrusted code."
        return _warning("system", found, mend)
    return _ok("system", found)


def git(settings: Settings) -> Finding:
    try:
        found = Git.find(Path.cwd())
    except Unavailable as error:
        return _warning("git", error.detail, f"{error.mend} `webnova generate` needs it.")
    return _ok("git", f"{found.text('version').partition('version ')[2]} at {found.program}")


def home(settings: Settings) -> Finding:
    root = settings.home.root
    place = _existing(root)
    if not os.access(place, os.W_OK | os.X_OK):
        mend = "Set WEBNOVA_HOME to a directory that you may write to."
        return _problem("home", f"{root} can't be written", mend)
    return _ok("home", str(root))


def disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_existing(settings.home.root)).free
    mend = "Free some space, or set WEBNOVA_HOME to a larger disk."
    return _amount("disk", free, (_LEAST_DISK, _GOOD_DISK), mend)


def memory(settings: Settings) -> Finding:
    free = int(psutil.virtual_memory().available)
    mend = "Close other programs: the idle stack needs about 1 GiB, each platform about 100 MiB."
    return _amount("memory", free, (_LEAST_MEMORY, _GOOD_MEMORY), mend)


def shared_memory(settings: Settings) -> Finding:
    place = Path("/dev/shm")
    if not place.is_dir():
        return _ok("shared memory", "this system has no /dev/shm; Ray uses ordinary files")
    size = shutil.disk_usage(place).total
    mend = "Enlarge /dev/shm (docker run --shm-size=2g); Ray falls back to slower files."
    return _amount("shared memory", size, (0, _GOOD_SHARED_MEMORY), mend, words="in all")


def ports(settings: Settings) -> Finding:
    port = settings.http_port
    own = Stack(settings.home).status().url
    if own is not None and own.endswith(f":{port}"):
        return _ok("ports", f"{port} is used by this stack")
    if is_free(port):
        return _ok("ports", f"{port} is free")
    mend = "Another one is chosen by itself; set WEBNOVA_HTTP_PORT to choose it yourself."
    return _warning("ports", f"{port} is taken by another program", mend)


def open_files(settings: Settings) -> Finding:
    soft, hard = psutil.Process().rlimit(psutil.RLIMIT_NOFILE) if _has_rlimit() else (65536, 65536)
    if 0 <= soft < 4096:
        mend = f"Run `ulimit -n {hard if 0 <= hard < 65536 else 65536}` before `webnova up`."
        return _warning("open files", f"limited to {soft}", mend)
    return _ok("open files", "unlimited" if soft < 0 else f"up to {soft}")


def user_namespaces(settings: Settings) -> Finding:
    if sys.platform != "linux" or os.geteuid() == 0:
        return _ok("user namespaces", "not needed here")
    switches = {
        "user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
        "kernel/unprivileged_userns_clone": ("0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        "kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    for name, (closed, mend) in switches.items():
        if _first_line(Path("/proc/sys") / name) == closed:
            found = f"{name.replace('/', '.')} is {closed}"
            return _warning("user namespaces", found, f"As root: {mend}")
    return _ok("user namespaces", "allowed")


def sandbox(settings: Settings) -> Finding:
    if sys.platform != "linux":
        return _warning("sandbox", "unisolated: bubblewrap is for Linux", "Use a Linux machine.")
    reason = asyncio.run(BubblewrapDriver().available())
    if reason is None:
        return _ok("sandbox", "bubblewrap isolates programs (one was run to see)")
    first, _, mend = reason.partition(". ")
    return _warning("sandbox", f"tests run unisolated: {first}", mend or "See the reason.")


def uv_program(settings: Settings) -> Finding:
    try:
        program = uv.find_uv_bin()
    except FileNotFoundError:
        return _problem("uv", "not found", "Run `make setup`, which installs it.")
    said = _said([program, "--version"])
    return _ok("uv", said) if said else _problem("uv", "does not run", "Run `make setup` again.")


def postgres(settings: Settings) -> Finding:
    if settings.database_url is not None:
        return _ok("postgres", "WEBNOVA_DATABASE_URL names another server")
    try:
        program = locate_binaries() / "postgres"
    except WebNovaError as error:
        return _problem("postgres", error.detail, error.mend or "Run `make setup` again.")
    said = _said([str(program), "--version"])
    if not said:
        mend = "Run `make setup` again, or set WEBNOVA_DATABASE_URL to a Postgres 16 or newer."
        return _problem("postgres", "the embedded server does not run here", mend)
    return _ok("postgres", said)


def language(settings: Settings) -> Finding:
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") != "utf8":
        mend = "Set LANG=C.UTF-8 so that Arabic texts are shown right."
        return _warning("locale", f"the terminal's encoding is {encoding}", mend)
    return _ok("locale", f"{encoding}, {os.environ.get('LC_ALL') or os.environ.get('LANG') or 'C'}")


def stack(settings: Settings) -> Finding:
    found = Stack(settings.home).status()
    if found.state == "stopped":
        return _ok("stack", "not running (`webnova up` starts it)")
    if found.state != "running":
        mend = "Wait a moment; otherwise `webnova down && webnova up`."
        return _problem("stack", f"{found.state} {found.detail}".strip(), mend)
    try:
        answer = httpx.get(f"{found.url}/health", timeout=5.0, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        mend = "`webnova status` shows its parts; otherwise `webnova down && webnova up`."
        return _problem("stack", f"runs, but its API fails: {type(error).__name__}", mend)
    return _ok("stack", f"running at {found.url}")


CHECKS: tuple[Check, ...] = (
    python,
    operating_system,
    home,
    disk,
    memory,
    shared_memory,
    ports,
    open_files,
    user_namespaces,
    sandbox,
    uv_program,
    git,
    postgres,
    language,
    stack,
)


def _ok(name: str, found: str) -> Finding:
    return Finding(name=name, state="ok", found=found)


def _warning(name: str, found: str, mend: str) -> Finding:
    return Finding(name=name, state="warning", found=found, mend=mend)


def _problem(name: str, found: str, mend: str) -> Finding:
    return Finding(name=name, state="problem", found=found, mend=mend)


def _amount(
    name: str, size: int, bounds: tuple[int, int], mend: str, words: str = "free"
) -> Finding:
    """`bounds`: below the first it is a problem, below the second a warning."""
    found = f"{size / _GIB:.1f} GiB {words}"
    least, good = bounds
    if size < least:
        return _problem(name, found, mend)
    return _warning(name, found, mend) if size < good else _ok(name, found)


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _has_rlimit() -> bool:
    return hasattr(psutil, "RLIMIT_NOFILE")


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _said(command: list[str]) -> str:
    """The first line that a program prints, or nothing when it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (ended.stdout.strip().splitlines() or [""])[0]
