"""Documents of any kind: found through indices, and folded anew while they are in use."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from engine.conductor.catalogue import CATALOGUE
from engine.conductor.platforms import Platform
from engine.conductor.requests import CreatePlatform
from engine.conductor.runs import Run, RunState
from engine.kernel.contracts import Call, Caller, Versioned
from engine.kernel.errors import Forbidden, InvalidInput, NotFound
from engine.kernel.selections import (
    Between,
    OneOf,
    Selection,
    StartsWith,
)
from engine.ledger.documents import (
    FindDocuments,
    RebuildDocuments,
    Rebuilding,
    Refolding,
)
from engine.ledger.metering.budgets import Reservation, ReserveBudget, SetBudget
from serve_apps.api import create_api
from storage.bootstrap import database_url
from storage.database import Database
from storage.documents import PostgresStaleDocuments, statement
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from tests.integration.serving import ScriptedGateway, issue, served
from webnova.compose import Installation

NAMES = ["bakery", "bank", "barber", "clinic", "desk"]
TEXT = "SELECT data::text FROM webnova.documents WHERE kind = $1 ORDER BY id"


@pytest.fixture
async def shops(installation: Installation, tenant: str) -> str:
    for name in NAMES:
        await execute(installation, tenant, CreatePlatform(name=name, description="متجر"))
    await execute(installation, tenant, SetBudget(name="calls", limit="100", currency="SAR"))
    for amount in ("9", "10.5", "2"):
        await execute(installation, tenant, ReserveBudget(budget="calls", amount=amount))
    return tenant


async def selected(
    installation: Installation, tenant: str, document: Any, selection: Selection
) -> list[Versioned[Any]]:
    async with installation.transactions.reading(tenant) as reader:
        return list(await reader.select(document, selection))


async def test_documents_are_found_by_typed_fields(installation: Installation, shops: str) -> None:
    async def platforms(**where: Any) -> list[str]:
        found = await selected(installation, shops, Run, Selection(where=where))
        return sorted(each.document.platform for each in found)

    assert await platforms(platform=OneOf(("bank", "desk"))) == ["bank", "desk"]
    assert await platforms(platform=StartsWith("ba")) == ["bakery", "bank", "barber"]
    assert await platforms(platform=StartsWith("ba%")) == []
    assert await platforms(platform=Between("bar", "clinic")) == ["barber", "clinic"]
    assert await platforms(state=OneOf((RunState.SUCCEEDED,))) == []
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert await platforms(requested_at=Between(now - hour, None)) == NAMES
    assert await platforms(requested_at=Between(None, now - hour)) == []
    by_amount = Selection(order="amount", descending=True)
    found = await selected(installation, shops, Reservation, by_amount)
    # As numbers, not as texts.
    assert [str(each.document.amount) for each in found] == ["10.5", "9", "2"]


async def test_pages_follow_each_other_in_the_order_that_was_asked_for(
    installation: Installation, shops: str
) -> None:
    for order, descending in ((None, False), ("amount", False), ("amount", True), ("state", False)):
        whole = Selection(order=order, descending=descending)
        expected = [each.id for each in await selected(installation, shops, Reservation, whole)]
        seen: list[str] = []
        while page := await selected(
            installation,
            shops,
            Reservation,
            Selection(
                order=order, descending=descending, after=seen[-1] if seen else None, limit=1
            ),
        ):
            seen += [each.id for each in page]
        assert seen == expected and len(seen) == 3


async def test_an_index_answers_every_question(postgres: TestDatabase, tenant: str) -> None:
    """All of it in one transaction that is undone: these documents have no events."""
    admin = database_url(
        postgres.admin_url,
        user="postgres",
        password=urlsplit(postgres.admin_url).password or "",
        database="webnova",
    )
    connection = await asyncpg.connect(admin.reveal())
    await connection.execute("BEGIN")
    await connection.execute("SELECT set_config('webnova.tenant', $1, true)", tenant)
    await connection.execute(
        "INSERT INTO webnova.documents (tenant_id, kind, id, version, data) SELECT $1::text,"
        " 'reservation', 'd' || n, 1, jsonb_build_object('amount', (n + 0.5)::text)"
        " FROM generate_series(1, 3000) n",
        tenant,
    )
    await connection.execute(
        "INSERT INTO webnova.document_fields (tenant_id, kind, id, field, text, number, instant)"
        " SELECT $1::text, 'reservation', 'd' || n, f.*"
        " FROM generate_series(1, 3000) n CROSS JOIN LATERAL (VALUES"
        " ('budget', 'b' || n, NULL::double precision, NULL::timestamptz),"
        " ('state', 's' || n % 2, NULL, NULL), ('amount', NULL, n + 0.5, NULL),"
        " ('expires_at', NULL, NULL, '2030-01-01Z'::timestamptz + n * interval '1 s')) f",
        tenant,
    )
    await connection.execute("ANALYZE webnova.documents, webnova.document_fields")
    await connection.execute("SET LOCAL ROLE webnova_app")
    await connection.execute("SET LOCAL search_path = webnova")
    moment = datetime(2030, 1, 1, 0, 0, 7, tzinfo=UTC)
    for field, condition, index in (
        ("budget", OneOf(("b7",)), "text"),
        ("budget", StartsWith("b299"), "text"),
        ("amount", OneOf((Decimal("7.5"),)), "number"),
        ("amount", Between(Decimal("7.5"), Decimal("8")), "number"),
        ("expires_at", Between(moment, moment), "instant"),
    ):
        sql, values = statement(Reservation, Selection(where={field: condition}))
        query = positional(sql, [*values, "t"])
        given = [*values.values(), tenant]
        rows = await connection.fetch(query, *given)
        assert len(rows) == (11 if "b299" in str(condition) else 1)
        explained = await connection.fetch(f"EXPLAIN {query}", *given)
        plan = "\n".join(row[0] for row in explained)
        assert f"document_fields_by_{index}" in plan and "Seq Scan" not in plan, plan
    await connection.execute("ROLLBACK")
    await connection.close()


def positional(sql: str, names: list[str]) -> str:
    """SQL with named parameters as the driver wants it."""
    return re.sub(r"(?<!:):([a-z][a-z0-9_]*)", lambda match: f"${names.index(match[1]) + 1}", sql)


async def test_numbers_are_compared_exactly(installation: Installation, tenant: str) -> None:
    await execute(installation, tenant, SetBudget(name="big", limit="1e17", meter="builds"))
    for amount in ("9007199254740993", "9007199254740992"):
        await execute(installation, tenant, ReserveBudget(budget="big", amount=amount))
    wanted = OneOf((Decimal("9007199254740993"),))
    found = await selected(installation, tenant, Reservation, Selection(where={"amount": wanted}))
    assert [str(each.document.amount) for each in found] == ["9007199254740993"]
    wide = Selection(where={"amount": Between(None, Decimal("9007199254740992"))})
    assert len(await selected(installation, tenant, Reservation, wide)) == 1


@pytest.mark.parametrize(
    "condition",
    [
        "state",
        "state:",
        ":running",
        "steps:x",
        "nothing:1",
        "requested_at:yesterday",
        "state:odd",
        "trace:x",
    ],
)
async def test_conditions_that_are_none_are_refused(
    installation: Installation, shops: str, condition: str
) -> None:
    query = FindDocuments(kind="run", where=[condition])
    with pytest.raises(InvalidInput):
        await installation.dispatcher.ask(query, owner(shops), shops)


async def test_what_was_changed_by_hand_is_found_and_mended(
    installation: Installation, shops: str, app: asyncpg.Connection
) -> None:
    before = [row["data"] for row in await app.fetch(TEXT, "run")]
    await app.execute(
        'UPDATE webnova.documents SET data = data || \'{"state": "succeeded"}\''
        " WHERE kind = 'run' AND data ->> 'platform' = 'bank'"
    )
    first = await execute(installation, shops, RebuildDocuments(kind="run", limit=3))
    rest = await execute(installation, shops, RebuildDocuments(kind="run", after=first.next))
    assert (first.checked, rest.checked, rest.next) == (3, 2, None)
    changed = [*first.changed, *rest.changed]
    assert len(changed) == 1
    assert [row["data"] for row in await app.fetch(TEXT, "run")] == before
    again = await execute(installation, shops, RebuildDocuments(kind="run"))
    assert (again.checked, again.changed) == (5, [])
    async with installation.transactions.reading(shops) as reader:
        kept = await reader.find(Rebuilding, "documents")
    assert kept is not None and (kept.document.checked, kept.document.changed) == (10, 1)


async def test_every_document_of_a_tenant_rebuilds_to_the_same_bytes(
    installation: Installation, shops: str, app: asyncpg.Connection
) -> None:
    kinds = [row["kind"] for row in await app.fetch("SELECT DISTINCT kind FROM webnova.documents")]
    assert {"platform", "run", "blueprint", "budget", "reservation"} >= set(kinds) - {"token"}
    for kind in kinds:
        before = await app.fetch(TEXT, kind)
        done = await execute(installation, shops, RebuildDocuments(kind=kind, limit=500))
        assert done.changed == [] and done.checked == len(before)
        assert await app.fetch(TEXT, kind) == before


async def test_rebuilding_while_others_append_loses_nothing(
    installation: Installation, tenant: str
) -> None:
    await execute(installation, tenant, SetBudget(name="calls", limit="1", currency="SAR"))
    count = 40

    async def change() -> None:
        for number in range(count):
            wish = SetBudget(name="calls", limit=str(number + 2), currency="SAR")
            await execute(installation, tenant, wish)

    async def rebuild() -> None:
        for _ in range(count):
            await execute(installation, tenant, RebuildDocuments(kind="budget", id="calls"))

    await asyncio.gather(change(), rebuild())
    found = await installation.dispatcher.ask(FindDocuments(kind="budget"), owner(tenant), tenant)
    (budget,) = found.items  # type: ignore[attr-defined]
    assert (budget.version, budget.data["limit"]) == (count + 1, str(count + 1))
    done = await execute(installation, tenant, RebuildDocuments(kind="budget"))
    assert done.changed == []


@pytest.fixture
async def newer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A WebNova that folds platforms in another way than the one whose rows it finds."""
    fold = Platform.fold.__func__  # type: ignore[attr-defined]

    def shouting(cls: Any, state: Any, event: Any) -> Any:
        found = fold(cls, state, event)
        return found.model_copy(
            update={"description": f"{found.description}!", "current": found.current or 77}
        )

    monkeypatch.setattr(Platform, "fold", classmethod(shouting))
    monkeypatch.setattr(Platform, "fold_version", 3)
    yield


