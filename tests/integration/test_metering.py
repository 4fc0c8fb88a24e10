"""Usage, rating, the ledger and statements on a real Postgres."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from engine.kernel.contracts import Call
from engine.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from engine.ledger.metering import budgets, entries, forecast, prices, rating, statements, usage
from engine.ledger.metering.budgets import GetBudget, SetBudget
from engine.ledger.metering.entries import ClosedMonth, GetEntry, LedgerEntry
from engine.ledger.metering.prices import GetPrices, PublishPrices
from engine.ledger.metering.rating import CorrectCharge, Rated, RateUsage
from engine.ledger.metering.statements import CloseMonth, GetStatement, StatementView
from engine.ledger.metering.upkeep import Bookkeeping
from engine.ledger.metering.usage import (
    ListUnrated,
    RecordUsage,
    SumUsage,
    UsageEvent,
)
from tests.conftest import TestDatabase
from tests.integration.conftest import execute, owner
from webnova.compose import Installation, backlogs

NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)
MAY = datetime(2026, 5, 3, 9, tzinfo=UTC)
APRIL = datetime(2026, 4, 20, 9, tzinfo=UTC)
CLOCKED = (usage, prices, entries, rating, budgets, statements, forecast)
TABLES = (
    "usage",
    "unrated_usage",
    "tier_counts",
    "ledger_entries",
    "ledger_postings",
    "charges",
    "budget_limits",
    "budget_periods",
    "reservations",
)


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock of every metering module."""

    def set_clock(instant: datetime) -> None:
        for module in CLOCKED:
            if hasattr(module, "now"):
                monkeypatch.setattr(module, "now", lambda: instant)

    set_clock(NOW)
    return set_clock


def event(id: str, quantity: str = "1", **more: Any) -> UsageEvent:
    given = {"source": "test", "meter": "builds", "occurred_at": MAY, **more}
    return UsageEvent.model_validate({"id": id, "quantity": quantity, **given})


async def record(installation: Installation, tenant: str, *events: UsageEvent) -> Any:
    return await execute(installation, tenant, RecordUsage(events=list(events)))


async def publish(
    installation: Installation, tenant: str, prices: dict[str, Any], **more: Any
) -> Any:
    """Prices from 2026 on, in SAR; a text instead of tiers is a flat price."""
    tiers = {
        meter: [{"unit_price": price}] if isinstance(price, str) else price
        for meter, price in prices.items()
    }
    given = {"region": "default", "currency": "SAR", "valid_from": datetime(2026, 1, 1, tzinfo=UTC)}
    command = PublishPrices.model_validate({**given, "prices": tiers, **more})
    return await execute(installation, tenant, command)


async def rate(installation: Installation, tenant: str, limit: int = 5000) -> list[Rated]:
    answers = []
    while True:
        answers.append(await execute(installation, tenant, RateUsage(limit=limit)))
        if not answers[-1].more:
            return answers


async def ask(installation: Installation, tenant: str, query: Any) -> Any:
    return await installation.dispatcher.ask(query, owner(tenant), tenant)


async def statement(installation: Installation, tenant: str, period: str) -> StatementView:
    found = await ask(installation, tenant, GetStatement(period=period))
    assert isinstance(found, StatementView)
    return found


async def test_sending_usage_again_changes_nothing_and_other_content_is_refused(
    installation: Installation, tenant: str
) -> None:
    first = await record(installation, tenant, event("a"), event("b", "2"), event("a", "1.0"))
    assert (first.accepted, first.duplicates) == (2, 1)
    again = await record(installation, tenant, event("b", "2"), event("c"))
    assert (again.accepted, again.duplicates) == (1, 1)
    with pytest.raises(Conflict) as refused:
        await record(installation, tenant, event("d"), event("b", "3"))
    assert refused.value.fields["conflicts"] == [{"source": "test", "id": "b"}]
    with pytest.raises(Conflict, match="'e'"):
        await record(installation, tenant, event("e"), event("e", "3"))
    sums = await ask(installation, tenant, SumUsage(first="2026-05"))
    assert [(each.quantity, each.events) for each in sums.items] == [(Decimal(4), 3)]


