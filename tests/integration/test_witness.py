"""Two WebNovas, each with a database and keys of its own: one cosigns what the other publishes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.conductor.requests import CreatePlatform
from engine.kernel.dispatch import answer_as
from engine.kernel.errors import InvalidInput, Unavailable
from engine.kernel.secret import Secret
from engine.ledger.transparency.audit import Auditor
from engine.ledger.transparency.notes import Checkpoint, Note, encoded, opened, signed
from engine.ledger.transparency.proofs import LogContradiction
from engine.ledger.transparency.publication import (
    CheckpointPublisher,
    Notary,
    Succession,
    WitnessAhead,
)
from engine.ledger.transparency.publishing.cosignatures import (
    Cosigner,
    WitnessKey,
    cosignature_lines,
    cosigned,
)
from engine.ledger.transparency.publishing.files import FilePublisher
from engine.ledger.transparency.publishing.witnesses import REST_S, HttpWitness, configured
from engine.ledger.transparency.publishing.witnessing import (
    ListWitnessedLogs,
    TrustLog,
    WitnessedLogList,
    WitnessedLogView,
    log_id,
)
from serve_apps.api import create_api
from tests.conftest import TestDatabase
from tests.contracts.leaves import FORGED, LOG, NEXT, ORIGIN, SIGNER, Leaves
from tests.integration.conftest import execute, owner
from tests.integration.serving import API, ScriptedGateway, bearer, issue, served
from tests.integration.test_client_server import Shell, api, webnova
from tests.integration.test_transparency import keep_up, superuser, write
from webnova import AsyncClient
from webnova.client import witnessing as calls
from webnova.compose import Installation, compose
from webnova.stack.database import prepare_database
from webnova.stack.home import Home
from webnova.stack.postgres import EmbeddedPostgres

__all__ = ["api", "webnova"]

PATH = f"{API}/audit/witness"


@pytest.fixture(scope="module")
async def elsewhere(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """The other WebNova."""
    server = postgres_server
    urls = await asyncio.to_thread(
        prepare_database, server.admin_url, server.secrets_dir, database="witness"
    )
    home = Home.at(tmp_path_factory.mktemp("witness"))
    made = compose("witness", url=urls.app.reveal(), pool=12, home=home)
    yield made
    await made.close()


@dataclass
class Place:
    """A tenant of the other WebNova, as others reach it."""

    installation: Installation
    tenant: str
    address: str
    token: str

    @property
    def key(self) -> WitnessKey:
        return self.installation.cosigners(self.tenant)[0].key

    @property
    def url(self) -> str:
        return f"{self.address}{PATH}"

    def asked(self, **more: Any) -> HttpWitness:
        return HttpWitness(self.key, self.url, Secret(self.token), **more)

    async def trust(self, vkey: str) -> WitnessedLogView:
        answer = await execute(self.installation, self.tenant, TrustLog(vkey=vkey))
        return answer_as(WitnessedLogView, answer)

    async def logs(self) -> list[WitnessedLogView]:
        ask = self.installation.dispatcher.ask
        view = await ask(ListWitnessedLogs(), owner(self.tenant), self.tenant)
        return answer_as(WitnessedLogList, view).items

    async def send(
        self, old: int, note: str, proof: list[bytes] | None = None, **more: Any
    ) -> httpx.Response:
        body = "\n".join([f"old {old}", *map(encoded, proof or []), "", note])
        async with httpx.AsyncClient(headers=bearer(self.token)) as http:
            return await http.post(f"{self.url}/add-checkpoint", content=body.encode(), **more)

    async def grow(self, log: Leaves, old: int, size: int) -> httpx.Response:
        proof = (await log.after(log.note(old), size)).proof if old else []
        return await self.send(old, log.note(size), list(proof))


@pytest.fixture
async def place(elsewhere: Installation, tenant: str) -> AsyncIterator[Place]:
    name = f"{tenant}-watch"
    token = await issue(elsewhere, name, "witness.cosign")
    async with served(create_api(elsewhere, ScriptedGateway())) as address:
        yield Place(elsewhere, name, address, token)


class TestStandard:
    """What c2sp.org/tlog-witness says of each request, against a log of its own."""

    @pytest.fixture
    async def place(self, place: Place) -> Place:
        await place.trust(SIGNER.verifier.vkey)
        return place

    async def test_a_log_grows_and_each_size_is_cosigned(self, place: Place) -> None:
        for old, size in ((0, 2), (2, 3), (3, 3), (3, 5)):
            answer = await place.grow(LOG, old, size)
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                "text/plain; charset=utf-8",
            )
            (found,) = cosigned(LOG.note(size) + answer.text, [place.key])
            (log,) = await place.logs()
            assert (log.size, log.note, log.cosigned_at) == (size, LOG.note(size), found.at)
            assert answer.text == cosignature_lines(LOG.note(size) + answer.text, place.key)

    async def test_whoever_supposes_another_size_is_told_the_size(self, place: Place) -> None:
        assert (await place.grow(LOG, 0, 3)).status_code == 200
        for old, size in ((0, 5), (2, 5), (4, 5), (0, 0)):
            answer = await place.grow(LOG, old, size)
            assert (answer.status_code, answer.text) == (409, "3\n")
            assert answer.headers["content-type"] == "text/x.tlog.size"

    async def test_another_history_is_refused(self, place: Place) -> None:
        assert (await place.grow(LOG, 0, 3)).status_code == 200
        honest = list((await LOG.after(LOG.note(3), 5)).proof)
        assert (await place.send(3, FORGED.note(3))).status_code == 409
        assert (await place.grow(FORGED, 3, 5)).status_code == 422
        assert (await place.send(3, LOG.note(5))).status_code == 422
        assert (await place.send(3, LOG.note(5), honest[::-1])).status_code == 422
        assert (await place.send(3, LOG.note(3), honest)).status_code == 422
        assert (await place.send(3, LOG.note(5), honest)).status_code == 200

    async def test_a_first_checkpoint_needs_no_proof_and_takes_none(self, place: Place) -> None:
        honest = list((await LOG.after(LOG.note(3), 5)).proof)
        assert (await place.send(0, LOG.note(5), honest)).status_code == 422
        wrong = signed(f"{ORIGIN}\n0\n{encoded(bytes(32))}\n", [SIGNER])
        assert (await place.send(0, wrong)).status_code == 409
        assert (await place.send(0, LOG.note(0))).status_code == 200
        assert (await place.grow(LOG, 0, 5)).status_code == 200

    async def test_only_trusted_keys_of_known_logs_count(self, place: Place) -> None:
        stranger = LOG.note(2).replace(ORIGIN, "webnova-y/acme")
        assert (await place.send(0, stranger)).status_code == 404
        assert (await place.send(0, LOG.note(2, NEXT))).status_code == 403
        forged = LOG.note(2).replace("\n2\n", "\n3\n", 1)
        assert (await place.send(0, forged)).status_code == 403
        both = LOG.note(2, NEXT, SIGNER)
        assert (await place.send(0, both)).status_code == 200
        (log,) = await place.logs()
        assert log.note == LOG.note(2)

    async def test_what_is_no_request_is_said_to_be_none(self, place: Place) -> None:
        note, large = LOG.note(2), signed(f"{ORIGIN}\n{2**63}\n{encoded(bytes(32))}\n", [SIGNER])
        async with httpx.AsyncClient(headers=bearer(place.token)) as http:
            for body, status in (
                (f"old 3\n\n{note}", 400),
                (f"old 0\n\n{large}", 400),
                (f"old 0\nAAAA\n\n{note}", 400),
                (f"old x\n\n{note}", 400),
                ("old 0\n\nno note", 400),
                ("", 400),
                (f"old 0\n\n{note}" + "x" * 70_000, 413),
            ):
                answer = await http.post(f"{place.url}/add-checkpoint", content=body.encode())
                assert answer.status_code == status
                assert answer.headers["content-type"] == "application/problem+json"
        assert [each.size for each in await place.logs()] == [None]

    async def test_of_two_histories_sent_at_once_one_is_cosigned(self, place: Place) -> None:
        events: tuple[str, ...] = ()
        for old in (0, 2, 4):
            forks = [(*events, f"{number}", "b") for number in range(8)]
            answers = await asyncio.gather(
                *(place.grow(Leaves(*fork), old, old + 2) for fork in forks)
            )
            statuses = [each.status_code for each in answers]
            assert sorted(statuses) == [200] + [409] * 7
            events = forks[statuses.index(200)]
            (log,) = await place.logs()
            assert log.note == Leaves(*events).note(old + 2)

    async def test_what_was_seen_is_not_forgotten_with_the_trust(self, place: Place) -> None:
        assert (await place.grow(LOG, 0, 3)).status_code == 200
        async with AsyncClient(place.address, await issue(place.installation, place.tenant)) as own:
            removed = await own.do(calls.distrust_log(log_id(ORIGIN)))
            assert (removed.vkeys, removed.size) == ([], 3)
            assert (await place.grow(LOG, 3, 5)).status_code == 404
            again = await own.do(calls.trust_log(NEXT.verifier.vkey))
            assert again.vkeys == [NEXT.verifier.vkey]
        assert (await place.send(0, FORGED.note(5, NEXT))).text == "3\n"

    async def test_a_cosignature_needs_its_permission(self, place: Place) -> None:
        for permission, status in (("witness.read", 403), ("witness.trust", 403)):
            place.token = await issue(place.installation, place.tenant, permission)
            assert (await place.grow(LOG, 0, 2)).status_code == status
        place.token = "wn_x"
        assert (await place.grow(LOG, 0, 2)).status_code == 401

    async def test_another_tenant_is_another_witness(self, place: Place) -> None:
        other = Place(
            place.installation,
            f"{place.tenant}-2",
            place.address,
            await issue(place.installation, f"{place.tenant}-2"),
        )
        assert other.key.public_key != place.key.public_key
        assert (await other.grow(LOG, 0, 2)).status_code == 404
        await other.trust(SIGNER.verifier.vkey)
        assert (await place.grow(LOG, 0, 3)).status_code == 200
        assert (await other.grow(FORGED, 0, 5)).status_code == 200
        assert [each.size for each in await place.logs()] == [3]

    async def test_both_keys_cosign_while_one_is_replaced(self, place: Place) -> None:
        home = place.installation.home
        assert home is not None
        old = place.key
        extra = home.secrets / "audit-signing-key-next"
        home.secret(extra.name)
        try:
            keys = [each.key for each in place.installation.cosigners(place.tenant)]
            answer = await place.grow(LOG, 0, 2)
            found = cosigned(LOG.note(2) + answer.text, keys)
            assert [each.vkey for each in found] == [key.vkey for key in keys]
            assert keys[0] == old and len(keys) == 2
        finally:
            extra.unlink()


@dataclass
class Watched:
    """A tenant's log here whose checkpoints are cosigned there, and kept in files."""

    installation: Installation
    tenant: str
    place: Place
    directory: Path

    def notary(self, publisher: CheckpointPublisher | None = None, **more: Any) -> Notary:
        home = self.installation.home
        assert home is not None
        kept = publisher or FilePublisher(self.directory)
        asked = [self.place.asked(**more)]
        return Notary(home.log_name(), home.signing_keys(), kept, self.installation.logs, asked)

    async def grow(self, *names: str) -> None:
        await write(self.installation, self.tenant, *names)
        await keep_up(self.installation, self.tenant)

    async def latest(self) -> str | None:
        return await FilePublisher(self.directory).latest(self.tenant)


