"""What expressions mean, by hand: the values that the reference evaluator must give."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from engine.forge.expressions.checking import compiled
from engine.forge.expressions.evaluate import Environment, evaluate
from engine.forge.expressions.language import FUNCTIONS
from engine.forge.expressions.syntax import LEVELS
from tests.unit.forge.expression_cases import AT_THE_EDGES, NOW, SCOPE

VALUES: dict[str, Any] = {
    "whole": 7, "small": 3, "maybe": None, "price": Decimal("10.05"), "fee": None,
    "rate": Decimal("0.500000"), "tiny": Decimal(0), "title": " Aé😀 ", "note": None,
    "status": "open", "stage": None, "paid": True, "flag": None,
    "due_on": dt.date(2024, 2, 28), "done_on": None, "made_at": NOW, "seen_at": None,
}  # fmt: skip
LINES = [{"amount": Decimal("1.10"), "size": 2}, {"amount": None, "size": 3}]


def meaning(text: str, **values: Any) -> Any:
    environment = Environment({**VALUES, **values}, NOW, {"lines": LINES})
    return evaluate(compiled(text, SCOPE, None), environment)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 / 3", Decimal("0.333333")),
        ("2 / 3", Decimal("0.666667")),
        ("-2 / 3", Decimal("-0.666667")),
        ("1 / 2000000", Decimal("0.000001")),
        ("price / 0", None),
        ("price / 3", Decimal("3.350000")),
        ("round(2.5, 0)", 3),
        ("round(-2.5, 0)", -3),
        ("round(price / 2, 2)", Decimal("5.03")),
        ("round(1.5, 3)", Decimal("1.5")),
        ("whole * price", Decimal("70.35")),
        ("0.1 + 0.2 = 0.3", True),
        ("9223372036854775807 + 1", 2**63),
        ("maybe = input.places", True),
        ("maybe = 1", False),
        ("maybe != 1", True),
        ("maybe in [1, 2]", False),
        ("not maybe in [1, 2]", True),
        ("maybe is null or maybe > 3", True),
        ("flag = true", False),
        ("flag = false", False),
        ("coalesce(fee, price) = 10.05", True),
        ("length(title)", 5),
        ("lower(title)", " aé😀 "),
        ("upper('éa')", "éA"),
        ("trim(title)", "Aé😀"),
        ("trim('\u00a0')", "\u00a0"),
        ("contains(title, '')", True),
        ("starts_with(title, ' A')", True),
        ("concat(title, '!', \"'\")", " Aé😀 !'"),
        ("add_days(due_on, 2)", dt.date(2024, 3, 1)),
        ("add_days(due_on, 99999999)", dt.date.max),
        ("add_days(due_on, -99999999)", dt.date.min),
        ("days_between(due_on, '2024-03-01')", 2),
        ("days_between('2024-03-01', due_on)", -2),
        ("year(due_on)", 2024),
        ("today() = '2026-01-31' and date(now()) = today()", True),
        ("made_at = '2026-01-31T12:30:00.000001+03:00'", True),
        ("min(whole, 2.5, small)", Decimal("2.5")),
        ("max(due_on, '2024-01-01')", dt.date(2024, 2, 28)),
        ("if(paid, 'yes', 'no')", "yes"),
        ("if(maybe is null, 0, maybe)", 0),
        ("count(lines)", 2),
        ("sum(lines.amount)", Decimal("1.10")),
        ("sum(lines.size) * 2", 10),
        ("abs(-whole)", 7),
        ("price > 10 and price <= 10.05", True),
        ("status in ['closed', 'lost']", False),
    ],
)  # fmt: skip
def test_each_construct_means_what_the_reference_says(text: str, value: Any) -> None:
    found = meaning(text, **{"input.places": None})
    assert found == value and type(found) is type(value)


def test_nothing_is_computed_that_a_guard_keeps_away() -> None:
    assert meaning("whole != 0 and price / whole > 1", whole=0) is False
    assert meaning("if(whole = 0, 0, price / whole) = 0", whole=0) is True


def test_numbers_have_the_digits_of_their_type() -> None:
    assert str(meaning("price + 1")) == "11.05"
    assert str(meaning("price * rate")) == "5.02500000"
    assert str(meaning("if(paid, 1, 2.50)")) == "1.00"


def test_the_edges_that_targets_are_compared_at_use_the_whole_language() -> None:
    used = {t.operation for text in AT_THE_EDGES for t in compiled(text, SCOPE, None).walk()}
    assert used >= {*FUNCTIONS, *LEVELS}
