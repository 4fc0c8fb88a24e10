"""Expressions for tests: names to write them over, random ones, and records to evaluate them on."""

from __future__ import annotations

import datetime as dt
import random
import types
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from engine.forge.expressions.checking import check
from engine.forge.expressions.evaluate import Environment
from engine.forge.expressions.printers import Names, runtime
from engine.forge.expressions.types import (
    BOOLEAN,
    DATE,
    INSTANT,
    TEXT,
    TIME,
    Scope,
    Shape,
    ToOne,
    Type,
    decimal,
    enum,
    integer,
    money,
)
from engine.forge.expressions.types import UUID as IDENTIFIER

STATUS = enum("status", ["open", "closed", "lost"])
SAR = money("SAR", 14, 2)
SCOPE = Scope(
    "Thing",
    {
        "Thing": Shape(
            {
                "whole": integer(),
                "small": integer(1, 150),
                "maybe": integer().optional,
                "price": SAR,
                "fee": SAR.optional,
                "rate": decimal(18, 6),
                "tiny": decimal(18, 18),
                "title": TEXT,
                "note": TEXT.optional,
                "status": STATUS,
                "stage": STATUS.optional,
                "paid": BOOLEAN,
                "flag": BOOLEAN.optional,
                "due_on": DATE,
                "done_on": DATE.optional,
                "opens": TIME,
                "shuts": TIME.optional,
                "made_at": INSTANT,
                "seen_at": INSTANT.optional,
                "key": IDENTIFIER,
                "other": IDENTIFIER.optional,
            },
            {"owner": ToOne("Owner", nullable=True)},
            {"lines": "Line"},
        ),
        "Owner": Shape({"name": TEXT, "credit": SAR.optional}, {"home": ToOne("City")}),
        "City": Shape({"name": TEXT}),
        "Line": Shape({"amount": SAR.optional, "size": integer()}),
    },
    input={"reason": TEXT.optional, "amount": SAR, "places": integer().optional, "day": DATE},
    user={"id": IDENTIFIER, "role": enum("role", ["admin", "clerk"])},
)

WORDS = [
    "", " ", "a", "A", "ab", "AB", " a ", "open", "it's", '"', "%", "_", "\\", "a\tb", "\u00a0x",
    "سعر", "السعر", "é", "e\u0301", "ß", "İı", "\u212a", "😀", "a😀b", "Zz",
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 3, 7, 10, 2**63 - 1, -(2**63), 10**12 - 1]
DECIMALS = ["0", "0.5", "1.5", "2.5", "-0.5", "-1.25", "0.005", "0.1", "1000000000.01", "3"]
DAYS = ["0001-01-01", "9999-12-31", "1969-12-31", "2024-02-29", "2026-01-31", "0999-06-01"]
TIMES = ["00:00", "09:30", "23:59:59"]
MOMENTS = [
    "1969-12-31T23:59:59.999999Z", "2026-01-31T09:30:00Z", "2026-01-31T23:30:00-03:00",
    "0001-01-02T00:00:00Z", "9999-12-30T00:00:00.000001Z",
]  # fmt: skip
KEYS = ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-4000-8000-000000000001"]
NOW = dt.datetime(2026, 1, 31, 9, 30, 0, 1, tzinfo=dt.UTC)