async def test_nobody_sees_a_document_of_another_fold(
    installation: Installation, shops: str, newer: None
) -> None:
    async with installation.transactions.reading(shops) as reader:
        found = await reader.find(Platform, "bank")
        assert found is not None and found.document.description == "متجر!!"
        listed = await reader.list(Platform)
        assert {each.document.description for each in listed} == {"متجر!!"}
        chosen = await reader.select(Platform, Selection(where={"current": OneOf((77,))}))
        assert len(chosen) == len(NAMES)


class OnlyOf:
    """A backlog without the other tests' tenants."""

    def __init__(self, tenant: str, backlog: PostgresStaleDocuments) -> None:
        self._tenant, self._backlog = tenant, backlog

    async def stale(
        self, folds: dict[str, int], shard: tuple[int, int] = (0, 1)
    ) -> list[tuple[str, str]]:
        found = await self._backlog.stale(folds, shard)
        return [each for each in found if each[0] == self._tenant]


async def test_what_a_new_fold_changes_is_brought_up_in_the_background(
    installation: Installation,
    shops: str,
    postgres: TestDatabase,
    app: asyncpg.Connection,
    newer: None,
) -> None:
    database = Database(postgres.worker_url, size=1)
    backlog = PostgresStaleDocuments(database)
    failures: dict[str, Exception] = {}
    folds = {"platform": 3}
    assert (shops, "platform") in await backlog.stale(folds)
    mine = OnlyOf(shops, backlog)
    refolding = Refolding("tests", mine, CATALOGUE, installation.dispatcher, failures.__setitem__)
    await refolding.turn()
    assert shops not in failures
    rows = await app.fetch("SELECT fold, data FROM webnova.documents WHERE kind = 'platform'")
    assert {row["fold"] for row in rows} == {3}
    assert {json.loads(row["data"])["description"] for row in rows} == {"متجر!!"}
    assert (shops, "platform") not in await backlog.stale(folds)
    await database.close()


