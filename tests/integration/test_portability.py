"""A whole tenant leaves as one file that shows any change, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from engine.conductor.requests import CreatePlatform
from engine.conductor.runs import Run
from engine.kernel.contracts import Call
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import InvalidInput, NotFound, Unavailable
from engine.kernel.selections import Selection
from engine.ledger.metering.budgets import ReserveBudget, SetBudget
from engine.ledger.metering.prices import PublishPrices
from engine.ledger.metering.rating import CorrectCharge, RateUsage
from engine.ledger.metering.usage import RecordUsage
from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.subscriptions.records import LeaseEvents, OpenSubscription, RejectEvent
from engine.ledger.tenancy import archivist
from engine.ledger.tenancy.archive import PART, Inspected, inspect
from engine.ledger.transparency.export import Trust
from engine.ledger.transparency.notes import Checkpoint
from engine.ledger.transparency.publishing.witnessing import TrustLog, WitnessCheckpoint
from engine.ledger.webhooks.endpoints import AddWebhook
from engine.ledger.webhooks.store import Deliveries
from engine.trust.tenants import CreateTenant, ExportTenant
from engine.trust.tokens import IssueToken, draw
from storage.portability import CONTENTS, DERIVED, EXPORTED, HEADS
from tests.conftest import TestDatabase
from tests.contracts.leaves import LOG, SIGNER
from tests.integration.conftest import execute, owner
from tests.integration.test_event_store import notes
from tests.integration.test_ledger import call
from tests.integration.test_transparency import superuser
from webnova.compose import Installation

CONTENT = bytes(range(256)) * 1024 * 3 + b"rest"
"""Larger than two parts, and of every byte."""


async def issued(installation: Installation, tenant: str) -> str:
    id, digest, token = draw(tenant)
    command = IssueToken(id=id, secret_sha256=digest, label="kept", permissions=["*"])
    await execute(installation, tenant, command, key="first")
    return token.reveal()


async def furnish(installation: Installation, tenant: str) -> str:
    """A tenant with rows in every table; returns one of its tokens."""
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="عيادة"))
    token = await issued(installation, tenant)
    await execute(installation, tenant, CreatePlatform(name="shop", description="متجر 🌙"))
    async with installation.transactions.writing(call(tenant)) as tx:
        await tx.put_blob(CONTENT)
        await tx.put_blob(b"")
    named = [NewEvent(each.event, uuid4()) for each in notes({"n": 1.0}, 2**53 - 1, 0.1, "x")]
    origin = Origin(caller="token:test", causation="call-1")
    await installation.streams.append(tenant, [Append("note", "a", named)], origin)
    await spend(installation, tenant)
    await subscribe(installation, tenant)
    await execute(installation, tenant, TrustLog(vkey=SIGNER.verifier.vkey))
    await execute(installation, tenant, WitnessCheckpoint(old=0, proof=[], note=LOG.note(3)))
    return token


STANDING_IN = (
    "INSERT INTO document_bases (tenant_id, kind, id, version, fold, month, data)"
    " VALUES (:t, 'platform', 'long-gone', 1, 1, '2020-01', '{}')",
    "INSERT INTO archived_months (tenant_id, month, first_leaf, last_leaf, events)"
    " VALUES (:t, '2020-01', 0, 0, 1)",
)


async def subscribe(installation: Installation, tenant: str) -> None:
    opened = OpenSubscription(name="copy", types=["*"], start="beginning")
    await execute(installation, tenant, opened)
    leased = await execute(installation, tenant, LeaseEvents(name="copy", consumer="c"))
    first = leased.items[0].event_id
    rejected = RejectEvent(name="copy", slot=0, fence=leased.fence, event_id=first, error="no")
    await execute(installation, tenant, rejected)
    wish = AddWebhook(url="https://example.com/hook", types=["*"])
    webhook = await execute(installation, tenant, wish)
    (event,) = await installation.feed.read(tenant, after=None, limit=1)
    async with installation.transactions.writing(call(tenant)) as tx:
        await tx.part(Deliveries).add(webhook.id, event, datetime.now(UTC))
        assert await tx.select(Run, Selection())
    for statement in STANDING_IN:
        async with installation.database.transaction(tenant) as connection:
            await connection.execute(text(statement), {"t": tenant})


async def spend(installation: Installation, tenant: str) -> None:
    at = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    common = {"source": "test", "occurred_at": at, "user": "u1"}
    usage = [
        {**common, "id": "a", "meter": "builds", "quantity": 3},
        {**common, "id": "b", "meter": "builds", "quantity": 1},
        {**common, "id": "c", "meter": "compute_seconds", "quantity": "0.123456789"},
    ]
    tiers = [{"up_to": "2", "unit_price": "0.25"}, {"unit_price": "0.100000000001"}]
    prices = {
        "region": "default",
        "currency": "SAR",
        "valid_from": "2026-01-01T00:00:00Z",
        "prices": {"builds": tiers},
    }
    for command in (
        PublishPrices.model_validate(prices),
        RecordUsage.model_validate({"events": usage}),
        RateUsage(limit=100),
        CorrectCharge(source="test", id="a", amount=Decimal("-0.05"), reason="too much"),
        SetBudget.model_validate({"name": "cap", "limit": "100", "currency": "SAR"}),
        ReserveBudget(budget="cap", amount=Decimal("12.34"), seconds=600),
    ):
        await execute(installation, tenant, command)


async def exported(installation: Installation, tenant: str) -> list[bytes]:
    return [raw async for raw in installation.archivist().export(tenant, "عيادة")]


def verified(lines: list[bytes], installation: Installation, tenant: str) -> Inspected:
    """As one who holds the key from elsewhere."""
    return inspect(lines, Trust(installation.notary().verifiers(tenant)))


async def test_every_table_of_tenants_is_exported_or_derived(postgres: TestDatabase) -> None:
    """A lint of the live schema, so that a table added later can't stay behind unseen."""
    connection = await asyncpg.connect(postgres.owner_url)
    try:
        found = await connection.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'webnova'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition AND a.attname = 'tenant_id'"
        )
    finally:
        await connection.close()
    assert {row["relname"] for row in found} == {*EXPORTED, *DERIVED, CONTENTS}
    assert not set(EXPORTED) & set(DERIVED)


