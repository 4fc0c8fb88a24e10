"""Printed Python and SQLAlchemy on SQLite mean what the reference evaluator says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.forge.expressions.checking import compiled
from engine.forge.expressions.evaluate import evaluate
from engine.forge.expressions.printers import Names
from engine.forge.expressions.printers.python import print_python
from engine.forge.expressions.printers.sqlalchemy import print_sqlalchemy
from engine.forge.expressions.terms import Term
from engine.forge.expressions.types import Kind
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


def _agrees_in_python(text: str, seed: int) -> None:
    term = compiled(text, cases.SCOPE, None)
    process = cases.process(seed)
    source = print_python(term, NAMES)
    code = compile(source, "expression", "eval")
    space = cases.namespace(process)
    found = [eval(code, space | {"record": cases.as_object(each)}) for each in RECORDS]
    assert found == expected(term, process), source


def _agrees_on_sqlite(sqlite: sa.Connection, text: str, seed: int) -> None:
    term = compiled(text, cases.SCOPE, None)
    process = cases.process(seed)
    source = print_sqlalchemy(term, cases.QUERY_NAMES)
    element = eval(source, cases.namespace(process))
    id = cases.Thing.id
    rows = sqlite.execute(sa.select(id, element.label("it")).order_by(id))
    found = [row.it for row in rows]
    wanted = expected(term, process)
    assert found == wanted, source
    if term.type.kind is Kind.BOOLEAN and not term.type.nullable:
        ids = sqlite.scalars(sa.select(id).where(element)).all()
        assert sorted(ids) == [id for id, value in enumerate(wanted) if value]


@FEW
@given(cases.expressions(), st.integers(0, 20))
def test_python_agrees(text: str, seed: int) -> None:
    _agrees_in_python(text, seed)


@FEW
@given(cases.expressions(), st.integers(0, 20))
def test_sqlite_agrees(sqlite: sa.Connection, text: str, seed: int) -> None:
    _agrees_on_sqlite(sqlite, text, seed)


@pytest.mark.parametrize("text", cases.AT_THE_EDGES)
def test_both_agree_at_the_edges(sqlite: sa.Connection, text: str) -> None:
    _agrees_in_python(text, 3)
    _agrees_on_sqlite(sqlite, text, 3)
