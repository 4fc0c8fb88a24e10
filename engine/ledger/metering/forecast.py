"""What the present month will have cost at its end.

The method is a run rate weighted by weekday. The basis is the last 28 complete days (UTC), fewer
while there was no charge before. With at least 14 of them the cost that is expected of a day is the
mean of the basis's days of the same weekday, otherwise the mean of all. The forecast is what the
month's complete days cost plus what is expected of the rest; today counts for what it has cost if
that is more. The interval is the central 80 % of a normal distribution around it, with the standard
deviation of the basis around its means, and never below what has been charged. The same charges
give the same forecast.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import ClassVar

from pydantic import Field

from engine.kernel.clock import system_clock
from engine.kernel.contracts import Query, View
from engine.kernel.dispatch import Handlers, Reader
from engine.ledger.metering.money import minor_units, round_half_even, total_of
from engine.ledger.metering.periods import Instant, end_of, midnight, period_of, start_of
from engine.ledger.metering.statements import Rounded
from engine.ledger.metering.store import Metering

handlers = Handlers()
now: Callable[[], datetime] = system_clock

BASIS_DAYS = 28
WEEKDAYS_FROM = 14
METHOD = "run rate weighted by weekday"
_Z80 = Decimal("1.2815515655446004")
"""The 90th percentile of the standard normal distribution."""
_STATISTICS = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Forecast(Query):
    """`as_of`: the instant to look from; the present unless given."""

    permission: ClassVar[str] = "usage.read"
    as_of: Instant | None = None


class CurrencyForecast(View):
    currency: str
    spent: Rounded = Field(description="Charged so far for this month.")
    expected: Rounded | None = Field(description="At the month's end; null without a full day.")
    low: Rounded | None
    high: Rounded | None = Field(description="Null when there are too few days for an interval.")
    basis_days: int


class ForecastView(View):
    period: str
    as_of: datetime
    method: str
    confidence: str = "0.80"
    currencies: list[CurrencyForecast]


@dataclass(frozen=True, slots=True)
class Projection:
    """Exact but for the divisions and the root in it, which have 60 digits."""

    spent: Decimal
    expected: Decimal | None
    low: Decimal | None
    high: Decimal | None
    basis_days: int


@handlers.query(Forecast, ForecastView)
async def forecast(query: Forecast, reader: Reader) -> ForecastView:
    as_of = query.as_of or now()
    today, period = as_of.date(), period_of(as_of)
    start = min(start_of(period), midnight(today - timedelta(days=BASIS_DAYS)))
    costs: defaultdict[str, dict[date, Decimal]] = defaultdict(dict)
    for each in await reader.part(Metering).days(start, midnight(today + timedelta(days=1))):
        costs[each.currency][each.day] = each.amount
    return ForecastView(
        period=period,
        as_of=as_of,
        method=METHOD,
        currencies=[_shown(each, project(costs[each], today)) for each in sorted(costs)],
    )


def _shown(currency: str, projection: Projection) -> CurrencyForecast:
    places = minor_units(currency)

    def rounded(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else round_half_even(amount, places)

    return CurrencyForecast(
        currency=currency,
        spent=round_half_even(projection.spent, places),
        expected=rounded(projection.expected),
        low=rounded(projection.low),
        high=rounded(projection.high),
        basis_days=projection.basis_days,
    )


def project(costs: Mapping[date, Decimal], today: date) -> Projection:
    """The projection to the end of `today`'s month from the costs of days up to today."""
    month_start = start_of(period_of(midnight(today))).date()
    month_end = end_of(period_of(midnight(today))).date()
    spent = total_of(cost for day, cost in costs.items() if month_start <= day <= today)
    basis = _basis(costs, today)
    if not basis:
        return Projection(spent, None, None, None, 0)
    groups = _groups(basis)
    expected = {day: _mean(days, costs) for day, days in groups.items()}

    def of(day: date) -> Decimal:
        return expected[_group(day, len(basis))]

    c = _STATISTICS
    today_cost = costs.get(today, Decimal(0))
    point = c.add(c.subtract(spent, today_cost), max(today_cost, of(today)))
    ahead = [today + timedelta(days=n) for n in range(1, (month_end - today).days)]
    for day in ahead:
        point = c.add(point, of(day))
    freedom = len(basis) - len(groups)
    if freedom <= 0:
        return Projection(spent, point, spent, None, len(basis))
    squares = Decimal(0)
    for day in basis:
        off = c.subtract(costs.get(day, Decimal(0)), of(day))
        squares = c.add(squares, c.multiply(off, off))
    days = Decimal(len(ahead) + 1)
    spread = c.add(days, c.divide(c.multiply(days, days), Decimal(len(basis))))
    variance = c.multiply(c.divide(squares, Decimal(freedom)), spread)
    reach = c.multiply(_Z80, c.sqrt(variance))
    low = max(spent, c.subtract(point, reach))
    return Projection(spent, point, low, c.add(point, reach), len(basis))


def _basis(costs: Mapping[date, Decimal], today: date) -> list[date]:
    window = [today - timedelta(days=n) for n in range(BASIS_DAYS, 0, -1)]
    first = min((day for day in costs if day >= window[0]), default=today)
    return [day for day in window if day >= first]


def _group(day: date, basis_days: int) -> int:
    return day.weekday() if basis_days >= WEEKDAYS_FROM else 0


def _groups(basis: list[date]) -> dict[int, list[date]]:
    groups: defaultdict[int, list[date]] = defaultdict(list)
    for day in basis:
        groups[_group(day, len(basis))].append(day)
    return groups


def _mean(days: list[date], costs: Mapping[date, Decimal]) -> Decimal:
    total = total_of(costs.get(day, Decimal(0)) for day in days)
    return _STATISTICS.divide(total, Decimal(len(days)))
