"""Printed Python and SQLAlchemy on SQLite mean what the reference evaluator says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.forge.expressions.checker import compiled
from engine.forge.expressions.evaluate import evaluate
from engine.forge.expressions.printers import Names
from engine.forge.expressions.printers.python import print_python
from engine.forge.expressions.printers.sqlalchemy import print_sqlalchemy
from engine.forge.expressions.terms import Term
from tests.unit.forge import expression_cases as cases

RECORDS = cases.records(40)
NAMES = Names(cases.python_name, lambda relation: f"record.{relation}")
HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FEW = settings(max_examples=300, deadline=None, suppress_health_check=HEALTH)


@pytest.fixture(scope="module")
def sqlite() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    sa.event.listen(engine, "connect", lambda raw, _: cases.queries.prepare(raw))
    with engine.connect() as connection:
        cases.Base.metadata.create_all(connection)
        for table, rows in cases.inserts(RECORDS):
            connection.execute(sa.insert(table), rows)
        yield connection
    engine.dispose()


def expected(term: Term, process: dict[str, Any]) -> list[Any]:
    return [evaluate(term, record.environment(process)) for record in RECORDS]


@FEW
@given(cases.expressions(), st.integers(0, 20))
def test_python_agrees(text: str, seed: int) -> None:
    term = compiled(text, cases.SCOPE, None)
    process = cases.process(seed)
    source = print_python(term, NAMES)
    code = compile(source, "expression", "eval")
    space = cases.namespace(process)
    found = [eval(code, space | {"record": cases.as_object(each)}) for each in RECORDS]
    assert found == expected(term, process), source


@FEW
@given(cases.expressions(), st.integers(0, 20))
def test_sqlite_agrees(sqlite: sa.Connection, text: str, seed: int) -> None:
    term = compiled(text, cases.SCOPE, None)
    process = cases.process(seed)
    source = print_sqlalchemy(term, cases.QUERY_NAMES)
    element = eval(source, cases.namespace(process))
    rows = sqlite.execute(sa.select(cases.Thing.id, element.label("it")).order_by(cases.Thing.id))
    found = [row.it for row in rows]
    wanted = expected(term, process)
    assert found == wanted, source
    if term.type.kind == "boolean" and not term.type.nullable:
        ids = sqlite.scalars(sa.select(cases.Thing.id).where(element)).all()
        assert sorted(ids) == [id for id, value in enumerate(wanted) if value]