async def test_concurrent_batches_of_the_same_events_store_each_once(
    installation: Installation, tenant: str
) -> None:
    batch = [event(f"e{number}") for number in range(50)]

    async def send(seed: int) -> int:
        mixed = random.Random(seed).sample(batch, len(batch))
        return int((await record(installation, tenant, *mixed)).accepted)

    assert sum(await asyncio.gather(*(send(seed) for seed in range(8)))) == 50


async def test_usage_is_summed_up_by_what_is_asked_for_page_by_page(
    installation: Installation, tenant: str
) -> None:
    events = [
        event(f"{user}-{platform}-{month}", "2", user=user, platform=platform,
              occurred_at=datetime(2026, month, 2, tzinfo=UTC))
        for user in ("token:a", "token:b")
        for platform in ("clinic", "shop")
        for month in (3, 4)
    ]  # fmt: skip
    await record(installation, tenant, *events, event("none", meter="compute_seconds"))
    seen, after = [], None
    while True:
        query = SumUsage(first="2026-03", after=after, limit=2)
        page = await ask(installation, tenant, query)
        seen += [(s.period, s.meter, s.platform, s.user, s.quantity) for s in page.items]
        after = page.next
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 9
    assert seen == sorted(seen, key=lambda s: tuple(part or "" for part in s[:4]))
    one = await ask(installation, tenant, SumUsage(first="2026-04", last="2026-04", user="token:a"))
    assert [(s.platform, s.quantity) for s in one.items] == [("clinic", 2), ("shop", 2)]
    for cursor in ("zz", "00", b'["a"]'.hex(), b'["a","b","c","\\u0000"]'.hex()):
        with pytest.raises(InvalidInput, match="cursor"):
            await ask(installation, tenant, SumUsage(after=cursor))


async def test_what_cannot_have_happened_is_refused_and_names_its_place(
    installation: Installation, tenant: str
) -> None:
    ahead = event("future", occurred_at=NOW + timedelta(hours=1))
    with pytest.raises(InvalidInput) as refused:
        await record(installation, tenant, event("fine"), ahead, event("half", "0.5"))
    places = [each["path"] for each in refused.value.fields["errors"]]
    assert places == ["events.1.occurred_at", "events.2.quantity"]
    assert (await ask(installation, tenant, SumUsage())).items == []


async def test_usage_without_a_price_is_kept_listed_and_rated_once_there_is_one(
    installation: Installation, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "2"})
    tokens = {"meter": "input_tokens", "region": "eu"}
    await record(
        installation,
        tenant,
        event("known"),
        event("unknown", "7", **tokens),
        event("early", occurred_at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC)),
        event("first", occurred_at=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    [rated] = await rate(installation, tenant)
    assert rated.charged == 2
    assert [(each.region, each.meter, each.events) for each in rated.missing] == [
        ("default", "builds", 1),
        ("eu", "input_tokens", 1),
    ]
    listed = (await ask(installation, tenant, ListUnrated())).items
    assert [(each.region, each.quantity, each.price_missing) for each in listed] == [
        ("default", 1, True),
        ("eu", 7, True),
    ]
    [nothing] = await rate(installation, tenant)
    assert (nothing.charged, nothing.missing) == (0, [])
    euro = {"region": "eu", "currency": "EUR"}
    await publish(installation, tenant, {"input_tokens": "0.25"}, **euro)
    assert sum(each.charged for each in await rate(installation, tenant)) == 1
    found = await statement(installation, tenant, "2026-05")
    assert [(each.currency, each.total) for each in found.currencies] == [
        ("EUR", Decimal("1.75")),
        ("SAR", Decimal("2.00")),
    ]


async def test_a_price_published_while_usage_is_rated_is_not_missed(
    installation: Installation, tenant: str
) -> None:
    """Whichever comes first, the usage ends up charged or ready to be."""
    await record(installation, tenant, *(event(f"e{number}") for number in range(200)))
    await asyncio.gather(
        *(execute(installation, tenant, RateUsage(limit=20)) for _ in range(10)),
        publish(installation, tenant, {"builds": "1"}),
    )
    await rate(installation, tenant)
    assert (await ask(installation, tenant, ListUnrated())).items == []
    found = await statement(installation, tenant, "2026-05")
    assert found.currencies[0].total == 200


async def test_a_price_applies_from_its_instant_and_versions_stay(
    installation: Installation, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "1", "egress_bytes": "5"})
    await publish(installation, tenant, {"builds": "10"}, valid_from=MAY)
    await record(
        installation,
        tenant,
        event("before", occurred_at=MAY - timedelta(microseconds=1)),
        event("at", occurred_at=MAY),
        event("other", meter="egress_bytes"),
    )
    await rate(installation, tenant)
    found = await statement(installation, tenant, "2026-05")
    assert [line.amount for line in found.currencies[0].lines] == [11, 5]
    book = await ask(installation, tenant, GetPrices(region="default"))
    assert [each.version for each in book.versions] == [1, 2]
    with pytest.raises(NotFound):
        await ask(installation, tenant, GetPrices(region="mars"))


