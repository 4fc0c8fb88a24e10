"""Computed fields: which make sense, what they resolve to, and what a change of one means."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.diff import diff
from engine.forge.blueprint.source import load
from engine.forge.resolve import ResolvedComputed, resolve
from tests.unit.forge.blueprints import problems

LINE = """\
name: shop
enums:
  size: {values: {small: {}, large: {}}}
entities:
  Holder: {fields: {name: {type: string}}}
  Line:
    fields:
      quantity: {type: integer, required: true, min: 1, max: 1000}
      any_number: {type: integer, required: true}
      unit_price: {type: money, currency: SAR, required: true}
      discount: {type: decimal, precision: 5, scale: 3}
      name: {type: string, required: true}
      birthday: {type: date, data_class: pii}
      token: {type: string, data_class: secret}
      twice: {type: integer, computed: "quantity * 2"}
      value: FIELD
    relations: {holder: {to: Holder}}
    EXTRA
"""


def line(field: str, extra: str = "search: [name]") -> str:
    return LINE.replace("FIELD", field).replace("EXTRA", extra)


def computed(field: str) -> ResolvedComputed:
    blueprint = load(line(field)).blueprint
    assert errors(blueprint) == []
    return resolve(blueprint).entity("Line").computed[-1]


@pytest.mark.parametrize(
    ("field", "place", "said"),
    [
        ("{type: integer, required: true, computed: quantity}", "required", "it is null exactly"),
        ("{type: integer, unique: true, computed: quantity}", "unique", "isn't stored"),
        ("{type: integer, default: 0, computed: quantity}", "default", "always says its value"),
        ("{type: boolean, default: false, computed: 'quantity > 1'}", "default", "always says"),
        ("{type: integer, min: 0, computed: quantity}", "min", "`max(…, …)`"),
        ("{type: integer, max: 5, computed: quantity}", "max", "`min(…, …)`"),
        ("{type: string, min_length: 0, computed: name}", "min_length", "nobody sends it"),
        ("{type: string, max_length: 5, computed: name}", "max_length", "nobody sends it"),
        ("{type: string, pattern: a, computed: name}", "pattern", "nobody sends it"),
        ("{type: decimal, precision: 5, computed: quantity}", "precision", "as many digits"),
        ("{type: integer, stored_as: old, computed: quantity}", "stored_as", "isn't stored"),
        ("{type: json, computed: quantity}", "type", "can't be computed"),
        ("{type: email, computed: name}", "type", "can't be computed"),
        ("{type: string, data_class: secret, computed: name}", "data_class", "never is"),
        ("{type: date, computed: birthday}", "", "`data_class: pii`"),
        ("{type: string, computed: token}", "computed", "`token` is secret"),
        ("{type: integer, computed: 'twice + 1'}", "computed", "`twice` is computed itself"),
        ("{type: integer, computed: 'value + 1'}", "computed", "`value` is computed itself"),
        ("{type: integer, computed: 'quantty'}", "computed", "character 1 of the expression"),
        ("{type: string, computed: 'quantity'}", "computed", "this gives an integer"),
        ("{type: money, currency: USD, computed: unit_price}", "computed", "money in USD"),
        ("{type: integer, computed: unit_price}", "computed", "this gives"),
        ("{type: decimal, computed: 'quantity / 3'}", "computed", "use `round(…, 2)`"),
        ("{type: integer, computed: 'any_number * quantity'}", "computed", "64 bits"),
        ("{type: integer, computed: 'discount * 2'}", "computed", "null"),
        ("{type: date, computed: 'today()'}", "computed", "`today()` isn't known"),
        ("{type: instant, computed: 'now()'}", "computed", "`now()` isn't known"),
        ("{type: string, computed: 'holder.name'}", "computed", "holder"),
        ("{type: integer, computed: 'quantity +'}", "computed", "character"),
        ("{type: integer, computed: 'null'}", "computed", "null"),
        ("{type: enum, enum: size, computed: \"if(quantity > 9, 'lrge', 'small')\"}", "", "lrge"),
    ],
)
def test_computed_fields_that_make_no_sense_are_refused(field: str, place: str, said: str) -> None:
    (problem,) = problems(line(field))

    assert said in problem["message"]
    assert problem["line"] == 16
    assert problem["path"].startswith("entities.Line.fields.value")
    assert place in problem["path"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("display: value", "`value` is computed"),
        ("search: [value]", "search in what it reads"),
        ("unique: [[value, holder]]", "name what it reads"),
        ("indexes: [[value]]", "name what it reads"),
    ],
)
def test_what_is_not_stored_is_not_looked_up(extra: str, said: str) -> None:
    (problem,) = problems(line("{type: string, computed: name}", extra))

    assert said in problem["message"]


def test_guards_do_not_read_computed_fields() -> None:
    life = "{initial: new, states: {new: {}, old: {}}, transitions: {age: {from: [new], to: old"
    (problem,) = problems(
        line("{type: string, computed: name}", f"lifecycle: {life}, guard: 'twice > 3'}}}}}}")
    )

    assert problem["message"].startswith("`twice` is computed itself")
    assert problem["suggestion"] == "(quantity * 2)"


def test_money_is_as_long_as_its_expression_makes_it() -> None:
    total = computed("{type: money, currency: SAR, computed: 'unit_price*any_number'}")

    assert total.text == "unit_price * any_number"
    assert (total.shown.required, total.shown.currency, total.shown.scale) == (True, "SAR", 2)
    # 19 digits times 12 before the point.
    assert total.shown.precision == 31 + 2


@pytest.mark.parametrize(
    ("field", "required"),
    [
        ("{type: decimal, scale: 3, computed: 'if(discount is null, null, discount * 2)'}", False),
        ("{type: decimal, computed: 'round(coalesce(discount, 0) * 2, 2)'}", True),
        ("{type: decimal, computed: quantity}", True),
        ("{type: boolean, computed: 'holder is not null'}", True),
        ("{type: date, data_class: pii, computed: birthday}", False),
        ("{type: enum, enum: size, computed: \"if(quantity > 9, 'large', 'small')\"}", True),
        ("{type: integer, required: false, unique: false, computed: quantity}", True),
    ],
)
def test_null_is_answered_where_the_expression_may_be_null(field: str, required: bool) -> None:
    assert computed(field).shown.required is required


def test_a_computed_field_is_no_column() -> None:
    entity = resolve(load(line("{type: string, computed: name}")).blueprint).entity("Line")

    assert {each.name for each in entity.computed} == {"twice", "value"}
    assert not {each.name for each in entity.columns} & {"twice", "value"}
    assert entity.display == "name"
    assert entity.computed[0].shown.minimum == Decimal(2)
    assert entity.computed[0].shown.filters == ()


@pytest.mark.parametrize(
    ("old", "new", "kind", "breaking", "said"),
    [
        ("{type: integer, computed: quantity}", None, "removed", True, "was removed"),
        (None, "{type: integer, computed: quantity}", "added", False, "Line.value was added"),
        (
            *("{type: integer, computed: quantity}", "{type: integer, computed: any_number}"),
            *("changed", True, "no stored data changes"),
        ),
        (
            *("{type: integer, computed: quantity}", "{type: decimal, computed: quantity}"),
            *("changed", True, "type changed from integer to decimal"),
        ),
        (
            *("{type: integer}", "{type: integer, computed: quantity}"),
            *("changed", True, "is now computed as quantity"),
        ),
        (
            *("{type: integer, computed: quantity}", "{type: integer}"),
            *("changed", True, "no longer computed"),
        ),
        (
            "{type: integer, computed: quantity}",
            "{type: integer, title: {en: A}, computed: quantity}",
            *("changed", False, "title changed"),
        ),
    ],
)  # fmt: skip
def test_what_a_change_means(
    old: str | None, new: str | None, kind: str, breaking: bool, said: str
) -> None:
    def blueprint(field: str | None):  # type: ignore[no-untyped-def]
        text = line(field or "")
        return load(text if field else text.replace("      value: \n", "")).blueprint

    (change,) = diff(blueprint(old), blueprint(new))

    assert (change.kind, change.breaking) == (kind, breaking)
    assert said in change.summary