@pytest.fixture
async def watched(installation: Installation, tenant: str, place: Place, tmp_path: Path) -> Watched:
    installation.notary()
    made = Watched(installation, tenant, place, tmp_path / "audit")
    await place.trust(made.notary().verifiers(tenant)[0].vkey)
    await made.grow("p0", "p1", "p2")
    return made


async def test_what_is_published_is_cosigned(watched: Watched) -> None:
    notary = watched.notary()
    first = await notary.checkpoint(watched.tenant)
    assert await notary.checkpoint(watched.tenant) == first == await watched.latest()
    await watched.grow("p3")
    second = await notary.checkpoint(watched.tenant)
    for note, size in ((first, 3), (second, 4)):
        assert opened(note, notary.verifiers(watched.tenant))[0].size == size
        assert [each.vkey for each in cosigned(note, [watched.place.key])] == [
            watched.place.key.vkey
        ]
    (log,) = await watched.place.logs()
    assert (log.origin, log.size) == (notary.origin(watched.tenant), 4)


async def test_racing_notaries_publish_one_cosigned_history(watched: Watched) -> None:
    async def publish() -> None:
        for _ in range(4):
            await watched.notary().checkpoint(watched.tenant)

    async def grow() -> None:
        for number in range(3, 8):
            await watched.grow(f"p{number}")

    await asyncio.gather(grow(), *(publish() for _ in range(3)))
    note = await watched.notary().checkpoint(watched.tenant)
    assert Checkpoint.of(note).size == 8
    history = await FilePublisher(watched.directory).history(watched.tenant)
    assert all(cosigned(each, [watched.place.key]) for each in history)
    sizes = [Checkpoint.of(each).size for each in history]
    assert sizes == sorted(set(sizes))


