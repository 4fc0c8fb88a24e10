"""The part of both clients that meters: usage, prices, budgets, statements and the forecast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from webnova.client import metering, models
from webnova.client.metering import BudgetWish, Number
from webnova.client.operations import Operation

T = TypeVar("T")


class MeteringCalls(ABC):
    """What a client can do about usage and cost, on the client's own way of sending.

    Numbers are decimals, whole numbers or text; floats are refused, as they are not exact.
    """

    @abstractmethod
    def do(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    def pages(
        self,
        page: Callable[[str | None, int], Operation[models.Page[T]]],
        after: str | None = None,
    ) -> Iterator[T]: ...

    def record_usage(
        self, events: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> models.UsageRecorded:
        """Store up to a thousand usage events, all or none. Sending one again changes nothing.

        Each has `source`, `id`, `meter`, `quantity`, `occurred_at`, and where known `user`,
        `platform`, `region` and `attributes`.
        """
        return self.do(metering.record_usage(events, idempotency_key))

    def usage(
        self,
        *,
        first: str | None = None,
        last: str | None = None,
        meter: str | None = None,
        platform: str | None = None,
        user: str | None = None,
    ) -> Iterator[models.UsageSum]:
        """Quantities by month, meter, platform and user, from `first` to `last` inclusive."""
        wanted = metering.UsageFilter(first, last, meter, platform, user)
        return self.pages(lambda after, limit: metering.usage(wanted, after, limit))

    def unrated_usage(self) -> list[models.UnratedUsage]:
        """Usage that has no charge yet, and whether it is for want of a price."""
        return self.do(metering.unrated_usage()).items

    def rate_usage(self, limit: int = 5000, *, idempotency_key: str | None = None) -> models.Rated:
        """Charge the next batch of usage; go on while `more` of the answer is true."""
        return self.do(metering.rate_usage(limit, idempotency_key))

    def publish_prices(
        self,
        prices: Mapping[str, Sequence[Mapping[str, Any]]],
        *,
        currency: str,
        valid_from: datetime,
        region: str = "default",
        idempotency_key: str | None = None,
    ) -> models.PriceBook:
        """Add a version to a region's price book: the tiers of each meter that it lists."""
        body = {"region": region, "currency": currency, "valid_from": valid_from, "prices": prices}
        return self.do(metering.publish_prices(body, idempotency_key))

    def price_books(self) -> Iterator[models.PriceBook]:
        return self.pages(metering.price_books)

    def price_book(self, region: str) -> models.PriceBook:
        return self.do(metering.price_book(region))

    def budgets(self) -> Iterator[models.Budget]:
        """Every budget as it stands this month."""
        return self.pages(metering.budgets)

    def budget(self, name: str, period: str | None = None) -> models.Budget:
        return self.do(metering.budget(name, period))

    def set_budget(
        self, name: str, wish: BudgetWish, *, idempotency_key: str | None = None
    ) -> models.Budget:
        """Make a budget or change its limit and thresholds from this month on."""
        return self.do(metering.set_budget(name, wish, idempotency_key))

    def reserve(
        self, budget: str, amount: Number, *, seconds: int = 300, idempotency_key: str | None = None
    ) -> models.Reservation:
        """Hold an amount before it is spent; `BudgetExceeded` when it is not left."""
        return self.do(metering.reserve(budget, amount, seconds, idempotency_key))

    def reservation(self, budget: str, id: str) -> models.Reservation:
        return self.do(metering.reservation(budget, id))

    def settle(
        self, budget: str, id: str, actual: Number, *, idempotency_key: str | None = None
    ) -> models.Reservation:
        """Record what was really spent, be it more than was held."""
        return self.do(metering.settle(budget, id, actual, idempotency_key))

    def release(
        self, budget: str, id: str, *, idempotency_key: str | None = None
    ) -> models.Reservation:
        """Give a reservation back unspent."""
        return self.do(metering.release(budget, id, idempotency_key))

    def statement(self, period: str) -> models.Statement:
        """What a month, such as `2026-05`, costs by platform, user and meter."""
        return self.do(metering.statement(period))

    def close_month(self, period: str, *, idempotency_key: str | None = None) -> models.Statement:
        """Fix the statement of a month that is over and whose usage is charged."""
        return self.do(metering.close_month(period, idempotency_key))

    def correct_charge(
        self,
        source: str,
        id: str,
        amount: Number,
        reason: str,
        *,
        idempotency_key: str | None = None,
    ) -> models.LedgerEntry:
        """Add to what a usage event was charged, or take off it."""
        body = {"source": source, "id": id, "amount": amount, "reason": reason}
        return self.do(metering.correct_charge(body, idempotency_key))

    def ledger_entry(self, id: str) -> models.LedgerEntry:
        return self.do(metering.ledger_entry(id))

    def forecast(self) -> models.Forecast:
        """What the present month will have cost at its end, with an interval."""
        return self.do(metering.forecast())


