"""A newer version folds documents in another way though months of their events are in archives."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.conductor.catalogue import CATALOGUE
from engine.forge.versions import BlueprintRecord, SaveBlueprint
from engine.kernel.contracts import Document, digest_json
from engine.kernel.errors import Conflict, InvalidInput, Unavailable, WebNovaError
from engine.ledger.archive import rebasing
from engine.ledger.documents import RebuildDocuments, Refolding
from engine.ledger.versions import GetVersion
from engine.trust.tokens import IssueToken, RevokeToken, Token
from storage.database import Database
from storage.documents import PostgresStaleDocuments
from tests.conftest import TestDatabase
from tests.integration.conftest import execute
from tests.integration.test_archive import (
    admin,
    ask,
    documents,
    edited,
    furnished,
    kept,
    month,
    resealed,
    text_of,
)
from tests.integration.test_versions import FIRST
from webnova.cli.app import app as command_line
from webnova.cli.exits import ExitCode
from webnova.compose import Archives, Installation
from webnova.stack.home import Home
from webnova.stack.postgres import EmbeddedPostgres
from webnova.stack.processes import ProcessRef
from webnova.stack.state import StackState

__all__ = ["admin", "furnished", "kept", "month"]

KINDS: tuple[type[Document], ...] = (BlueprintRecord, Token)
NEWER = 9
Rows = list[tuple[Any, ...]]


@contextmanager
def newer_version() -> Iterator[None]:
    """As if another version of WebNova ran here: each fold sees all that came before."""
    with pytest.MonkeyPatch.context() as patch:
        blueprints, tokens = BlueprintRecord.fold, Token.fold

        def of_blueprint(state: Any, event: Any) -> Any:
            made = blueprints(state, event)
            past = state.digest if state is not None else ""
            return made.model_copy(update={"digest": digest_json([past, made.digest])})

        def of_token(state: Any, event: Any) -> Any:
            made = tokens(state, event)
            return made.model_copy(update={"permissions": [*made.permissions, event.type]})

        for document, fold in ((BlueprintRecord, of_blueprint), (Token, of_token)):
            patch.setattr(document, "fold_version", NEWER)
            patch.setattr(document, "fold", fold)
        yield


@dataclass
class Aged:
    """A tenant whose month is archived and dropped; `former` and `fresh` are what its documents
    are by the former and by the newer version, folded while all events were there."""

    tenant: str
    month: str
    path: Path
    former: Rows
    fresh: Rows


async def rows(admin: Any, tenant: str) -> Rows:
    return [row for row in await documents(admin, tenant) if row[0] != "rebuilding"]


async def rebuild(installation: Installation, tenant: str) -> None:
    for kind in KINDS:
        await execute(installation, tenant, RebuildDocuments(kind=kind.kind))


@pytest.fixture
async def aged(
    installation: Installation, admin: Any, kept: Archives, furnished: tuple[str, str, Path]
) -> Aged:
    tenant, month, path = furnished
    former = await rows(admin, tenant)
    with newer_version():
        await rebuild(installation, tenant)
        fresh = await rows(admin, tenant)
    await rebuild(installation, tenant)
    assert await rows(admin, tenant) == former
    assert {row[0] for row in set(fresh) - set(former)} == {kind.kind for kind in KINDS}
    await kept.retention.drop(month)
    return Aged(tenant, month, path, former, fresh)


Refold = Callable[[], Awaitable[None]]


@pytest.fixture
async def refold(postgres: TestDatabase, installation: Installation, aged: Aged) -> Refold:
    """What the executor does about the tenant, with the archives of the test's directory."""
    rebase = installation.rebasing(aged.path.parents[1]).rebase

    async def work() -> None:
        backlog = PostgresStaleDocuments(Database(postgres.worker_url, size=1))
        told: list[Exception] = []
        tell = installation.dispatcher
        made = Refolding("executor", backlog, CATALOGUE, tell, lambda _, e: told.append(e), rebase)
        try:
            for kind in KINDS:
                await made.refold(aged.tenant, kind.kind)
        finally:
            await backlog.close()

    return work


