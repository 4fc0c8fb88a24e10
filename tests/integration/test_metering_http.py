"""Metering from outside: HTTP, clients, command line, and what WebNova meters of itself."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.conductor.driver import RunDriver
from engine.conductor.requests import CreatePlatform
from engine.kernel.errors import BudgetExceeded, Conflict, Forbidden, InvalidInput, NotFound
from engine.ledger.metering import forecast, usage
from engine.ledger.metering.periods import period_of
from engine.ledger.metering.usage import Meter, SumUsage
from serve_apps.api import create_api
from storage.work import PostgresWorkQueue
from tests.integration.conftest import execute, owner
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from tests.integration.test_durable_runs import ScriptedWorkshop, claim
from webnova import AsyncClient, Client
from webnova.client.metering import BudgetWish
from webnova.compose import Installation

ROOT = Path(__file__).parents[2]
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "source": "gateway",
    "id": "1",
    "meter": "builds",
    "quantity": "3",
    "platform": "shop",
    "occurred_at": "2026-01-05T00:00:00Z",
}


@pytest.fixture(scope="module")
async def address(installation: Installation) -> AsyncIterator[str]:
    async with served(create_api(installation, ScriptedGateway())) as address:
        yield address


@pytest.fixture
async def client(
    installation: Installation, address: str, tenant: str
) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address, await issue(installation, tenant)) as made:
        yield made


@pytest.fixture
async def raw(
    installation: Installation, address: str, tenant: str
) -> AsyncIterator[httpx.AsyncClient]:
    headers = bearer(await issue(installation, tenant))
    async with httpx.AsyncClient(base_url=f"{address}{API}", headers=headers, timeout=60) as made:
        yield made


async def test_from_usage_to_a_closed_statement(client: AsyncClient) -> None:
    recorded = await client.record_usage([EVENT, {**EVENT, "id": "2", "quantity": 1}])
    assert (recorded.accepted, recorded.duplicates) == (2, 0)
    again = await client.record_usage([EVENT])
    assert (again.accepted, again.duplicates) == (0, 1)
    with pytest.raises(Conflict) as other:
        await client.record_usage([{**EVENT, "quantity": "4"}])
    assert other.value.fields["conflicts"] == [{"source": "gateway", "id": "1"}]
    sums = [each async for each in client.usage(first="2026-01", last="2026-01")]
    assert [(each.platform, each.quantity, each.events) for each in sums] == [("shop", 4, 2)]

    rated = await client.rate_usage()
    assert [(each.meter, each.events) for each in rated.missing] == [("builds", 2)]
    assert [each.price_missing for each in await client.unrated_usage()] == [True]
    tiers = [{"up_to": 3, "unit_price": Decimal("0.10")}, {"unit_price": "0.05"}]
    book = await client.publish_prices({"builds": tiers}, currency="KWD", valid_from=JANUARY)
    assert book.versions[0].prices["builds"][0].unit_price == Decimal("0.1")
    assert [each.region async for each in client.price_books()] == ["default"]
    assert await client.price_book("default") == book
    assert (await client.rate_usage()).charged == 2

    closed = await client.close_month("2026-01")
    assert closed == await client.statement("2026-01")
    assert [(each.currency, str(each.due)) for each in closed.currencies] == [("KWD", "0.350")]
    credit = await client.correct_charge("gateway", "1", Decimal("-0.05"), "an outage")
    assert (await client.ledger_entry(credit.id)).corrects == credit.corrects
    shown = (await client.statement("2026-01")).currencies[0]
    assert (str(shown.total), str(shown.corrected), str(shown.due)) == ("0.350", "-0.050", "0.300")


async def test_budgets_over_the_wire(client: AsyncClient) -> None:
    made = await client.set_budget("ai", BudgetWish("2.5", currency="USD", thresholds=(100,)))
    assert (made.limit, made.left, made.thresholds) == (Decimal("2.5"), Decimal("2.5"), [100])
    first = await client.reserve("ai", "2", idempotency_key="once")
    assert await client.reserve("ai", "2", idempotency_key="once") == first
    with pytest.raises(BudgetExceeded) as refused:
        await client.reserve("ai", Decimal("0.51"))
    assert refused.value.fields["left"] == "0.5"
    second = await client.reserve("ai", Decimal("0.5"))
    assert (await client.release("ai", second.id)).state == "released"
    assert (await client.settle("ai", first.id, "3")).overrun == 1
    assert (await client.reservation("ai", first.id)).state == "settled"
    found = await client.budget("ai")
    assert (found.spent, found.held, found.left, found.reached) == (3, 0, Decimal("-0.5"), [100])
    assert [each.name async for each in client.budgets()] == ["ai"]
    with pytest.raises(InvalidInput, match="not exact"):
        await client.reserve("ai", 0.1)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await client.reservation("ai", "rsv_" + "0" * 32)


async def test_the_forecast_of_this_month(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 5, 20, 12, tzinfo=UTC)
    for module in (usage, forecast):
        monkeypatch.setattr(module, "now", lambda: now)
    assert (await client.forecast()).currencies == []
    days = [
        {**EVENT, "id": f"d{number}", "occurred_at": now - timedelta(days=number)}
        for number in range(1, 20)
    ]
    await client.record_usage(days)
    await client.publish_prices(
        {"builds": [{"unit_price": "1"}]}, currency="SAR", valid_from=now - timedelta(days=90)
    )
    await client.rate_usage()
    found = await client.forecast()
    [riyals] = found.currencies
    assert (found.period, found.as_of, riyals.basis_days) == ("2026-05", now, 19)
    assert riyals.spent == 19 * 3
    assert riyals.expected == riyals.low == riyals.high == 31 * 3


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"quantity": "-1"}, "events.0.quantity"),
        ({"quantity": "NaN"}, "events.0.quantity"),
        ({"quantity": "1e400000000"}, "events.0.quantity"),
        ({"quantity": 0.5}, "events.0.quantity"),
        ({"quantity": 10**18}, "events.0.quantity"),
        ({"meter": "smiles"}, "events.0.meter"),
        ({"occurred_at": "2026-01-05T00:00:00"}, "events.0.occurred_at"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "events.0.occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "events.0.occurred_at"),
        ({"id": "x" * 201}, "events.0.id"),
        ({"price": "1"}, "events.0.price"),
    ],
)
async def test_bad_usage_names_its_place(
    raw: httpx.AsyncClient, change: dict[str, Any], path: str
) -> None:
    response = await raw.post("/usage", json={"events": [{**EVENT, **change}]})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [each["path"] for each in response.json()["errors"]] == [path]
    assert (await raw.get("/usage?first=2026-01")).json()["items"] == []


async def test_other_bad_input_is_told_clearly(raw: httpx.AsyncClient) -> None:
    price = {"currency": "SAR", "valid_from": "2026-01-01T00:00:00Z"}
    tiers = {"builds": [{"unit_price": "1"}]}
    many = [{**EVENT, "id": str(number)} for number in range(1001)]
    for method, place, body, status in (
        ("POST", "/usage", {"events": []}, 422),
        ("POST", "/usage", {"events": many}, 422),
        ("POST", "/prices", {**price, "currency": "XAU", "prices": tiers}, 422),
        ("POST", "/prices", {**price, "currency": "ZZZ", "prices": tiers}, 422),
        ("POST", "/prices", {**price, "prices": {"builds": []}}, 422),
        ("POST", "/prices", {**price, "prices": {"builds": [{"unit_price": "-1"}]}}, 422),
        ("POST", "/prices", {**price, "valid_from": "2026-01-01T00:00:00", "prices": tiers}, 422),
        ("PUT", "/budgets/cap", {"limit": "1"}, 422),
        ("PUT", "/budgets/cap", {"limit": "1e99999999", "currency": "SAR"}, 422),
        ("POST", "/budgets/none/reservations", {"amount": "1"}, 404),
        ("POST", "/budgets/none/reservations", {"amount": "-1"}, 422),
        ("GET", "/statements/2026-13", None, 422),
        ("POST", "/statements/2026-01/close", {}, 409),
        ("POST", "/statements/2099-01/close", {}, 409),
        ("GET", "/usage?first=2026-02&last=2026-01", None, 422),
        ("GET", "/usage?after=00", None, 422),
        ("GET", "/ledger/entries/ent_" + "0" * 32, None, 404),
    ):
        response = await raw.request(method, place, json=body)
        assert response.status_code == status, (place, body, response.text)
        assert len(response.json()["detail"]) > 10


async def test_each_door_needs_its_permission(
    installation: Installation, address: str, tenant: str
) -> None:
    producer = await issue(installation, tenant, "usage.write")
    async with AsyncClient(address, producer) as client:
        await client.record_usage([EVENT])
        with pytest.raises(Forbidden):
            await client.statement("2026-01")
        with pytest.raises(Forbidden):
            await client.rate_usage()
        with pytest.raises(Forbidden):
            await client.publish_prices(
                {"builds": [{"unit_price": "1"}]}, currency="SAR", valid_from=JANUARY
            )
        with pytest.raises(Forbidden):
            await client.reserve("cap", 1)
        with pytest.raises(Forbidden):
            await client.close_month("2026-01")


async def test_the_blocking_client_meters_too(
    installation: Installation, address: str, tenant: str
) -> None:
    def use(token: str) -> list[Any]:
        with Client(address, token) as client:
            client.record_usage([EVENT])
            budget = client.set_budget("cap", BudgetWish(5, meter="builds"))
            held = client.reserve("cap", 5, seconds=60)
            rows = [each.quantity for each in client.usage(first="2026-01")]
            return [rows, budget.left, held.state, client.budget("cap").left]

    found = await asyncio.to_thread(use, await issue(installation, tenant))
    assert found == [[3], 5, "held", 0]


async def test_the_command_line(
    installation: Installation, address: str, tenant: str, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "WEBNOVA_HOME": str(tmp_path / "home"),
        "WEBNOVA_URL": address,
        "WEBNOVA_TOKEN": await issue(installation, tenant),
    }

    async def webnova(*words: str, stdin: str = "", code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "webnova.cli", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )
        out, error = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert process.returncode == code, (words, error.decode())
        return out.decode()

    line = json.dumps(EVENT)
    recorded = await webnova("usage", "record", "-", "--json", stdin=f"{line}\n\n{line}\n")
    assert json.loads(recorded) == {"accepted": 1, "duplicates": 1}
    assert "builds" in await webnova("usage", "list", "--first", "2026-01")
    assert "no price for 1 events of builds" in await webnova("usage", "rate")
    assert "no price" in await webnova("usage", "unrated")
    prices = '{"currency": "SAR", "valid_from": "2026-01-01T00:00:00Z", "prices": {"builds": '
    book = prices + '[{"unit_price": 0.10}]}}'
    assert "builds: 0.1 a unit" in await webnova("price", "publish", "-", stdin=book)
    assert "version 1" in await webnova("price", "show")
    assert len(json.loads(await webnova("price", "list", "--json"))) == 1
    assert json.loads(await webnova("usage", "rate", "--json"))["charged"] == 1
    shown = json.loads(await webnova("statement", "show", "2026-01", "--json"))
    assert shown["currencies"][0]["due"] == "0.30"
    assert "due 0.30 SAR" in await webnova("statement", "close", "2026-01")
    credit = ("--reason", "outage", "--amount", "-0.1", "--json")
    entry = json.loads(await webnova("statement", "correct", "gateway", "1", *credit))
    assert "outage" in await webnova("statement", "entry", entry["id"])
    await webnova("budget", "set", "cap", "5", "--currency", "SAR")
    held = json.loads(await webnova("budget", "reserve", "cap", "5", "--json"))
    await webnova("budget", "reserve", "cap", "1", code=1)
    assert "held" in await webnova("budget", "reservation", "cap", held["id"])
    assert "settled" in await webnova("budget", "settle", "cap", held["id"], "4")
    assert "80 %" in await webnova("budget", "show", "cap")
    more = json.loads(await webnova("budget", "reserve", "cap", "1", "--json"))
    assert "released" in await webnova("budget", "release", "cap", more["id"])
    assert json.loads(await webnova("budget", "list", "--json"))[0]["spent"] == "4"
    assert "run rate" in await webnova("forecast")
    for words, wrong in (
        (("usage", "record", "-"), "not json"),
        (("price", "publish", "-"), "[]"),
        (("price", "publish", "-"), prices),
    ):
        await webnova(*words, stdin=wrong, code=2)


async def test_a_run_is_metered_in_the_transaction_that_ends_it(
    installation: Installation, queue: PostgresWorkQueue, tenant: str
) -> None:
    begun = period_of(datetime.now(UTC))
    await execute(installation, tenant, CreatePlatform(name="shop", description="d"))
    driver = RunDriver(installation.dispatcher, queue, ScriptedWorkshop())
    assert await driver.drive(await claim(queue, tenant)) == "succeeded"
    await execute(installation, tenant, CreatePlatform(name="other", description="d"))
    failing = ScriptedWorkshop({"generate": [InvalidInput("impossible")]})
    driver = RunDriver(installation.dispatcher, queue, failing)
    assert await driver.drive(await claim(queue, tenant)) == "failed"
    found: Any = await installation.dispatcher.ask(SumUsage(first=begun), owner(tenant), tenant)
    metered = {(each.platform, each.meter): each for each in found.items}
    assert set(metered) == {
        ("shop", Meter.BUILDS),
        ("shop", Meter.COMPUTE_SECONDS),
        ("other", Meter.COMPUTE_SECONDS),
    }
    assert metered["shop", Meter.BUILDS].quantity == 1
    assert metered["shop", Meter.COMPUTE_SECONDS].quantity > 0
    assert {each.user for each in found.items} == {"token:owner"}
