"""A tenant arrives in another installation whole, with its evidence, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import rfc8785

from engine.conductor.platforms import Platform
from engine.conductor.requests import CreatePlatform
from engine.conductor.runs import Run
from engine.kernel.contracts import Call
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Conflict, InvalidInput, UnknownEvent, WebNovaError
from engine.ledger.metering.statements import GetStatement
from engine.ledger.tenancy.archive import (
    End,
    Inspected,
    Sum,
    inspect,
    line,
    read_lines,
    statement,
)
from engine.ledger.transparency.export import Trust
from engine.ledger.transparency.merkle import Frontier, hash_leaf, verify_consistency
from engine.ledger.transparency.notes import Checkpoint, Signer, encoded, opened, seed_of, signed
from engine.trust import tenants
from engine.trust.tenants import (
    CreateTenant,
    DeleteTenant,
    Imported,
    ImportTenant,
    SuspendTenant,
    TenantView,
)
from serve_apps.api import create_api
from storage.database import Database
from storage.portability import CONTENTS, DERIVED, EXPORTED
from storage.work import PostgresWorkQueue
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from tests.integration.test_portability import CONTENT, exported, fill, furnish, issued, verified
from tests.integration.test_transparency import check_log, keep_up, superuser
from webnova.compose import Installation, compose
from webnova.stack.database import prepare_database
from webnova.stack.home import Home
from webnova.stack.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def other_database(postgres_server: EmbeddedPostgres) -> TestDatabase:
    admin = postgres_server.admin_url
    urls = prepare_database(admin, postgres_server.secrets_dir, database="elsewhere")
    return TestDatabase(
        admin_url=admin.reveal(),
        owner_url=urls.owner.reveal(),
        app_url=urls.app.reveal(),
        worker_url=urls.worker.reveal(),
        eraser_url=urls.eraser.reveal(),
    )


@pytest.fixture(scope="module")
async def elsewhere(
    other_database: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """A second installation: a database and keys of its own."""
    home = Home.at(tmp_path_factory.mktemp("elsewhere"))
    made = compose("elsewhere", url=other_database.app_url, pool=8, home=home)
    yield made
    await made.close()


def written(lines: list[bytes], file: Path) -> Inspected:
    file.write_bytes(b"".join(lines))
    with file.open("rb") as opened_file:
        return inspect(read_lines(opened_file), Trust())


async def imported(to: Installation, lines: list[bytes], file: Path) -> TenantView:
    found = await asyncio.to_thread(written, lines, file)
    log = found.log
    source = Imported(origin=log.origin, size=log.size, root=log.root, sha256=found.sha256)
    command = ImportTenant(name=found.tenant, title=found.title, source=source, file=file)
    answer = await execute(to, ROOT_TENANT, command)
    assert isinstance(answer, TenantView)
    return answer


def content(lines: list[bytes]) -> list[Any]:
    """What of a file must be the same wherever the tenant lives."""
    shown = [json.loads(raw) for raw in lines[2:-1]]
    for each in shown:
        each.pop("place", None)
        each.pop("logged", None)
    return shown


async def documents(installation: Installation, tenant: str) -> list[Any]:
    async with installation.database.transaction(tenant) as connection:
        found = await connection.exec_driver_sql(
            "SELECT kind, id, version, data FROM documents ORDER BY kind, id"
        )
        return [tuple(row) for row in found]


async def test_a_tenant_arrives_whole(
    installation: Installation,
    elsewhere: Installation,
    other_database: TestDatabase,
    tenant: str,
    tmp_path: Path,
) -> None:
    token = await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    view = await imported(elsewhere, lines, tmp_path / "file")
    assert view.imported is not None and view.imported.origin.endswith(f"/{tenant}")
    assert content(await exported(elsewhere, tenant)) == content(lines)
    assert await documents(elsewhere, tenant) == await documents(installation, tenant)
    caller = await elsewhere.authenticate(token)
    assert (caller.tenant, caller.permissions) == (tenant, {"*"})
    events = [await each.feed.read(tenant, after=None) for each in (installation, elsewhere)]
    assert [each.event_id for each in events[0]] == [each.event_id for each in events[1]]
    first = events[1][0]
    there = await elsewhere.streams.links(tenant, first.event_id)
    here = await installation.streams.links(tenant, first.event_id)
    assert [each.event_id for each in there.siblings] == [each.event_id for each in here.siblings]
    period = events[0][-1].at.strftime("%Y-%m")
    bills = [
        await each.dispatcher.ask(GetStatement(period=period), owner(tenant), tenant)
        for each in (installation, elsewhere)
    ]
    assert bills[0] == bills[1]
    async with elsewhere.transactions.reading(tenant) as reader:
        assert await reader.blob(_digest(lines, len(CONTENT))) == CONTENT
    # An append that had been made is still known, and an answer given is still remembered.
    await issued_again(elsewhere, tenant)
    queue = PostgresWorkQueue(Database(other_database.worker_url, size=2))
    leases = await queue.claim("test", Run.kind, limit=10, per_tenant=10, seconds=15)
    await queue.close()
    assert tenant in {lease.tenant for lease in leases}


def _digest(lines: list[bytes], size: int) -> str:
    found = [json.loads(raw) for raw in lines if raw.startswith(b'{"blob"')]
    longest: str = max(found, key=lambda part: part["part"])["blob"]
    assert size > 0
    return longest


async def issued_again(installation: Installation, tenant: str) -> None:
    before = len(await installation.feed.read(tenant, after=None))
    await issued(installation, tenant)
    assert len(await installation.feed.read(tenant, after=None)) == before


async def test_the_log_goes_on_under_another_key_and_continues_the_old_checkpoint(
    installation: Installation, elsewhere: Installation, tenant: str, tmp_path: Path
) -> None:
    await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    old = Checkpoint.of(json.loads(lines[1])["checkpoint"])
    await imported(elsewhere, lines, tmp_path / "file")
    await execute(elsewhere, tenant, CreatePlatform(name="new", description="d"))
    await keep_up(elsewhere, tenant)
    notary = elsewhere.notary()
    new, _ = opened(await notary.checkpoint(tenant), notary.verifiers(tenant))
    assert new.size > old.size and new.origin != old.origin
    proof = await elsewhere.logs.consistency(tenant, old.size, new.size)
    assert verify_consistency((old.size, old.root), (new.size, new.root), proof)
    await check_log(elsewhere, tenant, new.size)
    assert (await elsewhere.auditor().check(tenant)).intact


async def rows_of(database: TestDatabase, tenant: str) -> int:
    connection = await superuser(database)
    try:
        return sum(
            [
                await connection.fetchval(
                    f"SELECT count(*) FROM webnova.{table} WHERE tenant_id = $1", tenant
                )
                for table in (*EXPORTED, *DERIVED, CONTENTS)
            ]
        )
    finally:
        await connection.close()


def signed_again(installation: Installation, tenant: str, lines: list[bytes]) -> list[bytes]:
    """A file whose end fits what it holds: only its content can be wrong now."""
    total = Sum()
    for raw in lines[:-1]:
        total.add(raw)
    end = End.model_validate_json(lines[-1])
    origin = installation.notary().origin(tenant)
    note = installation.notary().attest(tenant, statement(origin, total.sha256, total.lines))
    changed = end.model_copy(update={"lines": total.lines, "sha256": total.sha256, "note": note})
    return [*lines[:-1], line(changed)]


def row(table: str, column: str, value: str | None) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        if found.get("table") == table:
            found["row"][column] = value

    return change


def other_documents(found: Any) -> None:
    if "documents" in found:
        found["sha256"] = "0" * 64


def other_columns(found: Any) -> None:
    if "tables" in found:
        found["tables"]["work"]["colour"] = "text"
    if found.get("table") == "work":
        found["row"]["colour"] = "red"


@pytest.mark.parametrize(
    "change",
    [
        row("ledger_postings", "amount", "1"),
        row("charges", "source_id", "nothing"),
        row("usage", "occurred_at", "at some time"),
        row("documents", "version", "9"),
        row("work", "due_at", None),
        other_documents,
        other_columns,
    ],
    ids=["unbalanced", "dangling", "no date", "gap", "null", "documents", "columns"],
)
async def test_what_contradicts_itself_leaves_nothing_behind(
    installation: Installation,
    elsewhere: Installation,
    other_database: TestDatabase,
    tenant: str,
    tmp_path: Path,
    change: Callable[[Any], None],
) -> None:
    await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    changed = []
    for raw in lines:
        found = json.loads(raw)
        change(found)
        changed.append(line(found))
    forged = signed_again(installation, tenant, changed)
    verified(forged, installation, tenant)
    with pytest.raises(InvalidInput):
        await imported(elsewhere, forged, tmp_path / "file")
    assert await rows_of(other_database, tenant) == 0
    await imported(elsewhere, lines, tmp_path / "file")


def relogged(
    installation: Installation, tenant: str, lines: list[bytes], name: str, value: Any
) -> list[bytes]:
    """A file whose first event was changed before it was logged and signed."""
    frontier, changed = Frontier(), list(lines)
    for number, raw in enumerate(lines):
        if raw.startswith(b'{"event"'):
            entry = json.loads(raw)
            event = json.loads(entry["event"])
            if not frontier.size:
                event[name] = value
            entry["event"] = rfc8785.dumps(event).decode()
            leaf = hash_leaf(entry["event"].encode())
            frontier.append(leaf)
            changed[number] = line({**entry, "leaf": encoded(leaf)})
    header = json.loads(lines[1])
    origin = installation.notary().origin(tenant)
    assert installation.home is not None
    signer = Signer(origin, seed_of(installation.home.signing_keys()[0]))
    mark = Checkpoint(origin, frontier.size, frontier.root())
    changed[1] = line({**header, "checkpoint": signed(mark.text(), [signer])})
    return signed_again(installation, tenant, changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2**40),
        ("version", "one"),
        ("event_id", "none"),
        ("schema_version", 99),
        ("data", {"nothing": "of it"}),
        ("type", "nobody.knows"),
        ("at", "2026-01-01"),
        ("at", 7),
        ("exact", ["/data/9"]),
        ("exact", "all"),
        ("more", "than there is"),
    ],
)
async def test_events_that_were_signed_and_are_none_are_refused(
    installation: Installation,
    elsewhere: Installation,
    other_database: TestDatabase,
    tenant: str,
    tmp_path: Path,
    name: str,
    value: Any,
) -> None:
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    await issued(installation, tenant)
    forged = relogged(installation, tenant, await exported(installation, tenant), name, value)
    verified(forged, installation, tenant)
    with pytest.raises(WebNovaError) as refused:
        await imported(elsewhere, forged, tmp_path / "file")
    assert isinstance(refused.value, InvalidInput | UnknownEvent)
    assert await rows_of(other_database, tenant) == 0


async def test_a_checkpoint_is_never_attested(installation: Installation, tenant: str) -> None:
    text = Checkpoint(f"x/{tenant}", 1, bytes(32)).text()
    with pytest.raises(ValueError, match="drawn"):
        installation.notary().attest(tenant, text)


async def test_a_tenant_is_imported_once_and_never_over_another(
    installation: Installation, elsewhere: Installation, tenant: str, tmp_path: Path
) -> None:
    await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    with pytest.raises(Conflict):
        await imported(installation, lines, tmp_path / "file")
    views = await asyncio.gather(
        *(imported(elsewhere, lines, tmp_path / f"file-{number}") for number in range(3)),
        return_exceptions=True,
    )
    assert len([each for each in views if isinstance(each, TenantView)]) >= 1
    assert all(isinstance(each, TenantView | WebNovaError) for each in views)
    await check_log_after(elsewhere, tenant, lines)
    await execute(installation, tenant, CreatePlatform(name="later", description="d"))
    with pytest.raises(Conflict):
        await imported(elsewhere, await exported(installation, tenant), tmp_path / "file")


async def test_a_deleted_tenant_does_not_come_back(
    installation: Installation,
    elsewhere: Installation,
    tenant: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tenants, "QUIET", timedelta())
    await furnish(installation, tenant)
    lines = await exported(installation, tenant)
    await imported(elsewhere, lines, tmp_path / "file")
    await execute(elsewhere, ROOT_TENANT, SuspendTenant(name=tenant, reason="ended"))
    gone = DeleteTenant(name=tenant, origin="x", size=0, root="x")
    await execute(elsewhere, ROOT_TENANT, gone)
    with pytest.raises(Conflict):
        await imported(elsewhere, lines, tmp_path / "file")


async def check_log_after(elsewhere: Installation, tenant: str, lines: list[bytes]) -> None:
    await keep_up(elsewhere, tenant)
    await check_log(elsewhere, tenant, Checkpoint.of(json.loads(lines[1])["checkpoint"]).size)


async def test_a_name_with_unregistered_rows_is_refused(
    installation: Installation, elsewhere: Installation, tenant: str, tmp_path: Path
) -> None:
    await furnish(installation, tenant)
    await execute(elsewhere, tenant, CreatePlatform(name="mine", description="d"))
    with pytest.raises(Conflict, match="data here already"):
        await imported(elsewhere, await exported(installation, tenant), tmp_path / "file")
    async with elsewhere.transactions.reading(tenant) as reader:
        assert await reader.find(Platform, "mine") is not None


async def test_only_root_imports(elsewhere: Installation, tenant: str, tmp_path: Path) -> None:
    source = Imported(origin="x/y", size=0, root="", sha256="")
    command = ImportTenant(name=tenant, title="T", source=source, file=tmp_path / "none")
    with pytest.raises(WebNovaError, match="root tenant only"):
        await elsewhere.dispatcher.execute(Call(command, owner(tenant), tenant))


async def test_many_old_events_find_their_place(
    installation: Installation,
    elsewhere: Installation,
    postgres: TestDatabase,
    tenant: str,
    tmp_path: Path,
) -> None:
    """20,000 events of years that have no partition of their own."""
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    await fill(postgres, tenant, 20_000)
    connection = await superuser(postgres)
    try:
        await connection.execute(
            "UPDATE webnova.events SET at = '2019-02-03T04:05:06.789012Z' WHERE tenant_id = $1",
            tenant,
        )
    finally:
        await connection.close()
    while await installation.logs.sequence(tenant, 2000):
        continue
    lines = await exported(installation, tenant)
    await imported(elsewhere, lines, tmp_path / "file")
    head = await elsewhere.logs.head(tenant)
    assert head.size == 0
    while await elsewhere.logs.sequence(tenant, 2000):
        continue
    assert await elsewhere.logs.head(tenant) == await installation.logs.head(tenant)


async def test_over_http_with_a_key_from_elsewhere(
    installation: Installation, elsewhere: Installation, tenant: str
) -> None:
    token = await furnish(installation, tenant)
    body = b"".join(await exported(installation, tenant))
    vkey = installation.notary().verifiers(tenant)[0].vkey
    stranger = installation.notary().verifiers("stranger")[0].vkey
    async with (
        served(create_api(elsewhere, ScriptedGateway())) as address,
        httpx.AsyncClient(base_url=f"{address}{API}", timeout=60) as client,
    ):
        root = bearer(await issue(elsewhere, ROOT_TENANT))
        weak = bearer(await issue(elsewhere, ROOT_TENANT, "tenant.read"))
        path = "/tenants/import"
        refused = await client.post(path, content=body, headers=weak)
        assert refused.status_code == 403
        for params, sent in (({"vkey": stranger}, body), ({"vkey": vkey}, body[:-9])):
            refused = await client.post(path, content=sent, headers=root, params=params)
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
        made = await client.post(path, content=body, headers=root, params={"vkey": vkey})
        assert made.status_code == 201, made.text
        assert made.headers["location"] == f"/api/v1/tenants/{tenant}"
        shown = await client.get("/platforms", headers=bearer(token))
        assert [each["name"] for each in shown.json()["items"]] == ["shop"]
        again = await client.get(f"/tenants/{tenant}/export", headers=root)
        assert inspect(again.content.splitlines(keepends=True), Trust()).tenant == tenant
