"""What a tenant has done, kept in memory, and operations that do it and compare.

Each operation is one coroutine of a world, a tenant and dice. It changes the database through the
storage classes as the product does, changes the model alike, and compares what it reads with the
model of that tenant alone. Operations that fail in the middle change no model.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.conductor.platforms import Platform
from engine.conductor.requests import CreatePlatform
from engine.conductor.runs import Run
from engine.kernel.contracts import Call, Event
from engine.kernel.errors import BudgetExceeded, Conflict, NotFound, VersionConflict
from engine.ledger.metering.budgets import ReserveBudget, SetBudget
from engine.ledger.metering.store import Holds
from engine.ledger.metering.usage import RecordUsage
from engine.ledger.streams import Append, Expected, NewEvent, Origin
from engine.trust.tokens import IssueToken, RevokeToken, Token, draw
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

ORIGIN = Origin(caller="token:test", command="Test")
BUDGET = Decimal(5)
LOOKED_AT = ("events", "documents", "idempotency", "work", "blobs", "event_ids", "usage")


class Noted(Event):
    type = "note.noted"
    value: int
    by: str


class Halfway(Exception):
    """A failure in the middle of an operation."""


@dataclass
class Tenant:
    name: str
    heads: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """For each stream, its version."""
    notes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    tokens: dict[str, bool] = field(default_factory=dict)
    """For each token, whether it is revoked."""
    runs: dict[str, str] = field(default_factory=dict)
    """For each platform, its run, which is also its item of work."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    usage: set[str] = field(default_factory=set)
    held: Decimal | None = None
    named: list[tuple[UUID, str, int, int]] = field(default_factory=list)
    """Ids of the caller's choice: stream, value and version."""
    cursor: str | None = None
    passed: int = 0
    """How many events lie before the cursor."""


@dataclass
class World:
    """Three tenants and the one way to the database that they share."""

    installation: Installation
    tenants: list[Tenant]

    def others(self, tenant: Tenant) -> list[Tenant]:
        return [each for each in self.tenants if each is not tenant]


Operation = Callable[[World, Tenant, random.Random], Awaitable[None]]
OPERATIONS: list[Operation] = []


def operation(function: Operation) -> Operation:
    OPERATIONS.append(function)
    return function


def call(tenant: Tenant) -> Call:
    return Call(CreatePlatform(name="any"), owner(tenant.name), tenant.name)


@operation
async def append(world: World, tenant: Tenant, dice: random.Random) -> None:
    id, value = dice.choice("abc"), dice.randrange(1000)
    head = tenant.heads["note", id]
    expected = dice.choice([Expected.ANY, Expected.NONE, head, head + 1])
    wish = Append("note", id, [NewEvent(Noted(value=value, by=tenant.name))], expected)
    appending = world.installation.streams.append(tenant.name, [wish], ORIGIN)
    if expected not in (Expected.ANY, head):
        with pytest.raises(VersionConflict):
            await appending
        return
    (appended,) = await appending
    tenant.heads["note", id] += 1
    tenant.notes[id].append(value)
    assert appended.version == tenant.heads["note", id]


@operation
async def append_named(world: World, tenant: Tenant, dice: random.Random) -> None:
    """An event with an id of the caller's: new, repeated, or one that another tenant uses too."""
    streams = world.installation.streams
    if tenant.named and dice.random() < 0.4:
        event_id, id, value, version = dice.choice(tenant.named)
        wish = Append("note", id, [NewEvent(Noted(value=value, by=tenant.name), event_id)])
        (appended,) = await streams.append(tenant.name, [wish], ORIGIN)
        assert (appended.version, appended.repeated) == (version, True)
        return
    theirs = [each[0] for other in world.others(tenant) for each in other.named]
    ours = {each[0] for each in tenant.named}
    fresh = [each for each in theirs if each not in ours]
    event_id = dice.choice(fresh) if fresh and dice.random() < 0.5 else uuid4()
    id, value = dice.choice("abc"), dice.randrange(1000)
    wish = Append("note", id, [NewEvent(Noted(value=value, by=tenant.name), event_id)])
    if dice.random() < 0.3:
        # Left at some point, perhaps before, perhaps after the commit: then it is repeated.
        leaving = asyncio.create_task(streams.append(tenant.name, [wish], ORIGIN))
        for _ in range(dice.randrange(8)):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    (appended,) = await streams.append(tenant.name, [wish], ORIGIN)
    tenant.heads["note", id] += 1
    tenant.notes[id].append(value)
    assert appended.version == tenant.heads["note", id]
    tenant.named.append((event_id, id, value, appended.version))


@operation
async def read_stream(world: World, tenant: Tenant, dice: random.Random) -> None:
    id, backwards = dice.choice("abc"), dice.random() < 0.5
    found = await world.installation.streams.read(tenant.name, "note", id, backwards=backwards)
    assert {event.data["by"] for event in found} <= {tenant.name}
    values = [event.data["value"] for event in found]
    assert (values[::-1] if backwards else values) == tenant.notes[id]


