"""Budgets: how much may be spent in a month, decided exactly while many spend at once.

A budget counts one of two things. One that counts *settlements* is a hard limit: who wants to spend
reserves first, and a reservation is granted only while what is spent and held stays within the
limit. One that counts *charges* watches rated usage and only warns. Either way each threshold is
told once in a period.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Document, Event, Query, Versioned, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import BudgetExceeded, Conflict, NotFound
from engine.kernel.ids import new_id
from engine.ledger.metering.money import EXACT, Amount, CurrencyCode, Sum, plain
from engine.ledger.metering.periods import Period, period_of
from engine.ledger.metering.store import Hold, Holds, Standing
from engine.ledger.metering.usage import Meter, Named, PlatformName

handlers = Handlers()
now: Callable[[], datetime] = system_clock

SWEPT_AT_ONCE = 100
LONGEST_S = 86_400

BudgetName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)
]
Threshold = Annotated[int, Field(ge=1, le=1000)]
ReservationState = Literal["held", "settled", "released", "expired"]


class BudgetSet(Event):
    type = "budget.set"
    name: str
    limit: Amount
    currency: CurrencyCode | None
    meter: Meter | None
    counts: Literal["settlements", "charges"]
    platform: str | None
    user: str | None
    thresholds: list[int]
    at: datetime


class BudgetThresholdReached(Event):
    """`spent` is at least `threshold` percent of `limit`; once per period and threshold."""

    type = "budget.threshold_reached"
    period: str
    threshold: int
    spent: Sum
    limit: Sum
    at: datetime


class Budget(Document):
    """`reached` holds the thresholds that were told, by period."""

    kind = "budget"
    events = (BudgetSet, BudgetThresholdReached)
    fold_version = 2
    indexed = ("counts",)

    name: str
    limit: Amount
    currency: CurrencyCode | None
    meter: Meter | None
    counts: Literal["settlements", "charges"]
    platform: str | None
    user: str | None
    thresholds: list[int]
    reached: dict[str, list[int]] = {}

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, BudgetSet):
            reached = state.reached if state else {}
            return cls(reached=reached, **event.model_dump(exclude={"at"}))
        assert state is not None and isinstance(event, BudgetThresholdReached)
        told = sorted({*state.reached.get(event.period, []), event.threshold})
        return state.model_copy(update={"reached": {**state.reached, event.period: told}})

    def restoring(self) -> Command:
        return SetBudget(**self.model_dump(exclude={"reached"}))

    def newly_reached(self, standing: Standing) -> list[int]:
        told = self.reached.get(standing.period, [])
        return [
            each
            for each in self.thresholds
            if each not in told
            and standing.spent > 0
            and EXACT.multiply(standing.spent, Decimal(100))
            >= EXACT.multiply(standing.limit, Decimal(each))
        ]


class ReservationMade(Event):
    type = "reservation.made"
    id: str
    budget: str
    period: str
    amount: Amount
    reserved_by: str
    expires_at: datetime
    at: datetime


class ReservationSettled(Event):
    """`overrun` is the part of `actual` that nothing was held for."""

    type = "reservation.settled"
    actual: Amount
    overrun: Sum
    at: datetime


class ReservationReleased(Event):
    type = "reservation.released"
    at: datetime


class ReservationExpired(Event):
    type = "reservation.expired"
    at: datetime


class Reservation(Document):
    kind = "reservation"
    events = (ReservationMade, ReservationSettled, ReservationReleased, ReservationExpired)
    fold_version = 2
    indexed = ("budget", "state", "amount", "expires_at")

    id: str
    budget: str
    period: str
    amount: Amount
    reserved_by: str
    expires_at: datetime
    state: ReservationState = "held"
    actual: Amount | None = None
    overrun: Sum = Decimal(0)

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        if isinstance(event, ReservationMade):
            return cls(**event.model_dump(exclude={"at"}))
        assert state is not None
        match event:
            case ReservationSettled():
                done = {"state": "settled", "actual": event.actual, "overrun": event.overrun}
                return state.model_copy(update=done)
            case ReservationReleased():
                return state.model_copy(update={"state": "released"})
            case _:
                return state.model_copy(update={"state": "expired"})


class SetBudget(Command):
    """Make a budget or change it from the present month on. What it counts can't change."""

    permission: ClassVar[str] = "budget.write"
    emits: ClassVar[tuple[type[Event], ...]] = (BudgetSet, BudgetThresholdReached)

    name: BudgetName
    limit: Amount
    currency: CurrencyCode | None = None
    meter: Meter | None = None
    counts: Literal["settlements", "charges"] = "settlements"
    platform: PlatformName | None = None
    user: Named | None = None
    thresholds: list[Threshold] = Field([50, 80, 100], max_length=10)

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        problem = unit_problem(self.counts, self.currency, self.meter, self.platform, self.user)
        if problem is not None:
            raise ValueError(problem)
        return self


