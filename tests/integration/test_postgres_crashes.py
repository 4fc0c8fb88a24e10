"""Postgres is killed ten times under load, and what was acknowledged is there, once.

The postmaster and all its children get SIGKILL at the same time. That proves what recovery does
with the operating system alive; that a commit has reached the disk rests on `fsync`, which is on.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
import pytest

from engine.conductor.catalogue import CATALOGUE
from engine.kernel.contracts import Call, Event, canonical_json
from engine.kernel.errors import Unavailable
from engine.ledger.streams import Append, NewEvent, Origin
from engine.trust.tokens import IssueToken, RevokeToken, Token, draw
from storage.bootstrap import DatabaseUrls
from tests.integration.conftest import owner
from webnova.compose import Installation, compose
from webnova.stack.database import prepare_database
from webnova.stack.home import Home
from webnova.stack.postgres import EmbeddedPostgres

TENANT, CRASHES, BETWEEN = "crashed", 10, 100
ORIGIN = Origin(caller="token:test", command="Test")

LONGEST_S = 300.0


class Noted(Event):
    type = "note.noted"
    value: int


@dataclass
class Ledger:
    """What the writers were told, whether they go on, and whether all of them have ended."""

    installation: Installation
    going: bool = True
    ended: bool = False
    until: float = field(default_factory=lambda: time.monotonic() + LONGEST_S)
    events: dict[str, tuple[str, int]] = field(default_factory=dict)
    """For each acknowledged event its stream and version."""
    tokens: dict[str, bool] = field(default_factory=dict)
    """For each acknowledged token, whether its revocation was acknowledged."""
    refused: int = 0

    @property
    def acknowledged(self) -> int:
        return len(self.events) + len(self.tokens)

    async def append(self, number: int) -> None:
        """Several streams in one append, with ids, repeated until it is acknowledged."""
        dice = random.Random(number)
        while self.going:
            wish = [
                Append("note", id, [NewEvent(Noted(value=number), uuid4()) for _ in range(3)])
                for id in (f"own-{number}", f"shared-{dice.randrange(3)}")
            ]
            while True:
                try:
                    told = await self.installation.streams.append(TENANT, wish, ORIGIN)
                    break
                except Unavailable:
                    await self._pause()
            for append, appended in zip(wish, told, strict=True):
                first = appended.version - len(append.events) + 1
                for place, event in enumerate(append.events):
                    self.events[str(event.id)] = (append.id, first + place)

    async def command(self, number: int) -> None:
        """Tokens issued and revoked, each command under a key until it is acknowledged."""
        while self.going:
            id, secret, _ = draw(TENANT)
            issue = IssueToken(id=id, secret_sha256=secret, label="t", permissions=["run.read"])
            await self._execute(Call(issue, owner(TENANT), TENANT, idempotency_key=f"i-{id}"))
            self.tokens[id] = False
            revoke = RevokeToken(id=id)
            await self._execute(Call(revoke, owner(TENANT), TENANT, idempotency_key=f"r-{id}"))
            self.tokens[id] = True

    async def _execute(self, call: Call) -> None:
        while True:
            try:
                await self.installation.dispatcher.execute(call)
                return
            except Unavailable:
                await self._pause()

    async def _pause(self) -> None:
        assert time.monotonic() < self.until, "the server did not come back"
        self.refused += 1
        await asyncio.sleep(0.01)

    async def follow(self, seen: list[tuple[str, str, int]]) -> None:
        """Read to the end, from the last cursor over all crashes."""
        cursor, whole = None, False
        while not whole:
            ended = self.ended
            try:
                found = await self.installation.feed.read(TENANT, after=cursor, limit=200)
            except Unavailable:
                await asyncio.sleep(0.01)
                continue
            seen += [(event.event_id, event.id, event.version) for event in found]
            cursor = found[-1].cursor if found else cursor
            whole = ended and not found
            if not found:
                await asyncio.sleep(0.01)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "data", tmp_path / "secrets")
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


def kill(server: EmbeddedPostgres) -> None:
    """Everything of the server at once, as when the power goes."""
    assert server.ref is not None
    postmaster = server.ref.process()
    assert postmaster is not None
    postmaster.suspend()  # so that it starts no further child
    victims = [*postmaster.children(recursive=True), postmaster]
    assert len(victims) > 5
    for victim in victims:
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert not psutil.wait_procs(victims, timeout=20)[1]
    assert server._process is not None
    server._process.wait(20)
    assert not server.poll()


async def crash_and_return(
    server: EmbeddedPostgres, ledger: Ledger, watched: asyncio.Task[list[None]]
) -> None:
    """Wait for the load, kill the server under it, and start it again."""
    wanted = ledger.acknowledged + BETWEEN
    while ledger.acknowledged < wanted:
        assert not watched.done(), await watched
        await asyncio.sleep(0.005)
    await asyncio.to_thread(kill, server)
    await asyncio.to_thread(server.start)


async def test_what_was_acknowledged_survives_ten_crashes_once(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    urls = await asyncio.to_thread(prepare_database, server.admin_url, server.secrets_dir)
    home = Home.at(tmp_path / "home").create()
    installation = compose("crashes", url=urls.app.reveal(), pool=8, home=home)
    ledger = Ledger(installation)
    seen: list[tuple[str, str, int]] = []

    async def write() -> None:
        await asyncio.gather(
            *(ledger.append(number) for number in range(5)),
            *(ledger.command(number) for number in range(3)),
        )
        ledger.ended = True

    async def everything() -> None:
        await asyncio.gather(write(), ledger.follow(seen))

    working = asyncio.create_task(everything())
    try:
        for _ in range(CRASHES):
            await crash_and_return(server, ledger, working)
        ledger.going = False
        await working
        await judge(urls, ledger, seen)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await installation.close()


async def judge(urls: DatabaseUrls, ledger: Ledger, seen: list[tuple[str, str, int]]) -> None:
    assert ledger.refused > 0, "no crash was felt"
    await judge_rows(urls, ledger, seen)
    async with ledger.installation.transactions.reading(TENANT) as reader:
        for id, revoked in ledger.tokens.items():
            stored = await reader.find(Token, id)
            folded = CATALOGUE.refold(Token, await reader.history(Token, id))
            assert stored is not None and folded is not None
            assert stored.document.revoked is revoked is True
            assert stored.version == folded.version == 2
            assert canonical_json(stored.document.model_dump(mode="json")) == canonical_json(
                folded.document.model_dump(mode="json")
            )


async def judge_rows(urls: DatabaseUrls, ledger: Ledger, seen: list[tuple[str, str, int]]) -> None:
    app = await asyncpg.connect(urls.app.reveal())
    try:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            assert await app.fetchval(f"SHOW {setting}") == "on"
        await app.execute("SELECT set_config('webnova.tenant', $1, false)", TENANT)
        rows = await app.fetch("SELECT event_id, kind, id, version FROM webnova.events")
        heads = await app.fetch("SELECT kind, id, version FROM webnova.documents")
    finally:
        await app.close()
    notes = {str(r["event_id"]): (r["id"], r["version"]) for r in rows if r["kind"] == "note"}
    assert notes == ledger.events
    assert len(rows) == len(ledger.events) + 2 * len(ledger.tokens)
    counted = Counter((row["kind"], row["id"]) for row in rows)
    assert counted == {(row["kind"], row["id"]): row["version"] for row in heads}
    assert len({(row["kind"], row["id"], row["version"]) for row in rows}) == len(rows)
    assert Counter(event for event, _, _ in seen) == Counter(str(row["event_id"]) for row in rows)
    last: dict[str, int] = {}
    for _, id, version in seen:
        assert version == last.get(id, 0) + 1
        last[id] = version