class Failing:
    """A publisher that the process does not live to call."""

    def __init__(self, inner: CheckpointPublisher) -> None:
        self._inner = inner
        self.latest, self.history = inner.latest, inner.history

    async def publish(self, tenant: str, note: str, succession: Succession) -> None:
        raise asyncio.CancelledError


async def test_a_process_that_died_with_the_cosignature_holds_up_nobody(watched: Watched) -> None:
    await watched.notary().checkpoint(watched.tenant)
    await watched.grow("p3", "p4")
    with pytest.raises(asyncio.CancelledError):
        await watched.notary(Failing(FilePublisher(watched.directory))).checkpoint(watched.tenant)
    assert [each.size for each in await watched.place.logs()] == [5]
    await watched.grow("p5")
    note = await watched.notary().checkpoint(watched.tenant)
    assert Checkpoint.of(note).size == 6 and cosigned(note, [watched.place.key])


async def test_a_witness_that_is_named_later_cosigns_what_is_published(watched: Watched) -> None:
    home = watched.installation.home
    assert home is not None
    publisher = FilePublisher(watched.directory)
    alone = Notary(home.log_name(), home.signing_keys(), publisher, watched.installation.logs)
    bare = await alone.checkpoint(watched.tenant)
    assert cosigned(bare, [watched.place.key]) == []
    note = await watched.notary().checkpoint(watched.tenant)
    assert note.startswith(bare) and cosigned(note, [watched.place.key])
    assert await watched.latest() == note