async def test_what_is_folded_from_archives_equals_what_all_events_give(
    installation: Installation, admin: Any, aged: Aged, refold: Refold
) -> None:
    where = {"kind": "blueprint", "id": "shop", "version": 2}
    with newer_version():
        with pytest.raises(Unavailable, match=aged.month):
            await ask(installation, aged.tenant, GetVersion(**where))
        await refold()
        assert await rows(admin, aged.tenant) == aged.fresh
        for kind in KINDS:
            told = await execute(installation, aged.tenant, RebuildDocuments(kind=kind.kind))
            assert told.checked and not told.changed
        second = await ask(installation, aged.tenant, GetVersion(**where))
        await execute(installation, aged.tenant, SaveBlueprint(platform="shop", content=FIRST))
        await execute(installation, aged.tenant, RevokeToken(id="t1"))
        async with installation.transactions.reading(aged.tenant) as reader:
            token = await reader.find(Token, "t1")
            blueprint = await reader.find(BlueprintRecord, "shop")
        assert token is not None and token.document.permissions[-1] == "token.revoked"
        assert blueprint is not None
        assert blueprint.document.digest != second.data["digest"]
    # And back again, as when an upgrade is undone.
    await refold()
    async with installation.transactions.reading(aged.tenant) as reader:
        again = await reader.find(Token, "t1")
    assert again is not None and again.document.permissions == ["platform.read"]


async def test_until_then_the_former_answers_stand_and_nothing_is_decided_upon_them(
    installation: Installation, admin: Any, aged: Aged, refold: Refold
) -> None:
    with newer_version():
        async with installation.transactions.reading(aged.tenant) as reader:
            (token,) = [each for each in await reader.list(Token) if each.id == "t1"]
            found = await reader.find(Token, "t1")
        assert found == token and token.document.permissions == ["platform.read"]
        for command in (
            RevokeToken(id="t1"),
            SaveBlueprint(platform="shop", content=FIRST),
            RebuildDocuments(kind="token", id="t1"),
        ):
            with pytest.raises(Unavailable, match=aged.month) as refused:
                await execute(installation, aged.tenant, command)
            assert f"{aged.month}.jsonl.gz" in (refused.value.mend or "")
        assert await rows(admin, aged.tenant) == aged.former
        await refold()
        assert (await execute(installation, aged.tenant, RevokeToken(id="t1"))).revoked


async def test_what_todays_code_cannot_read_is_refused(
    installation: Installation, admin: Any, aged: Aged
) -> None:
    await admin.execute(
        "UPDATE documents SET data = data - 'label' WHERE tenant_id = $1 AND kind = 'token'",
        aged.tenant,
    )
    with newer_version():
        async with installation.transactions.reading(aged.tenant) as reader:
            with pytest.raises(Unavailable, match=aged.month):
                await reader.find(Token, "t1")


async def test_an_archive_that_is_not_there_is_named_and_taken_once_it_is(
    installation: Installation,
    admin: Any,
    aged: Aged,
    refold: Refold,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Path] = []
    whole = rebasing.examined
    monkeypatch.setattr(rebasing, "examined", lambda p, trust: read.append(p) or whole(p, trust))
    shutil.move(aged.path, tmp_path / "elsewhere")
    with newer_version():
        for _ in range(2):
            with pytest.raises(Unavailable, match=f"Not there: {aged.month}.jsonl.gz") as refused:
                await refold()
            assert refused.value.fields["absent"] == [f"{aged.month}.jsonl.gz"]
        assert await rows(admin, aged.tenant) == aged.former and not read
        shutil.move(tmp_path / "elsewhere", aged.path)
        await refold()
        assert await rows(admin, aged.tenant) == aged.fresh and read == [aged.path] * 2


