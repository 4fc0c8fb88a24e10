"""The API against its own OpenAPI document: generated calls, no 5xx, nothing undocumented."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from serve_apps.api import create_api
from tests.conftest import TestDatabase
from tests.integration.serving import API, ScriptedGateway, issue, served
from webnova.compose import compose
from webnova.stack.home import Home

EXAMPLES = 10
TENANT = "fuzzed"
BLUEPRINT = {
    "name": "shop",
    "title": {"en": "Shop"},
    "entities": {"Product": {"fields": {"name": {"type": "string"}}}},
}
load_all_checks()


@schemathesis.serializer("application/x-ndjson")
def _lines(_: Any, value: Any) -> bytes:
    """A body of lines, as it was generated."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "missing_required_header",
        "unsupported_method",
        "ignored_auth",
    ]
)


class _Running:
    """The API in a thread with an event loop of its own: the generated calls are synchronous."""

    def __init__(self, url: str, home: Home) -> None:
        self._url = url
        self._home = home
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.address = ""
        self.token = ""
        self.run = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> _Running:
        self._thread.start()
        assert self._ready.wait(60)
        # Something to find, so that not every generated call ends with 404.
        with httpx.Client(base_url=f"{self.address}{API}", headers=self.headers) as client:
            made = client.post("/platforms", json={"blueprint": BLUEPRINT})
        assert made.status_code == 202
        self.run = made.json()["run"]
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def known(self, path: str) -> list[dict[str, str] | None]:
        """Path parameters to try: generated ones, and where there are some, ones that exist."""
        if path.endswith("/events"):
            return [None]  # of an existing run this is an endless answer
        if "/platforms/{name}" in path:
            return [None, {"name": "shop"}]
        return [None, {"id": self.run}] if "/runs/{id}" in path else [None]

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None and self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        installation = compose("fuzzed", url=self._url, home=self._home)
        self.token = await issue(installation, TENANT)
        async with served(create_api(installation, ScriptedGateway())) as self.address:
            self._ready.set()
            await self._stop.wait()
        await installation.close()


@pytest.fixture(scope="module")
def running(postgres: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Running]:
    home = Home.at(tmp_path_factory.mktemp("home"))
    with _Running(postgres.app_url, home) as running:
        yield running


@pytest.fixture(scope="module")
def document(running: _Running) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{running.address}/openapi.json").json()
    return found


def test_every_operation_has_a_clean_name_and_documented_problems(
    document: dict[str, Any],
) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) > 25
    assert "create_platform" in names
    for operation in operations:
        assert operation["operationId"].replace("_", "").isalpha()
        assert operation["tags"] and operation["summary"] and operation["description"]
        secured = "security" in operation
        assert secured == ("401" in operation["responses"])
        assert secured == ("x-webnova-message" in operation)
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                media = response["content"]["application/problem+json"]
                assert media["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_generated_calls_meet_the_document(running: _Running, document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    tried: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for known in running.known(operation.path):
                cases = operation.as_strategy(mode, path_parameters=known)
                tried[operation.label] += _try(cases, running, statuses)
    # Generated descriptions are seldom understood: one call is surely accepted.
    accepted = schema["/api/v1/platforms"]["POST"].Case(
        body={"description": "A clinic with patients"}, media_type="application/json"
    )
    _check(accepted, running, statuses)
    assert len(tried) > 25
    assert min(tried.values()) >= 1
    assert statuses[200] > 20 and statuses[202] and statuses[201] and statuses[422] > 20


def _try(cases: Any, running: _Running, statuses: Counter[int]) -> int:
    tried = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def call(case: Any) -> None:
        nonlocal tried
        _check(case, running, statuses)
        tried += 1

    # Some operations take nothing that could be wrong.
    with suppress(Unsatisfiable):
        call()
    return tried


def _check(case: Any, running: _Running, statuses: Counter[int]) -> None:
    response = case.call(base_url=running.address, headers=running.headers, timeout=20)
    statuses[response.status_code] += 1
    case.validate_response(response, checks=CHECKED, headers=running.headers)
