"""Personal data is ciphertext from the beginning, and erasing it leaves every proof intact."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import pytest

from engine.kernel.contracts import Call
from engine.kernel.dispatch import ROOT_TENANT
from engine.kernel.errors import Forbidden, InvalidInput, NotFound, SubjectErased, Unavailable
from engine.kernel.personal import ERASED, Opener, Sealed
from engine.kernel.secret import Secret
from engine.ledger.streams import Append, NewEvent, Origin
from engine.ledger.tenancy.archive import inspect
from engine.ledger.tenancy.subjects import Cipher, Subjects, Vault
from engine.ledger.transparency.export import Trust
from engine.trust.erasure import EraseSubject, GetSubject
from engine.trust.tenants import CreateTenant
from engine.trust.tokens import IssueToken, ListTokens, Token, TokenIssued, draw
from serve_apps.api import create_api
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from tests.integration.test_ledger import call
from tests.integration.test_tenant_import import elsewhere, imported, other_database
from tests.integration.test_transparency import keep_up, superuser
from webnova.compose import Installation, compose
from webnova.stack.home import Home
from webnova.stack.postgres import locate_binaries

__all__ = ["elsewhere", "other_database"]

LABEL = "Amal Haddad ملاك"
PERSON = "user:0198c3"


async def labelled(
    installation: Installation,
    tenant: str,
    label: str = LABEL,
    subject: str | None = PERSON,
    key: str | None = None,
) -> Any:
    id, digest, _ = draw(tenant)
    command = IssueToken(
        id=id, secret_sha256=digest, subject=subject, label=label, permissions=["*"]
    )
    return await execute(installation, tenant, command, key)


async def labels(installation: Installation, tenant: str) -> list[str]:
    found = await installation.dispatcher.ask(ListTokens(), owner(tenant), tenant)
    return [each.label for each in found.items]  # type: ignore[attr-defined]


async def erase(installation: Installation, tenant: str, subject: str = PERSON) -> Any:
    return await execute(installation, tenant, EraseSubject(subject=subject, reason="article 17"))


def dumped(postgres: TestDatabase) -> str:
    """Everything in the database as `pg_dump` writes it."""
    name = urlsplit(postgres.app_url).path
    address = urlunsplit(urlsplit(postgres.admin_url)._replace(path=name))
    program = locate_binaries() / "pg_dump"
    done = subprocess.run([program, address], capture_output=True, text=True, check=True)
    return done.stdout


async def test_no_dump_of_the_database_ever_holds_the_value(
    installation: Installation,
    postgres: TestDatabase,
    tenant: str,
) -> None:
    made = await labelled(installation, tenant, key="once")
    assert (made.label, made.subject) == (LABEL, PERSON)
    again = await labelled(installation, tenant, key="once")
    assert again == made
    assert await labels(installation, tenant) == [LABEL]
    dump = await asyncio.to_thread(dumped, postgres)
    assert made.id in dump and PERSON in dump
    escaped = json.dumps(LABEL)[1:-1]
    for hidden in (LABEL, "Haddad", escaped):
        assert hidden not in dump
    await erase(installation, tenant)
    assert await labels(installation, tenant) == [ERASED]
    assert (await labelled(installation, tenant, key="once")).label == ERASED


async def test_erasing_destroys_the_key_and_leaves_every_proof(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    made = await labelled(installation, tenant)
    other = await labelled(installation, tenant, "Someone else", None)
    await keep_up(installation, tenant)
    note = await installation.notary().checkpoint(tenant)
    assert (await erase(installation, tenant)).state == "erased"
    connection = await superuser(postgres)
    try:
        query = "SELECT subject, key FROM webnova.subject_keys WHERE tenant_id = $1"
        keys = {row["subject"]: row["key"] for row in await connection.fetch(query, tenant)}
    finally:
        await connection.close()
    assert keys[PERSON] is None and keys[f"token:{other.id}"] is not None
    shown = await labels(installation, tenant)
    assert sorted(shown) == sorted([ERASED, "Someone else"])
    report = await installation.auditor().check(tenant, [note])
    assert report.intact and report.outside
    lines = [raw async for raw in installation.archivist().export(tenant, "T")]
    assert inspect(lines, Trust(checkpoints=[note])).log.intact
    async with installation.transactions.writing(call(tenant)) as tx:
        before = await tx.find(Token, made.id)
        assert before is not None
        rebuilt = await tx.rebuild(Token, made.id)
        assert not rebuilt.changed and rebuilt.version == before.version
    events = await installation.feed.read(tenant, after=None, kind="subject")
    assert [event.type for event in events] == ["subject.erased"]
    again = await erase(installation, tenant)
    assert again.state == "erased" and again.reason == "article 17"
    assert len(await installation.feed.read(tenant, after=None, kind="subject")) == 1
    with pytest.raises(SubjectErased, match=PERSON):
        await labelled(installation, tenant, "back again")


async def test_a_value_under_way_and_its_erasure_do_not_miss_each_other(
    installation: Installation, tenant: str
) -> None:
    """Whatever the order, in the end nothing can be read and nothing new was kept."""
    await labelled(installation, tenant, "first")
    outcomes = await asyncio.gather(
        *(labelled(installation, tenant, f"value {number}") for number in range(6)),
        erase(installation, tenant),
        *(labelled(installation, tenant, f"later {number}") for number in range(6)),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert all(isinstance(each, SubjectErased) for each in refused)
    assert set(await labels(installation, tenant)) == {ERASED}


async def test_two_first_values_of_a_subject_share_one_key(
    installation: Installation, tenant: str
) -> None:
    texts = {f"label {number}" for number in range(8)}
    await asyncio.gather(*(labelled(installation, tenant, text) for text in texts))
    assert set(await labels(installation, tenant)) == texts


async def test_a_sealed_value_opens_nowhere_else(
    installation: Installation, tenant: str, tmp_path: Path
) -> None:
    made = await labelled(installation, tenant)
    async with installation.transactions.reading(tenant) as reader:
        found = await reader.find(Token, made.id)
        assert found is not None
        sealed = found.document.label
        assert isinstance(sealed, Sealed)
        opener = reader.part(Opener)
        assert await opener.open([sealed]) == [LABEL]
        moved = sealed.model_copy(update={"place": sealed.place.replace("label", "other")})
        with pytest.raises(Unavailable):
            await opener.open([moved])
        content = sealed.sealed
        changed = content[:20] + ("A" if content[20] != "A" else "B") + content[21:]
        with pytest.raises(Unavailable):
            await opener.open([sealed.model_copy(update={"sealed": changed})])
    await labelled(installation, f"{tenant}-other")
    async with installation.transactions.reading(f"{tenant}-other") as reader:
        with pytest.raises(Unavailable):
            await reader.part(Opener).open([sealed])


async def test_the_database_alone_opens_nothing(
    postgres: TestDatabase, installation: Installation, tenant: str, tmp_path: Path
) -> None:
    """Somebody with a copy of the database and a home of their own."""
    await labelled(installation, tenant)
    thief = compose("thief", url=postgres.app_url, pool=2, home=Home.at(tmp_path / "home"))
    try:
        with pytest.raises(Unavailable, match="does not open"):
            await labels(thief, tenant)
    finally:
        await thief.close()


def test_a_key_is_bound_to_its_subject_and_its_home() -> None:
    vault = Vault(Secret("home"))
    kept = vault.new_key("acme", "user:1")
    assert len(vault.take("acme", "user:1", kept)) == 32
    for other in (("acme", "user:2"), ("other", "user:1")):
        with pytest.raises(Unavailable):
            vault.take(*other, kept)
    with pytest.raises(Unavailable):
        Vault(Secret("elsewhere")).take("acme", "user:1", kept)
    assert vault.new_key("acme", "user:1") != kept
    assert Cipher(bytes(32)).seal(b"x", b"") != Cipher(bytes(32)).seal(b"x", b"")


async def test_personal_data_that_nobody_sealed_is_refused(
    installation: Installation, tenant: str
) -> None:
    event = TokenIssued(
        id="t", subject=PERSON, label="in the clear", secret_sha256="0", permissions=["*"]
    )
    appends = [Append("token", "t", [NewEvent(event, uuid4())])]
    with pytest.raises(InvalidInput, match="sealed"):
        await installation.streams.append(tenant, appends, Origin(caller="token:test"))


async def test_tokens_from_before_stay_readable(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    """An event of version 1 with its label in the clear, and the document of that time."""
    data = {
        "id": "0" * 32,
        "label": "old one",
        "secret_sha256": "0",
        "permissions": ["*"],
        "expires_at": None,
    }
    connection = await superuser(postgres)
    try:
        await connection.execute(
            "INSERT INTO webnova.events (tenant_id, kind, id, version, event_id, type,"
            " schema_version, data, metadata, at) VALUES ($1, 'token', $2, 1, gen_random_uuid(),"
            " 'token.issued', 1, $3::text::jsonb, '{}', now())",
            tenant,
            data["id"],
            json.dumps(data),
        )
        await connection.execute(
            "INSERT INTO webnova.documents VALUES ($1, 'token', $2, 1, $3::text::jsonb)",
            tenant,
            data["id"],
            json.dumps({**data, "revoked": False}),
        )
    finally:
        await connection.close()
    assert await labels(installation, tenant) == ["old one"]
    async with installation.transactions.writing(call(tenant)) as tx:
        await tx.rebuild(Token, str(data["id"]))
        rebuilt = await tx.find(Token, str(data["id"]))
    assert rebuilt is not None and rebuilt.document.subject == f"token:{data['id']}"
    assert await labels(installation, tenant) == ["old one"]


async def test_unknown_subjects_and_the_weak_are_refused(
    installation: Installation, tenant: str
) -> None:
    with pytest.raises(NotFound):
        await erase(installation, tenant)
    await labelled(installation, tenant)
    weak = owner(tenant).__class__(id="x", tenant=tenant, permissions=frozenset({"token.*"}))
    with pytest.raises(Forbidden):
        command = EraseSubject(subject=PERSON, reason="r")
        await installation.dispatcher.execute(Call(command, weak, tenant))
    view = await installation.dispatcher.ask(GetSubject(subject=PERSON), owner(tenant), tenant)
    assert view.state == "held"  # type: ignore[attr-defined]
    with pytest.raises(NotFound):
        await erase(installation, f"{tenant}-other")


async def test_keys_travel_only_to_the_recipient(
    installation: Installation, elsewhere: Installation, tenant: str, tmp_path: Path
) -> None:
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    await labelled(installation, tenant)
    await labelled(installation, tenant, "gone", "user:gone")
    await erase(installation, tenant, "user:gone")
    async with elsewhere.transactions.reading(ROOT_TENANT) as reader:
        recipient = reader.part(Subjects).recipient()
    archivist = installation.archivist()
    lines = [raw async for raw in archivist.export(tenant, "T", recipient)]
    assert all(LABEL.encode() not in raw for raw in lines)
    await imported(elsewhere, lines, tmp_path / "file")
    assert sorted(await labels(elsewhere, tenant)) == sorted([LABEL, ERASED])
    assert (await erase(elsewhere, tenant)).state == "erased"
    assert set(await labels(elsewhere, tenant)) == {ERASED}
    assert LABEL in await labels(installation, tenant)
    with pytest.raises(InvalidInput):
        [raw async for raw in archivist.export(tenant, "T", "A" * 42)]


async def test_without_a_recipient_the_keys_stay_behind(
    installation: Installation, elsewhere: Installation, tenant: str, tmp_path: Path
) -> None:
    await execute(installation, ROOT_TENANT, CreateTenant(name=tenant, title="T"))
    await labelled(installation, tenant)
    foreign = Vault(Secret("a third")).recipient
    archivist = installation.archivist()
    lines = [raw async for raw in archivist.export(tenant, "T", foreign)]
    with pytest.raises(InvalidInput, match="another installation"):
        await imported(elsewhere, lines, tmp_path / "file")
    lines = [raw async for raw in archivist.export(tenant, "T")]
    await imported(elsewhere, lines, tmp_path / "file")
    assert await labels(elsewhere, tenant) == [ERASED]
    view = await elsewhere.dispatcher.ask(GetSubject(subject=PERSON), owner(tenant), tenant)
    assert view.state == "withheld"  # type: ignore[attr-defined]
    with pytest.raises(SubjectErased, match="not brought along"):
        await labelled(elsewhere, tenant)


async def test_over_http(installation: Installation, tenant: str) -> None:
    async with (
        served(create_api(installation, ScriptedGateway())) as address,
        httpx.AsyncClient(base_url=f"{address}{API}") as client,
    ):
        client.headers.update(bearer(await issue(installation, tenant)))
        body = {"label": LABEL, "permissions": ["event.read"], "subject": PERSON}
        made = (await client.post("/tokens", json=body)).json()
        assert (made["label"], made["subject"]) == (LABEL, PERSON)
        streamed = (await client.get("/events?limit=100")).text
        assert made["id"] in streamed and "Haddad" not in streamed
        shown = (await client.get(f"/subjects/{PERSON}")).json()
        assert shown["state"] == "held"
        reason = {"reason": "article 17"}
        assert (await client.post("/subjects/user:nobody/erasure", json=reason)).status_code == 404
        assert (await client.post("/subjects/nobody/erasure", json=reason)).status_code == 422
        erased = await client.post(f"/subjects/{PERSON}/erasure", json=reason)
        assert erased.status_code == 200 and erased.json()["state"] == "erased"
        at = datetime.fromisoformat(erased.json()["erased_at"])
        assert at.tzinfo == UTC
        listed = (await client.get("/tokens")).json()["items"]
        assert ERASED in [each["label"] for each in listed]
        refused = await client.post("/tokens", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "subject_erased")
        assert (await client.get("/subjects/recipient")).status_code == 403
        root = bearer(await issue(installation, ROOT_TENANT))
        key = (await client.get("/subjects/recipient", headers=root)).json()["recipient"]
        assert len(key) == 43