def unit_problem(
    counts: str, currency: str | None, meter: Meter | None, platform: str | None, user: str | None
) -> str | None:
    """Why a budget can't count this, if it can't."""
    if counts == "charges":
        return None if currency is not None else "a budget that counts charges has a currency"
    if (currency is None) == (meter is None):
        return "a budget has either a currency or a meter to be limited in"
    if platform is not None or user is not None:
        return "only a budget that counts charges can watch a platform or user"
    return None


class ReserveBudget(Command):
    """Hold an amount for `seconds`, if it is left; `BudgetExceeded` if not."""

    permission: ClassVar[str] = "budget.reserve"
    emits: ClassVar[tuple[type[Event], ...]] = (ReservationMade, ReservationExpired)

    budget: BudgetName
    amount: Amount
    seconds: int = Field(300, ge=1, le=LONGEST_S)


class SettleReservation(Command):
    """Turn a reservation into what was really spent.

    More than was held is recorded as overrun, and so is all of it when the reservation had expired:
    it was spent, so it counts. Settling again with the same amount changes nothing.
    """

    permission: ClassVar[str] = "budget.reserve"
    emits: ClassVar[tuple[type[Event], ...]] = (ReservationSettled, BudgetThresholdReached)

    budget: BudgetName
    id: str
    actual: Amount


class ReleaseReservation(Command):
    permission: ClassVar[str] = "budget.reserve"
    emits: ClassVar[tuple[type[Event], ...]] = (ReservationReleased,)

    budget: BudgetName
    id: str


class SweepReservations(Command):
    """Give back what is held by reservations past their time. Safe beside anything else."""

    permission: ClassVar[str] = "budget.reserve"
    emits: ClassVar[tuple[type[Event], ...]] = (ReservationExpired,)


class GetBudget(Query):
    """A budget and how it stands in a period, the present one unless given."""

    permission: ClassVar[str] = "budget.read"
    name: BudgetName
    period: Period | None = None


class ListBudgets(Query):
    permission: ClassVar[str] = "budget.read"
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class GetReservation(Query):
    permission: ClassVar[str] = "budget.read"
    budget: BudgetName
    id: str


class BudgetView(View):
    name: str
    period: str
    limit: Sum
    currency: str | None
    meter: Meter | None
    counts: Literal["settlements", "charges"]
    platform: str | None
    user: str | None
    spent: Sum
    held: Sum = Field(description="Reserved and not yet settled.")
    left: Sum = Field(description="Negative after an overrun.")
    thresholds: list[int]
    reached: list[int] = Field(description="Thresholds that were reached in the period.")


class BudgetList(View):
    items: list[BudgetView]
    next: str | None = None


class ReservationView(View):
    id: str
    budget: str
    period: str
    amount: Sum
    reserved_by: str
    expires_at: datetime
    state: ReservationState
    actual: Sum | None
    overrun: Sum