async def test_rebuilding_needs_its_permission_and_a_kind_that_there_is(
    installation: Installation, shops: str
) -> None:
    reader = Caller("reader", shops, frozenset({"audit.read"}))
    with pytest.raises(Forbidden):
        await installation.dispatcher.execute(Call(RebuildDocuments(kind="run"), reader, shops))
    with pytest.raises(NotFound, match="there are"):
        await execute(installation, shops, RebuildDocuments(kind="nothing"))
    with pytest.raises(NotFound):
        await execute(installation, shops, RebuildDocuments(kind="run", id="run_0"))


async def test_documents_are_found_and_rebuilt_over_http(
    installation: Installation, shops: str
) -> None:
    token = await issue(installation, shops)
    async with (
        served(create_api(installation, ScriptedGateway())) as address,
        httpx.AsyncClient(
            base_url=f"{address}/api/v1", headers={"authorization": f"Bearer {token}"}
        ) as client,
    ):
        params = {"where": ["platform:ba*", "state:queued"], "order": "-platform", "limit": 2}
        page = (await client.get("/documents/run", params=params)).json()
        assert [each["data"]["platform"] for each in page["items"]] == ["barber", "bank"]
        rest = await client.get("/documents/run", params={**params, "after": page["next"]})
        assert [each["data"]["platform"] for each in rest.json()["items"]] == ["bakery"]
        refused = await client.get("/documents/run", params={"where": "steps:x"})
        assert refused.status_code == 422 and "platform" in refused.json()["mend"]
        done = await client.post("/documents/run/rebuild", json={})
        assert done.json() == {"kind": "run", "checked": 5, "changed": [], "next": None}
