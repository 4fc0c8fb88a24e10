"""Months of events: archived to files that verify by themselves, dropped, and brought back."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.conductor.catalogue import CATALOGUE
from engine.conductor.platforms import Platform
from engine.conductor.requests import CreatePlatform
from engine.forge.versions import BlueprintRecord, GetBlueprint, SaveBlueprint
from engine.kernel.contracts import Call
from engine.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable, WebNovaError
from engine.kernel.secret import Secret
from engine.ledger.archive.examination import examined
from engine.ledger.archive.files import place_of
from engine.ledger.archive.retention import Retention
from engine.ledger.documents import RebuildDocuments
from engine.ledger.metering.periods import end_of, start_of
from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.transparency.export import Trust
from engine.ledger.transparency.merkle import hash_leaf
from engine.ledger.transparency.notes import Checkpoint, Signer, encoded, signed
from engine.ledger.versions import (
    BlameDocument,
    CompareVersions,
    DocumentVersion,
    GetVersion,
    ListVersions,
    VersionList,
)
from engine.trust.tokens import IssueToken, RevokeToken, Token, TokenRevoked
from storage.archive import PostgresMonths
from storage.bootstrap import DatabaseUrls
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from tests.integration.test_ledger import requested
from tests.integration.test_transparency import keep_up, superuser
from tests.integration.test_versions import FIRST, SECOND, THIRD
from webnova.cli.app import app as command_line
from webnova.cli.exits import ExitCode
from webnova.compose import Archives, Installation, archives
from webnova.stack.home import Home
from webnova.stack.postgres import EmbeddedPostgres
from webnova.stack.processes import ProcessRef
from webnova.stack.state import StackState

_months = itertools.count(2021 * 12)


@pytest.fixture
def month() -> str:
    """A month that no other test uses."""
    year, number = divmod(next(_months), 12)
    return f"{year}-{number + 1:02}"


@pytest.fixture
async def kept(
    postgres: TestDatabase, installation: Installation, tmp_path: Path
) -> AsyncIterator[Archives]:
    roles = (postgres.owner_url, postgres.app_url, postgres.worker_url, postgres.eraser_url)
    urls = DatabaseUrls(*map(Secret, roles))
    assert installation.home is not None
    made = archives("tests-archive", urls, installation.home, directory=tmp_path / "archive")
    yield made
    await made.close()


@pytest.fixture
async def admin(postgres: TestDatabase) -> AsyncIterator[Any]:
    connection = await superuser(postgres)
    await connection.execute("SET search_path = webnova")
    yield connection
    await connection.close()


async def grow(installation: Installation, tenant: str, *names: str) -> None:
    for name in names:
        call = Call(CreatePlatform(name="any"), owner(tenant), tenant)
        async with installation.transactions.writing(call) as tx:
            await tx.append(Platform, name, [requested(name)], expected=0)


async def age(admin: Any, tenant: str, month: str, where: str) -> int:
    """Make events of the tenant as old as the month; they keep their places."""
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE webnova_owner")
        await admin.execute(
            "SELECT webnova.make_event_partitions($1::date, 1)", start_of(month).date()
        )
    done = await admin.execute(
        "UPDATE webnova.events SET at = $2::timestamptz + version * interval '1 hour'"
        f" WHERE tenant_id = $1 AND {where}",
        tenant,
        start_of(month),
    )
    return int(done.split()[1])


async def furnish(installation: Installation, admin: Any, tenant: str, month: str) -> int:
    """A tenant with events before, in and after the month in its log; returns those in it."""
    await grow(installation, tenant, *(f"before-{n}" for n in range(5)))
    await execute(installation, tenant, CreatePlatform(name="shop", blueprint=FIRST))
    for content in (SECOND, THIRD):
        await execute(installation, tenant, SaveBlueprint(platform="shop", content=content))
    await execute(
        installation,
        tenant,
        IssueToken(id="t1", secret_sha256="0" * 64, label="t1", permissions=["platform.read"]),
    )
    notes = [NewEvent(TokenRevoked()) for _ in range(3)]
    origin = Origin(caller="token:test", command="Test", causation="call-1")
    await installation.streams.append(tenant, [Append("note", "n", notes)], origin)
    await grow(installation, tenant, *(f"after-{n}" for n in range(4)))
    count = await age(
        admin,
        tenant,
        month,
        "(kind IN ('token', 'note') OR (kind = 'blueprint' AND version < 3))",
    )
    await keep_up(installation, tenant)
    return count


async def documents(admin: Any, tenant: str) -> list[tuple[Any, ...]]:
    rows = await admin.fetch(
        "SELECT kind, id, version, fold, data::text FROM webnova.documents WHERE tenant_id = $1"
        " ORDER BY kind, id",
        tenant,
    )
    return [tuple(row) for row in rows]


async def ask(installation: Installation, tenant: str, query: Any) -> Any:
    return await installation.dispatcher.ask(query, owner(tenant), tenant)


@pytest.fixture
async def furnished(
    installation: Installation, admin: Any, tenant: str, month: str, kept: Archives
) -> tuple[str, str, Path]:
    """A tenant with events in the month, the month, and its archive."""
    count = await furnish(installation, admin, tenant, month)
    (made,) = await kept.archivist.archive(month)
    assert (made.tenant, made.events, made.written) == (tenant, count, True)
    return tenant, month, Path(made.file)


async def test_a_dropped_month_leaves_everything_as_it_was(
    installation: Installation, admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, path = furnished
    before = await documents(admin, tenant)
    feed = await installation.feed.read(tenant, after=None)
    done = await kept.retention.drop(month)
    assert (done.tenants, done.events, done.bases) == (1, 6, 2)
    name = f"events_{month.replace('-', '_')}"
    assert await admin.fetchval("SELECT to_regclass($1)", name) is None
    report = examined(path, Trust())
    assert report.intact and not report.outside and report.events == 6
    assert await documents(admin, tenant) == before

    # Whatever happens to the documents, they come back the same to the byte.
    for kind in ("blueprint", "token", "platform"):
        told = await execute(installation, tenant, RebuildDocuments(kind=kind))
        assert told.checked and not told.changed
    await admin.execute(
        "UPDATE documents SET data = '{}' WHERE tenant_id = $1 AND kind IN ('blueprint', 'token')",
        tenant,
    )
    for kind in ("blueprint", "token"):
        assert (await execute(installation, tenant, RebuildDocuments(kind=kind))).changed
    after = [row for row in await documents(admin, tenant) if row[0] != "rebuilding"]
    assert after == before

    # Streams go on where they were, whether events of them are left or none.
    await execute(installation, tenant, SaveBlueprint(platform="shop", content=FIRST))
    await execute(installation, tenant, RevokeToken(id="t1"))
    async with installation.transactions.reading(tenant) as reader:
        blueprint = await reader.find(BlueprintRecord, "shop")
        token = await reader.find(Token, "t1")
    assert blueprint is not None and blueprint.version == 4
    assert token is not None and token.version == 2
    for kind in ("blueprint", "token"):
        assert not (await execute(installation, tenant, RebuildDocuments(kind=kind))).changed

    left = [each.event_id for each in feed if not start_of(month) <= each.at < end_of(month)]
    assert len(left) == len(feed) - 6
    again = [each.event_id for each in await installation.feed.read(tenant, after=None)]
    assert again[: len(left)] == left
    for number, event in enumerate(feed):
        later = [each.event_id for each in feed[number + 1 :] if each.event_id in left]
        found = await installation.feed.read(tenant, after=event.cursor)
        assert [each.event_id for each in found][: len(later)] == later


async def test_versions_in_an_archive_are_said_to_be_there(
    installation: Installation, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, path = furnished
    where = {"kind": "blueprint", "id": "shop"}
    second: DocumentVersion = await ask(installation, tenant, GetVersion(**where, version=2))
    blame = await ask(installation, tenant, BlameDocument(**where))
    await kept.retention.drop(month)
    assert await ask(installation, tenant, GetVersion(**where, version=2)) == second
    changed = await ask(installation, tenant, CompareVersions(**where))
    assert (changed.old, changed.new) == (2, 3) and changed.items
    listed: VersionList = await ask(installation, tenant, ListVersions(**where))
    assert ([each.version for each in listed.items], listed.archived) == ([3], 2)
    token: VersionList = await ask(installation, tenant, ListVersions(kind="token", id="t1"))
    assert (token.items, token.archived) == ([], 1)
    for query in (
        GetVersion(**where, version=1),
        CompareVersions(**where, old=1),
        BlameDocument(**where),
        GetBlueprint(platform="shop", version=1),
    ):
        with pytest.raises(NotFound, match=month):
            await ask(installation, tenant, query)
    with pytest.raises(NotFound, match="newest is 3"):
        await ask(installation, tenant, GetVersion(**where, version=4))

    await kept.restoration.restore(path)
    assert (await ask(installation, tenant, GetVersion(**where, version=1))).data != second.data
    assert await ask(installation, tenant, BlameDocument(**where)) == blame


async def test_an_archive_comes_back_exactly_and_may_come_twice(
    installation: Installation, admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, path = furnished
    everything = "SELECT e::text FROM events e WHERE tenant_id = $1 ORDER BY position"
    before = await admin.fetch(everything, tenant)
    await kept.retention.drop(month)
    with pytest.raises(Conflict, match="not in the database"):
        async for _ in installation.archivist().export(tenant, "T"):
            pytest.fail("a tenant left without its archived events")
    done = await kept.restoration.restore(path)
    assert (done.tenant, done.events, done.restored) == (tenant, 6, 6)
    assert await admin.fetch(everything, tenant) == before
    assert (await kept.restoration.restore(path)).restored == 0
    await admin.execute("DELETE FROM events WHERE tenant_id = $1 AND kind = 'note'", tenant)
    with pytest.raises(Conflict, match="only 3 of them"):
        await kept.archivist.archive(month)
    await refused(kept, month, "events that the database does not|another than in the database")
    assert (await kept.restoration.restore(path)).restored == 3
    assert (await installation.auditor().check(tenant)).intact
    other = "UPDATE events SET type = $2 WHERE tenant_id = $1 AND kind = 'token'"
    await admin.execute(other, tenant, "token.revoked")
    with pytest.raises(Conflict, match="stored otherwise"):
        await kept.restoration.restore(path)
    await admin.execute(other, tenant, "token.issued")
    # And it may be dropped once more.
    assert (await kept.retention.drop(month)).events == 6


async def test_a_base_of_another_fold_is_not_folded_upon(
    installation: Installation,
    admin: Any,
    kept: Archives,
    furnished: tuple[str, str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenant, month, path = furnished
    before = await documents(admin, tenant)
    await kept.retention.drop(month)
    with monkeypatch.context() as newer:
        newer.setattr(BlueprintRecord, "fold_version", 9)
        with pytest.raises(Unavailable, match=month) as refused:
            await execute(installation, tenant, RebuildDocuments(kind="blueprint"))
        assert f"{month}.jsonl.gz" in (refused.value.mend or "")
        assert await documents(admin, tenant) == before
        await kept.restoration.restore(path)
        assert (await execute(installation, tenant, RebuildDocuments(kind="blueprint"))).changed


async def test_streams_go_on_over_several_dropped_months(
    installation: Installation, admin: Any, kept: Archives, tenant: str
) -> None:
    """The later month first: its base covers what the earlier one lacks."""
    await execute(installation, tenant, CreatePlatform(name="shop", blueprint=FIRST))
    for content in (SECOND, THIRD, FIRST):
        await execute(installation, tenant, SaveBlueprint(platform="shop", content=content))
    early, late = "2020-03", "2020-04"
    await age(admin, tenant, early, "kind = 'blueprint' AND version = 1")
    await age(admin, tenant, late, "kind = 'blueprint' AND version IN (2, 3)")
    await keep_up(installation, tenant)
    before = await documents(admin, tenant)
    files = [(await kept.archivist.archive(each))[0].file for each in (early, late)]
    await kept.retention.drop(late)
    version = GetVersion(kind="blueprint", id="shop", version=1)
    assert (await ask(installation, tenant, version)).version == 1
    with pytest.raises(NotFound, match=late):
        await ask(installation, tenant, version.model_copy(update={"version": 2}))
    await kept.retention.drop(early)
    with pytest.raises(NotFound, match=late):
        await ask(installation, tenant, version)
    told = await execute(installation, tenant, RebuildDocuments(kind="blueprint"))
    assert told.checked == 1 and not told.changed
    found = [row for row in await documents(admin, tenant) if row[0] != "rebuilding"]
    assert found == before
    await kept.restoration.restore(Path(files[1]))
    assert not (await execute(installation, tenant, RebuildDocuments(kind="blueprint"))).changed
    await kept.restoration.restore(Path(files[0]))
    assert (await ask(installation, tenant, version)).version == 1


async def test_a_later_month_moves_the_base_on(
    installation: Installation, admin: Any, kept: Archives, tenant: str
) -> None:
    await execute(installation, tenant, CreatePlatform(name="shop", blueprint=FIRST))
    for content in (SECOND, THIRD):
        await execute(installation, tenant, SaveBlueprint(platform="shop", content=content))
    for number, month in enumerate(("2020-06", "2020-07"), start=1):
        await age(admin, tenant, month, f"kind = 'blueprint' AND version = {number}")
    await keep_up(installation, tenant)
    for number, month in enumerate(("2020-06", "2020-07"), start=1):
        await kept.archivist.archive(month)
        await kept.retention.drop(month)
        versions: VersionList = await ask(
            installation, tenant, ListVersions(kind="blueprint", id="shop")
        )
        assert versions.archived == number
        told = await execute(installation, tenant, RebuildDocuments(kind="blueprint"))
        assert told.checked == 1 and not told.changed


def edited(lines: list[bytes], number: int, **changes: Any) -> list[bytes]:
    line = {**json.loads(lines[number]), **changes}
    text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return [*lines[:number], text.encode() + b"\n", *lines[number + 1 :]]


def resealed(lines: list[bytes]) -> list[bytes]:
    """With a trailer that fits, as a forger would write it."""
    digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    events = sum("stream" in json.loads(line) for line in lines)
    return edited(lines, len(lines) - 1, sha256=digest, events=events)


def text_of(line: bytes) -> str:
    return str(json.loads(line)["event"])


Forgery = Callable[[list[bytes], list[int]], list[bytes]]

FORGERIES: dict[str, tuple[Forgery, str]] = {
    "edited": (
        lambda x, e: edited(x, e[1], event=text_of(x[e[1]]).replace('"caller":', '"Caller":')),
        "altered",
    ),
    "edited with its leaf": (
        lambda x, e: edited(
            x,
            e[1],
            event=text_of(x[e[1]]) + " ",
            leaf=encoded(hash_leaf(text_of(x[e[1]]).encode() + b" ")),
        ),
        "rewritten",
    ),
    "relabelled": (
        lambda x, e: edited(x, e[0], stream={"kind": "note", "id": "x", "version": 1}),
        "altered",
    ),
    "deleted": (lambda x, e: x[: e[2]] + x[e[2] + 1 :], "gap"),
    "inserted": (lambda x, e: [*x[: e[2]], x[e[1]], *x[e[2] :]], "gap"),
    "reordered": (
        lambda x, e: [*x[: e[1]], x[e[1] + 1], x[e[1]], *x[e[1] + 2 :]],
        "gap",
    ),
    "emptied": (lambda x, e: edited(x, e[0], event=None), "missing"),
    "another month": (lambda x, e: edited(x, 0, month="2019-01"), "altered"),
    "another tenant": (lambda x, e: edited(x, 0, tenant="mallory"), "wrong_tenant"),
    "last leaves cut off": (lambda x, e: [*x[: e[-1] + 1], x[-1]], "shortened"),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_each_forgery_is_found(
    name: str, furnished: tuple[str, str, Path], tmp_path: Path
) -> None:
    path = furnished[2]
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    events = [number for number, line in enumerate(lines) if "stream" in json.loads(line)]
    forge, problem = FORGERIES[name]
    for forged in (forge(lines, events), resealed(forge(lines, events))):
        copy = tmp_path / "forged.jsonl"
        copy.write_bytes(b"".join(forged))
        report = examined(copy, Trust())
        assert not report.intact
        assert problem in {each.problem for each in report.findings}
    assert examined(path, Trust()).intact


async def test_an_archive_that_is_cut_off_or_goes_on_is_found(
    furnished: tuple[str, str, Path], tmp_path: Path
) -> None:
    path = furnished[2]
    whole = gzip.decompress(path.read_bytes())
    lines = whole.splitlines(keepends=True)
    copy = tmp_path / "copy"
    for end in range(1, len(lines)):
        copy.write_bytes(b"".join(lines[:end]))
        assert "shortened" in {each.problem for each in examined(copy, Trust()).findings}
    copy.write_bytes(whole + lines[-1])
    assert not examined(copy, Trust()).intact
    packed = path.read_bytes()
    for damaged in (packed[: len(packed) // 2], packed[:-4], whole[:-3], b"", b"{}", packed[:9]):
        copy.write_bytes(damaged)
        with pytest.raises(InvalidInput):
            examined(copy, Trust())


async def test_only_keys_and_checkpoints_from_outside_bind_a_forger(
    installation: Installation, furnished: tuple[str, str, Path], tmp_path: Path
) -> None:
    tenant, _, path = furnished
    notary = installation.notary()
    keys = notary.verifiers(tenant)
    (own, other) = (await notary.checkpoint(tenant), Signer(notary.origin(tenant), b"\x07" * 32))
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    mark = Checkpoint.of(own)
    forged = signed(Checkpoint(mark.origin, mark.size, mark.root).text(), [other])
    copy = tmp_path / "forged.jsonl"
    changed = edited(lines, 0, checkpoint=forged, vkey=other.verifier.vkey)
    copy.write_bytes(b"".join(resealed(changed)))
    assert examined(copy, Trust()).intact
    assert {each.problem for each in examined(copy, Trust(keys)).findings} == {"no_signature"}
    found = examined(path, Trust(keys, [own]))
    assert found.intact and found.outside
    await grow(installation, tenant, "later")
    await keep_up(installation, tenant)
    with pytest.raises(InvalidInput, match=f"its own is of {mark.size}"):
        examined(path, Trust(keys, [await notary.checkpoint(tenant)]))


async def exported(installation: Installation, tenant: str, path: Path) -> Path:
    with path.open("wb") as file:
        async for line in installation.auditor().export(tenant):
            file.write(line)
    return path


async def test_exports_after_a_drop_verify_together_with_the_archives(
    installation: Installation,
    kept: Archives,
    furnished: tuple[str, str, Path],
    tmp_path: Path,
) -> None:
    tenant, month, path = furnished
    await kept.retention.drop(month)
    export = await exported(installation, tenant, tmp_path / "export.jsonl")

    def verify(*words: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(command_line, ["--json", "audit", "verify", *words])
        return done.exit_code, json.loads(done.stdout)

    code, alone = verify(str(export))
    assert code and alone["finding_count"] == 6
    assert {each["problem"] for each in alone["findings"]} == {"missing"}
    assert all(f"the archive of {month}" in each["message"] for each in alone["findings"])
    vkey = installation.notary().verifiers(tenant)[0].vkey
    code, both = verify(str(export), "--archive", str(path), "--vkey", vkey)
    assert code == 0 and both["intact"] and both["outside"]
    code, by_itself = verify(str(path), "--vkey", vkey)
    assert code == 0 and by_itself["month"] == month and by_itself["events"] == 6

    packed = path.read_bytes()
    path.write_bytes(packed[:-20])
    code, damaged = verify(str(export), "--archive", str(path))
    assert code and "cut off or damaged" in damaged["error"]["mend"]


async def refused(kept: Archives, month: str, pattern: str, **how: Any) -> WebNovaError:
    with pytest.raises(WebNovaError, match=pattern) as told:
        await kept.retention.drop(month, **how)
    return told.value


async def test_a_month_is_not_dropped_too_early(
    kept: Archives, furnished: tuple[str, str, Path], installation: Installation
) -> None:
    _, month, _ = furnished
    end = end_of(month)

    def at(now: datetime) -> Retention:
        return Retention(kept.archivist, months_of(kept), CATALOGUE, lambda: now)

    for now, days in ((end - timedelta(days=3), 1), (end + timedelta(days=29), 30)):
        with pytest.raises(Conflict, match="may be dropped from"):
            await at(now).drop(month, days=days)
    assert (await at(end + timedelta(days=30)).drop(month, days=30)).events == 6


def months_of(kept: Archives) -> PostgresMonths:
    found = kept.retention._months
    assert isinstance(found, PostgresMonths)
    return found


async def test_a_month_is_not_dropped_without_archives_that_verify(
    installation: Installation,
    admin: Any,
    kept: Archives,
    furnished: tuple[str, str, Path],
) -> None:
    tenant, month, path = furnished
    packed = path.read_bytes()
    lines = gzip.decompress(packed).splitlines(keepends=True)
    path.unlink()
    assert tenant in str(await refused(kept, month, "no file"))
    path.write_bytes(packed[:-30])
    await refused(kept, month, "read to its end")
    events = [number for number, line in enumerate(lines) if "stream" in json.loads(line)]
    path.write_bytes(b"".join(resealed(edited(lines, events[0], event=None))))
    assert (await refused(kept, month, "not in the archive")).fields["tenant"] == tenant
    # Intact by itself, and yet another than what lies in the database.
    path.write_bytes(packed)
    key = "kind = 'token' AND tenant_id = $1"
    old = await admin.fetchval(f"SELECT metadata::text FROM events WHERE {key}", tenant)
    await admin.execute(f"UPDATE events SET metadata = '{{}}' WHERE {key}", tenant)
    await refused(kept, month, "another than in the database")
    await admin.execute(f"UPDATE events SET metadata = $2::text::jsonb WHERE {key}", tenant, old)
    assert (await kept.retention.drop(month)).events == 6


async def test_a_month_is_not_dropped_before_all_of_it_is_logged(
    installation: Installation, admin: Any, kept: Archives, tenant: str, month: str
) -> None:
    await grow(installation, tenant, "a", "b")
    await age(admin, tenant, month, "kind = 'platform'")
    await keep_up(installation, tenant)
    (made,) = await kept.archivist.archive(month)
    await grow(installation, tenant, "c")
    await age(admin, tenant, month, "id = 'c'")
    await refused(kept, month, f"log of the tenant '{tenant}' lacks events")
    await keep_up(installation, tenant)
    await refused(kept, month, f"{tenant}.*another than in the database")
    again = await kept.archivist.archive(month)
    assert [(each.events, each.written) for each in again] == [(3, True)]
    assert [each.written for each in await kept.archivist.archive(month)] == [False]
    assert (await kept.retention.drop(month)).events == 3
    with pytest.raises(NotFound, match="no events of"):
        await kept.archivist.archive(month)
    assert examined(Path(made.file), Trust()).events == 3


NEEDED: dict[str, tuple[str, str]] = {
    "a subscription": (
        "INSERT INTO subscriptions (tenant_id, name, slot, slots, xid, position)"
        " SELECT tenant_id, 'books', 0, 1, xid, position - 1 FROM events WHERE {last}",
        "slot 0 of the subscription 'books'",
    ),
    "a dead letter": (
        "WITH s AS (INSERT INTO subscriptions (tenant_id, name, slot, slots, xid, position)"
        " VALUES ($1, 'books', 0, 1, '9000000000', 1))"
        " INSERT INTO dead_letters (tenant_id, name, slot, event_id, kind, id, version, xid,"
        " position, type, attempts, error) SELECT tenant_id, 'books', 0, event_id, kind, id,"
        " version, xid, position, type, 3, 'no' FROM events WHERE {last}",
        "1 dead letters of the subscription 'books'",
    ),
    "a delivery": (
        "INSERT INTO webhook_deliveries (tenant_id, webhook, event_id, type, created_at, due_at)"
        " SELECT tenant_id, 'w1', event_id, type, now(), now() FROM events WHERE {last}",
        "1 pending deliveries of the webhook w1",
    ),
}


@pytest.mark.parametrize("name", NEEDED)
async def test_a_month_that_somebody_needs_is_not_dropped(
    name: str, admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, _ = furnished
    statement, told = NEEDED[name]
    last = (
        "tenant_id = $1 AND position = (SELECT max(position) FROM events WHERE tenant_id = $1"
        f" AND at < '{end_of(month).isoformat()}')"
    )
    await admin.execute(statement.format(last=last), tenant)
    error = await refused(kept, month, told)
    assert error.fields["tenant"] == tenant
    for table in ("dead_letters", "webhook_deliveries", "subscriptions"):
        await admin.execute(f"DELETE FROM {table} WHERE tenant_id = $1", tenant)
    assert (await kept.retention.drop(month)).events == 6


async def test_events_of_a_tenant_without_an_archive_stop_the_drop(
    installation: Installation, admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    """The owner counts once more: what came in between is not dropped."""
    tenant, month, _ = furnished
    other = f"{tenant}-other"
    await grow(installation, other, "a")
    await age(admin, other, month, "kind = 'platform'")
    with pytest.raises(Conflict, match=f"1 events of the tenant '{other}'"):
        await months_of(kept).drop(month, {tenant: 6})
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = $1"
    assert await admin.fetchval(forced, f"events_{month.replace('-', '_')}")
    await keep_up(installation, other)
    await refused(kept, month, "no file")
    assert [each.tenant for each in await kept.archivist.archive(month)] == [tenant, other]
    assert (await kept.retention.drop(month)).tenants == 2


async def test_a_busy_table_is_waited_for_only_shortly(
    admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    _, month, _ = furnished
    async with admin.transaction():
        await admin.fetchval("SELECT count(*) FROM events")
        with pytest.raises(Unavailable, match="busy"):
            await kept.retention.drop(month)
    assert (await kept.retention.drop(month)).events == 6


async def test_nobody_fails_while_a_month_is_dropped(
    installation: Installation, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, _ = furnished
    dropped = asyncio.Event()

    async def write(writer: int) -> int:
        number = 0
        while not dropped.is_set() or number < 5:
            await grow(installation, tenant, f"w{writer}-{number}")
            number += 1
        return number

    async def read() -> None:
        while not dropped.is_set():
            await installation.feed.read(tenant, after=None)
            assert await installation.streams.read(tenant, "platform", "before-1")

    async def drop() -> None:
        await kept.retention.drop(month)
        dropped.set()

    *counts, _, _ = await asyncio.gather(*(write(writer) for writer in range(4)), read(), drop())
    async with installation.transactions.reading(tenant) as reader:
        ids = [each async for each in pages(reader)]
    assert sum(each.startswith("w") for each in ids) == sum(each or 0 for each in counts)
    assert await keep_up(installation, tenant) == sum(each or 0 for each in counts)


async def pages(reader: Any) -> AsyncIterator[str]:
    after = None
    while page := await reader.ids(Platform, after=after):
        for each in page:
            yield each
        after = page[-1]


async def test_events_in_the_default_partition_stay(
    installation: Installation, admin: Any, kept: Archives, tenant: str
) -> None:
    await grow(installation, tenant, "a")
    await admin.execute(
        "UPDATE events SET at = '2019-05-05T00:00:00Z' WHERE tenant_id = $1", tenant
    )
    try:
        await keep_up(installation, tenant)
        await kept.archivist.archive("2019-05")
        await refused(kept, "2019-05", "no partition of their own")
        mine = "SELECT count(*) FROM events_default WHERE tenant_id = $1"
        assert await admin.fetchval(mine, tenant) == 1
    finally:
        await admin.execute("DELETE FROM events_default WHERE tenant_id = $1", tenant)


async def test_what_the_log_does_not_know_is_not_brought_back(
    installation: Installation, admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    tenant, month, path = furnished
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    events = [number for number, line in enumerate(lines) if "stream" in json.loads(line)]
    await kept.retention.drop(month)
    moved = edited(lines, events[0], logged="1-1", place="1-1")
    path.write_bytes(b"".join(resealed(moved)))
    with pytest.raises(Conflict, match="otherwise"):
        await kept.restoration.restore(path)
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(InvalidInput, match="not intact"):
        await kept.restoration.restore(path)
    still = "SELECT count(*) FROM events WHERE tenant_id = $1 AND at < $2"
    assert await admin.fetchval(still, tenant, end_of(month)) == 0
    path.write_bytes(b"".join(lines))
    assert (await kept.restoration.restore(path)).restored == 6


async def test_an_altered_event_is_not_archived_as_if_it_were_genuine(
    installation: Installation, admin: Any, kept: Archives, tenant: str, month: str
) -> None:
    await furnish(installation, admin, tenant, month)
    await admin.execute(
        "UPDATE events SET data = '{}' WHERE tenant_id = $1 AND kind = 'token'", tenant
    )
    for _ in range(2):
        with pytest.raises(Conflict, match="is not what was logged"):
            await kept.archivist.archive(month)
    await refused(kept, month, "is not what was logged")


async def test_the_same_month_gives_the_same_bytes(
    kept: Archives, furnished: tuple[str, str, Path]
) -> None:
    _, month, path = furnished
    first = path.read_bytes()
    path.unlink()
    await kept.archivist.archive(month)
    assert path.read_bytes() == first


async def test_the_command_line_archives_drops_and_brings_back(
    installation: Installation,
    postgres_server: EmbeddedPostgres,
    admin: Any,
    tenant: str,
    month: str,
    tmp_path: Path,
) -> None:
    await furnish(installation, admin, tenant, month)
    home = Home.at(tmp_path / "home").create()
    shutil.copytree(postgres_server.secrets_dir, home.secrets, dirs_exist_ok=True)
    environment = {"WEBNOVA_HOME": str(home.root)}

    async def run(*words: str) -> tuple[int, Any]:
        done = await asyncio.to_thread(
            CliRunner().invoke, command_line, ["--json", "archive", *words], env=environment
        )
        return done.exit_code, json.loads(done.stdout)

    code, told = await run("month", month)
    assert code == ExitCode.UNAVAILABLE and "webnova up" in told["error"]["mend"]
    here = ProcessRef.of(os.getpid())
    assert here is not None
    running = StackState(instance="x", supervisor=here, postgres_port=postgres_server.port)
    running.save(home.stack_file)

    directory = str(tmp_path / "disk")
    code, files = await run("month", month, "--to", directory)
    assert code == 0 and [each["tenant"] for each in files] == [tenant]
    assert Path(files[0]["file"]) == place_of(Path(directory), tenant, month)
    assert (await run("drop", month, "--to", directory))[0] != 0
    assert (await run("drop", "2026-13", "--yes"))[0] != 0
    code, done = await run("drop", month, "--to", directory, "--yes")
    assert code == 0 and done["events"] == 6
    code, back = await run("restore", files[0]["file"])
    assert code == 0 and back["restored"] == 6
    code, files = await run("month", month)
    assert code == 0 and Path(files[0]["file"]) == place_of(home.archive, tenant, month)
