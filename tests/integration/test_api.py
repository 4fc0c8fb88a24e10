"""The HTTP surface over a real database: who may, what happens once, what is refused and how."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.conductor.platforms import Platform
from serve_apps.api import create_api
from storage.glance import GLANCE
from tests.conftest import TestDatabase
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from webnova.compose import Installation, compose

PROBLEM = "application/problem+json"
CLINIC = "A clinic with patients and doctors"
BLUEPRINT: dict[str, Any] = {
    "name": "shop",
    "title": {"en": "Shop"},
    "entities": {"Product": {"fields": {"name": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture(scope="module")
async def address(installation: Installation, gateway: ScriptedGateway) -> AsyncIterator[str]:
    app = create_api(installation, gateway)
    async with served(app) as address:
        yield address


@pytest.fixture
async def client(
    installation: Installation, address: str, tenant: str
) -> AsyncIterator[httpx.AsyncClient]:
    token = await issue(installation, tenant)
    async with httpx.AsyncClient(base_url=f"{address}{API}", headers=bearer(token)) as client:
        yield client


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"] == f"urn:webnova:problem:{code}"
    assert body["instance"] == response.url.path
    return body


async def create(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/platforms", json=body)
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


async def names(client: httpx.AsyncClient) -> list[str]:
    return [each["name"] for each in (await client.get("/platforms")).json()["items"]]


# -- who may ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer nonsense"},
        {"authorization": f"Bearer wn_root_{'0' * 32}_{'a' * 43}"},
    ],
)
async def test_no_call_without_a_genuine_token(address: str, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=f"{address}{API}", headers=headers) as client:
        for method, path in (("GET", "/platforms"), ("POST", "/platforms"), ("GET", "/events")):
            response = await client.request(method, path, json={} if method == "POST" else None)
            problem(response, 401, "unauthenticated")
            assert response.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_token_is_worth_nothing(client: httpx.AsyncClient) -> None:
    issued = await client.post("/tokens", json={"label": "brief", "permissions": ["run.read"]})
    assert issued.status_code == 201
    token = issued.json()
    headers = bearer(token["token"])
    assert (await client.get("/runs", headers=headers)).status_code == 200
    revoked = await client.delete(f"/tokens/{token['id']}")
    assert revoked.json()["revoked"] is True
    problem(await client.get("/runs", headers=headers), 401, "unauthenticated")


async def test_a_token_can_only_do_what_it_holds(
    installation: Installation, client: httpx.AsyncClient, tenant: str
) -> None:
    reader = bearer(await issue(installation, tenant, "platform.read"))
    refused = await client.post("/platforms", json={"description": CLINIC}, headers=reader)
    assert problem(refused, 403, "forbidden")["permission"] == "platform.create"
    await create(client, name="mine", description=CLINIC)
    problem(await client.get("/platforms/mine/credentials", headers=reader), 403, "forbidden")
    problem(await client.get("/events", headers=reader), 403, "forbidden")
    assert (await client.get("/platforms/mine", headers=reader)).status_code == 200


async def test_a_token_cannot_give_more_than_it_holds(
    installation: Installation, client: httpx.AsyncClient, tenant: str
) -> None:
    issuer = bearer(await issue(installation, tenant, "token.issue"))
    body = {"label": "x", "permissions": ["platform.create"]}
    problem(await client.post("/tokens", json=body, headers=issuer), 403, "forbidden")


async def test_tenants_do_not_exist_for_each_other(
    installation: Installation, client: httpx.AsyncClient
) -> None:
    accepted = await create(client, name="secret-clinic", description=CLINIC)
    stranger = bearer(await issue(installation, "stranger"))
    for path in (
        "/platforms/secret-clinic",
        "/platforms/secret-clinic/logs",
        "/platforms/secret-clinic/credentials",
        "/platforms/secret-clinic/blueprint",
        f"/runs/{accepted['run']}",
        f"/runs/{accepted['run']}/events",
        f"/runs/{accepted['run']}/log",
    ):
        problem(await client.get(path, headers=stranger), 404, "not_found")
    for path in ("/platforms/secret-clinic/builds", f"/runs/{accepted['run']}/cancel"):
        problem(await client.post(path, json={}, headers=stranger), 404, "not_found")
    listed = (await client.get("/platforms", headers=stranger)).json()["items"]
    assert listed == []
    seen = (await client.get("/events?limit=500", headers=stranger)).text
    assert "secret-clinic" not in seen
    home = (await client.get("/platforms/secret-clinic")).json()
    visit = {**stranger, "x-webnova-tenant": client.headers["authorization"].split("_")[1]}
    problem(await client.get("/platforms/secret-clinic", headers=visit), 404, "not_found")
    assert home["name"] == "secret-clinic"


async def test_the_single_statement_read_obeys_row_level_security(
    installation: Installation, client: httpx.AsyncClient, tenant: str
) -> None:
    await create(client, name="walled", description=CLINIC)
    wanted = [(Platform.kind, "walled")]
    own = await installation.glances.read(tenant, wanted)
    other = await installation.glances.read("stranger", wanted)
    assert await own.find(Platform, "walled") is not None
    assert await other.find(Platform, "walled") is None
    # The wall is the database's, not the statement's: without the filter nothing more is seen.
    assert "tenant_id = s.tenant AND" in GLANCE
    unfiltered = GLANCE.replace("tenant_id = s.tenant AND", "s.tenant IS NOT NULL AND")
    kinds, ids = [Platform.kind], ["walled"]
    async with installation.connections.borrow() as connection:
        assert await connection.fetch(unfiltered, "stranger", kinds, ids) == []
        assert len(await connection.fetch(unfiltered, tenant, kinds, ids)) == 1
        assert await connection.fetchval("SELECT webnova.current_tenant()") is None


async def test_root_administers_and_visits_tenants(
    installation: Installation, address: str
) -> None:
    root = bearer(await issue(installation, "root"))
    async with httpx.AsyncClient(base_url=f"{address}{API}", headers=root) as client:
        body = {"name": "ministry", "title": "وزارة الصحة"}
        key = {"idempotency-key": "ministry-1"}
        made = await client.post("/tenants", json=body, headers=key)
        assert made.status_code == 201
        assert made.headers["location"] == "/api/v1/tenants/ministry"
        again = await client.post("/tenants", json=body, headers=key)
        assert again.status_code == 201
        assert again.json() == {**made.json(), "token": None}
        problem(await client.post("/tenants", json=body), 409, "conflict")
        member = bearer(made.json()["token"])
        await client.post("/platforms", json={"name": "own", "description": CLINIC}, headers=member)
        visit = {"x-webnova-tenant": "ministry"}
        seen = (await client.get("/platforms", headers=visit)).json()["items"]
        assert [each["name"] for each in seen] == ["own"]
        absent = {"x-webnova-tenant": "nobody"}
        problem(await client.get("/platforms", headers=absent), 404, "not_found")
        refused = await client.post("/platforms", json={"description": CLINIC}, headers=absent)
        problem(refused, 404, "not_found")
        problem(await client.get("/tenants", headers=member), 403, "forbidden")
        listed = (await client.get("/tenants")).json()["items"]
        shown = {"name": "ministry", "title": "وزارة الصحة"}
        assert {**shown, "suspended": None, "imported": None, "deleted": None} in listed


# -- once -------------------------------------------------------------------------------------


async def test_repeating_a_call_with_its_key_gives_the_first_answer(
    client: httpx.AsyncClient, gateway: ScriptedGateway
) -> None:
    await create(client, name="clinic", description=CLINIC)
    headers = {"idempotency-key": "create-once"}
    body = {"description": CLINIC}
    answers = [await client.post("/platforms", json=body, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert answers[0].json()["platform"]["name"] == "clinic-2"
    assert answers[1].json() == answers[0].json() == answers[2].json()
    assert answers[0].headers["location"] == "/api/v1/platforms/clinic-2"
    assert await names(client) == ["clinic", "clinic-2"]
    assert gateway.nudges >= 4


async def test_concurrent_repetitions_make_one_platform(client: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "all-at-once"}
    posts = [
        client.post("/platforms", json={"description": CLINIC}, headers=headers) for _ in range(8)
    ]
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run"] for answer in answers}) == 1
    assert await names(client) == ["clinic"]


async def test_a_key_belongs_to_one_request_and_one_tenant(
    installation: Installation, client: httpx.AsyncClient
) -> None:
    headers = {"idempotency-key": "taken"}
    first = await client.post(
        "/platforms", json={"name": "one", "description": CLINIC}, headers=headers
    )
    assert first.status_code == 202
    other = {"name": "two", "description": CLINIC}
    clash = await client.post("/platforms", json=other, headers=headers)
    problem(clash, 409, "idempotency_conflict")
    derived = await client.post("/platforms", json={"description": CLINIC}, headers=headers)
    problem(derived, 409, "idempotency_conflict")
    assert await names(client) == ["one"]
    elsewhere = {**headers, **bearer(await issue(installation, "elsewhere"))}
    assert (await client.post("/platforms", json=other, headers=elsewhere)).status_code == 202


async def test_concurrent_descriptions_get_numbered_names(client: httpx.AsyncClient) -> None:
    accepted = await asyncio.gather(*(create(client, description=CLINIC) for _ in range(5)))
    made = sorted(each["platform"]["name"] for each in accepted)
    assert made == ["clinic", "clinic-2", "clinic-3", "clinic-4", "clinic-5"]


async def test_a_token_is_shown_once(client: httpx.AsyncClient) -> None:
    body = {"label": "ci", "permissions": ["platform.*"], "expires_at": "2999-01-01T00:00:00Z"}
    headers = {"idempotency-key": "token-1"}
    first = (await client.post("/tokens", json=body, headers=headers)).json()
    again = (await client.post("/tokens", json=body, headers=headers)).json()
    assert first["token"].startswith("wn_")
    assert again == {**first, "token": None}
    listed = (await client.get("/tokens")).text
    assert first["token"] not in listed
    assert first["id"] in listed


# -- reading ----------------------------------------------------------------------------------


async def test_a_platform_as_it_is_accepted(client: httpx.AsyncClient) -> None:
    accepted = await create(client, name="fresh", description=CLINIC)
    shown = (await client.get("/platforms/fresh")).json()
    assert shown == accepted["platform"]
    assert shown["state"] == "building"
    assert shown["url"] is None
    assert shown["docs_url"] is None
    run = (await client.get(f"/runs/{accepted['run']}")).json()
    assert run["state"] == "queued"
    assert run["platform"] == "fresh"
    problem(await client.get(f"/runs/{accepted['run']}/log"), 404, "not_found")


async def test_lists_come_in_pages(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await create(client, name=f"p{number}", description=CLINIC)
    seen: list[str] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after:
        params = {"limit": "2"} | ({"after": after} if after else {})
        page = (await client.get("/platforms", params=params)).json()
        seen += [each["name"] for each in page["items"]]
        after, pages = page["next"], pages + 1
    assert seen == ["p0", "p1", "p2", "p3", "p4"]
    assert pages == 3
    runs = (await client.get("/runs", params={"limit": 2})).json()
    assert [each["platform"] for each in runs["items"]] == ["p4", "p3"]
    more = (await client.get("/runs", params={"after": runs["next"], "limit": 9})).json()
    assert [each["platform"] for each in more["items"]] == ["p2", "p1", "p0"]
    only = (await client.get("/runs", params={"platform": "p1"})).json()
    assert [each["platform"] for each in only["items"]] == ["p1"]


async def test_events_come_in_pages_without_what_is_for_the_machinery(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/tokens", json={"label": "x", "permissions": ["run.read"]})
    await create(client, name="eventful", description=CLINIC)
    seen: list[dict[str, Any]] = []
    page = (await client.get("/events", params={"limit": 2})).json()
    while True:
        seen += page["items"]
        if page["next"] is None:
            break
        page = (await client.get("/events", params={"limit": 2, "after": page["next"]})).json()
    types = [each["type"] for each in seen]
    assert types == [
        "token.issued",
        "token.issued",
        "platform.requested",
        "run.requested",
        "platform.run_started",
    ]
    assert "secret_sha256" not in seen[0]["data"]
    assert len({each["cursor"] for each in seen}) == 5


async def test_a_trace_is_recorded_with_what_it_causes(client: httpx.AsyncClient) -> None:
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    body = {"name": "traced", "description": CLINIC}
    await client.post("/platforms", json=body, headers={"traceparent": trace})
    events = (await client.get("/events")).json()["items"]
    assert [each["metadata"]["trace"] for each in events[-3:]] == [trace] * 3


async def test_cancelling_a_run(client: httpx.AsyncClient) -> None:
    accepted = await create(client, name="cancelled", description=CLINIC)
    for _ in range(2):
        response = await client.post(f"/runs/{accepted['run']}/cancel", json={})
        assert response.status_code == 200
    events = (await client.get("/events")).json()["items"]
    assert [each["type"] for each in events].count("run.cancel_requested") == 1
    busy = await client.post(
        "/platforms/cancelled/builds", json={"blueprint": {**BLUEPRINT, "name": "cancelled"}}
    )
    assert problem(busy, 409, "conflict")["run"] == accepted["run"]


async def test_logs_and_credentials(
    client: httpx.AsyncClient, gateway: ScriptedGateway, tenant: str
) -> None:
    await create(client, name="noisy", description=CLINIC)
    gateway.lines[tenant, "noisy"] = [f"line {number}" for number in range(10)]
    logs = (await client.get("/platforms/noisy/logs", params={"lines": 3})).json()
    assert logs == {"lines": ["line 7", "line 8", "line 9"]}
    answer = await client.get("/platforms/noisy/credentials")
    assert answer.json()["admin_email"] == "admin@noisy.example"
    assert answer.headers["cache-control"] == "no-store"


async def test_health_and_documents_need_no_token(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        for path in ("/health", "/api/v1/health"):
            assert (await client.get(path)).json()["status"] == "ok"
        document = (await client.get("/openapi.json")).json()
        assert document["openapi"] == "3.1.0"
        assert (await client.get("/docs")).status_code == 200
        schema = (await client.get("/api/v1/schemas/blueprint")).json()
        assert schema["$schema"].endswith("2020-12/schema")


async def test_a_database_that_is_away_is_a_503(postgres: TestDatabase) -> None:
    unreachable = re.sub(r":\d+/", ":1/", postgres.app_url)
    lost = compose("lost", url=unreachable, pool=1)
    headers = bearer(f"wn_root_{'0' * 32}_{'a' * 43}")
    async with (
        served(create_api(lost, ScriptedGateway())) as address,
        httpx.AsyncClient(base_url=f"{address}{API}", headers=headers) as client,
    ):
        for path in ("/platforms/x1", "/platforms", "/health"):
            response = await client.get(path)
            problem(response, 503, "unavailable")
            assert int(response.headers["retry-after"]) >= 1
    await lost.close()


# -- Blueprints -------------------------------------------------------------------------------


async def test_a_blueprint_changes_only_for_who_saw_the_last_version(
    client: httpx.AsyncClient,
) -> None:
    accepted = await create(client, blueprint=BLUEPRINT)
    assert accepted["platform"]["name"] == "shop"
    shown = await client.get("/platforms/shop/blueprint")
    etag = shown.headers["etag"]
    assert etag == f'"{shown.json()["digest"]}"'
    changed = {**BLUEPRINT, "title": {"en": "Bookshop", "ar": "مكتبة"}}
    body = {"content": changed}
    path = "/platforms/shop/blueprint"
    problem(await client.put(path, json=body), 428, "precondition_required")
    stale = await client.put(path, json=body, headers={"if-match": '"0000"'})
    problem(stale, 412, "precondition_failed")
    problem(await client.put(path, json=body, headers={"if-match": "x"}), 422, "invalid_input")
    saved = await client.put(path, json=body, headers={"if-match": etag})
    assert saved.status_code == 200
    assert saved.json()["version"] == 2
    assert saved.headers["etag"] != etag
    repeated = await client.put(path, json=body, headers={"if-match": etag})
    problem(repeated, 412, "precondition_failed")
    unchanged = await client.get(path, headers={"if-none-match": saved.headers["etag"]})
    assert unchanged.status_code == 304
    first = (await client.get(path, params={"version": 1})).json()
    assert first["content"]["title"] == {"en": "Shop"}
    problem(await client.get(path, params={"version": 9}), 404, "not_found")
    versions = (await client.get(f"{path}/versions")).json()["items"]
    assert [each["version"] for each in versions] == [1, 2]
    changes = (await client.get(f"{path}/diff")).json()["changes"]
    assert [change["path"] for change in changes] == ["title"]
    backwards = (await client.get(f"{path}/diff", params={"from": 2, "to": 1})).json()["changes"]
    assert backwards[0]["new"] == changes[0]["old"]


async def test_blueprints_as_yaml(client: httpx.AsyncClient) -> None:
    await create(client, blueprint={**BLUEPRINT, "name": "yaml-shop"})
    path = "/platforms/yaml-shop/blueprint"
    shown = await client.get(path, headers={"accept": "application/yaml"})
    assert shown.headers["content-type"].startswith("application/yaml")
    text = shown.text.replace("en: Shop", "en: Store")
    headers = {"if-match": shown.headers["etag"], "content-type": "application/yaml"}
    saved = await client.put(path, content=text, headers=headers)
    assert saved.json()["content"]["title"] == {"en": "Store"}
    headers = {"if-match": "*", "content-type": "text/csv"}
    refused = await client.put(path, content=text, headers=headers)
    problem(refused, 415, "unsupported_media_type")
    made = await create(client, blueprint_text=text.replace("yaml-shop", "text-shop"))
    assert made["platform"]["name"] == "text-shop"


async def test_checking_and_comparing_stores_nothing(client: httpx.AsyncClient) -> None:
    valid = (await client.post("/blueprints/validate", json={"content": BLUEPRINT})).json()
    assert valid["valid"] is True
    text = "name: shop\ntitle: {en: Shop}\nentities:\n  Product:\n    feilds: {}\n"
    response = await client.post("/blueprints/validate", json={"text": text})
    place = problem(response, 422, "invalid_input")["errors"][0]
    assert (place["line"], place["suggestion"]) == (5, "fields")
    other = {**BLUEPRINT, "title": {"en": "Other"}}
    diff = await client.post("/blueprints/diff", json={"old": BLUEPRINT, "new": other})
    assert [change["path"] for change in diff.json()["changes"]] == ["title"]
    broken = await client.post("/blueprints/diff", json={"old": BLUEPRINT, "new": {"x": 1}})
    errors = problem(broken, 422, "invalid_input")["errors"]
    assert all(error["path"].startswith("/new") for error in errors)
    assert await names(client) == []
