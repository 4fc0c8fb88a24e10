"""The operations of metering: usage, prices, budgets, statements and the forecast.

Amounts and quantities are decimals and are sent as text; a binary fraction is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine.kernel.errors import InvalidInput
from webnova.client import models
from webnova.client.operations import M, Operation, path, reading

Number = Decimal | int | str


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """`first` and `last` are months such as `2026-05`, both inclusive; None: the present one."""

    first: str | None = None
    last: str | None = None
    meter: str | None = None
    platform: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetWish:
    """A budget in a currency or a meter; with `counts="charges"` it watches rated usage."""

    limit: Number
    currency: str | None = None
    meter: str | None = None
    counts: str = "settlements"
    platform: str | None = None
    user: str | None = None
    thresholds: Sequence[int] = (50, 80, 100)


def exact(value: Any) -> Any:
    """JSON values with every decimal and instant as text. Raises `InvalidInput` for floats."""
    if isinstance(value, float):
        raise InvalidInput(
            "A binary fraction is not exact.", mend="Pass a Decimal or text, such as '0.10'."
        )
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: exact(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [exact(part) for part in value]
    return value


def _post(model: type[M], place: str, body: Mapping[str, Any], key: str | None) -> Operation[M]:
    return Operation("POST", place, reading(model), json=exact(body), key=key)


def _get(model: type[M], *segments: str, **params: Any) -> Operation[M]:
    return Operation("GET", path(*segments), reading(model), params=params)


def record_usage(
    events: Sequence[Mapping[str, Any]], key: str | None = None
) -> Operation[models.UsageRecorded]:
    return _post(models.UsageRecorded, path("usage"), {"events": list(events)}, key)


def usage(
    wanted: UsageFilter, after: str | None, limit: int
) -> Operation[models.Page[models.UsageSum]]:
    params = {name: getattr(wanted, name) for name in UsageFilter.__slots__}
    return _get(models.Page[models.UsageSum], "usage", **params, after=after, limit=limit)


def unrated_usage() -> Operation[models.UnratedList]:
    return _get(models.UnratedList, "usage", "unrated")


def rate_usage(limit: int = 5000, key: str | None = None) -> Operation[models.Rated]:
    return _post(models.Rated, path("usage", "rating"), {"limit": limit}, key)


def publish_prices(
    prices: Mapping[str, Any], key: str | None = None
) -> Operation[models.PriceBook]:
    return _post(models.PriceBook, path("prices"), prices, key)


def price_books(after: str | None, limit: int) -> Operation[models.Page[models.PriceBook]]:
    return _get(models.Page[models.PriceBook], "prices", after=after, limit=limit)


def price_book(region: str) -> Operation[models.PriceBook]:
    return _get(models.PriceBook, "prices", region)


def budgets(after: str | None, limit: int) -> Operation[models.Page[models.Budget]]:
    return _get(models.Page[models.Budget], "budgets", after=after, limit=limit)


def budget(name: str, period: str | None = None) -> Operation[models.Budget]:
    return _get(models.Budget, "budgets", name, period=period)


def set_budget(
    name: str, budget_wish: BudgetWish, key: str | None = None
) -> Operation[models.Budget]:
    body = {field: getattr(budget_wish, field) for field in BudgetWish.__slots__}
    place = path("budgets", name)
    return Operation("PUT", place, reading(models.Budget), json=exact(body), key=key)


def reserve(
    name: str, amount: Number, seconds: int = 300, key: str | None = None
) -> Operation[models.Reservation]:
    body = {"amount": amount, "seconds": seconds}
    return _post(models.Reservation, path("budgets", name, "reservations"), body, key)


def reservation(name: str, id: str) -> Operation[models.Reservation]:
    return _get(models.Reservation, "budgets", name, "reservations", id)


def settle(
    name: str, id: str, actual: Number, key: str | None = None
) -> Operation[models.Reservation]:
    place = path("budgets", name, "reservations", id, "settle")
    return _post(models.Reservation, place, {"actual": actual}, key)


def release(name: str, id: str, key: str | None = None) -> Operation[models.Reservation]:
    place = path("budgets", name, "reservations", id, "release")
    return _post(models.Reservation, place, {}, key)


def statement(period: str) -> Operation[models.Statement]:
    return _get(models.Statement, "statements", period)


def close_month(period: str, key: str | None = None) -> Operation[models.Statement]:
    return _post(models.Statement, path("statements", period, "close"), {}, key)


def correct_charge(
    correction: Mapping[str, Any], key: str | None = None
) -> Operation[models.LedgerEntry]:
    return _post(models.LedgerEntry, path("statements", "corrections"), correction, key)


def ledger_entry(id: str) -> Operation[models.LedgerEntry]:
    return _get(models.LedgerEntry, "ledger", "entries", id)


def forecast() -> Operation[models.Forecast]:
    return _get(models.Forecast, "forecast")