AT_THE_EDGES = [
    "lower('ÉİK\u212a ABC')", "upper('éß abc')", "length('a😀e\u0301')", "contains('', '')",
    "contains(title, '')", "starts_with(title, '')", "contains('a%b_c', '%b_')",
    "trim('  \u00a0a ')",
    "add_days(due_on, 9223372036854775807)", "add_days(due_on, -9223372036854775807)",
    "add_days(add_days(due_on, 10000000), -1)", "whole * whole", "whole * whole * small > 0",
    "whole * whole = 0", "round(0.5, 0)", "round(-0.5, 0)", "round(2.5, 0)", "round(-1.005, 2)",
    "price / 3",
    "round(price / -3, 4)", "whole / (tiny + 2)", "1 / whole", "0.000001 / 2", "0.0000005 / 1",
    "rate / rate", "9223372036854775807 / 9223372036854775806",
    "title = 'A'", "title = 'a much longer text'", "title in ['a much longer text', 'ab']",
    "year(due_on) <= 999", "note is not null and length(note) >= 1", "opens <= '09:30'",
    "made_at >= '1969-12-31T23:59:59.999999Z'", "due_on >= today() or due_on < '0999-06-02'",
    "small - (small - 2)", "small - (small + 1) * 2", "-(small - 1)", "if(paid, 1, 2) - 1 > 0",
    "(paid and title = '') = paid", "paid = (title = '')", "(paid or flag = true) and not paid",
    "9223372036854775807 + small", "whole - 9223372036854775807 * 2", "9223372036854775807 * 9",
    "if(paid, null, 9223372036854775807 + 1)",
    "tiny > 1.25", "tiny in [1.25, 0]", "price > 9999999999999", "small < 151", "small != 0",
    "title in ['a ', 'A', '']", "note = title", "note != title",
    "owner = owner", "owner.home = owner.home", "flag = flag", "flag != (title = '')",
    "days_between('0001-01-01', due_on)", "made_at = '2026-01-31T23:30:00-03:00'",
    "date(made_at) = '2026-02-01'", "opens < '09:30:01'", "opens = '09:30'",
    "whole = 9223372036854775808", "price = 0.005", "price in [0.005, 1.5]", "tiny < 0.1",
    "min(whole, rate) < max(rate, 1)",
    "sum(lines.amount) = 0", "sum(lines.size) * 1000000000 > whole", "count(lines) in [0, 3]",
    "if(paid, null, title) = note", "coalesce(if(paid, null, price), fee) is null",
    "(whole = 1) = (paid and not (flag = true))", "not (note is null or length(note) > 1)",
    "'it''s' = title", "title = '\\'", "concat(title, '\\', '\"', \"'\")",
    "abs(whole) > 9223372036854775807", "-whole = 9223372036854775808", "today() = date(now())",
]  # fmt: skip
"""Where targets differ by themselves: letters, halves, bounds, null, zones."""

_NAMES = {
    "number": ["whole", "small", "rate", "tiny"],
    "money": ["price", "input.amount"],
    "text": ["title"],
    "boolean": ["paid"],
    "date": ["due_on", "input.day"],
    "time": ["opens"],
    "instant": ["made_at"],
    "enum": ["status"],
    "uuid": ["key", "user.id"],
}
_MAYBE = {
    "number": ["maybe", "input.places"],
    "money": ["fee", "owner.credit"],
    "text": ["note", "owner.name", "owner.home.name", "input.reason"],
    "boolean": ["flag"],
    "date": ["done_on"],
    "time": ["shuts"],
    "instant": ["seen_at"],
    "enum": ["stage"],
    "uuid": ["other", "owner"],
}
KINDS = list(_NAMES)
_ORDERED = ["number", "money", "date", "time", "instant"]


def _quote(word: str) -> str:
    escaped = word.replace("'", "''")
    return f"'{escaped}'"


def literals(kind: str) -> st.SearchStrategy[str]:
    """Literals of a kind."""
    if kind == "number":
        return st.sampled_from([str(n) for n in NUMBERS if 0 <= n < 100] + ["0.5", "1.25", "0.1"])
    texts = {
        "money": [each for each in DECIMALS if each[0] != "-"],
        "text": [_quote(word) for word in WORDS if "\t" not in word],
        "boolean": ["true", "false"],
        "date": [_quote(day) for day in DAYS],
        "time": [_quote(time) for time in TIMES],
        "instant": [_quote(moment) for moment in MOMENTS],
        "enum": [_quote(member) for member in sorted(STATUS.members or ())],
        "uuid": [_quote(key) for key in KEYS],
    }
    return st.sampled_from(texts[kind])