@operation
async def follow(world: World, tenant: Tenant, dice: random.Random) -> None:
    """The tenant's feed from the start or from where it was, complete once all have ended."""
    feed = world.installation.feed
    if dice.random() < 0.3:
        leaving = asyncio.create_task(feed.read(tenant.name, after=None))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    resumed = dice.random() < 0.5
    after, passed = (tenant.cursor, tenant.passed) if resumed else (None, 0)
    wanted = sum(tenant.heads.values()) - passed
    for _ in range(1000):
        found = await feed.read(tenant.name, after=after, limit=5000)
        assert {event.tenant for event in found} <= {tenant.name}
        if len(found) == wanted:
            break
        assert len(found) < wanted
        await asyncio.sleep(0.01)  # a transaction that was left has not ended yet
    assert len(found) == wanted
    if after is None:
        versions = defaultdict(list)
        for event in found:
            versions[event.kind, event.id].append(event.version)
        whole = {key: list(range(1, head + 1)) for key, head in tenant.heads.items() if head}
        assert versions == whole
    if found:
        tenant.cursor, tenant.passed = found[-1].cursor, passed + len(found)


@operation
async def issue_token(world: World, tenant: Tenant, dice: random.Random) -> None:
    id, secret, _ = draw(tenant.name)
    command = IssueToken(id=id, secret_sha256=secret, label="t", permissions=["run.read"])
    await execute(world.installation, tenant.name, command, key=f"k-{id}")
    tenant.tokens[id] = False
    tenant.heads["token", id] += 1


@operation
async def revoke_token(world: World, tenant: Tenant, dice: random.Random) -> None:
    """Revoke one's own; another tenant's does not exist."""
    theirs = [id for other in world.others(tenant) for id in other.tokens]
    if theirs and dice.random() < 0.4:
        with pytest.raises(NotFound):
            await execute(world.installation, tenant.name, RevokeToken(id=dice.choice(theirs)))
    elif tenant.tokens:
        id = dice.choice(sorted(tenant.tokens))
        await execute(world.installation, tenant.name, RevokeToken(id=id))
        tenant.heads["token", id] += not tenant.tokens[id]
        tenant.tokens[id] = True


@operation
async def documents(world: World, tenant: Tenant, dice: random.Random) -> None:
    async with world.installation.transactions.reading(tenant.name) as reader:
        listed = await reader.list(Token, limit=500, newest_first=dice.random() < 0.5)
        platforms = await reader.list(Platform, limit=500)
        for other in world.others(tenant):
            for id in list(other.tokens)[:2]:
                assert await reader.find(Token, id) is None
            for run in list(other.runs.values())[:2]:
                assert await reader.find(Run, run) is None
    assert {each.id: each.document.revoked for each in listed} == tenant.tokens
    assert {each.id for each in platforms} == set(tenant.runs)


@operation
async def glance(world: World, tenant: Tenant, dice: random.Random) -> None:
    ids = [id for each in world.tenants for id in list(each.tokens)[-3:]]
    reader = await world.installation.glances.read(tenant.name, [(Token.kind, id) for id in ids])
    found = {id for id in ids if await reader.find(Token, id) is not None}
    assert found == {id for id in ids if id in tenant.tokens}


@operation
async def create_platform(world: World, tenant: Tenant, dice: random.Random) -> None:
    """The same names and the same idempotency keys in each tenant."""
    name = f"p{dice.randrange(6)}"
    command = CreatePlatform(name=name, description="x")
    key = f"create-{name}" if dice.random() < 0.7 else None
    known = tenant.runs.get(name)
    try:
        answer = await execute(world.installation, tenant.name, command, key=key)
    except Conflict:
        assert known is not None
        return
    if known is None:
        tenant.runs[name] = answer.run
        tenant.heads["platform", name] = 2
        tenant.heads["run", answer.run] = 1
    else:
        assert answer.run == known


@operation
async def keep_blob(world: World, tenant: Tenant, dice: random.Random) -> None:
    content = str(dice.randrange(5)).encode()
    async with world.installation.transactions.writing(call(tenant)) as tx:
        tenant.blobs[await tx.put_blob(content)] = content


@operation
async def fetch_blobs(world: World, tenant: Tenant, dice: random.Random) -> None:
    for digest in {digest for each in world.tenants for digest in each.blobs}:
        async with world.installation.transactions.reading(tenant.name) as reader:
            if digest in tenant.blobs:
                assert await reader.blob(digest) == tenant.blobs[digest]
            else:
                with pytest.raises(NotFound):
                    await reader.blob(digest)


@operation
async def record_usage(world: World, tenant: Tenant, dice: random.Random) -> None:
    id = f"u{dice.randrange(20)}"
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=1)
    event = {"source": "s", "id": id, "meter": "builds", "quantity": "1", "occurred_at": at}
    answer = await execute(
        world.installation, tenant.name, RecordUsage.model_validate({"events": [event]})
    )
    assert answer.duplicates == (id in tenant.usage)
    tenant.usage.add(id)


