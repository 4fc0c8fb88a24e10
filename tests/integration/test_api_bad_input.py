"""Bad input over HTTP: a clear problem each time, never a 500, never a partial platform."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_apps.api import create_api
from serve_apps.middleware import MAX_BODY
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from webnova.compose import Installation

PROBLEM = "application/problem+json"
PRODUCT = {"fields": {"name": {"type": "string"}}}


@pytest.fixture(scope="module")
async def address(installation: Installation) -> AsyncIterator[str]:
    async with served(create_api(installation, ScriptedGateway())) as address:
        yield address


@pytest.fixture
async def client(
    installation: Installation, address: str, tenant: str
) -> AsyncIterator[httpx.AsyncClient]:
    headers = bearer(await issue(installation, tenant))
    async with httpx.AsyncClient(base_url=f"{address}{API}", headers=headers, timeout=60) as client:
        yield client


def _refused(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert response.status_code in (statuses or (422,)), response.text
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert len(body["detail"]) > 10
    assert "Traceback" not in response.text
    return body


async def _nothing_was_made(client: httpx.AsyncClient) -> None:
    assert (await client.get("/platforms")).json()["items"] == []
    assert (await client.get("/runs")).json()["items"] == []


def _blueprint(**changes: Any) -> dict[str, Any]:
    return {"name": "shop", "title": {"en": "Shop"}, "entities": {"Product": PRODUCT}, **changes}


BODIES: dict[str, Any] = {
    "nothing": {},
    "empty description": {"description": ""},
    "blank description": {"description": " \n\t "},
    "100 kB": {"description": "clinic patients " * 6400},
    "nonsense": {"description": "؟؟؟ ### 123"},
    "NUL": {"description": "a clinic\0with patients"},
    "two forms": {"description": "a clinic", "blueprint": _blueprint()},
    "unknown field": {"description": "a clinic", "colour": "blue"},
    "number": {"description": 7},
    "list": [1, 2],
    "SQL in name": {"name": "x'; DROP TABLE events;--", "description": "a clinic"},
    "path in name": {"name": "../../etc/passwd", "description": "a clinic"},
    "Arabic digits in name": {"name": "clinic-٣", "description": "a clinic"},
    "line end in name": {"name": "clinic\n", "description": "a clinic"},
    "long name": {"name": "a" * 41, "description": "a clinic"},
    "empty Blueprint": {"blueprint": {}},
    "Blueprint is text": {"blueprint": "name: x"},
    "unknown field in Blueprint": {"blueprint": _blueprint(feilds={})},
    "reserved word": {"blueprint": _blueprint(entities={"Class": PRODUCT, "User": PRODUCT})},
    "injection in entity": {"blueprint": _blueprint(entities={'X"; DROP TABLE y;--': PRODUCT})},
    "path in Blueprint's name": {"blueprint": _blueprint(name="../up")},
    "500 entities": {
        "blueprint": _blueprint(entities={f"Entity{number}": PRODUCT for number in range(500)})
    },
    "required cycle": {
        "blueprint": _blueprint(
            entities={
                "A": {**PRODUCT, "relations": {"b": {"to": "B", "required": True}}},
                "B": {**PRODUCT, "relations": {"a": {"to": "A", "required": True}}},
            }
        )
    },
    "no YAML": {"blueprint_text": "a: [1, 2\nb: }"},
    "empty text": {"blueprint_text": ""},
    "duplicate keys": {"blueprint_text": "name: shop\nname: shop\n"},
    "tag": {"blueprint_text": "name: !!python/object/apply:os.system ['id']"},
    "billion laughs": {
        "blueprint_text": "a0: &a0 [x, x]\n"
        + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    },
    "deep": {"blueprint_text": "[" * 20_000},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_platform_is_not_made_from(client: httpx.AsyncClient, body: Any) -> None:
    async with asyncio.timeout(60):
        response = await client.post("/platforms", json=body)
    _refused(response)
    await _nothing_was_made(client)


RAW = {
    "no JSON": b"{oops",
    "half a surrogate": b'{"description": "a clinic \\ud800 here"}',
    "invalid UTF-8": b'{"description": "a clinic \xff\xfe"}',
    "NaN": b'{"blueprint": {"name": NaN}}',
    "huge number": b'{"blueprint": {"name": ' + b"9" * 5000 + b"}}",
    "deep": b'{"blueprint": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "deep but readable": b'{"blueprint": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "nothing": b"",
}


@pytest.mark.parametrize("content", RAW.values(), ids=RAW.keys())
@pytest.mark.parametrize("path", ["/platforms", "/blueprints/validate", "/tenants", "/tokens"])
async def test_a_body_that_is_no_text_to_keep(
    client: httpx.AsyncClient, path: str, content: bytes
) -> None:
    headers = {"content-type": "application/json"}
    _refused(await client.post(path, content=content, headers=headers))
    await _nothing_was_made(client)


async def test_mixed_scripts_are_welcome(client: httpx.AsyncClient) -> None:
    body = {"description": "عيادة clinic فيها patients و doctors 👩‍⚕️ " + "\u202e"}
    assert (await client.post("/platforms", json=body)).status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        "/platforms/%00",
        "/platforms/a%00b",
        "/platforms/Clinic",
        "/platforms/%ED%A0%80",
        "/platforms/' OR 1=1",
        "/platforms/%2e%2e%2fetc",
        "/platforms/" + "a" * 5000,
        "/runs/run_0",
        "/runs/run_" + "0" * 31 + "%0A",
        "/tokens/%00",
        "/tenants/%00",
        "/platforms?after=%00",
        "/platforms?limit=0",
        "/platforms?limit=99999999999999999999999",
        "/platforms?limit=NaN",
        "/events?after=1-",
        "/events?after=9999999999999999999-999999999999999999",
        "/events?after=-1-1",
        "/runs?platform=%00",
        "/platforms/none/blueprint?version=99999999999",
        "/platforms/none/logs?lines=0",
        "/platforms/none/blueprint/diff?from=-1",
    ],
)
async def test_a_bad_address_is_a_problem(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    if response.status_code == 200:
        assert path.startswith("/events?after=9999") and response.json()["items"] == []
    else:
        _refused(response, 404, 405, 422)


@pytest.mark.parametrize(
    "headers",
    [
        {"idempotency-key": ""},
        {"idempotency-key": "x" * 201},
        {"idempotency-key": "with space"},
        {"idempotency-key": "مفتاح".encode()},
        {"x-webnova-tenant": "../root"},
        {"x-webnova-tenant": "Root"},
        {"x-webnova-tenant": b"\xff"},
    ],
)
async def test_a_bad_header_is_a_problem(client: httpx.AsyncClient, headers: Any) -> None:
    body = {"description": "a clinic"}
    place = _refused(await client.post("/platforms", json=body, headers=headers))["errors"][0]
    assert place["in"] == "header"
    await _nothing_was_made(client)


@pytest.mark.parametrize(
    "body",
    [
        {"label": "", "permissions": ["run.read"]},
        {"label": "x", "permissions": []},
        {"label": "x", "permissions": ["everything"]},
        {"label": "x", "permissions": ["run.read"], "expires_at": "2001-01-01T00:00:00Z"},
        {"label": "x", "permissions": ["run.read"], "expires_at": "2999-01-01T00:00:00"},
        {"label": "x", "permissions": ["run.read"], "expires_at": 10**30},
    ],
)
async def test_a_token_is_not_issued_for(client: httpx.AsyncClient, body: Any) -> None:
    before = (await client.get("/tokens")).json()
    _refused(await client.post("/tokens", json=body))
    assert (await client.get("/tokens")).json() == before


async def test_an_announced_body_that_is_too_large_is_not_read(
    client: httpx.AsyncClient,
) -> None:
    body = json.dumps({"description": "x" * MAX_BODY})
    response = await client.post(
        "/platforms", content=body, headers={"content-type": "application/json"}
    )
    assert _refused(response, 413)["code"] == "too_large"


async def test_a_streamed_body_is_refused_at_the_limit(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"description": "'
        for _ in range(3):
            yield b"x" * (MAX_BODY // 2)

    response = await client.post(
        "/platforms", content=body(), headers={"content-type": "application/json"}
    )
    assert _refused(response, 413)["code"] == "too_large"
    await _nothing_was_made(client)


async def test_unknown_addresses_and_methods(client: httpx.AsyncClient, address: str) -> None:
    _refused(await client.get("/nowhere"), 404)
    _refused(await client.get(f"{address}/"), 404)
    wrong = await client.patch("/platforms")
    assert _refused(wrong, 405)["code"] == "method_not_allowed"
    assert wrong.headers["allow"] == "GET, POST"
    _refused(await client.request("TRACE", "/platforms"), 405)
    _refused(await client.get("/platforms/"), 404, 422)
    assert (await client.get("/tenants")).status_code == 403