class AsyncMeteringCalls(ABC):
    """`MeteringCalls` for asyncio."""

    @abstractmethod
    async def do(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    def pages(
        self,
        page: Callable[[str | None, int], Operation[models.Page[T]]],
        after: str | None = None,
    ) -> AsyncIterator[T]: ...

    async def record_usage(
        self, events: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> models.UsageRecorded:
        """Store up to a thousand usage events, all or none. Sending one again changes nothing.

        Each has `source`, `id`, `meter`, `quantity`, `occurred_at`, and where known `user`,
        `platform`, `region` and `attributes`.
        """
        return await self.do(metering.record_usage(events, idempotency_key))

    def usage(
        self,
        *,
        first: str | None = None,
        last: str | None = None,
        meter: str | None = None,
        platform: str | None = None,
        user: str | None = None,
    ) -> AsyncIterator[models.UsageSum]:
        """Quantities by month, meter, platform and user, from `first` to `last` inclusive."""
        wanted = metering.UsageFilter(first, last, meter, platform, user)
        return self.pages(lambda after, limit: metering.usage(wanted, after, limit))

    async def unrated_usage(self) -> list[models.UnratedUsage]:
        """Usage that has no charge yet, and whether it is for want of a price."""
        return (await self.do(metering.unrated_usage())).items

    async def rate_usage(
        self, limit: int = 5000, *, idempotency_key: str | None = None
    ) -> models.Rated:
        """Charge the next batch of usage; go on while `more` of the answer is true."""
        return await self.do(metering.rate_usage(limit, idempotency_key))

    async def publish_prices(
        self,
        prices: Mapping[str, Sequence[Mapping[str, Any]]],
        *,
        currency: str,
        valid_from: datetime,
        region: str = "default",
        idempotency_key: str | None = None,
    ) -> models.PriceBook:
        """Add a version to a region's price book: the tiers of each meter that it lists."""
        body = {"region": region, "currency": currency, "valid_from": valid_from, "prices": prices}
        return await self.do(metering.publish_prices(body, idempotency_key))

    def price_books(self) -> AsyncIterator[models.PriceBook]:
        return self.pages(metering.price_books)

    async def price_book(self, region: str) -> models.PriceBook:
        return await self.do(metering.price_book(region))

    def budgets(self) -> AsyncIterator[models.Budget]:
        """Every budget as it stands this month."""
        return self.pages(metering.budgets)

    async def budget(self, name: str, period: str | None = None) -> models.Budget:
        return await self.do(metering.budget(name, period))

    async def set_budget(
        self, name: str, wish: BudgetWish, *, idempotency_key: str | None = None
    ) -> models.Budget:
        """Make a budget or change its limit and thresholds from this month on."""
        return await self.do(metering.set_budget(name, wish, idempotency_key))

    async def reserve(
        self, budget: str, amount: Number, *, seconds: int = 300, idempotency_key: str | None = None
    ) -> models.Reservation:
        """Hold an amount before it is spent; `BudgetExceeded` when it is not left."""
        return await self.do(metering.reserve(budget, amount, seconds, idempotency_key))

    async def reservation(self, budget: str, id: str) -> models.Reservation:
        return await self.do(metering.reservation(budget, id))

    async def settle(
        self, budget: str, id: str, actual: Number, *, idempotency_key: str | None = None
    ) -> models.Reservation:
        """Record what was really spent, be it more than was held."""
        return await self.do(metering.settle(budget, id, actual, idempotency_key))

    async def release(
        self, budget: str, id: str, *, idempotency_key: str | None = None
    ) -> models.Reservation:
        """Give a reservation back unspent."""
        return await self.do(metering.release(budget, id, idempotency_key))

    async def statement(self, period: str) -> models.Statement:
        """What a month, such as `2026-05`, costs by platform, user and meter."""
        return await self.do(metering.statement(period))

    async def close_month(
        self, period: str, *, idempotency_key: str | None = None
    ) -> models.Statement:
        """Fix the statement of a month that is over and whose usage is charged."""
        return await self.do(metering.close_month(period, idempotency_key))

    async def correct_charge(
        self,
        source: str,
        id: str,
        amount: Number,
        reason: str,
        *,
        idempotency_key: str | None = None,
    ) -> models.LedgerEntry:
        """Add to what a usage event was charged, or take off it."""
        body = {"source": source, "id": id, "amount": amount, "reason": reason}
        return await self.do(metering.correct_charge(body, idempotency_key))

    async def ledger_entry(self, id: str) -> models.LedgerEntry:
        return await self.do(metering.ledger_entry(id))

    async def forecast(self) -> models.Forecast:
        """What the present month will have cost at its end, with an interval."""
        return await self.do(metering.forecast())