async def test_statement_lines_sum_to_the_total_and_late_usage_corrects_a_closed_month(
    installation: Installation, tenant: str, at: Callable[[datetime], None]
) -> None:
    await publish(installation, tenant, {"builds": "0.335"}, currency="KWD", region="kw")
    await publish(installation, tenant, {"builds": "0.335"})
    users = [event(f"u{n}", user=f"user-{n}", occurred_at=APRIL) for n in range(3)]
    dinar = [event(f"k{n}", user=f"user-{n}", region="kw", occurred_at=APRIL) for n in range(3)]
    with pytest.raises(Conflict, match="is not over"):
        await execute(installation, tenant, CloseMonth(period="2026-05"))
    await record(installation, tenant, *users, *dinar)
    with pytest.raises(Conflict, match="without a charge"):
        await execute(installation, tenant, CloseMonth(period="2026-04"))
    await rate(installation, tenant)
    closed = await execute(installation, tenant, CloseMonth(period="2026-04"))
    dinars, riyals = closed.currencies
    assert [line.amount for line in dinars.lines] == [Decimal("0.335")] * 3
    assert [str(line.amount) for line in riyals.lines] == ["0.34", "0.33", "0.33"]
    assert riyals.total == sum(line.amount for line in riyals.lines) == Decimal("1.00")
    with pytest.raises(Conflict, match="is closed"):
        await execute(installation, tenant, CloseMonth(period="2026-04"))

    await record(installation, tenant, event("late", "2", user="user-0", occurred_at=APRIL))
    [rated] = await rate(installation, tenant)
    late = await statement(installation, tenant, "2026-04")
    assert late.currencies[1].lines == riyals.lines
    assert [(c.user, c.quantity, c.amount) for c in late.currencies[1].corrections] == [
        ("user-0", 2, Decimal("0.67"))
    ]
    assert late.currencies[1].due == Decimal("1.67")
    entry = await ask(installation, tenant, GetEntry(id=rated.entries[0]))
    assert (entry.kind, entry.corrects) == ("correction", closed.entry)
    closing = await ask(installation, tenant, GetEntry(id=closed.entry))
    accounts = {(p.account, p.currency): p.amount for p in closing.postings}
    assert accounts["payable", "SAR"] == Decimal("1.005")
    assert accounts["invoiced", "SAR"] == Decimal("-1.00")
    assert accounts["rounding", "SAR"] == Decimal("-0.005")


async def test_a_charge_is_corrected_by_an_entry_that_names_the_first(
    installation: Installation, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "4"})
    await record(installation, tenant, event("a"), event("b"))
    [rated] = await rate(installation, tenant)
    credit = CorrectCharge(source="test", id="a", amount=Decimal("-1.5"), reason="an outage")
    entry = await execute(installation, tenant, credit)
    assert (entry.kind, entry.corrects) == ("correction", rated.entries[0])
    [line] = (await statement(installation, tenant, "2026-05")).currencies[0].lines
    assert (line.quantity, line.amount) == (2, Decimal("6.50"))
    with pytest.raises(Conflict, match="no charge"):
        missing = credit.model_copy(update={"id": "missing"})
        await execute(installation, tenant, missing)


async def test_documents_of_metering_are_what_their_events_give(
    installation: Installation, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "0.335"})
    await record(installation, tenant, event("a", occurred_at=APRIL))
    [rated] = await rate(installation, tenant)
    await execute(installation, tenant, CloseMonth(period="2026-04"))
    names = (
        (LedgerEntry, rated.entries[0]),
        (ClosedMonth, "2026-04"),
        (prices.PriceBook, "default"),
    )
    async with installation.transactions.writing(Call(RateUsage(), owner(tenant), tenant)) as tx:
        for document, id in names:
            before = await tx.find(document, id)
            assert before is not None
            rebuilt = await tx.rebuild(document, id)
            assert not rebuilt.changed and rebuilt.version == before.version