class Swept(View):
    expired: int
    more: bool


@handlers.command(SetBudget, BudgetView)
async def set_budget(command: SetBudget, tx: Transaction, call: Call) -> BudgetView:
    at = now()
    # Counters before documents, as everywhere here: two orders could wait for each other. And who
    # waited for the counters reads what the one before wrote, so that none loses a race.
    await tx.part(Holds).set_limit(command.name, command.limit, period=period_of(at))
    found = await tx.find(Budget, command.name)
    if found is not None:
        fixed = ("currency", "meter", "counts", "platform", "user")
        changed = [
            each for each in fixed if getattr(found.document, each) != getattr(command, each)
        ]
        if changed:
            raise Conflict(
                f"What the budget {command.name!r} counts can't change: {', '.join(changed)}.",
                mend="Make another budget.",
            )
    thresholds = sorted(set(command.thresholds))
    event = BudgetSet(at=at, **{**command.model_dump(), "thresholds": thresholds})
    stored = await tx.append(Budget, command.name, [event], expected=found.version if found else 0)
    standing = await tx.part(Holds).standing(command.name, period_of(at))
    assert standing is not None
    return _view(await warn(tx, stored, standing), standing)


@handlers.command(ReserveBudget, ReservationView)
async def reserve(command: ReserveBudget, tx: Transaction, call: Call) -> ReservationView:
    budget = (await budget_of(tx, command.budget)).document
    if budget.counts != "settlements":
        raise Conflict(
            f"The budget {command.budget!r} counts charges; nothing can be reserved on it.",
            mend="Reserve on a budget that counts settlements.",
        )
    at, holds = now(), tx.part(Holds)
    hold = Hold(
        id=new_id("rsv"),
        budget=command.budget,
        period=period_of(at),
        amount=command.amount,
        expires_at=at + timedelta(seconds=command.seconds),
    )
    granted = await holds.take(hold)
    if not granted and await _expire(tx, at, command.budget):
        granted = await holds.take(hold)
    if not granted:
        standing = await holds.standing(command.budget, hold.period)
        assert standing is not None
        left = _left(standing)
        raise BudgetExceeded(
            f"The budget {command.budget!r} has {plain(left)} left for {hold.period}.",
            mend="Reserve less, raise the limit, or wait for reservations to end.",
            left=plain(left),
        )
    made = ReservationMade(
        id=hold.id,
        budget=hold.budget,
        period=hold.period,
        amount=hold.amount,
        reserved_by=call.caller.id,
        expires_at=hold.expires_at,
        at=at,
    )
    return _shown((await tx.append(Reservation, hold.id, [made], expected=0)).document)


@handlers.command(SettleReservation, ReservationView)
async def settle(command: SettleReservation, tx: Transaction, call: Call) -> ReservationView:
    holds = tx.part(Holds)
    hold = await holds.drop(command.id)
    # Read after the hold was dropped or found gone, which waits for whoever is ending it.
    found = await _reservation(tx, command.budget, command.id)
    reservation = found.document
    if reservation.state == "settled" and reservation.actual == command.actual:
        return _shown(reservation)
    if reservation.state in ("settled", "released"):
        raise Conflict(
            f"The reservation was {reservation.state} before.",
            mend="Reserve anew for what is spent from now on.",
        )
    held = hold.amount if hold else Decimal(0)
    standing = await holds.spend(reservation.budget, reservation.period, command.actual)
    overrun = max(EXACT.subtract(command.actual, held), Decimal(0))
    settled = ReservationSettled(actual=command.actual, overrun=overrun, at=now())
    stored = await tx.append(Reservation, command.id, [settled], expected=found.version)
    await warn(tx, await budget_of(tx, reservation.budget), standing)
    return _shown(stored.document)