async def test_files_that_lack_something_are_not_read_again_and_again(
    installation: Installation,
    admin: Any,
    kept: Archives,
    aged: Aged,
    refold: Refold,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A base over an event that no file and no row holds; everything else is folded."""
    await admin.execute(
        "INSERT INTO document_bases (tenant_id, kind, id, version, fold, month, data)"
        " VALUES ($1, 'blueprint', 'lost', 1, 1, '2019-02', '{}')",
        aged.tenant,
    )
    read: list[Path] = []
    whole = rebasing.examined
    monkeypatch.setattr(rebasing, "examined", lambda p, trust: read.append(p) or whole(p, trust))
    with newer_version():
        for _ in range(3):
            with pytest.raises(Unavailable, match="1 documents of the kind 'blueprint'"):
                await refold()
        # Once for both, once more since only one is left; then nothing has changed.
        assert read == [aged.path] * 2
        told = await execute(installation, aged.tenant, RebuildDocuments(kind="blueprint"))
        assert told.changed == ["shop"]
        shop = [row for row in await rows(admin, aged.tenant) if row[0] == "blueprint"]
        assert shop == [row for row in aged.fresh if row[0] == "blueprint"]


async def test_small_pages_give_the_same(
    admin: Any, aged: Aged, refold: Refold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebasing, "MOST_EVENTS", 1)
    monkeypatch.setattr(rebasing, "PAGE", 1)
    with newer_version():
        await refold()
        assert await rows(admin, aged.tenant) == aged.fresh


async def test_events_that_were_brought_back_need_no_archive(
    admin: Any, kept: Archives, aged: Aged, refold: Refold
) -> None:
    await kept.restoration.restore(aged.path)
    aged.path.unlink()
    with newer_version():
        await refold()
        assert await rows(admin, aged.tenant) == aged.fresh


FORGED: dict[str, tuple[Callable[[list[bytes], int], list[bytes]], type[WebNovaError], str]] = {
    "edited": (
        lambda x, at: edited(x, at, event=text_of(x[at]).replace('"caller":', '"Caller":')),
        InvalidInput,
        "not intact",
    ),
    "moved": (lambda x, at: edited(x, at, logged="1-1", place="1-1"), Conflict, "otherwise"),
    "cut off": (lambda x, at: x[:-2], InvalidInput, "not intact"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_archive_changes_nothing(
    name: str, admin: Any, aged: Aged, refold: Refold
) -> None:
    lines = gzip.decompress(aged.path.read_bytes()).splitlines(keepends=True)
    events = [number for number, line in enumerate(lines) if b'"kind":"blueprint"' in line]
    forge, error, told = FORGED[name]
    forged = forge(lines, events[0])
    aged.path.write_bytes(b"".join(forged if name == "cut off" else resealed(forged)))
    bases = "SELECT b::text FROM document_bases b WHERE tenant_id = $1 ORDER BY kind, id"
    before = await admin.fetch(bases, aged.tenant)
    with newer_version():
        with pytest.raises(error, match=told):
            await refold()
        assert await rows(admin, aged.tenant) == aged.former
        assert await admin.fetch(bases, aged.tenant) == before


async def test_the_command_line_folds_anew_from_a_directory(
    postgres_server: EmbeddedPostgres,
    installation: Installation,
    admin: Any,
    aged: Aged,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two tenants, since the others belong to other tests; one has an event nobody can read."""
    broken = f"{aged.tenant}-broken"
    issue = IssueToken(id="t1", secret_sha256="0" * 64, label="t1", permissions=["platform.read"])
    await execute(installation, broken, issue)
    await admin.execute("UPDATE events SET data = '{}' WHERE tenant_id = $1", broken)
    whole = PostgresStaleDocuments.stale

    async def of_two(self: PostgresStaleDocuments, folds: dict[str, int]) -> list[tuple[str, str]]:
        return [each for each in await whole(self, folds) if each[0] in (aged.tenant, broken)]

    monkeypatch.setattr(PostgresStaleDocuments, "stale", of_two)
    home = Home.at(tmp_path / "home").create()
    shutil.copytree(postgres_server.secrets_dir, home.secrets, dirs_exist_ok=True)
    here = ProcessRef.of(os.getpid())
    assert here is not None
    running = StackState(instance="x", supervisor=here, postgres_port=postgres_server.port)
    running.save(home.stack_file)

    async def run(*words: str) -> list[dict[str, Any]]:
        done = await asyncio.to_thread(
            CliRunner().invoke,
            command_line,
            ["--json", "archive", "refold", *words],
            env={"WEBNOVA_HOME": str(home.root)},
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        kinds = {kind.kind for kind in KINDS}
        shown = [each for each in found if each["kind"] in kinds]
        (bad,) = [each for each in shown if each["tenant"] == broken]
        assert (bad["documents"], bad["failure"]) == (0, "ValidationError")
        assert done.exit_code == ExitCode.UNAVAILABLE
        return [each for each in shown if each["tenant"] == aged.tenant]

    with newer_version():
        refused = await run()
        assert [each["kind"] for each in refused] == ["blueprint", "token"]
        assert all(aged.month in each["failure"] for each in refused)
        done = await run("--to", str(aged.path.parents[1]))
        assert [(each["kind"], each["documents"], each["failure"]) for each in done] == [
            ("blueprint", 1, None),
            ("token", 1, None),
        ]
        assert await rows(admin, aged.tenant) == aged.fresh
