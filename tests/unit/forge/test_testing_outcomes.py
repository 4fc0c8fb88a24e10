"""Values that fulfil the guards of transitions, on any day."""

import pytest

from engine.forge.blueprint.source import load
from engine.forge.resolve import ResolvedEntity, resolve
from engine.forge.testing.outcomes import Readiness, readiness
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