async def test_watching_budgets_tell_each_threshold_once(
    installation: Installation, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "10", "egress_bytes": "1"})
    watch = {"counts": "charges", "currency": "SAR", "platform": "shop", "meter": "builds"}
    budget = SetBudget.model_validate({"name": "shop", "limit": "100", **watch})
    await execute(installation, tenant, budget)

    async def spend(id: str, quantity: str, **more: Any) -> list[int]:
        given = {"platform": "shop", **more}
        await record(installation, tenant, event(id, quantity, **given))
        await rate(installation, tenant)
        found = await ask(installation, tenant, GetBudget(name="shop", period="2026-05"))
        return list(found.reached)

    assert await spend("a", "4") == []
    assert await spend("b", "50", meter="egress_bytes") == []
    assert await spend("c", "9", platform="clinic") == []
    assert await spend("d", "4") == [50, 80]
    assert await spend("e", "9") == [50, 80, 100]
    assert await spend("f", "9") == [50, 80, 100]
    assert await spend("g", "9", occurred_at=APRIL) == [50, 80, 100]
    told = [
        (each.data["period"], each.data["threshold"])
        for each in await installation.feed.read(tenant, after=None, kind="budget")
        if each.type == "budget.threshold_reached"
    ]
    assert told == [
        ("2026-05", 50),
        ("2026-05", 80),
        ("2026-05", 100),
        ("2026-04", 50),
        ("2026-04", 80),
    ]


