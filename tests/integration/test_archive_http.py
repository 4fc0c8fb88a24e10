"""What a tenant sees of its archives over HTTP, in the clients and on the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Forbidden, InvalidInput
from engine.ledger.archive.examination import examined
from engine.ledger.archive.months import ArchivedMonthList, ListArchivedMonths
from engine.ledger.archive.retention import DEFAULT_DAYS
from engine.ledger.transparency.export import Trust
from engine.trust.tenants import CreateTenant
from tests.integration.conftest import execute
from tests.integration.test_archive import (
    admin,
    age,
    ask,
    furnished,
    grow,
    kept,
    month,
)
from tests.integration.test_client_server import Api, Shell, api, webnova
from tests.integration.test_transparency import keep_up
from webnova import AsyncClient, Client
from webnova.compose import RETENTION, Archives, Installation, retention_days

__all__ = ["admin", "api", "furnished", "kept", "month", "webnova"]


async def test_a_tenant_sees_which_months_left_and_what_stands_in_for_them(
    api: Api, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, path = furnished
    async with AsyncClient(api.url, await api.token(tenant)) as client:
        before = await client.archived_months()
        assert (before.items, before.next, before.retention_days) == ([], None, DEFAULT_DAYS)
        started = datetime.now(UTC)
        await kept.retention.drop(month)
        report = examined(path, Trust())
        [shown] = (await client.archived_months()).items
        assert (shown.month, shown.events, shown.stored) == (month, 6, 0)
        assert (shown.size, shown.root) == (report.size, report.root)
        assert shown.bytes == path.stat().st_size
        assert shown.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert shown.verified_at is not None and shown.verified_at >= started
        proof = await client.prove_inclusion(index=shown.first_leaf)
        assert proof.event is None
        await kept.restoration.restore(path)
        assert (await client.archived_months()).items == [shown.model_copy(update={"stored": 6})]
        assert (await client.prove_inclusion(index=shown.first_leaf)).event is not None


async def test_months_come_page_by_page_and_only_ones_own(
    installation: Installation, admin: Any, kept: Archives, tenant: str
) -> None:
    months = ["2020-09", "2020-10", "2020-11"]
    for each in months:
        await grow(installation, tenant, f"of-{each}")
        await age(admin, tenant, each, f"id = 'of-{each}'")
    other = f"{tenant}-other"
    await grow(installation, other, "of-another")
    await age(admin, other, months[0], "id = 'of-another'")
    for each in (tenant, other):
        await keep_up(installation, each)
    for each in months:
        await kept.archivist.archive(each)
        await kept.retention.drop(each)
    seen: list[str] = []
    page: ArchivedMonthList = await ask(installation, tenant, ListArchivedMonths(limit=2))
    seen += [each.month for each in page.items]
    assert page.next == months[1]
    page = await ask(installation, tenant, ListArchivedMonths(limit=2, after=page.next))
    assert [*seen, *(each.month for each in page.items)] == months and page.next is None
    theirs: ArchivedMonthList = await ask(installation, other, ListArchivedMonths())
    assert [(each.month, each.events) for each in theirs.items] == [(months[0], 1)]


async def test_a_month_that_was_dropped_before_notes_were_kept_is_listed(
    api: Api, admin: Any, tenant: str
) -> None:
    await admin.execute(
        "INSERT INTO archived_months (tenant_id, month, first_leaf, last_leaf, events)"
        " VALUES ($1, '2019-01', 0, 4, 5)",
        tenant,
    )
    async with AsyncClient(api.url, await api.token(tenant)) as client:
        [shown] = (await client.archived_months()).items
    assert (shown.month, shown.events, shown.stored) == ("2019-01", 5, 0)
    assert (shown.root, shown.sha256, shown.verified_at) == (None, None, None)


async def test_whoever_may_not_audit_sees_nothing_and_the_operator_looks_inside(
    api: Api, installation: Installation, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, _ = furnished
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    await kept.retention.drop(month)
    weak, strong = await api.token(tenant, ["event.read"]), await api.token(ROOT_TENANT)

    def look() -> None:
        with Client(api.url, weak) as client, pytest.raises(Forbidden):
            client.archived_months()
        with Client(api.url, strong, tenant=tenant) as client:
            assert [each.month for each in client.archived_months().items] == [month]

    await asyncio.to_thread(look)
    async with httpx.AsyncClient(base_url=f"{api.url}/api/v1/archive") as http:
        assert (await http.get("/months")).status_code == 401
        headers = {"authorization": f"Bearer {strong}"}
        for wrong in ("after=2020-13", "after=x", "limit=0"):
            assert (await http.get(f"/months?{wrong}", headers=headers)).status_code == 422


async def test_the_command_line_lists_them(
    kept: Archives, furnished: tuple[str, str, Path], webnova: Shell
) -> None:
    _, month, path = furnished
    await kept.retention.drop(month)
    code, out, _ = await webnova("archive", "list", "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown["retention_days"] == DEFAULT_DAYS
    assert [(each["month"], each["events"]) for each in shown["items"]] == [(month, 6)]
    code, out, _ = await webnova("archive", "list")
    assert code == 0 and month in out and hashlib.sha256(path.read_bytes()).hexdigest() in out


@pytest.mark.parametrize("wrong", ["0", "-3", "x", "1.5", "٣", "100000"])
def test_a_retention_that_is_no_number_of_days_is_refused(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RETENTION, wrong)
    with pytest.raises(InvalidInput, match=RETENTION):
        retention_days()


def test_the_environment_says_how_long_months_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETENTION, "400")
    assert retention_days() == 400
    monkeypatch.delenv(RETENTION)
    assert retention_days() == DEFAULT_DAYS