async def test_an_export_holds_every_row_and_verifies_with_the_key_alone(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    found = verified(lines, installation, tenant)
    assert found.log.outside and found.signed_by
    connection = await superuser(postgres)
    try:
        for table in (*EXPORTED, CONTENTS):
            query = f"SELECT count(*) FROM webnova.{table} WHERE tenant_id = $1"
            count = await connection.fetchval(query, tenant)
            assert count and found.rows[table] == count, table
        events = "SELECT count(*) FROM webnova.events WHERE tenant_id = $1"
        assert found.log.size == await connection.fetchval(events, tenant)
    finally:
        await connection.close()
    assert found.rows[HEADS] == 1
    rows = [json.loads(raw) for raw in lines if raw.startswith(b'{"row"')]
    usage = {row["row"]["source_id"]: row["row"] for row in rows if row["table"] == "usage"}
    assert usage["c"]["quantity"] == "0.123456789"
    assert max(len(raw) for raw in lines) < 2 * PART
    head = await installation.logs.head(tenant)
    assert Checkpoint.of(json.loads(lines[1])["checkpoint"]).root == head.root


async def test_any_change_to_the_file_is_found(installation: Installation, tenant: str) -> None:
    await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    verified(lines, installation, tenant)
    key = installation.notary().verifiers(f"{tenant}-other")
    with pytest.raises(InvalidInput):
        inspect(lines, Trust(key))
    for number in range(len(lines)):
        for changed in (
            [*lines[:number], *lines[number + 1 :]],
            [*lines[:number], lines[number], *lines[number:]],
            [*lines[:number], _altered(lines[number]), *lines[number + 1 :]],
            lines[:number],
            [*lines[:number], lines[number][:-1]],
        ):
            with pytest.raises(InvalidInput):
                verified(changed, installation, tenant)
    with pytest.raises(InvalidInput):
        verified([*lines, lines[-1]], installation, tenant)


def _altered(raw: bytes) -> bytes:
    """One digit or letter in the middle replaced by another."""
    middle = next(at for at in range(len(raw) // 2, len(raw)) if chr(raw[at]).isalnum())
    other = b"7" if raw[middle : middle + 1] != b"7" else b"8"
    return raw[:middle] + other + raw[middle + 1 :]


async def test_an_export_is_of_one_instant_while_others_write(
    installation: Installation, tenant: str
) -> None:
    await furnish(installation, tenant)
    lines = installation.archivist().export(tenant, "T")
    first = await anext(lines)
    events = (await installation.logs.head(tenant)).size
    for number in range(5):
        await execute(installation, tenant, CreatePlatform(name=f"late-{number}", description="d"))
    found = verified([first, *[raw async for raw in lines]], installation, tenant)
    assert found.log.size == events and found.rows["work"] == 1
    assert verified(await exported(installation, tenant), installation, tenant).rows["work"] == 6


async def test_a_log_that_can_not_be_closed_is_told_before_the_first_line(
    installation: Installation, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archivist, "ATTEMPTS", 2)
    await furnish(installation, tenant)
    begun, commit = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with installation.transactions.writing(Call(*call_of(tenant))) as tx:
            await tx.put_blob(b"gives the transaction a place in the order")
            begun.set()
            await commit.wait()

    writer = asyncio.create_task(late())
    await begun.wait()
    await execute(installation, tenant, CreatePlatform(name="early", description="d"))
    with pytest.raises(Unavailable, match="faster"):
        await exported(installation, tenant)
    commit.set()
    await writer
    verified(await exported(installation, tenant), installation, tenant)


def call_of(tenant: str) -> tuple[Any, Any, str]:
    made = call(tenant)
    return made.command, made.caller, made.tenant


async def test_only_root_exports_and_only_what_is_registered(
    installation: Installation, tenant: str
) -> None:
    query = ExportTenant(name=tenant)
    with pytest.raises(NotFound):
        await installation.dispatcher.ask(query, owner(ROOT_TENANT), ROOT_TENANT)
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    with pytest.raises(Exception, match="root tenant only"):
        await installation.dispatcher.ask(query, owner(tenant), tenant)
    empty = verified(await exported(installation, tenant), installation, tenant)
    assert empty.log.size == 0 and not empty.rows


async def fill(postgres: TestDatabase, tenant: str, count: int) -> None:
    connection = await superuser(postgres)
    try:
        await connection.execute(
            "INSERT INTO webnova.events (tenant_id, kind, id, version, event_id, type,"
            " schema_version, data, metadata, at) SELECT $1, 'note', 'n' || n, 1,"
            " gen_random_uuid(), 'note.noted', 1, jsonb_build_object('value', repeat('x', 1000)),"
            " '{}', now() FROM generate_series(1, $2) n",
            tenant,
            count,
        )
        await connection.execute(
            "INSERT INTO webnova.documents (tenant_id, kind, id, version)"
            " SELECT $1, 'note', 'n' || n, 1 FROM generate_series(1, $2) n",
            tenant,
            count,
        )
    finally:
        await connection.close()


async def test_twenty_thousand_events_need_the_memory_of_a_page(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await fill(postgres, tenant, 20_000)
    while await installation.logs.sequence(tenant, 2000):
        continue
    sizes: Counter[str] = Counter()
    tracemalloc.start()
    try:
        async for raw in installation.archivist().export(tenant, "T"):
            sizes["bytes"] += len(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sizes["bytes"] > 20_000 * 1000
    assert peak < sizes["bytes"] / 3