async def _as_application(postgres: TestDatabase, tenant: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(postgres.app_url, server_settings={"search_path": "webnova"})
    await connection.execute("SELECT set_config('webnova.tenant', $1, false)", tenant)
    return connection


ENTRY = (
    "INSERT INTO ledger_entries (tenant_id, id, kind, period, at)"
    " VALUES ($1, $2, 'rating', '2026-05', now())"
)
POSTING = "INSERT INTO ledger_postings VALUES ($1, $2, $3, $4, $5)"


async def test_the_database_itself_refuses_postings_that_do_not_balance(
    postgres: TestDatabase, tenant: str
) -> None:
    """As the application's role, past all code: no trick of a transaction gets them in."""
    connection = await _as_application(postgres, tenant)

    async def write(id: str, *lines: tuple[str, str, str], trick: str = "") -> None:
        async with connection.transaction():
            await connection.execute(ENTRY, tenant, id)
            for number, (account, currency, amount) in enumerate(lines):
                if trick and number == len(lines) - 1:
                    await connection.execute(trick)
                await connection.execute(POSTING, tenant, id, account, currency, Decimal(amount))

    balanced = (("a", "SAR", "1.5"), ("b", "SAR", "-1.5"))
    try:
        await write("good", *balanced)
        hidden = "SELECT set_config('webnova.tenant', 'elsewhere', true)"
        for lines, trick in (
            ((("a", "SAR", "1"), ("b", "SAR", "-2")), ""),
            ((("a", "SAR", "1"), ("b", "EUR", "-1")), ""),
            ((("a", "SAR", "0"),), ""),
            ((), ""),
            ((*balanced, ("c", "SAR", "1")), "SET CONSTRAINTS ALL IMMEDIATE"),
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await write("bad", *lines, trick=trick)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            async with connection.transaction():
                await connection.execute(ENTRY, tenant, "bad")
                await connection.execute(POSTING, tenant, "bad", "a", "SAR", Decimal(1))
                await connection.execute(hidden)
        # A finished entry takes no more postings, not even ones that balance.
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            async with connection.transaction():
                for account, amount in (("x", 1), ("y", -1)):
                    await connection.execute(POSTING, tenant, "good", account, "SAR", amount)
        for forbidden in (
            "UPDATE ledger_postings SET amount = 0",
            "DELETE FROM ledger_postings",
            "UPDATE ledger_entries SET period = '2026-06'",
            "DELETE FROM ledger_entries",
            "UPDATE charges SET amount = 0",
            "DELETE FROM charges",
            "UPDATE usage SET quantity = 0",
            "DELETE FROM usage",
            "ALTER TABLE ledger_postings DISABLE TRIGGER ALL",
            "SET session_replication_role = replica",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        with pytest.raises(asyncpg.CheckViolationError):
            await write("odd", ("a", "SAR", "NaN"), ("b", "SAR", "NaN"))
        kept = await connection.fetch("SELECT id FROM ledger_entries")
        assert [row["id"] for row in kept] == ["good"]
    finally:
        await connection.close()


async def test_the_database_itself_refuses_a_second_rating(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "1"})
    await record(installation, tenant, event("a"))
    await rate(installation, tenant)
    connection = await _as_application(postgres, tenant)
    try:
        with pytest.raises(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(ENTRY, tenant, "again")
                await connection.execute(
                    "INSERT INTO charges VALUES ($1, 'again', 'test', 'a', '2026-05', 'SAR', 1, 1,"
                    " true)",
                    tenant,
                )
    finally:
        await connection.close()


async def test_no_table_of_metering_shows_or_takes_another_tenants_rows(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    await publish(installation, tenant, {"builds": "1"})
    await execute(installation, tenant, SetBudget(name="cap", limit=Decimal(5), currency="SAR"))
    await execute(installation, tenant, budgets.ReserveBudget(budget="cap", amount=Decimal(1)))
    await record(installation, tenant, event("a"))
    await rate(installation, tenant)
    await record(installation, tenant, event("waiting"))
    own = await _as_application(postgres, tenant)
    other = await _as_application(postgres, "elsewhere")
    try:
        for table in TABLES:
            count = f"SELECT count(*) FROM {table} WHERE tenant_id = $1"
            assert await own.fetchval(count, tenant) > 0, table
            assert await other.fetchval(count, tenant) == 0, table
        for statement in (
            f"INSERT INTO budget_limits VALUES ('{tenant}', 'x', 1)",
            f"INSERT INTO tier_counts VALUES ('{tenant}', 'p', 'r', 'm', 1, 1)",
            f"INSERT INTO unrated_usage VALUES ('{tenant}', 'test', 'a', 'r', 'm')",
            f"INSERT INTO ledger_entries (tenant_id, id, kind, period, at)"
            f" VALUES ('{tenant}', 'x', 'rating', 'p', now())",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await other.execute(statement)
        # Nor can a row of one's own refer to another tenant's.
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await other.execute(
                "INSERT INTO unrated_usage VALUES ('elsewhere', 'test', 'a', 'r', 'm')"
            )
    finally:
        await own.close()
        await other.close()


class Reference:
    """Charges computed from all events at once, with fractions and nothing of the engine."""

    TIERS: dict[str, list[tuple[int | None, Fraction]]] = {
        "builds": [(None, Fraction("0.5"))],
        "egress_bytes": [
            (1000, Fraction("0.001")),
            (50_000, Fraction("0.0007")),
            (None, Fraction("0.00033")),
        ],
        "compute_seconds": [(100, Fraction(0)), (None, Fraction("0.000012345678"))],
    }

    def __init__(self, events: list[UsageEvent]) -> None:
        self.quantities: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for each in events:
            key = (f"{each.occurred_at:%Y-%m}", each.meter.value)
            self.quantities[key] += Fraction(each.quantity)

    def total(self, period: str) -> Fraction:
        return sum(
            (
                self._price(meter, quantity)
                for (month, meter), quantity in self.quantities.items()
                if month == period
            ),
            Fraction(0),
        )

    def _price(self, meter: str, quantity: Fraction) -> Fraction:
        total, low = Fraction(0), Fraction(0)
        for bound, price in self.TIERS[meter]:
            high = quantity if bound is None else min(quantity, Fraction(bound))
            total += max(high - low, Fraction(0)) * price
            low = high
        return total


def _generated(count: int) -> list[UsageEvent]:
    """Events of sixty days in no order; one meter in three has fractions."""
    dice = random.Random(11)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    meters = [usage.Meter(name) for name in Reference.TIERS]
    found = []
    for number in range(count):
        meter = meters[number % 3]
        scale = -6 if meter is usage.Meter.COMPUTE_SECONDS else 0
        found.append(
            UsageEvent.model_construct(
                source="load",
                id=f"e{number}",
                meter=meter,
                quantity=Decimal(int(dice.random() * (10**8 if scale else 100))).scaleb(scale),
                user=f"user-{number % 19}",
                platform=f"platform-{number % 5}",
                region="default",
                occurred_at=start + timedelta(seconds=int(dice.random() * 60 * 86_400)),
                attributes={},
            )
        )
    return found


async def _crash(
    installation: Installation, postgres: TestDatabase, tenant: str, command: Any
) -> None:
    """Do the command's work on a connection that is killed just before the commit."""
    handler, _ = installation.handlers.commands[type(command)]
    call = Call(command, owner(tenant), tenant)
    killer = await asyncpg.connect(postgres.admin_url)
    try:
        with pytest.raises(Unavailable):
            async with installation.transactions.writing(call) as tx:
                await handler(command, tx, call)
                killed = await killer.fetchval(
                    "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                    " WHERE application_name = 'tests' AND state = 'idle in transaction'"
                )
                assert killed
    finally:
        await killer.close()


async def test_a_hundred_thousand_events_equal_an_independent_reference(
    installation: Installation, postgres: TestDatabase, tenant: str
) -> None:
    """Duplicates, late arrivals in a mixed order, and crashes while storing and while rating."""
    wanted = _generated(90_000)
    dice = random.Random(5)
    sent = [*wanted, *dice.sample(wanted, 10_000)]
    dice.shuffle(sent)
    tiers = {
        meter: [
            {
                "up_to": None if bound is None else str(bound),
                "unit_price": f"{Decimal(price.numerator) / Decimal(price.denominator)}",
            }
            for bound, price in tiers
        ]
        for meter, tiers in Reference.TIERS.items()
    }
    await publish(installation, tenant, tiers)
    batches = [
        RecordUsage.model_construct(events=sent[at : at + 1000]) for at in range(0, len(sent), 1000)
    ]
    accepted, rated = 0, 0
    for at in range(0, len(batches), 10):
        await _crash(installation, postgres, tenant, batches[at])
        if at % 20:
            await _crash(installation, postgres, tenant, RateUsage(limit=2000))
        rating = [RateUsage(limit=5000), RateUsage(limit=1000)] if at else []
        answers = await asyncio.gather(
            *(execute(installation, tenant, each) for each in [*batches[at : at + 10], *rating])
        )
        accepted += sum(getattr(each, "accepted", 0) for each in answers)
        rated += sum(getattr(each, "charged", 0) for each in answers)
    rated += sum(each.charged for each in await rate(installation, tenant, 10_000))
    assert (accepted, rated) == (90_000, 90_000)

    reference = Reference(wanted)
    async with installation.transactions.reading(tenant) as reader:
        for period in ("2026-03", "2026-04"):
            lines = await reader.part(usage.Metering).charged(period)
            assert sum(Fraction(line.amount) for line in lines) == reference.total(period)
            for meter in Reference.TIERS:
                own = sum(Fraction(line.quantity) for line in lines if line.meter == meter)
                assert own == reference.quantities[period, meter]
    for period in ("2026-03", "2026-04"):
        [shown] = (await statement(installation, tenant, period)).currencies
        exact = reference.total(period)
        assert Fraction(shown.total) == round(exact * 100) / Fraction(100)
        assert sum(line.amount for line in shown.lines) == shown.total


async def test_the_books_of_every_tenant_are_kept_by_themselves(
    installation: Installation,
    postgres: TestDatabase,
    tenant: str,
    at: Callable[[datetime], None],
) -> None:
    failures: list[str] = []
    backlog = backlogs("books", url=postgres.worker_url).books
    keeper = Bookkeeping(
        "executor", backlog, installation.dispatcher, lambda who, _: failures.append(who)
    )
    others = [tenant, f"{tenant}-b"]
    try:
        for each in others:
            await publish(installation, each, {"builds": "2"})
            await record(installation, each, event("a"), event("b"))
        assert set(others) <= set(await backlog.unsettled())
        shards = [await backlog.unsettled((shard, 3)) for shard in range(3)]
        assert sorted(itertools.chain(*shards)) == await backlog.unsettled()
        await keeper.turn()
        for each in others:
            assert not (await ask(installation, each, ListUnrated())).items
        assert not set(others) & (set(await backlog.unsettled()) | set(failures))
        # The executor sees whose turn it is, and nothing of what was used.
        executor = await asyncpg.connect(postgres.worker_url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await executor.fetch("SELECT meter FROM webnova.unrated_usage")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await executor.fetch("SELECT quantity FROM webnova.usage")
        finally:
            await executor.close()
    finally:
        await backlog.close()
