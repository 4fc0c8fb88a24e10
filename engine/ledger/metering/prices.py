"""Price books: what a unit of each meter costs in a region, and from when.

A region has one book. Each version of it is immutable, has one currency and lists prices of some
meters from an instant on (inclusive). The price of a meter at an instant is that of the version
with the latest such instant not after it that lists the meter; of two with the same instant, the
later version. What no version covers has no price, which is not the same as the price zero.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Call, Command, Document, Event, Message, Query, View
from engine.kernel.dispatch import Handlers, Reader, Transaction
from engine.kernel.errors import NotFound
from engine.ledger.metering.money import EXACT, CurrencyCode, Quantity, UnitPrice
from engine.ledger.metering.periods import Instant
from engine.ledger.metering.store import Metering
from engine.ledger.metering.usage import Meter, Region

handlers = Handlers()
now: Callable[[], datetime] = system_clock


class Tier(Message):
    """Units up to `up_to` in a month (inclusive; None: all further ones) at one price each."""

    up_to: Quantity | None = None
    unit_price: UnitPrice


def _ascending(tiers: list[Tier]) -> list[Tier]:
    bounds = [tier.up_to for tier in tiers]
    if bounds[-1] is not None or None in bounds[:-1]:
        raise ValueError("the last tier, and only the last, has no `up_to`")
    finite = [bound for bound in bounds if bound is not None]
    if finite and finite[0] <= 0:
        raise ValueError("a tier ends above zero")
    if any(low >= high for low, high in pairwise(finite)):
        raise ValueError("tiers ascend")
    return tiers


Tiers = Annotated[list[Tier], Field(min_length=1, max_length=20), AfterValidator(_ascending)]
"""A graduated price: each unit costs what its own tier says. One tier is a flat price."""


def cost(tiers: Sequence[Tier], before: Decimal, quantity: Decimal) -> Decimal:
    """The exact price of `quantity` units after `before` have been used in the month.

    Additive: for any split of the quantity the parts cost what the whole does, so that the order
    in which usage is rated does not change the total.
    """
    return EXACT.subtract(_from_zero(tiers, EXACT.add(before, quantity)), _from_zero(tiers, before))


def _from_zero(tiers: Sequence[Tier], quantity: Decimal) -> Decimal:
    total, low = Decimal(0), Decimal(0)
    for tier in tiers:
        high = quantity if tier.up_to is None else min(quantity, tier.up_to)
        total = EXACT.add(total, EXACT.multiply(EXACT.subtract(high, low), tier.unit_price))
        if high == quantity:
            break
        low = high
    return total


class PriceVersion(Message):
    version: int
    currency: CurrencyCode
    valid_from: Instant
    prices: dict[Meter, Tiers]
    published_by: str
    at: datetime


class PricesPublished(Event):
    type = "prices.published"
    region: str
    published: PriceVersion


class PriceBook(Document):
    """`versions` in the order of their publication; the number of each is its place from 1."""

    kind = "price_book"
    events = (PricesPublished,)

    region: str
    versions: list[PriceVersion]

    @classmethod
    def fold(cls, state: Self | None, event: Event) -> Self:
        assert isinstance(event, PricesPublished)
        before = state.versions if state else []
        return cls(region=event.region, versions=[*before, event.published])

    def timeline(self, meter: Meter) -> Timeline:
        listed = [each for each in self.versions if meter in each.prices]
        return Timeline(sorted(listed, key=lambda each: (each.valid_from, each.version)))


class Timeline:
    """The versions that price one meter, by the instants from which they are valid."""

    def __init__(self, versions: Sequence[PriceVersion]) -> None:
        self._versions = versions
        self._starts = [each.valid_from for each in versions]

    def at(self, instant: datetime) -> PriceVersion | None:
        place = bisect_right(self._starts, instant)
        return self._versions[place - 1] if place else None


class PublishPrices(Command):
    """Add a version to a region's price book, and let usage that waits for its prices be rated.

    What has been rated keeps its charge: a price that is valid from an earlier instant applies
    to usage of that time which is rated from now on.
    """

    permission: ClassVar[str] = "price.write"
    emits: ClassVar[tuple[type[Event], ...]] = (PricesPublished,)

    region: Region
    currency: CurrencyCode
    valid_from: Instant
    prices: dict[Meter, Tiers] = Field(min_length=1)


class GetPrices(Query):
    permission: ClassVar[str] = "price.read"
    region: Region


class ListPrices(Query):
    permission: ClassVar[str] = "price.read"
    after: str | None = None
    limit: int = Field(50, ge=1, le=200)


class PriceBookView(View):
    region: str
    versions: list[PriceVersion]


class PriceBookList(View):
    items: list[PriceBookView]
    next: str | None = None


@handlers.command(PublishPrices, PriceBookView)
async def publish_prices(command: PublishPrices, tx: Transaction, call: Call) -> PriceBookView:
    # A rating that did not see these prices must have set its usage aside before they wake it.
    await tx.part(Metering).lock_rating()
    found = await tx.find(PriceBook, command.region)
    count = found.version if found else 0
    version = PriceVersion(
        version=count + 1,
        published_by=call.caller.id,
        at=now(),
        **command.model_dump(exclude={"region"}),
    )
    published = PricesPublished(region=command.region, published=version)
    stored = await tx.append(PriceBook, command.region, [published], expected=count)
    await tx.part(Metering).wake(command.region, [meter.value for meter in command.prices])
    return _view(stored.document)


@handlers.query(GetPrices, PriceBookView)
async def get_prices(query: GetPrices, reader: Reader) -> PriceBookView:
    found = await reader.find(PriceBook, query.region)
    if found is None:
        raise NotFound(f"The region {query.region!r} has no prices.")
    return _view(found.document)


@handlers.query(ListPrices, PriceBookList)
async def list_prices(query: ListPrices, reader: Reader) -> PriceBookList:
    found = await reader.list(PriceBook, after=query.after, limit=query.limit + 1)
    page = found[: query.limit]
    return PriceBookList(
        items=[_view(each.document) for each in page],
        next=page[-1].id if len(found) > len(page) else None,
    )


def _view(book: PriceBook) -> PriceBookView:
    return PriceBookView(region=book.region, versions=book.versions)
