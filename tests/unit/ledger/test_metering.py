"""Money, tiers, forecasts and bad input: rules without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, Inexact
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.kernel.errors import CurrencyMismatch, InvalidInput
from engine.ledger.metering.budgets import SetBudget
from engine.ledger.metering.forecast import project
from engine.ledger.metering.money import (
    EXACT,
    Money,
    Quantity,
    minor_units,
    plain,
    round_half_even,
    rounded_lines,
    total_of,
)
from engine.ledger.metering.periods import end_of, period_of, start_of
from engine.ledger.metering.prices import PublishPrices, Tier, cost
from engine.ledger.metering.usage import RecordUsage, UsageEvent

AMOUNTS = st.decimals(
    min_value=-(10**15), max_value=10**15, allow_nan=False, allow_infinity=False, places=9
)
WEIGHTS = st.decimals(min_value=0, max_value=10**6, places=3)
CURRENCIES = st.sampled_from(["JPY", "SAR", "KWD", "USD", "CLF"])
QUANTITIES = st.decimals(min_value=0, max_value=10**9, places=6)


@pytest.mark.parametrize(
    ("currency", "places"),
    [("JPY", 0), ("SAR", 2), ("USD", 2), ("KWD", 3), ("BHD", 3), ("CLF", 4), ("KRW", 0)],
)
def test_currencies_have_the_places_of_iso_4217(currency: str, places: int) -> None:
    assert minor_units(currency) == places


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "sar", "SR", "", "ABC", "SAR ", "٣٤٥"])
def test_what_is_no_currency_to_pay_in_is_refused(code: str) -> None:
    with pytest.raises(InvalidInput):
        minor_units(code)
    with pytest.raises(ValidationError):
        Money(amount=Decimal(1), currency=code)


def test_different_currencies_never_meet() -> None:
    one, other = Money(amount=Decimal(1), currency="SAR"), Money(amount=Decimal(1), currency="USD")
    with pytest.raises(CurrencyMismatch):
        one + other
    with pytest.raises(CurrencyMismatch):
        one - other
    with pytest.raises(CurrencyMismatch):
        other - one


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.125", "SAR", "0.12"),
        ("0.135", "SAR", "0.14"),
        ("-0.125", "SAR", "-0.12"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("0.0005", "KWD", "0.000"),
        ("0.00050000001", "KWD", "0.001"),
    ],
)
def test_rounding_is_half_even_to_the_minor_unit(amount: str, currency: str, rounded: str) -> None:
    assert str(Money(amount=Decimal(amount), currency=currency).rounded().amount) == rounded


def test_arithmetic_raises_rather_than_rounds() -> None:
    with pytest.raises(Inexact):
        EXACT.divide(Decimal(1), Decimal(3))
    tiny, huge = Decimal("0.000000001"), Decimal(10) ** 60
    total = Money(amount=huge, currency="SAR") + Money(amount=tiny, currency="SAR")
    assert (total - Money(amount=huge, currency="SAR")).amount == tiny


@given(
    units=st.integers(-(10**15), 10**15),
    currency=CURRENCIES,
    weights=st.lists(WEIGHTS, min_size=1, max_size=12),
)
def test_allocation_loses_no_minor_unit_and_is_fair(
    units: int, currency: str, weights: list[Decimal]
) -> None:
    assume(any(weights))
    places = minor_units(currency)
    amount = Money(amount=Decimal(units).scaleb(-places), currency=currency)
    parts = amount.allocated(weights)
    assert total_of(part.amount for part in parts) == amount.amount
    unit, over = Fraction(1, 10**places), sum(map(Fraction, weights))
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part.amount) - Fraction(amount.amount) * Fraction(weight) / over) < unit


@pytest.mark.parametrize("weights", [[], ["0"], ["1", "-1"], ["-1"]])
def test_allocation_needs_weights(weights: list[str]) -> None:
    with pytest.raises(InvalidInput):
        Money(amount=Decimal(1), currency="SAR").allocated([Decimal(each) for each in weights])
    with pytest.raises(InvalidInput, match="decimal places"):
        Money(amount=Decimal("0.001"), currency="SAR").allocated([Decimal(1)])


@given(amounts=st.lists(AMOUNTS, max_size=15), currency=CURRENCIES)
def test_rounded_lines_sum_to_the_rounded_total(amounts: list[Decimal], currency: str) -> None:
    places = minor_units(currency)
    lines = rounded_lines(amounts, places)
    assert total_of(lines) == round_half_even(total_of(amounts), places)
    for line, amount in zip(lines, amounts, strict=True):
        assert abs(Fraction(line) - Fraction(amount)) < Fraction(1, 10**places)


@given(value=AMOUNTS)
def test_a_decimal_written_out_is_the_same_decimal(value: Decimal) -> None:
    assert Decimal(plain(value)) == value
    assert "E" not in plain(value)


@st.composite
def tiers(draw: st.DrawFn) -> list[Tier]:
    bounds = sorted(draw(st.sets(st.integers(1, 10**6), max_size=5)))
    prices = st.decimals(min_value=0, max_value=1000, places=12)
    return [Tier(up_to=up_to, unit_price=draw(prices)) for up_to in [*map(Decimal, bounds), None]]


@given(tiers=tiers(), quantity=QUANTITIES)
def test_a_graduated_price_is_the_sum_over_its_tiers(tiers: list[Tier], quantity: Decimal) -> None:
    expected, low = Fraction(0), Fraction(0)
    for tier in tiers:
        high = Fraction(quantity if tier.up_to is None else min(quantity, tier.up_to))
        expected += max(high - low, Fraction(0)) * Fraction(tier.unit_price)
        low = high
    assert Fraction(cost(tiers, Decimal(0), quantity)) == expected


@given(tiers=tiers(), parts=st.lists(QUANTITIES, min_size=1, max_size=8), data=st.data())
def test_the_order_of_usage_does_not_change_what_it_costs(
    tiers: list[Tier], parts: list[Decimal], data: st.DataObject
) -> None:
    before, total = Decimal(0), Decimal(0)
    for part in data.draw(st.permutations(parts)):
        total = EXACT.add(total, cost(tiers, before, part))
        before = EXACT.add(before, part)
    assert total == cost(tiers, Decimal(0), total_of(parts))


EVENT: dict[str, Any] = {
    "source": "gateway",
    "id": "1",
    "meter": "compute_seconds",
    "quantity": "1.5",
    "occurred_at": "2026-05-01T00:00:00+03:00",
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", "-1"),
        ("quantity", "NaN"),
        ("quantity", "sNaN"),
        ("quantity", "Infinity"),
        ("quantity", "1E+999999999"),
        ("quantity", "1E-999999"),
        ("quantity", "1e18"),
        ("quantity", "9" * 5000),
        ("quantity", 0.1),
        ("quantity", True),
        ("quantity", None),
        ("meter", "smiles"),
        ("occurred_at", "2026-05-01T00:00:00"),
        ("occurred_at", "9999-12-31T23:59:59-12:00"),
        ("occurred_at", "0001-01-01T00:00:00+14:00"),
        ("occurred_at", "1999-12-31T23:59:59Z"),
        ("source", "Gate way"),
        ("id", ""),
        ("id", "a\0b"),
        ("user", "مستخدم\n"),
        ("platform", "../x"),
        ("region", "EU"),
        ("attributes", {"k": "v\0"}),
        ("attributes", {"k": 1.5}),
        ("attributes", {f"k{n}": "v" for n in range(21)}),
        ("surprise", 1),
    ],
)
def test_bad_usage_is_refused(field: str, value: Any) -> None:
    assert UsageEvent.model_validate(EVENT).occurred_at == datetime(2026, 4, 30, 21, tzinfo=UTC)
    with pytest.raises(ValidationError) as refused:
        UsageEvent.model_validate({**EVENT, field: value})
    assert refused.value.errors()[0]["loc"][0] == field


def test_a_batch_has_one_to_a_thousand_events() -> None:
    for count in (0, 1001):
        with pytest.raises(ValidationError):
            RecordUsage.model_validate({"events": [EVENT] * count})


@pytest.mark.parametrize(
    "tiers",
    [
        [],
        [{"up_to": "5", "unit_price": "1"}],
        [{"unit_price": "1"}, {"unit_price": "2"}],
        [{"up_to": "0", "unit_price": "1"}, {"unit_price": "1"}],
        [
            {"up_to": "5", "unit_price": "1"},
            {"up_to": "5", "unit_price": "1"},
            {"unit_price": "1"},
        ],
        [{"unit_price": "-1"}],
        [{"unit_price": "NaN"}],
        [{"unit_price": 0.5}],
    ],
)
def test_prices_that_mean_nothing_are_refused(tiers: list[Any]) -> None:
    given = {"region": "eu", "currency": "EUR", "valid_from": "2026-01-01T00:00:00Z"}
    PublishPrices.model_validate({**given, "prices": {"builds": [{"unit_price": "1"}]}})
    with pytest.raises(ValidationError):
        PublishPrices.model_validate({**given, "prices": {"builds": tiers}})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"currency": "USD", "meter": "builds"},
        {"currency": "EURO"},
        {"currency": "XAU"},
        {"meter": "builds", "counts": "charges"},
        {"currency": "USD", "platform": "shop"},
        {"currency": "USD", "limit": "-1"},
        {"currency": "USD", "thresholds": [0]},
    ],
)
def test_budgets_that_mean_nothing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SetBudget.model_validate({"name": "cap", "limit": "1", **given})


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)))
def test_periods_are_the_months_of_utc(instant: datetime) -> None:
    period = period_of(instant)
    assert start_of(period) <= instant < end_of(period)
    assert period_of(end_of(period) - timedelta(microseconds=1)) == period
    assert end_of(period).day == 1


TODAY = date(2026, 5, 20)


def days(count: int, cost: Any) -> dict[date, Decimal]:
    """The costs of the `count` days before `TODAY`."""
    found = (TODAY - timedelta(days=n) for n in range(1, count + 1))
    return {day: Decimal(cost(day)) for day in found}


def test_a_steady_cost_is_projected_to_the_end_without_doubt() -> None:
    found = project(days(28, lambda day: 10), TODAY)
    assert (found.spent, found.expected, found.low, found.high) == (190, 310, 310, 310)


def test_weekends_weigh_as_weekends_did() -> None:
    found = project(days(28, lambda day: 0 if day.weekday() >= 5 else 7), TODAY)
    rest = [date(2026, 5, number) for number in range(20, 32)]
    ahead = sum(7 for day in rest if day.weekday() < 5)
    assert found.expected == found.spent + ahead == found.high


def test_few_days_give_a_plain_mean_and_a_wider_interval() -> None:
    swinging = project(days(6, lambda day: 5 if day.day % 2 else 15), TODAY)
    assert swinging.expected == 60 + 12 * 10
    assert swinging.low is not None and swinging.high is not None
    assert swinging.spent <= swinging.low < swinging.expected < swinging.high
    assert swinging == project(days(6, lambda day: 5 if day.day % 2 else 15), TODAY)


def test_without_history_nothing_is_claimed() -> None:
    assert project({}, TODAY).expected is None
    only_today = project({TODAY: Decimal(5)}, TODAY)
    assert (only_today.spent, only_today.expected) == (5, None)
    one = project(days(1, lambda day: 3), TODAY)
    assert (one.expected, one.low, one.high) == (39, 3, None)


def test_a_day_that_costs_more_than_expected_counts_for_what_it_costs() -> None:
    usual = days(28, lambda day: 10)
    assert project({**usual, TODAY: Decimal(50)}, TODAY).expected == 350
    assert project({**usual, TODAY: Decimal(4)}, TODAY).expected == 310


def test_quantities_are_written_as_text() -> None:
    assert TypeAdapter(Quantity).dump_python(Decimal("1E+2"), mode="json") == "100"
