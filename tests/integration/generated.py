"""Generated projects on disk, and their suites run in an environment of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from engine.forge.blueprint.source import load
from engine.forge.generate import generate_project
from engine.forge.testing import Suite, SuiteReport, parse_junit
from engine.runtime.dependencies import Environment

TIMEOUT_SECONDS = 300
ADMIN = {"email": "admin@example.com", "password": "a long enough password"}


def write_project(blueprint: Path, place: Path) -> Path:
    for path, content in generate_project(
        load(blueprint.read_text("utf-8")).blueprint
    ).files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    return place


def run(
    project: Path,
    suite: Suite,
    environment: Environment,
    *options: str,
    timeout: float = TIMEOUT_SECONDS,
) -> SuiteReport:
    """What one suite of the project says; `timeout` in seconds."""
    report = project / f"{suite.name}.xml"
    done = subprocess.run(
        [str(environment.python), *suite.argv(str(report)), *options],
        cwd=project,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert report.is_file(), done.stdout + done.stderr
    return parse_junit(report.read_bytes())


@contextmanager
def serving(project: Path, environment: Environment, **settings: str) -> Iterator[str]:
    """The project as a process of its own, on a new SQLite file; the address that it answers at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [str(environment.python), "-m", "app"],
        cwd=project,
        env={
            "PATH": os.defpath,
            "PORT": str(port),
            "DATABASE_URL": f"sqlite:///{project}.db",
            "JWT_SECRET": "0123456789abcdef0123456789abcdef",
            "ADMIN_EMAIL": ADMIN["email"],
            "ADMIN_PASSWORD": ADMIN["password"],
            "AUTO_MIGRATE": "1",
            **settings,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False