async def test_without_its_cosignature_nothing_is_published(watched: Watched) -> None:
    """Out of reach, at rest for a while, and back; a wrong token, key and trust."""
    before = await watched.notary().checkpoint(watched.tenant)
    await watched.grow("p3")
    good, now = watched.place.address, 100.0
    watched.place.address = "http://127.0.0.1:9"
    notary = watched.notary(clock=lambda: now)
    with pytest.raises(Unavailable, match="out of reach, so"):
        await notary.checkpoint(watched.tenant)
    with pytest.raises(Unavailable, match="a moment ago"):
        await notary.checkpoint(watched.tenant)
    now += REST_S
    with pytest.raises(Unavailable, match="out of reach, so"):
        await notary.checkpoint(watched.tenant)
    watched.place.address, token = good, watched.place.token
    watched.place.token = "wn_wrong"
    with pytest.raises(Unavailable, match="lets this installation not in") as refused:
        await watched.notary().checkpoint(watched.tenant)
    assert "wn_wrong" not in str(refused.value)
    watched.place.token = token
    home = watched.installation.home
    assert home is not None
    for key, why in (
        (Cosigner("stranger", b"s" * 32).key, "good cosignature"),
        (WitnessKey(watched.place.key.name, b"k" * 32), "good cosignature"),
    ):
        asked = [HttpWitness(key, watched.place.url, Secret(token))]
        publisher = FilePublisher(watched.directory)
        logs = watched.installation.logs
        with pytest.raises(Unavailable, match=why):
            await Notary(home.log_name(), home.signing_keys(), publisher, logs, asked).checkpoint(
                watched.tenant
            )
    await watched.grow("p4")
    other = Watched(watched.installation, f"{watched.tenant}-b", watched.place, watched.directory)
    await other.grow("p0")
    with pytest.raises(Unavailable, match="does not know this log"):
        await other.notary().checkpoint(other.tenant)
    assert await other.latest() is None
    assert await watched.latest() == before
    assert Checkpoint.of(await watched.notary().checkpoint(watched.tenant)).size == 5


