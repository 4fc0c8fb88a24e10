"""Budgets hold exactly while many reserve, settle and sweep at once, on a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.kernel.contracts import Call
from engine.kernel.errors import BudgetExceeded, Conflict, NotFound
from engine.ledger.metering import budgets
from engine.ledger.metering.budgets import (
    Budget,
    BudgetView,
    GetBudget,
    GetReservation,
    ListBudgets,
    ReleaseReservation,
    Reservation,
    ReserveBudget,
    SetBudget,
    SettleReservation,
    SweepReservations,
)
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    def set_clock(instant: datetime) -> None:
        monkeypatch.setattr(budgets, "now", lambda: instant)

    set_clock(NOW)
    return set_clock


async def limit(installation: Installation, tenant: str, amount: str, **more: Any) -> Any:
    given = {"name": "cap", "limit": amount, "currency": "USD", **more}
    return await execute(installation, tenant, SetBudget.model_validate(given))


async def reserve(installation: Installation, tenant: str, amount: str = "1", **more: Any) -> Any:
    command = ReserveBudget(budget="cap", amount=Decimal(amount), **more)
    return await execute(installation, tenant, command)


async def settle(installation: Installation, tenant: str, id: str, actual: str) -> Any:
    command = SettleReservation(budget="cap", id=id, actual=Decimal(actual))
    return await execute(installation, tenant, command)


async def standing(installation: Installation, tenant: str, **more: Any) -> BudgetView:
    query = GetBudget(name="cap", **more)
    found = await installation.dispatcher.ask(query, owner(tenant), tenant)
    assert isinstance(found, BudgetView)
    return found


async def told(installation: Installation, tenant: str) -> list[int]:
    events = await installation.feed.read(tenant, after=None, kind="budget", id="cap")
    return [e.data["threshold"] for e in events if e.type == "budget.threshold_reached"]


async def test_two_hundred_at_once_on_a_budget_of_fifty_admit_exactly_fifty(
    installation: Installation, tenant: str
) -> None:
    await limit(installation, tenant, "50")
    outcomes = await asyncio.gather(
        *(reserve(installation, tenant) for _ in range(200)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, BudgetExceeded)]
    assert len(refused) == 150
    assert sum(getattr(each, "state", "") == "held" for each in outcomes) == 50
    found = await standing(installation, tenant)
    assert (found.held, found.spent, found.left) == (50, 0, 0)


async def test_a_budget_stays_exact_under_everything_at_once(
    installation: Installation, tenant: str, at: Callable[[datetime], None]
) -> None:
    """Reserve, settle, release, sweep and change the limit in a race: the counters add up."""
    await limit(installation, tenant, "1000")
    made = await asyncio.gather(*(reserve(installation, tenant, "2.5") for _ in range(60)))
    at(LATER)
    tasks: list[Any] = []
    for number, each in enumerate(made):
        if number % 3 == 0:
            tasks.append(settle(installation, tenant, each.id, "3.25"))
        elif number % 3 == 1:
            command = ReleaseReservation(budget="cap", id=each.id)
            tasks.append(execute(installation, tenant, command))
        if number % 10 == 0:
            tasks.append(execute(installation, tenant, SweepReservations()))
            tasks.append(limit(installation, tenant, str(900 + number)))
            tasks.append(reserve(installation, tenant, "0.000000001", seconds=60))
    await asyncio.gather(*tasks)
    while (await execute(installation, tenant, SweepReservations())).more:
        pass
    found = await standing(installation, tenant)
    assert found.spent == Decimal("3.25") * 20
    assert found.held == Decimal("0.000000001") * 6
    states = [await _reservation(installation, tenant, each.id) for each in made]
    assert [each.state for each in states[::3]] == ["settled"] * 20
    assert {each.state for each in states[1::3]} <= {"released", "expired"}
    assert {each.state for each in states[2::3]} == {"expired"}
    # What a settlement exceeds its hold by, or all of it when the sweep was faster.
    assert {each.overrun for each in states[::3]} <= {Decimal("0.75"), Decimal("3.25")}


async def _reservation(installation: Installation, tenant: str, id: str) -> Any:
    query = GetReservation(budget="cap", id=id)
    return await installation.dispatcher.ask(query, owner(tenant), tenant)


async def test_settling_counts_what_was_spent_even_past_the_limit(
    installation: Installation, tenant: str
) -> None:
    await limit(installation, tenant, "10")
    first = await reserve(installation, tenant, "8")
    settled = await settle(installation, tenant, first.id, "11.5")
    assert (settled.state, settled.overrun) == ("settled", Decimal("3.5"))
    assert await settle(installation, tenant, first.id, "11.5") == settled
    for again in (
        settle(installation, tenant, first.id, "11"),
        execute(installation, tenant, ReleaseReservation(budget="cap", id=first.id)),
    ):
        with pytest.raises(Conflict):
            await again
    found = await standing(installation, tenant)
    assert (found.spent, found.held, found.left) == (Decimal("11.5"), 0, Decimal("-1.5"))
    with pytest.raises(BudgetExceeded):
        await reserve(installation, tenant, "0.000000001")


async def test_expiry_gives_back_and_a_late_settlement_is_not_lost(
    installation: Installation, tenant: str, at: Callable[[datetime], None]
) -> None:
    await limit(installation, tenant, "10")
    first = await reserve(installation, tenant, "10", seconds=60)
    with pytest.raises(BudgetExceeded) as refused:
        await reserve(installation, tenant)
    assert refused.value.fields["left"] == "0"
    at(NOW + timedelta(seconds=60))
    # Nobody swept: the reservation itself frees what has expired when it needs the room.
    second = await reserve(installation, tenant, "10", seconds=60)
    late = await settle(installation, tenant, first.id, "4")
    assert (late.state, late.overrun) == ("settled", 4)
    found = await standing(installation, tenant)
    assert (found.spent, found.held) == (4, 10)
    released = ReleaseReservation(budget="cap", id=second.id)
    assert (await execute(installation, tenant, released)).state == "released"
    assert (await execute(installation, tenant, released)).state == "released"
    with pytest.raises(Conflict):
        await settle(installation, tenant, second.id, "1")
    assert (await standing(installation, tenant)).held == 0


async def test_each_threshold_is_told_once_in_a_period_however_many_settle(
    installation: Installation, tenant: str, at: Callable[[datetime], None]
) -> None:
    await limit(installation, tenant, "40")
    made = await asyncio.gather(*(reserve(installation, tenant) for _ in range(40)))
    await asyncio.gather(*(settle(installation, tenant, each.id, "1") for each in made))
    assert sorted(await told(installation, tenant)) == [50, 80, 100]
    await limit(installation, tenant, "40", thresholds=[50, 90])
    assert sorted(await told(installation, tenant)) == [50, 80, 90, 100]
    at(datetime(2026, 6, 1, tzinfo=UTC))
    fresh = await standing(installation, tenant)
    assert (fresh.period, fresh.spent, fresh.reached) == ("2026-06", 0, [])
    june = await reserve(installation, tenant, "20")
    await settle(installation, tenant, june.id, "20")
    assert (await standing(installation, tenant)).reached == [50]
    assert (await standing(installation, tenant, period="2026-05")).spent == 40


async def test_a_limit_changes_from_this_month_on_and_what_is_counted_stays(
    installation: Installation, tenant: str, at: Callable[[datetime], None]
) -> None:
    await limit(installation, tenant, "10")
    await reserve(installation, tenant, "10")
    await limit(installation, tenant, "4")
    assert (await standing(installation, tenant)).left == -6
    at(datetime(2026, 6, 2, tzinfo=UTC))
    await limit(installation, tenant, "7")
    assert (await standing(installation, tenant)).limit == 7
    assert (await standing(installation, tenant, period="2026-05")).limit == 4
    with pytest.raises(Conflict, match="currency"):
        await limit(installation, tenant, "7", currency="EUR")
    with pytest.raises(NotFound):
        await execute(installation, tenant, ReserveBudget(budget="none", amount=Decimal(1)))
    watching = {"name": "watch", "counts": "charges"}
    await limit(installation, tenant, "7", **watching)
    with pytest.raises(Conflict, match="counts charges"):
        await execute(installation, tenant, ReserveBudget(budget="watch", amount=Decimal(1)))
    page = await installation.dispatcher.ask(ListBudgets(limit=1), owner(tenant), tenant)
    assert (page.items[0].name, page.next) == ("cap", "cap")  # type: ignore[attr-defined]


async def test_many_who_change_a_budget_at_once_all_succeed(
    installation: Installation, tenant: str
) -> None:
    changes = (limit(installation, tenant, str(number)) for number in range(1, 21))
    seen = await asyncio.gather(*changes)
    assert sorted(each.limit for each in seen) == list(range(1, 21))
    async with installation.transactions.reading(tenant) as reader:
        kept = await reader.find(Budget, "cap")
    assert kept is not None and kept.version == 20
    assert (await standing(installation, tenant)).limit == kept.document.limit


async def test_budgets_and_reservations_are_what_their_events_give(
    installation: Installation, tenant: str
) -> None:
    await limit(installation, tenant, "10")
    made = await reserve(installation, tenant, "8")
    await settle(installation, tenant, made.id, "9")
    call = Call(SweepReservations(), owner(tenant), tenant)
    async with installation.transactions.writing(call) as tx:
        for document, id in ((Budget, "cap"), (Reservation, made.id)):
            before = await tx.find(document, id)
            assert before is not None
            rebuilt = await tx.rebuild(document, id)
            assert not rebuilt.changed and rebuilt.version == before.version
