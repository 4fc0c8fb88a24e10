"""One whole installation for all tests of this folder: Postgres, Ray, Serve, actors."""

from __future__ import annotations

import itertools
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.react import packages_in_reach
from webnova import Client
from webnova.client.models import Run
from webnova.stack.home import Home
from webnova.stack.local import Stack

_names = itertools.count(1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        home = Home.at(tmp_path_factory.mktemp("home") / "with space")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            patch.setenv("WEBNOVA_HTTP_PORT", str(probe.getsockname()[1]))
        for name in ("WEBNOVA_DATABASE_URL", "WEBNOVA_RAY_ADDRESS", "ANTHROPIC_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("WEBNOVA_HOME", str(home.root))
        patch.setenv("WEBNOVA_WEBHOOK_NETWORKS", "127.0.0.1/32")
        if not packages_in_reach():
            # Said aloud by the tests of pages, which are skipped then.
            patch.setenv("WEBNOVA_FRONTEND", "none")
        # One cache of environments for all sessions of this machine would hide a missing install.
        made = Stack(home)
        made.up()
        yield made
        made.down()


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    url = stack.status().url
    token = stack.home.first_token_file.read_text(encoding="utf-8").strip()
    with Client(url, token) as made:
        yield made


@pytest.fixture
def name() -> str:
    """The name of a platform that no other test uses."""
    return f"shop-{next(_names)}"


def small(name: str, **product: object) -> dict[str, object]:
    """A Blueprint whose tests take a moment."""
    fields = {"title": {"type": "string", "required": True, "max_length": 80}, **product}
    return {
        "name": name,
        "title": {"en": "Shop", "ar": "متجر"},
        "entities": {"Product": {"fields": fields}},
    }


def succeeded(client: Client, run: str, timeout: float = 240) -> Run:
    found = client.wait(run, timeout=timeout)
    log = client.run_log(run)[-4000:] if found.log else ""
    assert found.state == "succeeded", f"{found.cause}\n{log}"
    return found


def effects(client: Client, name: str) -> Counter[str]:
    """How often each thing happened to one platform."""
    runs = {run.id for run in client.runs(name)}
    return Counter(event.type for event in client.events() if event.id == name or event.id in runs)


def root() -> Path:
    return Path(__file__).parents[2]


def environment(stack: Stack) -> dict[str, str]:
    return {**os.environ, "WEBNOVA_HOME": str(stack.home.root)}
