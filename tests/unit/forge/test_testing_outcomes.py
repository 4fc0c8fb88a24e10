"""Values that fulfil the guards of transitions, on any day."""

from decimal import Decimal

import pytest

from engine.forge.blueprint.source import load
from engine.forge.resolve import ResolvedEntity, resolve
from engine.forge.testing.outcomes import Example, Readiness, examples, readiness
from engine.kernel.errors import InvalidInput

PERIOD = """\
name: periods
entities:
  Period:
    fields:
      starts_on: {{type: date, required: true}}
      ends_on: {{type: date, required: true}}
      opens_at: {{type: instant}}
      closes_at: {{type: instant}}
    lifecycle:
      initial: open
      states: {{open: {{}}, closed: {{}}}}
      transitions:
        close: {{from: [open], to: closed, guard: "{guard}"}}
"""


def found(guard: str) -> Readiness:
    entity: ResolvedEntity = resolve(load(PERIOD.format(guard=guard)).blueprint).entities[0]
    return readiness(entity, entity.transitions[0], 4)


@pytest.mark.parametrize(
    ("guard", "first", "then"),
    [
        ("ends_on > starts_on and ends_on < today()", "starts_on", "ends_on"),
        ("starts_on > today() and starts_on < ends_on", "starts_on", "ends_on"),
        (
            "opens_at is not null and closes_at is not null and opens_at < closes_at"
            " and closes_at < now()",
            "opens_at",
            "closes_at",
        ),
    ],
)
def test_a_period_lies_before_or_after_every_day(guard: str, first: str, then: str) -> None:
    ready = found(guard).ready

    assert str(ready[first]) < str(ready[then])
    assert found(guard).unready is not None


def test_a_guard_that_nothing_fulfils_on_every_day_is_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        found("starts_on = today()")

    assert raised.value.fields["path"] == "entities.Period.lifecycle.transitions.close.guard"


COMPUTED = """\
name: shop
entities:
  Line:
    fields:
      amount: {{type: integer, required: true, min: 0, max: 9007199254740991}}
      price: {{type: money, currency: SAR}}
      value: {field}
"""


def answered(field: str) -> tuple[Example, ...]:
    entity = resolve(load(COMPUTED.format(field=field)).blueprint).entities[0]
    return examples(entity, entity.computed[0], 10)


def test_examples_of_a_computed_field_answer_differently_and_with_null() -> None:
    found = answered(
        "{type: money, currency: SAR, computed: 'if(price is null, null, price * -2)'}"
    )

    assert found[0] == Example({"price": None}, None)
    assert len({each.answer for each in found}) == len(found) > 2
    for each in found[1:]:
        assert Decimal(str(each.answer)) == Decimal(str(each.values["price"])) * -2
        assert str(each.answer)[-3] == "."


def test_examples_keep_every_digit() -> None:
    found = answered("{type: decimal, scale: 0, computed: 'amount * 9007199254740993'}")

    assert {each.answer for each in found} == {
        str(int(str(each.values["amount"])) * 9007199254740993) for each in found
    }
    assert max(len(str(each.answer)) for each in found) > 16
