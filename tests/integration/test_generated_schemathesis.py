"""A generated platform against its own OpenAPI document: no 5xx, no violation of a schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.runtime.dependencies import Environment
from tests.integration.generated import ADMIN, serving, write_project

ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance"
)


@pytest.fixture
def platform(tmp_path: Path, environment: Environment) -> Iterator[str]:
    """The address of the running clinic, with sample records."""
    project = write_project(ROOT / "examples" / "clinic.yaml", tmp_path / "clinic")
    with serving(project, environment, SEED="1") as url:
        yield url


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
