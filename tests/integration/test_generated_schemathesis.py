"""A generated platform against its own OpenAPI document: no 5xx, no violation of a schema."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.forge.blueprint.source import load
from engine.forge.generate import generate_project
from engine.runtime.dependencies import DependencyCache

ROOT = Path(__file__).parents[2]
ADMIN = {"email": "admin@example.com", "password": "a long enough password"}
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance"
)


@pytest.fixture
def platform(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the running clinic, with sample records."""
    project = tmp_path / "clinic"
    blueprint = load((ROOT / "examples" / "clinic.yaml").read_bytes()).blueprint
    generate_project(blueprint).write_to(project)
    cache = DependencyCache(Path(request.config.cache.mkdir("environments")))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with asyncio.run(cache.ensure(project / "requirements.lock")) as environment:
        server = subprocess.Popen(
            [str(environment.python), "-m", "app"],
            cwd=project,
            env={
                "PATH": os.defpath,
                "PORT": str(port),
                "DATABASE_URL": f"sqlite:///{tmp_path}/clinic.db",
                "JWT_SECRET": "0123456789abcdef0123456789abcdef",
                "ADMIN_EMAIL": ADMIN["email"],
                "ADMIN_PASSWORD": ADMIN["password"],
                "AUTO_MIGRATE": "1",
                "SEED": "1",
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


def test_generated_calls_meet_the_platforms_document(platform: str) -> None:
    login = httpx.post(f"{platform}/api/auth/login", json=ADMIN)
    assert login.status_code == 200, login.text
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{platform}/openapi.json"),
            *("--header", f"Authorization: Bearer {login.json()['access_token']}"),
            *("--checks", CHECKS, "--max-examples", "10", "--seed", "1"),
            *("--phases", "examples,coverage,fuzzing"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