@st.composite
def sources(draw: st.DrawFn, kind: str, depth: int = 3) -> str:
    """The text of an expression of this kind that is mostly not null."""
    leaf = depth <= 0 or draw(st.integers(0, 5)) == 0
    if leaf:
        simple = st.sampled_from(_NAMES[kind])
        constants = literals(kind) if kind in ("number", "money", "text", "boolean") else simple
        return draw(simple | constants)
    forms = ["if", "coalesce", "guard", *_OWN.get(kind, [])]
    form = draw(st.sampled_from(forms))

    def sub(other: str) -> str:
        return draw(sources(other, depth - 1))

    if form == "if":
        return f"if({sub('boolean')}, {sub(kind)}, {sub(kind)})"
    if form == "coalesce":
        return f"coalesce({draw(perhaps(kind, depth - 1))}, {sub(kind)})"
    if form == "guard":
        name = draw(st.sampled_from(_MAYBE[kind]))
        return f"if({name} is not null, {name}, {sub(kind)})"
    text: str = draw(_FORMS[form](kind, depth - 1))
    return text


@st.composite
def perhaps(draw: st.DrawFn, kind: str, depth: int) -> str:
    """The text of an expression that may be null."""
    if kind in ("number", "money") and depth > 0 and draw(st.booleans()):
        divisor = draw(sources("number", depth - 1))
        return f"({draw(sources(kind, depth - 1))} / {divisor})"
    if depth > 0 and draw(st.integers(0, 3)) == 0:
        inner = draw(sources(kind, depth - 1))
        return f"if({draw(sources('boolean', depth - 1))}, {inner}, null)"
    return draw(st.sampled_from(_MAYBE[kind]))


def _join(pattern: str, *kinds: str) -> Any:
    @st.composite
    def made(draw: st.DrawFn, kind: str, depth: int) -> str:
        return pattern.format(*(draw(sources(k or kind, depth)) for k in kinds))

    return made


@st.composite
def _equality(draw: st.DrawFn, _: str, depth: int) -> str:
    kind = draw(st.sampled_from(KINDS))
    either = st.one_of(perhaps(kind, depth), sources(kind, depth))
    sign = draw(st.sampled_from(["=", "!="]))
    right = draw(either | literals(kind))
    return f"({draw(either)} {sign} {right})"


@st.composite
def _membership(draw: st.DrawFn, _: str, depth: int) -> str:
    kind = draw(st.sampled_from(KINDS))
    tested = draw(st.one_of(perhaps(kind, depth), sources(kind, depth)))
    items = draw(st.lists(literals(kind), min_size=1, max_size=4))
    return f"({tested} in [{', '.join(items)}])"


@st.composite
def _order(draw: st.DrawFn, _: str, depth: int) -> str:
    kind = draw(st.sampled_from(_ORDERED))
    sign = draw(st.sampled_from(["<", "<=", ">", ">="]))
    right = draw(sources(kind, depth) | literals(kind))
    return f"({draw(sources(kind, depth))} {sign} {right})"


@st.composite
def _guarded(draw: st.DrawFn, _: str, depth: int) -> str:
    kind = draw(st.sampled_from(_ORDERED))
    name = draw(st.sampled_from(_MAYBE[kind]))
    sign = draw(st.sampled_from(["<", "<=", ">", ">="]))
    other = draw(sources(kind, depth))
    test, word = draw(st.sampled_from([("is not null", "and"), ("is null", "or")]))
    return f"({name} {test} {word} {name} {sign} {other})"


@st.composite
def _nullness(draw: st.DrawFn, _: str, depth: int) -> str:
    kind = draw(st.sampled_from(KINDS))
    test = draw(st.sampled_from(["is null", "is not null"]))
    return f"({draw(perhaps(kind, depth))} {test})"


@st.composite
def _quotient(draw: st.DrawFn, kind: str, depth: int) -> str:
    left = draw(sources(kind, depth))
    form = draw(st.sampled_from(["({} / 3)", "({} / small)", "({} / -0.7)", "guard"]))
    if form == "guard":
        return f"if(whole != 0, ({left} / whole), {draw(sources(kind, depth))})"
    return form.format(left)


@st.composite
def _rounded(draw: st.DrawFn, kind: str, depth: int) -> str:
    return f"round({draw(sources(kind, depth))}, {draw(st.integers(0, 8))})"