@operation
async def reserve(world: World, tenant: Tenant, dice: random.Random) -> None:
    made = world.installation
    if tenant.held is None:
        budget = {"name": "cap", "limit": str(BUDGET), "currency": "SAR"}
        await execute(made, tenant.name, SetBudget.model_validate(budget))
        tenant.held = Decimal(0)
        tenant.heads["budget", "cap"] = 1
    wish = ReserveBudget(budget="cap", amount=Decimal(1), seconds=3600)
    if tenant.held == BUDGET:
        with pytest.raises(BudgetExceeded):
            await execute(made, tenant.name, wish)
    else:
        answer = await execute(made, tenant.name, wish)
        tenant.held += 1
        tenant.heads["reservation", answer.id] = 1
    async with made.transactions.reading(tenant.name) as reader:
        standing = await reader.part(Holds).standing("cap", f"{datetime.now(UTC):%Y-%m}")
    assert standing is not None and standing.held == tenant.held


@operation
async def look(world: World, tenant: Tenant, dice: random.Random) -> None:
    """Every row that is to be seen, in the tenant's scope and outside of any."""
    parts = " UNION ALL ".join(
        f"SELECT '{table}' AS name, tenant_id, count(*) AS rows FROM webnova.{table} GROUP BY 2"
        for table in LOOKED_AT
    )
    async with world.installation.database.transaction(tenant.name) as connection:
        rows = (await connection.execute(text(parts))).all()
    assert {row.tenant_id for row in rows} <= {tenant.name}
    seen = {row.name: row.rows for row in rows}
    assert seen.get("events", 0) == sum(tenant.heads.values())
    assert seen.get("work", 0) == len(tenant.runs)
    assert seen.get("blobs", 0) == len(tenant.blobs)
    assert seen.get("event_ids", 0) == len(tenant.named)
    assert seen.get("usage", 0) == len(tenant.usage)
    async with world.installation.database.transaction() as connection:
        assert (await connection.execute(text(parts))).all() == []
    async with world.installation.connections.borrow() as raw:
        assert await raw.fetch(parts) == []


@operation
async def log(world: World, tenant: Tenant, dice: random.Random) -> None:
    logs = world.installation.logs
    for _ in range(1000):
        await logs.sequence(tenant.name, 1000)
        size = (await logs.head(tenant.name)).size
        if size == sum(tenant.heads.values()):
            break
        await asyncio.sleep(0.01)
    assert size == sum(tenant.heads.values())


async def _write_everything(world: World, tenant: Tenant, tx: Any) -> None:
    id, secret, _ = draw(tenant.name)
    command = IssueToken(id=id, secret_sha256=secret, label="t", permissions=["run.read"])
    handler, _ = world.installation.handlers.commands[IssueToken]
    await tx.recall(f"never-{id}", "f")
    await handler(command, tx, call(tenant))
    await tx.put_blob(f"never {id}".encode())


@operation
async def fail_halfway(world: World, tenant: Tenant, dice: random.Random) -> None:
    with pytest.raises(Halfway):
        async with world.installation.transactions.writing(call(tenant)) as tx:
            await _write_everything(world, tenant, tx)
            raise Halfway


@operation
async def fail_in_a_statement(world: World, tenant: Tenant, dice: random.Random) -> None:
    with pytest.raises(DBAPIError):
        async with world.installation.transactions.writing(call(tenant)) as tx:
            await _write_everything(world, tenant, tx)
            await tx._connection.execute(text("SELECT 1 / 0"))


@operation
async def fail_alone(world: World, tenant: Tenant, dice: random.Random) -> None:
    """A statement that sets the tenant and fails, on a connection that then goes back."""
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with world.installation.connections.borrow() as connection:
            await connection.fetch(
                "SELECT 1 / length(set_config('webnova.tenant', $1, true)) - 1 / $2::integer",
                *(tenant.name, 0),
            )


@operation
async def leave_in_a_transaction(world: World, tenant: Tenant, dice: random.Random) -> None:
    """The task is cancelled, between statements or in the middle of one."""
    begun = asyncio.Event()
    in_statement = dice.random() < 0.5

    async def work() -> None:
        async with world.installation.transactions.writing(call(tenant)) as tx:
            await _write_everything(world, tenant, tx)
            begun.set()
            if in_statement:
                await tx._connection.execute(text("SELECT pg_sleep(600)"))
            await asyncio.Event().wait()

    leaving = asyncio.create_task(work())
    started = asyncio.create_task(begun.wait())
    await asyncio.wait({leaving, started}, return_when=asyncio.FIRST_COMPLETED)
    assert begun.is_set(), leaving.exception()
    await asyncio.sleep(0)
    leaving.cancel()
    (outcome,) = await asyncio.gather(leaving, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)