async def test_a_rewritten_history_is_refused_and_convicted_by_the_older_note(
    watched: Watched, postgres: TestDatabase, tmp_path: Path
) -> None:
    """The intruder is superuser of the database, has the signing keys, and writes the checkpoint
    files anew. Only the witness is out of reach."""
    note = await watched.notary().checkpoint(watched.tenant)
    connection = await superuser(postgres)
    try:
        await connection.execute(
            """UPDATE webnova.events SET data = jsonb_set(data, '{description}', '"another"')"""
            " WHERE tenant_id = $1 AND id = 'p1'",
            watched.tenant,
        )
        for table in ("log_leaves", "log_nodes", "log_heads"):
            await connection.execute(
                f"DELETE FROM webnova.{table} WHERE tenant_id = $1", watched.tenant
            )
    finally:
        await connection.close()
    shutil.rmtree(watched.directory)
    await keep_up(watched.installation, watched.tenant)
    for names in ([], ["p3", "p4"]):
        await watched.grow(*names)
        with pytest.raises(LogContradiction, match=watched.place.key.name):
            await watched.notary().checkpoint(watched.tenant)
        assert await watched.latest() is None
    (log,) = await watched.place.logs()
    assert log.size == 3 and log.note is not None and note.startswith(log.note)

    # Without the witness the forgery is perfect: it is signed, and agrees with its own files.
    home = watched.installation.home
    assert home is not None
    publisher, logs = FilePublisher(watched.directory), watched.installation.logs
    forger = Notary(home.log_name(), home.signing_keys(), publisher, logs)
    assert (await Auditor(forger, logs).check(watched.tenant)).intact
    report = await Auditor(forger, logs).check(watched.tenant, [note])
    assert {each.problem for each in report.findings} == {"rewritten"}
    # What the witness itself has kept convicts as well.
    report = await Auditor(forger, logs).check(watched.tenant, [log.note])
    assert {each.problem for each in report.findings} == {"rewritten"}


async def test_a_log_that_lost_events_is_refused(watched: Watched, tmp_path: Path) -> None:
    """A database restored from yesterday's backup, without the checkpoints of today."""
    place, key = watched.place, watched.notary().verifiers(watched.tenant)[0]
    longer = Leaves(*"abcdefgh")
    origin = watched.notary().origin(watched.tenant)
    text = longer.text(8).replace(ORIGIN, origin)
    home = watched.installation.home
    assert home is not None
    note = watched.notary().attest  # Checkpoints are not signed on demand…
    with pytest.raises(ValueError, match="drawn from its log"):
        note(watched.tenant, text)
    signers = watched.notary()._signers(watched.tenant)  # …so the test reaches for the keys.
    assert (await place.send(0, signed(text, signers))).status_code == 200
    with pytest.raises(LogContradiction, match="a log of 8 events") as refused:
        await watched.notary().checkpoint(watched.tenant)
    assert refused.value.fields == {"published_size": 8, "size": 3}
    assert key.name == origin


async def test_two_who_witness_each_other_come_to_rest(watched: Watched) -> None:
    """Cosigning leaves no event: it would make a checkpoint, which would be cosigned, and so on."""
    there = watched.place
    before = (await there.installation.feed.read(there.tenant, after=None))[-1].event_id
    await watched.notary().checkpoint(watched.tenant)
    after = (await there.installation.feed.read(there.tenant, after=None))[-1].event_id
    assert before == after


@dataclass
class Scripted:
    """A server that answers whatever it is told to."""

    status: int
    body: bytes
    kind: str = "text/plain"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"content-type", self.kind.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": self.body})


async def nothing(old: int) -> list[bytes]:
    return []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Scripted(200, b""), Unavailable),
        (Scripted(200, b"\xff"), Unavailable),
        (Scripted(200, b"no line\n"), Unavailable),
        (Scripted(200, "— x AAAAAAAAAA==\n".encode()), Unavailable),
        (Scripted(200, b"x" * 10_000_000), Unavailable),
        (Scripted(409, b"x\n", "text/x.tlog.size"), Unavailable),
        (Scripted(409, b"-1\n", "text/x.tlog.size"), Unavailable),
        (Scripted(409, "٣\n".encode(), "text/x.tlog.size"), Unavailable),
        (Scripted(409, b"9" * 30, "text/x.tlog.size"), Unavailable),
        (Scripted(409, b"3\n", "text/x.tlog.size"), WitnessAhead),
        (Scripted(409, b"0\n", "text/x.tlog.size"), LogContradiction),
        (Scripted(409, b"3\n", "application/problem+json"), Unavailable),
        (Scripted(422, b""), LogContradiction),
        (Scripted(302, b""), Unavailable),
        (Scripted(500, b""), Unavailable),
    ],
)
async def test_whatever_a_witness_answers_is_a_cosignature_or_an_error(
    answer: Scripted, error: type[Exception]
) -> None:
    async with served(answer) as address:
        witness = HttpWitness(Cosigner("w", b"w" * 32).key, address, Secret(""))
        with pytest.raises(error):
            await witness.cosign(LOG.note(2), 0, nothing)