_FORMS: dict[str, Any] = {
    "+": _join("({} + {})", "", ""),
    "-": _join("({} - {})", "", ""),
    "*": _join("({} * {})", "", "number"),
    "/": _quotient,
    "round": _rounded,
    "negate": _join("(-{})", ""),
    "abs": _join("abs({})", ""),
    "min": _join("min({}, {})", "", ""),
    "max": _join("max({}, {}, {})", "", "", ""),
    "length": _join("length({})", "text"),
    "year": _join("year({})", "date"),
    "days_between": _join("days_between({}, {})", "date", "date"),
    "count": _join("count(lines)"),
    "size": _join("sum(lines.size)"),
    "amount": _join("sum(lines.amount)"),
    "lower": _join("lower({})", "text"),
    "upper": _join("upper({})", "text"),
    "trim": _join("trim({})", "text"),
    "concat": _join("concat({}, {})", "text", "text"),
    "contains": _join("contains({}, {})", "text", "text"),
    "starts_with": _join("starts_with({}, {})", "text", "text"),
    "and": _join("({} and {})", "boolean", "boolean"),
    "or": _join("({} or {})", "boolean", "boolean"),
    "not": _join("(not {})", "boolean"),
    "equality": _equality,
    "membership": _membership,
    "order": _order,
    "guarded": _guarded,
    "nullness": _nullness,
    "today": _join("today()"),
    "now": _join("now()"),
    "date": _join("date({})", "instant"),
    "add_days": _join("add_days({}, {})", "date", "whole"),
}
_NAMES["whole"] = ["whole", "small", "count(lines)", "-4000000", "length(title)"]
_MAYBE["whole"] = ["maybe", "input.places"]
_OWN = {
    "number": ["+", "-", "*", "/", "round", "negate", "abs", "min", "max", "length", "year",
               "days_between", "count", "size"],
    "money": ["+", "-", "*", "/", "round", "negate", "abs", "min", "max", "amount"],
    "text": ["lower", "upper", "trim", "concat"],
    "boolean": ["and", "or", "not", "contains", "starts_with", "equality", "equality",
                "membership", "order", "order", "guarded", "nullness"],
    "date": ["today", "date", "add_days", "min", "max"],
    "time": ["min", "max"],
    "instant": ["now", "min", "max"],
    "whole": ["+", "negate", "abs", "length", "year", "days_between"],
}  # fmt: skip


def collected(count: int) -> list[str]:
    """So many random expressions at once, for targets that are slow to start."""
    found: list[str] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(expressions())
    def collect(source: str) -> None:
        found.append(source)

    collect()
    return list(dict.fromkeys(found))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """A random expression of any kind that checks."""
    kind = draw(st.sampled_from([*KINDS, *["boolean"] * 4, "number", "money"]))
    source = draw(st.one_of(sources(kind, 3), perhaps(kind, 2)))
    assume(check(source, SCOPE, None).term is not None)
    return source


# Records.


@dataclass(frozen=True)
class Record:
    """One record with what belongs to it, and what the caller sends."""

    values: dict[str, Any]
    lines: list[dict[str, Any]]

    def environment(self, process: dict[str, Any]) -> Environment:
        return Environment({**self.values, **process}, NOW, {"lines": self.lines})


def records(count: int, seed: int = 7) -> list[Record]:
    """Records with values at the edges of their types."""
    chance = random.Random(seed)
    return [_record(chance) for _ in range(count)]


def process(seed: int) -> dict[str, Any]:
    """What `input` and `user` hold."""
    chance = random.Random(seed)
    values = {f"input.{name}": _some(chance, type) for name, type in SCOPE.input.items()}
    values["user.id"] = UUID(chance.choice(KEYS))
    values["user.role"] = chance.choice(["admin", "clerk"])
    return values


