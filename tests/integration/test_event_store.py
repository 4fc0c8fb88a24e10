"""Streams: appending, reading, repeating, refusing, and the months that keep them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import JsonValue

from engine.kernel.contracts import Call, Event
from engine.kernel.dispatch import Dispatcher, Handlers, Transaction
from engine.kernel.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
    UnknownEvent,
    VersionConflict,
)
from engine.ledger.streams import (
    MOST_BYTES,
    MOST_NAMED,
    MOST_NESTED,
    Append,
    Expected,
    NewEvent,
    Origin,
)
from engine.trust.tokens import IssueToken, RevokeToken, Token, TokenRevoked, TokenView
from storage.bootstrap import bootstrap_database
from storage.connections import Connections
from storage.feed import PostgresFeed
from storage.migrate import upgrade_async
from storage.streams import OVERTAKEN, PostgresEventStore
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from webnova.compose import Installation
from webnova.stack.database import role_passwords
from webnova.stack.postgres import EmbeddedPostgres

ORIGIN = Origin(caller="token:test", command="Test", causation="call-1")


class Noted(Event):
    type = "note.noted"
    value: JsonValue = None


@pytest.fixture(scope="module")
async def store(postgres: TestDatabase) -> AsyncIterator[PostgresEventStore]:
    connections = Connections(postgres.app_url, size=20, name="streams")
    yield PostgresEventStore(connections)
    await connections.close()


def notes(*values: JsonValue) -> list[NewEvent]:
    return [NewEvent(Noted(value=value)) for value in values]


async def values(store: PostgresEventStore, tenant: str, id: str, **how: Any) -> list[Any]:
    return [event.data["value"] for event in await store.read(tenant, "note", id, **how)]


async def test_a_stream_is_read_from_both_ends(store: PostgresEventStore, tenant: str) -> None:
    await store.append(tenant, [Append("note", "a", notes(1, 2, 3, 4, 5), Expected.NONE)], ORIGIN)
    assert await values(store, tenant, "a") == [1, 2, 3, 4, 5]
    assert await values(store, tenant, "a", after=3) == [4, 5]
    assert await values(store, tenant, "a", limit=2) == [1, 2]
    assert await values(store, tenant, "a", backwards=True, limit=2) == [5, 4]
    assert await values(store, tenant, "a", backwards=True, after=3) == [2, 1]
    assert await values(store, tenant, "nothing") == []
    assert await values(store, "somebody-else", "a") == []


@pytest.mark.parametrize(
    ("standing", "expected", "fits"),
    [
        (0, Expected.NONE, True),
        (2, Expected.NONE, False),
        (0, Expected.ANY, True),
        (2, Expected.ANY, True),
        (2, 2, True),
        (2, 1, False),
        (2, 3, False),
        (0, 1, False),
    ],
)
async def test_a_stream_must_be_as_expected(
    store: PostgresEventStore, tenant: str, standing: int, expected: int, fits: bool
) -> None:
    if standing:
        await store.append(tenant, [Append("note", "a", notes(*range(standing)))], ORIGIN)
    wish = [Append("note", "b", notes("first")), Append("note", "a", notes("new"), expected)]
    if fits:
        appended = await store.append(tenant, wish, ORIGIN)
        assert [each.version for each in appended] == [1, standing + 1]
    else:
        with pytest.raises(VersionConflict):
            await store.append(tenant, wish, ORIGIN)
    assert len(await values(store, tenant, "a")) == standing + fits
    assert len(await values(store, tenant, "b")) == fits


async def test_concurrent_writers_leave_no_gap_and_lose_nothing(
    store: PostgresEventStore, tenant: str
) -> None:
    async def write(writer: int) -> None:
        for number in range(25):
            wish = Append("note", "shared", notes(f"{writer}-{number}"))
            await store.append(tenant, [wish], ORIGIN)

    await asyncio.gather(*(write(writer) for writer in range(16)))
    events = await store.read(tenant, "note", "shared", limit=1000)
    assert [event.version for event in events] == list(range(1, 401))
    found = [event.data["value"] for event in events]
    for writer in range(16):
        mine = [value for value in found if value.startswith(f"{writer}-")]
        assert mine == [f"{writer}-{number}" for number in range(25)]


async def test_an_append_with_known_ids_is_harmless(store: PostgresEventStore, tenant: str) -> None:
    events = [NewEvent(Noted(value=value), id=uuid4()) for value in ("a", "b")]
    wish = [Append("note", "x", events[:1], Expected.NONE), Append("note", "y", events[1:])]
    answers = await asyncio.gather(*(store.append(tenant, wish, ORIGIN) for _ in range(8)))
    assert sum(not answer[0].repeated for answer in answers) == 1
    assert all([each.version for each in answer] == [1, 1] for answer in answers)
    assert await values(store, tenant, "x") == ["a"]
    assert await values(store, tenant, "y") == ["b"]


async def test_known_ids_stand_for_the_same_events_only(
    store: PostgresEventStore, tenant: str
) -> None:
    known, fresh = NewEvent(Noted(value=1), id=uuid4()), NewEvent(Noted(value=2), id=uuid4())
    await store.append(tenant, [Append("note", "x", [known])], ORIGIN)
    for wish in (
        [Append("note", "x", [known, fresh])],
        [Append("note", "elsewhere", [known])],
        [Append("note", "z", [fresh, fresh])],
    ):
        with pytest.raises(Conflict):
            await store.append(tenant, wish, ORIGIN)
    assert await values(store, tenant, "x") == [1]
    assert await values(store, tenant, "z") == await values(store, tenant, "elsewhere") == []
    # Ids are a tenant's own: another one may use the same.
    again = await store.append(f"{tenant}-b", [Append("note", "x", [known])], ORIGIN)
    assert not again[0].repeated


def nested(levels: int) -> JsonValue:
    value: JsonValue = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ({"a": ["fine", "NUL \0 inside"]}, InvalidInput, "note.noted.value.a.1"),
        ({"bad \0 key": 1}, InvalidInput, "NUL"),
        (nested(MOST_NESTED + 1), InvalidInput, "nested"),
        (nested(2000), InvalidInput, "nested"),
        ("half \ud800", InvalidInput, "surrogate"),
        (b"\xff", InvalidInput, "JSON"),
        (object(), InvalidInput, "JSON"),
        (2**53, InvalidInput, "too large"),
        (-(2**70), InvalidInput, "too large"),
        (float("inf"), InvalidInput, "finite"),
        ("x" * MOST_BYTES, TooLarge, "more than"),
    ],
)
async def test_what_can_not_be_kept_is_refused_and_nothing_changes(
    store: PostgresEventStore, tenant: str, value: Any, error: type[Exception], words: str
) -> None:
    bad = NewEvent(Noted.model_construct(value=value))
    await store.append(tenant, [Append("note", "a", notes("before"))], ORIGIN)
    for id in ("a", "new"):
        with pytest.raises(error, match=words):
            await store.append(tenant, [Append("note", id, [*notes("good"), bad])], ORIGIN)
        assert await values(store, tenant, "new") == []
    await store_goes_on(store, tenant)


async def store_goes_on(store: PostgresEventStore, tenant: str) -> None:
    """The stream `a` has its one event yet, and takes the next as its second."""
    assert await values(store, tenant, "a") == ["before"]
    appended = await store.append(tenant, [Append("note", "a", notes("after"), 1)], ORIGIN)
    assert appended[0].version == 2


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"kind": "no\0te"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"id": "a\0"}, "id"),
        ({"id": "half \ud800"}, "surrogate"),
        ({"id": "x" * (MOST_NAMED + 1)}, "characters"),
        ({"expected": -2}, "expected"),
        ({"expected": 2**31}, "expected"),
        ({"expected": 2**70}, "expected"),
        ({"events": []}, "at least one event"),
    ],
)
async def test_what_no_stream_can_be_is_refused_and_nothing_changes(
    store: PostgresEventStore, tenant: str, place: dict[str, Any], words: str
) -> None:
    await store.append(tenant, [Append("note", "a", notes("before"))], ORIGIN)
    given: dict[str, Any] = {"kind": "note", "id": "a", "events": notes("bad"), **place}
    for wish in ([Append(**given)], [Append("note", "a", notes("good")), Append(**given)]):
        with pytest.raises(InvalidInput, match=words):
            await store.append(tenant, wish, ORIGIN)
    with pytest.raises(InvalidInput, match="metadata"):
        await store.append(tenant, [Append("note", "a", notes(1))], Origin(caller="a\0"))
    await store_goes_on(store, tenant)


async def test_a_wrong_version_leaves_the_stream_untouched(
    store: PostgresEventStore, tenant: str
) -> None:
    await store.append(tenant, [Append("note", "a", notes("before"))], ORIGIN)
    for expected in (Expected.NONE, 2, 2**31 - 1):
        with pytest.raises(VersionConflict):
            await store.append(tenant, [Append("note", "a", notes("bad"), expected)], ORIGIN)
    await store_goes_on(store, tenant)


async def test_a_document_takes_no_event_of_a_type_it_does_not_know(
    installation: Installation, tenant: str
) -> None:
    given = {"secret_sha256": "0" * 64, "label": "t", "permissions": ["run.read"]}
    command = IssueToken.model_validate({"id": "one", **given})
    await execute(installation, tenant, command)
    call = Call(command, owner(tenant), tenant)
    with pytest.raises(UnknownEvent, match=r"note\.noted"):
        async with installation.transactions.writing(call) as tx:
            await tx.append(Token, "one", [TokenRevoked(), Noted()], expected=1)
    async with installation.transactions.reading(tenant) as reader:
        found = await reader.find(Token, "one")
        assert found is not None and (found.version, found.document.revoked) == (1, False)
        assert len(await reader.history(Token, "one")) == 1


async def test_an_event_of_an_unknown_type_or_version_is_named_when_it_is_read(
    store: PostgresEventStore, installation: Installation, tenant: str
) -> None:
    """It was written by a newer release: nothing is folded without it."""

    class Newer(TokenRevoked):
        schema_version = TokenRevoked.schema_version + 1

    for number, event in enumerate((Noted(), Newer())):
        wish = [Append("token", f"t{number}", [NewEvent(event)])]
        await store.append(tenant, wish, ORIGIN)
        history = await store.read(tenant, "token", f"t{number}")
        with pytest.raises(UnknownEvent, match=event.type):
            installation.transactions.catalogue.refold(Token, history)
        assert len(history) == 1


@pytest.mark.parametrize("value", ["", "ضغط الدم", "\u2028 and 🦉", {"a": [None, 1.5, True]}])
async def test_what_can_be_kept_comes_back_as_it_was(
    store: PostgresEventStore, tenant: str, value: Any
) -> None:
    await store.append(tenant, [Append("note", "a", notes(value))], ORIGIN)
    assert await values(store, tenant, "a") == [value]


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_a_skewed_clock_is_named_and_nothing_changes(
    store: PostgresEventStore, postgres: TestDatabase, tenant: str, minutes: int
) -> None:
    await store.append(tenant, [Append("note", "a", notes("before"))], ORIGIN)
    connections = Connections(postgres.app_url)
    skewed = timedelta(minutes=minutes)
    wrong = PostgresEventStore(connections, lambda: datetime.now(UTC) + skewed)
    try:
        with pytest.raises(Unavailable, match="clocks"):
            await wrong.append(tenant, [Append("note", "a", notes(1))], ORIGIN)
    finally:
        await connections.close()
    await store_goes_on(store, tenant)


async def test_an_event_knows_what_led_to_it_and_what_it_led_to(
    store: PostgresEventStore, tenant: str
) -> None:
    async def react(to: str | None, id: str) -> str:
        origin = Origin(caller="c", causation=id, cause=to)
        await store.append(tenant, [Append("note", id, notes(id, "beside"))], origin)
        return (await store.read(tenant, "note", id))[0].event_id

    first = await react(None, "order")
    second = await react(first, "invoice")
    third = await react(second, "payment")
    links = await store.links(tenant, second)
    assert [each.data["value"] for each in links.causes] == ["order"]
    assert [each.data["value"] for each in links.effects] == ["payment", "beside"]
    assert [each.data["value"] for each in links.siblings] == ["beside"]
    assert [e.event_id for e in (await store.links(tenant, third)).causes] == [second, first]
    with pytest.raises(NotFound):
        await store.links(f"{tenant}-b", first)
    with pytest.raises(NotFound):
        await store.links(tenant, "no id at all")


async def test_months_are_reached_through_their_parent_only(
    store: PostgresEventStore, postgres: TestDatabase, tenant: str
) -> None:
    await store.append(tenant, [Append("note", "a", notes(1))], ORIGIN)
    month = f"events_{datetime.now(UTC):%Y_%m}"
    owner = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + "/webnova")
    app = await asyncpg.connect(postgres.app_url)
    try:
        held = f"SELECT count(*) FROM webnova.{month} WHERE tenant_id = $1"
        assert await owner.fetchval(held, tenant) == 1
        assert await owner.fetchval("SELECT count(*) FROM webnova.events_default") == 0
        await app.execute("SELECT set_config('webnova.tenant', $1, false)", tenant)
        assert await app.fetchval("SELECT count(*) FROM webnova.events") == 1
        for statement in (
            f"SELECT * FROM webnova.{month}",
            f"INSERT INTO webnova.{month} (tenant_id) VALUES ('x')",
            "UPDATE webnova.events SET data = '{}'",
            "DELETE FROM webnova.events",
            "DELETE FROM webnova.documents",
            "SELECT webnova.make_event_partitions('2020-01-01', 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
    finally:
        await app.close()
        await owner.close()


async def test_a_tenant_can_not_be_appended_to_from_another(
    store: PostgresEventStore, postgres: TestDatabase, tenant: str
) -> None:
    app = await asyncpg.connect(postgres.app_url)
    try:
        async with app.transaction():
            await app.execute("SELECT set_config('webnova.tenant', $1, true)", f"{tenant}-b")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.fetchval(
                    "SELECT webnova.append($1, 'note', 'a', 0, ARRAY[gen_random_uuid()],"
                    " ARRAY['note.noted'], ARRAY[1::smallint], ARRAY['{}'], '{}', now(), NULL)",
                    tenant,
                )
    finally:
        await app.close()
    assert await values(store, tenant, "a") == []


async def test_events_of_the_first_schema_are_taken_over(
    postgres_server: EmbeddedPostgres,
) -> None:
    admin = postgres_server.admin_url
    name = f"migrated_{uuid4().hex[:8]}"
    passwords = role_passwords(postgres_server.secrets_dir)
    urls = await bootstrap_database(admin.reveal(), passwords, database=name)
    await upgrade_async(urls.owner.reveal(), to="0001")
    app = await asyncpg.connect(urls.app.reveal())
    long_ago = datetime(2024, 11, 30, 23, 59, tzinfo=UTC)
    try:
        await app.execute("SELECT set_config('webnova.tenant', 'old', false)")
        for version, at in enumerate((long_ago, datetime.now(UTC)), start=1):
            await app.execute(
                "INSERT INTO webnova.events (tenant_id, kind, id, version, event_id, type,"
                " schema_version, data, metadata, at) VALUES ('old', 'note', 'a', $1, $2,"
                " 'note.noted', 1, '{\"value\": 7}', '{}', $3)",
                *(version, uuid4(), at),
            )
        await app.execute(
            "INSERT INTO webnova.documents (tenant_id, kind, id, version, data)"
            " VALUES ('old', 'note', 'a', 2, '{}')"
        )
        before = await app.fetch("SELECT position, xid::text, version, at FROM webnova.events")
        await upgrade_async(urls.owner.reveal())
        after = await app.fetch("SELECT position, xid::text, version, at FROM webnova.events")
        assert before == after
        connections = Connections(urls.app.reveal())
        store = PostgresEventStore(connections)
        wish = Append("note", "a", notes("after"), expected=2)
        assert (await store.append("old", [wish], ORIGIN))[0].version == 3
        assert await values(store, "old", "a") == [7, 7, "after"]
        positions = [event.position for event in await store.read("old", "note", "a")]
        assert positions == sorted(set(positions))
        await connections.close()
    finally:
        await app.close()


@pytest.mark.parametrize("expected", [None, 2])
async def test_an_early_transaction_can_not_append_behind_a_later_one(
    store: PostgresEventStore, postgres: TestDatabase, tenant: str, expected: int | None
) -> None:
    """Readers go by transactions: they would see the later version of the stream first."""
    early = await asyncpg.connect(postgres.app_url)
    append = (
        "SELECT webnova.append($1, 'note', $2, $3, ARRAY[gen_random_uuid()], ARRAY['note.noted'],"
        " ARRAY[1::smallint], ARRAY['{\"value\": \"early\"}'], '{}', now(), NULL)"
    )
    try:
        await store.append(tenant, [Append("note", "shared", notes("first"))], ORIGIN)
        with pytest.raises(asyncpg.PostgresError) as caught:
            async with early.transaction():
                await early.execute("SELECT set_config('webnova.tenant', $1, true)", tenant)
                await early.fetchval(append, tenant, "own", None)
                await store.append(tenant, [Append("note", "shared", notes("late"))], ORIGIN)
                await early.fetchval(append, tenant, "shared", expected)
        assert caught.value.sqlstate == OVERTAKEN
        assert await values(store, tenant, "shared") == ["first", "late"]
        assert await values(store, tenant, "own") == []
    finally:
        await early.close()


async def test_appends_to_several_streams_at_once_are_read_in_the_order_of_each(
    store: PostgresEventStore, postgres: TestDatabase, tenant: str
) -> None:
    """Who was overtaken appends again, so that the caller sees nothing of it."""

    async def write(number: int) -> None:
        for turn in range(10):
            wish = [Append("note", f"own-{number}", notes(turn)), Append("note", "x", notes(turn))]
            await store.append(tenant, wish, ORIGIN)

    await asyncio.gather(*(write(number) for number in range(12)))
    connections = Connections(postgres.app_url)
    found = await PostgresFeed(connections).read(tenant, after=None)
    await connections.close()
    assert [event.version for event in found if event.id == "x"] == list(range(1, 121))
    for number in range(12):
        assert await values(store, tenant, f"own-{number}") == list(range(10))


async def test_a_command_that_was_overtaken_is_run_again(
    installation: Installation, tenant: str
) -> None:
    """Its idempotency key was written, and so its place in the order taken, before it waited."""
    waiting, may_go = asyncio.Event(), asyncio.Event()
    runs = 0

    async def issue(command: IssueToken, tx: Transaction, call: Call) -> TokenView:
        nonlocal runs
        runs += 1
        waiting.set()
        await may_go.wait()
        found = await tx.find(Token, "one")
        assert found is not None
        stored = await tx.append(Token, "one", [TokenRevoked()], expected=found.version)
        return TokenView.model_validate(stored.document.model_dump(exclude={"secret_sha256"}))

    def command(id: str) -> IssueToken:
        given = {"secret_sha256": "0" * 64, "label": "t", "permissions": ["run.read"]}
        return IssueToken.model_validate({"id": id, **given})

    handlers = Handlers()
    handlers.command(IssueToken, TokenView)(issue)
    await execute(installation, tenant, command("one"))
    slow = Call(command("two"), owner(tenant), tenant, idempotency_key="k")
    running = asyncio.create_task(Dispatcher(handlers, installation.transactions).execute(slow))
    await waiting.wait()
    await execute(installation, tenant, RevokeToken(id="one"))
    may_go.set()
    await running
    assert runs == 2
    found = await installation.feed.read(tenant, after=None, kind="token", id="one")
    assert [event.version for event in found] == [1, 2, 3]
