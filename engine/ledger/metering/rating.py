"""Rating: what usage costs, in batches, each usage event exactly once.

A batch is one transaction that charges the usage, counts it towards its tiers, posts it to the
ledger and adds it to the budgets that watch it. A batch that is lost leaves nothing, and the next
one takes its usage. Usage without a price is set aside, listed, and tried again when a price for it
is published. Raters of one tenant take turns.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Event, View
from engine.kernel.dispatch import Handlers, Transaction
from engine.kernel.errors import Conflict
from engine.kernel.selections import OneOf, Selection
from engine.ledger.metering.budgets import Budget, BudgetThresholdReached, budget_of, warn
from engine.ledger.metering.entries import (
    EntryKind,
    EntryPosted,
    EntryView,
    charge_postings,
    new_entry_id,
    post,
)
from engine.ledger.metering.money import EXACT, SignedAmount
from engine.ledger.metering.periods import period_of
from engine.ledger.metering.prices import PriceBook, PriceVersion, Timeline, cost
from engine.ledger.metering.store import Charge, Consumption, Holds, Key, Metering, TierKey
from engine.ledger.metering.usage import Meter, Named, Region, Source

handlers = Handlers()
now: Callable[[], datetime] = system_clock

MOST_RATED = 10_000


class RateUsage(Command):
    """Charge the next batch of usage; `more` of the answer says whether to go on."""

    permission: ClassVar[str] = "usage.rate"
    emits: ClassVar[tuple[type[Event], ...]] = (EntryPosted, BudgetThresholdReached)

    limit: int = Field(5000, ge=1, le=MOST_RATED)


class MissingPrice(View):
    region: Region
    meter: Meter
    events: int


class Rated(View):
    """`missing` lists the prices for want of which usage of this batch was set aside."""

    charged: int
    missing: list[MissingPrice]
    entries: list[str]
    more: bool


def not_zero(amount: Decimal) -> Decimal:
    """Raises `ValueError` for a correction that corrects nothing."""
    if amount == 0:
        raise ValueError("a correction is not zero")
    return amount


class CorrectCharge(Command):
    """Add to what a usage event was charged, or take off it, by an entry that names the first."""

    permission: ClassVar[str] = "statement.correct"
    emits: ClassVar[tuple[type[Event], ...]] = (EntryPosted, BudgetThresholdReached)

    source: Source
    id: Named
    amount: Annotated[SignedAmount, AfterValidator(not_zero)]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class Spent:
    """A charge as budgets look at it."""

    charge: Charge
    meter: str
    platform: str
    user: str


@dataclass(slots=True)
class _Batch:
    """What becomes of a batch of usage: charged, or without a price."""

    charged: list[Spent] = field(default_factory=list)
    unpriced: list[Key] = field(default_factory=list)
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)


@handlers.command(RateUsage, Rated)
async def rate_usage(command: RateUsage, tx: Transaction, call: Call) -> Rated:
    metering, at = tx.part(Metering), now()
    await metering.lock_rating()
    usage = await metering.to_rate(command.limit)
    batch = await _priced(tx, usage)
    if batch.unpriced:
        await metering.await_price(batch.unpriced)
    entries = []
    by_period = defaultdict(list)
    for spent in batch.charged:
        by_period[spent.charge.period].append(spent)
    for period, group in sorted(by_period.items()):
        rows = [(each.meter, each.charge.currency, each.charge.amount) for each in group]
        entry = EntryPosted(
            id=new_entry_id(),
            kind=EntryKind.RATING,
            period=period,
            postings=charge_postings(rows),
            at=at,
        )
        await post(tx, entry, [each.charge for each in group])
        entries.append(entry.id)
    await _count(tx, batch.charged)
    missing = [
        MissingPrice(region=region, meter=Meter(meter), events=events)
        for (region, meter), events in sorted(batch.missing.items())
    ]
    return Rated(
        charged=len(batch.charged),
        missing=missing,
        entries=entries,
        more=len(usage) == command.limit,
    )


async def _priced(tx: Transaction, usage: Sequence[Consumption]) -> _Batch:
    timelines = await _timelines(tx, usage)
    batch = _Batch()
    priced: list[tuple[Consumption, TierKey, PriceVersion]] = []
    for each in usage:
        version = timelines[each.region, each.meter].at(each.occurred_at)
        if version is None:
            batch.unpriced.append(each.key)
            batch.missing[each.region, each.meter] += 1
            continue
        key = TierKey(period_of(each.occurred_at), each.region, each.meter, version.version)
        priced.append((each, key, version))
    counts = dict(await tx.part(Metering).tier_counts({key for _, key, _ in priced}))
    for each, key, version in priced:
        before = counts.get(key, Decimal(0))
        amount = cost(version.prices[Meter(each.meter)], before, each.quantity)
        counts[key] = EXACT.add(before, each.quantity)
        charge = Charge(each.source, each.id, key.period, version.currency, amount, version.version)
        batch.charged.append(Spent(charge, each.meter, each.platform, each.user))
    await tx.part(Metering).set_tier_counts(counts)
    return batch


async def _timelines(
    tx: Transaction, usage: Sequence[Consumption]
) -> dict[tuple[str, str], Timeline]:
    wanted = {(each.region, each.meter) for each in usage}
    books = {region: await tx.find(PriceBook, region) for region in {each[0] for each in wanted}}
    found = {}
    for region, meter in wanted:
        book = books[region]
        found[region, meter] = book.document.timeline(Meter(meter)) if book else Timeline([])
    return found


@handlers.command(CorrectCharge, EntryView)
async def correct_charge(command: CorrectCharge, tx: Transaction, call: Call) -> EntryView:
    metering = tx.part(Metering)
    await metering.lock_rating()
    found = await metering.rated((command.source, command.id))
    if found is None:
        raise Conflict(
            "There is no charge for a usage event of that source and id.",
            mend="Correct it once it is rated; `unrated` lists what waits for a price.",
        )
    first = found.charge
    charge = Charge(
        first.source, first.id, first.period, first.currency, command.amount, first.version, False
    )
    entry = EntryPosted(
        id=new_entry_id(),
        kind=EntryKind.CORRECTION,
        period=first.period,
        corrects=found.entry,
        reason=command.reason,
        postings=charge_postings([(found.meter, first.currency, command.amount)]),
        at=now(),
    )
    posted = await post(tx, entry, [charge])
    await _count(tx, [Spent(charge, found.meter, found.platform, found.user)])
    return EntryView.model_validate(posted.model_dump())


async def _count(tx: Transaction, charges: Sequence[Spent]) -> None:
    """Add charges to the budgets that watch them, and tell the thresholds that are reached."""
    after: str | None = None
    watching = {"counts": OneOf(("charges",))}
    while page := await tx.select(Budget, Selection(where=watching, after=after, limit=200)):
        for each in page:
            sums: dict[str, Decimal] = {}
            for spent in charges:
                if _watches(each.document, spent):
                    before = sums.get(spent.charge.period, Decimal(0))
                    sums[spent.charge.period] = EXACT.add(before, spent.charge.amount)
            for period, amount in sorted(sums.items()):
                standing = await tx.part(Holds).spend(each.id, period, amount)
                await warn(tx, await budget_of(tx, each.id), standing)
        after = page[-1].id


def _watches(budget: Budget, spent: Spent) -> bool:
    return (
        budget.currency == spent.charge.currency
        and budget.meter in (None, spent.meter)
        and budget.platform in (None, spent.platform)
        and budget.user in (None, spent.user)
    )