def _record(chance: random.Random) -> Record:
    thing = SCOPE.shapes["Thing"]
    values = {name: _some(chance, type) for name, type in thing.fields.items()}
    values |= dict.fromkeys(("owner", "owner.name", "owner.credit", "owner.home.name"))
    values["owner.home"] = None
    if chance.random() < 0.7:
        values["owner"] = UUID(int=chance.getrandbits(128), version=4)
        values["owner.home"] = UUID(int=chance.getrandbits(128), version=4)
        values["owner.name"] = chance.choice(WORDS)
        values["owner.home.name"] = chance.choice(WORDS)
        values["owner.credit"] = _some(chance, SAR.optional)
    line = SCOPE.shapes["Line"].fields
    lines = [
        {name: _some(chance, type) for name, type in line.items()}
        for _ in range(chance.choice([0, 0, 1, 3]))
    ]
    return Record(values, lines)


def _some(chance: random.Random, type: Type) -> Any:
    if type.nullable and chance.random() < 0.4:
        return None
    kind = type.kind.value
    if kind == "number" and not type.decimal:
        fitting = [n for n in (*NUMBERS, 150) if type.low <= n <= type.high]
        return chance.choice([*fitting, chance.randint(int(type.low), int(type.high))])
    if kind == "number":
        step = Decimal(1).scaleb(-type.scale)
        most = int(type.high * 10**type.scale)
        units = chance.choice([0, 1, -1, 5, 50, 15, most, -most, chance.randint(-most, most)])
        return (units * step).quantize(step)
    return {
        "text": lambda: chance.choice(WORDS),
        "boolean": lambda: chance.random() < 0.5,
        "enum": lambda: chance.choice(sorted(type.members or ())),
        "date": lambda: dt.date.fromisoformat(chance.choice(DAYS)),
        "time": lambda: dt.time.fromisoformat(chance.choice(TIMES)),
        "instant": lambda: dt.datetime.fromisoformat(chance.choice(MOMENTS)).astimezone(dt.UTC),
        "uuid": lambda: UUID(chance.choice(KEYS)),
    }[kind]()


# The modules that printed source needs, as a generated platform has them.

_PROJECT = Path(__file__).parents[3] / "engine/forge/targets/fastapi/templates/project/app"


