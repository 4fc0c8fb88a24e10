"""How printed expressions look, how long they get, and that nothing of the language is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite

from engine.forge.expressions.checking import compiled
from engine.forge.expressions.language import page
from engine.forge.expressions.printers.python import print_python
from engine.forge.expressions.printers.sqlalchemy import print_sqlalchemy
from engine.forge.expressions.printers.typescript import print_typescript
from engine.forge.expressions.syntax import MAX_NESTING
from engine.forge.expressions.terms import Term
from tests.unit.forge import expression_cases as cases

ROOT = Path(__file__).parents[3]
DIALECTS = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),
    "mariadb": mysql.dialect(is_mariadb=True),
}


def in_query(term: Term) -> str:
    return print_sqlalchemy(term, cases.QUERY_NAMES)


def sql(text: str, dialect: str, *, literals: bool = True) -> str:
    element = eval(in_query(compiled(text, cases.SCOPE, None)), cases.namespace(cases.process(1)))
    made = element.compile(dialect=DIALECTS[dialect], compile_kwargs={"literal_binds": literals})
    return str(made)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("price > 0 and due_on >= today()", "record.price > 0 and record.due_on >= today"),
        ("(whole + small) * 2 = -1", "(record.whole + record.small) * 2 == -1"),
        ("flag = true", "record.flag is True"),
        ("maybe is null or maybe < 5", "record.maybe is None or given(record.maybe) < 5"),
        ("not (paid or flag = true)", "not (record.paid or record.flag is True)"),
        ("coalesce(fee, 0)", 'coalesce(record.fee, Decimal("0"))'),
        ("if(paid, price, 0)", 'record.price if record.paid else Decimal("0")'),
        ("whole * whole * small",
         "EXACT.multiply(EXACT.multiply(record.whole, record.whole), record.small)"),
        ("price / small", "given(divide(record.price, record.small, 6))"),
        ("status in ['open', 'lost']", "record.status in ('open', 'lost',)"),
        ("contains(trim(title), 'a')", "'a' in record.title.strip(\" \")"),
        ("sum(lines.amount)", "total(row.amount for row in record.lines)"),
        ("days_between(due_on, add_days(due_on, 1))",
         "(add_days(record.due_on, 1) - record.due_on).days"),
        (
            "owner.home.name = ''",
            "(None if record.owner is None or record.owner.home is None"
            " else record.owner.home.name) == ''",
        ),
    ],
)  # fmt: skip
def test_python_reads_as_a_person_would_write_it(text: str, source: str) -> None:
    assert print_python(compiled(text, cases.SCOPE, None)) == source


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("paid and due_on >= today()", "record.paid && record.due_on >= today"),
        ("price > 0", 'exact(record.price).compare(exact("0")) > 0'),
        ("note is null or length(note) < 5",
         '(record.note ?? null) === null || length(given(record.note)).compare(exact("5")) < 0'),
        ("not (note = 'a')", '!((record.note ?? null) === "a")'),
        ("coalesce(fee, price / 3)",
         '(exactOrNull(record.fee) ?? given(exact(record.price).dividedBy(exact("3"), 6)))'),
        ("owner.home.name in ['a']", 'oneOf((record.owner?.home?.name ?? null), ["a"])'),
        ("made_at < now()", "instant(record.made_at) < instant(now)"),
    ],
)  # fmt: skip
def test_typescript_reads_as_a_person_would_write_it(text: str, source: str) -> None:
    assert print_typescript(compiled(text, cases.SCOPE, None)) == source


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("price > 0 and paid", 'sa.and_(Thing.price > Decimal("0"), Thing.paid)'),
        ("whole in [1, 2]", "Thing.whole.in_([1, 2])"),
        ("note = 'a'", "sa.and_(Thing.note.is_not(None), Thing.note == 'a')"),
        ("note != title", "sa.or_(Thing.note.is_(None), Thing.note != Thing.title)"),
        ("note = input.reason", "Thing.note.is_not_distinct_from(q.value(input.reason, q.TEXT))"),
        ("tiny > 1.5", 'q.compare(q.number(Thing.tiny, 18), ">",'
                       ' q.exact(Decimal("1.5"), 1))'),
        ("price / 3 > 1", 'q.compare(q.divide(q.number(Thing.price, 2),'
                          ' q.exact(Decimal("3"), 0), 6, 11), ">",'
                          ' q.exact(Decimal("1"), 0))'),
    ],
)  # fmt: skip
def test_queries_keep_plain_comparisons_plain(text: str, source: str) -> None:
    assert in_query(compiled(text, cases.SCOPE, None)) == source


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", cases.AT_THE_EDGES)
def test_every_dialect_has_a_form_for_it(text: str, dialect: str) -> None:
    assert sql(text, dialect, literals=False)


def test_forms_of_mariadb() -> None:
    assert sql("price / 3", "mariadb") == (
        "round(cast(CAST(thing.price AS DECIMAL(65, 2)) AS DECIMAL(65, 38))"
        " / nullif(CAST(3 AS DECIMAL(65, 0)), 0), 6)"
    )
    assert sql("note = owner.name", "mariadb").startswith("thing.note <=> (SELECT")
    assert sql("contains(title, 'a')", "mariadb") == "(instr(thing.title, 'a') > 0)"
    assert "replace(replace(" in sql("lower(title) = 'a'", "mariadb")


NESTED = [
    ("abs({})", "whole"), ("-{}", "whole"), ("not {}", "paid"), ("trim({})", "title"),
    ("coalesce({}, title)", "note"), ("if(paid, {}, title)", "title"), ("max({}, 1)", "whole"),
    ("round({}, 2)", "price"), ("add_days({}, 1)", "due_on"), ("({} / 3)", "small"),
    ("({}) = true", "paid"), ("lower({})", "title"), ("concat({}, '')", "title"),
]  # fmt: skip


@pytest.mark.parametrize("printer", [print_python, print_typescript, in_query])
@pytest.mark.parametrize(("form", "inner"), NESTED)
def test_printed_source_grows_linearly(
    form: str, inner: str, printer: Callable[[Term], str]
) -> None:
    sizes = []
    for depth in (5, 10, MAX_NESTING - 1):
        text = inner
        for _ in range(depth):
            text = form.format(text)
        sizes.append(len(printer(compiled(text, cases.SCOPE, None))))
    first, second, last = sizes
    assert (last - second) / (MAX_NESTING - 11) <= (second - first) / 5 + 1


def test_the_page_of_the_reference_is_the_language_itself() -> None:
    assert (ROOT / "docs" / "expressions.md").read_text(encoding="utf-8") == page()


def test_sql_of_a_plain_comparison_is_plain() -> None:
    assert sql("price >= 10 and due_on > '2026-01-31'", "postgresql") == (
        "thing.price >= 10 AND thing.due_on > '2026-01-31'"
    )
