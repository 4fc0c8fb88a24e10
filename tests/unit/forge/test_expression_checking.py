"""What an expression may say: types, null, currencies, digits; and how faults are told."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.forge.blueprint.source import load
from engine.forge.expressions.checking import check, compiled
from engine.forge.expressions.language import FUNCTIONS
from engine.forge.expressions.scopes import scope_of
from engine.forge.expressions.syntax import Fault
from engine.forge.expressions.types import TEXT, Scope, Shape, Type, decimal, integer, money
from engine.kernel.errors import InvalidInput
from tests.unit.forge.blueprints import SMALL, small
from tests.unit.forge.expression_cases import SAR, SCOPE, STATUS


def faults(text: str, expected: Type | None = None, scope: Scope = SCOPE) -> list[Fault]:
    return list(check(text, scope, expected).faults)


@pytest.mark.parametrize(
    "text",
    [
        "note is not null and length(note) > 3",
        "note is null or length(note) > 3",
        "not (note is null or length(note) = 0)",
        "not (note is not null and length(note) > 0)",
        "if(note is null, 0, length(note)) > 0",
        "note = title and length(note) > 0",
        "note in ['a'] and length(note) > 0",
        "owner is not null and length(owner.name) > 0",
        "owner.name is not null and length(owner.home.name) > 0",
        "owner.credit = 5 and owner.credit > 3",
        "whole != 0 and price / whole > 1",
        "not (whole = 0) and price / whole > 1",
        "0 < whole and price / whole > 1",
        "whole in [1, -1] and price / whole > 1",
        "price / small > 1",
        "flag = true or flag = false",
        "coalesce(flag, false) and paid",
        "price > 100 and price + 0.5 > coalesce(fee, 0)",
        "status = if(paid, 'closed', 'open')",
        "due_on >= coalesce(done_on, '2026-01-31')",
        "user.role = 'admin' or key = user.id",
        "sum(lines.amount) = price",
        "rate * price > input.amount",
    ],
)
def test_what_is_guarded_or_fits_is_accepted(text: str) -> None:
    assert compiled(text, SCOPE).type.kind == "boolean"


@pytest.mark.parametrize(
    ("text", "offset", "length", "words", "suggestion"),
    [
        ("length(note) > 3", 7, 4, "`note` may be null: guard it with `note is not null", None),
        ("note is null and length(note) > 3", 24, 4, "may be null", None),
        ("note is not null or length(note) > 3", 27, 4, "may be null", None),
        ("length(note) > 3 and note is not null", 7, 4, "may be null", None),
        ("(note is null) = false and length(note) > 1", 34, 4, "may be null", None),
        ("owner is not null and owner.credit > 1", 22, 12, "may be null", None),
        ("flag and paid", 0, 4, "may be null", None),
        ("maybe < 1", 0, 5, "may be null", None),
        ("price / whole > 1", 0, 13, "null when the divisor is 0", None),
        ("whole >= 0 and price / whole > 1", 15, 13, "null when the divisor is 0", None),
        ("note = null", 0, 11, "by `is null`", None),
        ("null != note", 0, 12, "by `is not null`", None),
        ("length(null) > 1", 7, 4, "test for it with `is null`", None),
        ("price + rate > 1", 0, 12, "don't go together", None),
        ("price = rate", 8, 4, "don't go together", None),
        ("price * price > 1", 0, 13, "can't be multiplied", None),
        ("1 / price > 1", 0, 9, "can't be divided by money", None),
        ("title < 'a'", 0, 11, "this is a text", None),
        ("paid > flag", 7, 4, "may be null", None),
        ("status = 'opn'", 9, 5, "is `open` meant", "'open'"),
        ("status in ['open', 'gone']", 19, 6, "no value of enum", None),
        ("status = title", 9, 5, "only its own values", None),
        ("due_on > '2026-02-30'", 9, 12, "is not a date", None),
        ("due_on > '20260131'", 9, 10, "is not a date", None),
        ("made_at > '2026-01-31T09:30:00'", 10, 21, "with its offset", None),
        ("opens > '9:30'", 8, 6, "is not a time", None),
        ("key = '1'", 6, 3, "is not a uuid", None),
        ("due_on = 1", 9, 1, "don't go together", None),
        ("due_on + 1 > today()", 0, 6, "use `add_days", None),
        ("title + title = ''", 0, 5, "`concat", None),
        ("price", 0, 5, "money in SAR; a boolean is needed", None),
        ("price and paid", 0, 5, "a condition is needed", None),
        ("not price", 4, 5, "a condition is needed", None),
        ("prce > 1", 0, 4, "is `price` meant", "price"),
        ("owner.nme = ''", 6, 3, "is `name` meant", "name"),
        ("ownr.name = ''", 0, 4, "is `owner` meant", "owner"),
        ("user.rol = 'admin'", 5, 3, "is `role` meant", "role"),
        ("input = 1", 0, 5, "followed by one name", None),
        ("title.length > 1", 0, 12, "is a field; nothing follows", None),
        ("lines = 1", 0, 5, "count(lines)", None),
        ("count(owner) > 1", 6, 5, "no to-many relation", None),
        ("sum(lines) > 1", 4, 5, "write it as `sum(relation.field)`", None),
        ("sum(lines.amout) > 1", 10, 5, "is `amount` meant", "amount"),
        ("owner.a.b.c.d = 1", 0, 13, "at most 4 names", None),
        ("TRUE", 0, 4, "written `true`", "true"),
        ("none = note", 0, 4, "written `null`", "null"),
        ("today > due_on", 0, 5, "`today()`", "today()"),
        ("len(title) > 1", 0, 3, "is `length` meant", "length"),
        ("roud(price, 2) > 1", 0, 4, "is `round` meant", "round"),
        ("length(title, 1) > 1", 0, 16, "write it as `length(text)`", None),
        ("length(due_on) > 1", 7, 6, "this is date", None),
        ("round(price, small) > 1", 13, 5, "0 to 18", None),
        ("round(price, 19) > 1", 13, 2, "0 to 18", None),
        ("add_days(due_on, 0.5) = due_on", 17, 3, "this is decimal", None),
        ("max(title, note) = ''", 11, 4, "may be null", None),
        ("max(title, title) = ''", 0, 17, "takes numbers", None),
        ("if(paid, 1, 'a') = 1", 12, 3, "don't go together", None),
        ("tiny * tiny > 1", 0, 11, "36 of them after the point", None),
        ("whole * whole * whole * whole > 1", 0, 29, "60 and 30 are computed", None),
        ("rate / tiny > 1", 0, 11, "more digits than are computed", None),
        ("owner = owner.home", 8, 10, "the id of a `Owner`, the other of a `City`", None),
    ],
)
def test_each_fault_is_told_at_its_place(
    text: str, offset: int, length: int, words: str, suggestion: str | None
) -> None:
    (found,) = check(text, SCOPE).faults
    assert words in found.message
    assert (found.offset, found.length, found.suggestion) == (offset, length, suggestion)


def test_currencies_dont_mix() -> None:
    fields = {"a": money("SAR", 14, 2), "b": money("USD", 14, 2)}
    scope = Scope("It", {"It": Shape(fields)})
    for text in ("a + b > 0", "a = b", "a < b", "max(a, b) > 0", "coalesce(a, b) > 0"):
        (found,) = faults(text, scope=scope)
        assert "`SAR` and `USD` are different currencies" in found.message
    assert faults("a / b > 0", scope=scope)
    assert not faults("a > 10 and b > 10", scope=scope)


def test_several_faults_are_told_at_once_and_none_twice() -> None:
    found = faults("prce > 1 and length(note) = 1 and status = 'x'")
    assert [each.offset for each in found] == [0, 20, 43]
    assert len(faults("if(prce > 1, 1, 2) + abs(prce) > 1")) == 2


def test_the_result_fits_what_is_expected() -> None:
    assert not faults("price * 2", SAR)
    assert not faults("fee", SAR.optional)
    assert "always null" in faults("null", TEXT.optional)[0].message
    assert not faults("if(paid, 'open', 'closed')", STATUS)
    assert "may be null" in faults("fee", SAR)[0].message
    assert "use `round(…, 2)`" in faults("price * 0.155", SAR)[0].message
    assert not faults("round(price * 0.155, 2)", SAR)
    assert "never lies within" in faults("9223372036854775807 + 1", integer())[0].message
    assert "a decimal; money in SAR is needed" in faults("rate", SAR)[0].message
    assert "is `open` meant" in faults("'opn'", STATUS)[0].message


def test_bounds_of_numbers_are_known() -> None:
    def bounds(text: str) -> tuple[Fraction, Fraction, int]:
        type = compiled(text, SCOPE, None).type
        return type.low, type.high, type.scale

    assert bounds("small - 150") == (-149, 0, 0)
    assert bounds("-small * small") == (-22500, -1, 0)
    assert bounds("abs(-small + 50)") == (0, 100, 0)
    assert bounds("round(small * 0.333, 1)") == (Fraction(3, 10), 50, 1)
    assert bounds("1 / small") == (Fraction(6666, 10**6), 1, 6)


def test_invalid_input_carries_the_places() -> None:
    with pytest.raises(InvalidInput) as caught:
        compiled("prce > 1", SCOPE)
    (error,) = caught.value.fields["errors"]
    assert error == {
        "offset": 0,
        "length": 4,
        "message": "there is no `prce` here; is `price` meant?",
        "suggestion": "price",
    }


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda each: each.name)
def test_the_examples_of_the_reference_are_valid(function: object) -> None:
    example = FUNCTIONS[function.name].example  # type: ignore[attr-defined]
    fields = {"code", "email", "phone", "name", "first_name", "last_name"}
    thing = SCOPE.shapes["Thing"]
    shape = Shape(
        {
            **thing.fields,
            **dict.fromkeys(fields, TEXT),
            "created_at": thing.fields["made_at"],
            "starts_on": thing.fields["due_on"],
            "total": SAR,
            "balance": SAR,
            "discount": decimal(5, 2).optional,
        },
        many={"lines": "Line"},
    )
    scope = Scope("It", {"It": shape, "Line": SCOPE.shapes["Line"]})
    compiled(example, scope)


def test_a_blueprint_gives_the_scope_of_its_expressions() -> None:
    blueprint = small()
    scope = scope_of(blueprint, "Visit")
    compiled(
        "status = 'open' and patient.full_name != '' and created_at < now()",
        scope,
    )
    compiled("user.role in ['admin', 'doctor'] and owner_id = user.id", scope)
    compiled("patient.gender = 'male' and patient.age is not null", scope)
    (found,) = check("status = 'opne'", scope).faults
    assert found.suggestion == "'open'"
    assert "may be null" in check("patient.age > 17", scope).faults[0].message


def test_write_only_fields_cant_be_read_and_inputs_have_their_types() -> None:
    text = SMALL.replace("age: {", "pin: {type: string, data_class: secret}\n      age: {")
    blueprint = load(text).blueprint
    (found,) = check("pin = '1'", scope_of(blueprint, "Patient")).faults
    assert "there is no `pin`" in found.message
    fields = blueprint.entities["Patient"].fields
    scope = scope_of(blueprint, None, {"name": fields["full_name"], "age": fields["age"]})
    compiled("input.name != '' and coalesce(input.age, 0) < 100", scope)
    (found,) = check("age > 1", scope).faults
    assert "no record here" in found.message