def _module(name: str, source: str, **given: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(given)
    exec(compile(source, name, "exec"), vars(module))
    return module


values = _module("values", runtime("values.py"))
column_types = _module("column_types", (_PROJECT / "column_types.py.jinja").read_text("utf-8"))


class Moment(column_types.UtcDateTime):  # type: ignore[name-defined, misc]
    """An instant on MariaDB as well, which keeps no offset and rounds to seconds by itself."""

    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        kind = mysql.DATETIME(fsp=6) if dialect.name == "mariadb" else sa.DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        moment = super().process_bind_param(value, dialect)
        return moment.replace(tzinfo=None) if moment and dialect.name == "mariadb" else moment

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        moment = super().process_result_value(value, dialect)
        return moment.replace(tzinfo=dt.UTC) if moment and dialect.name == "mariadb" else moment


_queries = runtime("queries.py")
for _line in ("from app import values\n", "from app.column_types import UtcDateTime\n"):
    assert _line in _queries
    _queries = _queries.replace(_line, "")
queries = _module("queries", _queries, values=values, UtcDateTime=Moment)


class Base(DeclarativeBase):
    pass


def _column(type: Type) -> Any:
    kinds = {
        "text": sa.String(8), "boolean": sa.Boolean(), "enum": sa.String(40), "date": sa.Date(),
        "time": sa.Time(), "instant": Moment(), "uuid": sa.Uuid(),
    }  # fmt: skip
    kind = kinds.get(type.kind.value)
    if type.kind.value == "number":
        whole = type.high * 10**type.scale
        exact = column_types.ExactDecimal(len(str(int(whole))), type.scale)
        kind = exact if type.decimal else sa.BigInteger()
    return mapped_column(kind, nullable=type.nullable)


def _mapped(name: str, columns: dict[str, Any]) -> Any:
    body = {"__tablename__": name.lower(), "id": mapped_column(sa.Integer, primary_key=True)}
    annotations = dict.fromkeys(columns, Mapped[Any])
    return type(name, (Base,), {**body, **columns, "__annotations__": annotations})


Thing = _mapped(
    "Thing",
    {
        **{name: _column(type) for name, type in SCOPE.shapes["Thing"].fields.items()},
        "owner_id": mapped_column(sa.Uuid(), nullable=True),
    },
)
Owner = _mapped(
    "Owner",
    {
        "ref": mapped_column(sa.Uuid()),
        "name": _column(TEXT),
        "credit": _column(SAR.optional),
        "home_id": mapped_column(sa.Uuid()),
    },
)
City = _mapped("City", {"ref": mapped_column(sa.Uuid()), "name": _column(TEXT)})
Line = _mapped(
    "Line",
    {
        "thing_id": mapped_column(sa.Integer),
        **{name: _column(type) for name, type in SCOPE.shapes["Line"].fields.items()},
    },
)


def _query_name(path: tuple[str, ...]) -> str:
    if path[0] in ("input", "user"):
        return ".".join(path)
    if path == ("owner",):
        return "Thing.owner_id"
    if path == ("owner", "home", "name"):
        joined = "sa.select(City.name).join(Owner, Owner.home_id == City.ref)"
        return f"{joined}.where(Owner.ref == Thing.owner_id).scalar_subquery()"
    if path[0] == "owner":
        column = "home_id" if path[1] == "home" else path[1]
        chosen = f"sa.select(Owner.{column}).where(Owner.ref == Thing.owner_id)"
        return f"{chosen}.scalar_subquery()"
    return f"Thing.{path[0]}"


QUERY_NAMES = Names(_query_name, lambda relation: "Line, Line.thing_id == Thing.id")


def inserts(rows: list[Record]) -> list[tuple[Any, list[dict[str, Any]]]]:
    """The rows of each table that hold the records, numbered from 0."""
    fields = SCOPE.shapes["Thing"].fields
    things, owners, cities, lines = [], [], [], []
    for id, record in enumerate(rows):
        things.append(
            {"id": id, "owner_id": record.values["owner"]}
            | {name: record.values[name] for name in fields}
        )
        if record.values["owner"] is not None:
            home = record.values["owner.home"]
            owners.append(
                {"ref": record.values["owner"], "name": record.values["owner.name"],
                 "credit": record.values["owner.credit"], "home_id": home}
            )  # fmt: skip
            cities.append({"ref": home, "name": record.values["owner.home.name"]})
        lines += [{"thing_id": id, **line} for line in record.lines]
    return [(Thing, things), (Owner, owners), (City, cities), (Line, lines)]


def namespace(process: dict[str, Any]) -> dict[str, Any]:
    """What printed Python and SQLAlchemy source reads."""
    by_root: dict[str, dict[str, Any]] = {"input": {}, "user": {}}
    for path, value in process.items():
        root, _, name = path.partition(".")
        by_root[root][name] = value
    roots = {root: types.SimpleNamespace(**found) for root, found in by_root.items()}
    mine = {"sa": sa, "q": queries, "dt": dt, "Decimal": Decimal, "UUID": UUID, "now": NOW}
    tables = {"Thing": Thing, "Owner": Owner, "City": City, "Line": Line}
    return {**vars(values), **mine, **tables, **roots, "today": NOW.date()}


def as_object(record: Record) -> Any:
    """The record as plain Python attributes."""
    fields = {name: record.values[name] for name in SCOPE.shapes["Thing"].fields}
    owner = None
    if record.values["owner"] is not None:
        home = types.SimpleNamespace(name=record.values["owner.home.name"])
        owner = types.SimpleNamespace(
            name=record.values["owner.name"], credit=record.values["owner.credit"], home=home
        )
    lines = [types.SimpleNamespace(**line) for line in record.lines]
    return types.SimpleNamespace(
        **fields, owner=owner, owner_id=record.values["owner"], lines=lines
    )


def python_name(path: tuple[str, ...]) -> str:
    """The id of a to-one relation is an attribute of its own."""
    if path == ("owner",):
        return "record.owner_id"
    source = ".".join(path) if path[0] in ("input", "user") else f"record.{'.'.join(path)}"
    return f"(None if record.owner is None else {source})" if path[0] == "owner" else source