async def test_an_answer_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            with contextlib.suppress(OSError):
                while not given_up.is_set():
                    await send({"type": "http.response.body", "body": b".", "more_body": True})
                    await asyncio.sleep(0.01)

    given_up = asyncio.Event()
    monkeypatch.setattr("engine.ledger.transparency.publishing.witnesses.DEADLINE_S", 0.3)
    async with served(endless) as address:
        witness = HttpWitness(Cosigner("w", b"w" * 32).key, address, Secret(""))
        with pytest.raises(Unavailable, match="out of reach"):
            await witness.cosign(LOG.note(2), 0, nothing)
        given_up.set()


async def test_a_size_that_never_holds_is_given_up() -> None:
    sizes = iter([b"1\n", b"0\n"] * 10)

    class Fickle(Scripted):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                self.body = next(sizes)
            await super().__call__(scope, receive, send)

    async with served(Fickle(409, b"", "text/x.tlog.size")) as address:
        witness = HttpWitness(Cosigner("w", b"w" * 32).key, address, Secret(""))
        with pytest.raises(Unavailable, match="changes its mind"):
            await witness.cosign(LOG.note(2), 0, nothing)


async def test_the_settings_bring_the_witness_in(
    installation: Installation,
    tenant: str,
    place: Place,
    webnova: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From `audit witness show` over there to `audit verify --witness` here."""
    own = await issue(place.installation, place.tenant)
    there = Shell({**webnova.environment, "WEBNOVA_URL": place.address, "WEBNOVA_TOKEN": own})
    code, out, _ = await there("audit", "witness", "show")
    assert code == 0 and f"WEBNOVA_WITNESSES='{place.key.vkey} {place.url}'" in out
    vkey = installation.notary().verifiers(tenant)[0].vkey
    code, out, error = await there("audit", "witness", "trust", vkey)
    assert (code, error) == (0, "") and "trusted" in out
    assert (await there("audit", "witness", "trust", "nonsense"))[0] == 2

    await execute(installation, tenant, CreatePlatform(name="one", description="متجر"))
    await keep_up(installation, tenant)
    code, _, error = await webnova("audit", "checkpoint", "--witness", place.key.vkey)
    assert code == 1 and "has not cosigned" in error
    monkeypatch.setenv("WEBNOVA_WITNESSES", f"{place.key.vkey} {place.url}")
    name = f"WEBNOVA_WITNESS_TOKEN_{place.key.id.hex().upper()}"
    monkeypatch.setenv(name, place.token)
    code, out, _ = await webnova("audit", "checkpoint", "--witness", place.key.vkey)
    assert code == 0 and f"Cosigned by {place.key.name}" in out
    file = tmp_path / "export.jsonl"
    assert (await webnova("audit", "export", "--out", str(file)))[0] == 0
    code, out, _ = await webnova("audit", "verify", str(file), "--witness", place.key.vkey)
    assert code == 0 and "Cosigned by" in out and "Nothing from outside" not in out
    stranger = Cosigner("stranger", b"s" * 32).key.vkey
    code, out, _ = await webnova("audit", "verify", str(file), "--witness", stranger)
    assert code == 1 and "has not cosigned" in out

    code, out, _ = await there("audit", "witness", "list")
    assert code == 0 and installation.notary().origin(tenant)[:20] in out
    code, out, _ = await there(
        "audit",
        "witness",
        "remove",
        log_id(Note.parse(await installation.notary().checkpoint(tenant)).text.split("\n")[0]),
    )
    assert code == 0 and "not trusted" in out


def test_settings_that_are_wrong_are_found_when_the_notary_is_asked_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBNOVA_WITNESSES", "nonsense")
    with pytest.raises(InvalidInput, match="WEBNOVA_WITNESSES"):
        installation.notary()
    assert configured("", {}) == []