@handlers.command(ReleaseReservation, ReservationView)
async def release(command: ReleaseReservation, tx: Transaction, call: Call) -> ReservationView:
    await tx.part(Holds).drop(command.id)
    found = await _reservation(tx, command.budget, command.id)
    if found.document.state == "settled":
        raise Conflict("The reservation was settled before; what is spent can't be given back.")
    if found.document.state != "held":
        return _shown(found.document)
    event = ReservationReleased(at=now())
    stored = await tx.append(Reservation, command.id, [event], expected=found.version)
    return _shown(stored.document)


@handlers.command(SweepReservations, Swept)
async def sweep(command: SweepReservations, tx: Transaction, call: Call) -> Swept:
    freed = await _expire(tx, now(), None)
    return Swept(expired=freed, more=freed == SWEPT_AT_ONCE)


@handlers.query(GetBudget, BudgetView)
async def get_budget(query: GetBudget, reader: Reader) -> BudgetView:
    budget = (await budget_of(reader, query.name)).document
    return await _stood(reader, budget, query.period or period_of(now()))


@handlers.query(ListBudgets, BudgetList)
async def list_budgets(query: ListBudgets, reader: Reader) -> BudgetList:
    found = await reader.list(Budget, after=query.after, limit=query.limit + 1)
    page, period = found[: query.limit], period_of(now())
    return BudgetList(
        items=[await _stood(reader, each.document, period) for each in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


@handlers.query(GetReservation, ReservationView)
async def get_reservation(query: GetReservation, reader: Reader) -> ReservationView:
    return _shown((await _reservation(reader, query.budget, query.id)).document)


async def warn(tx: Transaction, budget: Versioned[Budget], standing: Standing) -> Budget:
    """Tell the thresholds that were reached since. The caller holds the standing's row."""
    events = [
        BudgetThresholdReached(
            period=standing.period,
            threshold=each,
            spent=standing.spent,
            limit=standing.limit,
            at=now(),
        )
        for each in budget.document.newly_reached(standing)
    ]
    if not events:
        return budget.document
    return (await tx.append(Budget, budget.id, events, expected=budget.version)).document


async def _expire(tx: Transaction, at: datetime, budget: str | None) -> int:
    freed = 0
    for hold in await tx.part(Holds).expired(at, limit=SWEPT_AT_ONCE, budget=budget):
        if await tx.part(Holds).drop(hold.id) is None:
            continue
        found = await tx.find(Reservation, hold.id)
        assert found is not None
        expired = ReservationExpired(at=at)
        await tx.append(Reservation, hold.id, [expired], expected=found.version)
        freed += 1
    return freed


async def budget_of(reader: Reader, name: str) -> Versioned[Budget]:
    """`NotFound` when the tenant has no such budget."""
    found = await reader.find(Budget, name)
    if found is None:
        raise NotFound(f"There is no budget {name!r}.")
    return found


async def _reservation(reader: Reader, budget: str, id: str) -> Versioned[Reservation]:
    found = await reader.find(Reservation, id)
    if found is None or found.document.budget != budget:
        raise NotFound(f"The budget {budget!r} has no such reservation.")
    return found


async def _stood(reader: Reader, budget: Budget, period: str) -> BudgetView:
    standing = await reader.part(Holds).standing(budget.name, period)
    zero = Decimal(0)
    return _view(budget, standing or Standing(budget.name, period, budget.limit, zero, zero))


def _left(standing: Standing) -> Decimal:
    return EXACT.subtract(standing.limit, EXACT.add(standing.spent, standing.held))


def _view(budget: Budget, standing: Standing) -> BudgetView:
    return BudgetView(
        period=standing.period,
        limit=standing.limit,
        spent=standing.spent,
        held=standing.held,
        left=_left(standing),
        reached=budget.reached.get(standing.period, []),
        **budget.model_dump(exclude={"limit", "reached"}),
    )


def _shown(reservation: Reservation) -> ReservationView:
    return ReservationView.model_validate(reservation.model_dump())
