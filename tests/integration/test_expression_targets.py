"""Expressions on PostgreSQL and in Node.js mean what the reference evaluator says."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from engine.forge.expressions.checking import compiled
from engine.forge.expressions.evaluate import evaluate
from engine.forge.expressions.printers import Names, runtime
from engine.forge.expressions.printers.sqlalchemy import print_sqlalchemy
from engine.forge.expressions.printers.typescript import of_record, print_typescript
from engine.forge.expressions.types import Kind
from tests.unit.forge import expression_cases as cases
from webnova.stack.postgres import EmbeddedPostgres

RECORDS = cases.records(40, seed=11)
COUNT = 800


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return [*cases.AT_THE_EDGES, *cases.collected(COUNT)]


@pytest.fixture
async def connection(postgres_server: EmbeddedPostgres) -> AsyncIterator[AsyncConnection]:
    """A database with the records."""
    admin = postgres_server.admin_url.reveal()
    server = await asyncpg.connect(admin)
    await server.execute("DROP DATABASE IF EXISTS expressions")
    await server.execute("CREATE DATABASE expressions")
    await server.close()
    url = sa.make_url(admin).set(drivername="postgresql+asyncpg", database="expressions")
    engine = create_async_engine(url, connect_args={"server_settings": {"timezone": "Asia/Riyadh"}})
    sa.event.listen(engine.sync_engine, "connect", _send_dates_as_they_are)
    async with engine.connect() as opened:
        await opened.run_sync(cases.Base.metadata.create_all)
        for table, rows in cases.inserts(RECORDS):
            await opened.execute(sa.insert(table), rows)
        yield opened
    await engine.dispose()


def _send_dates_as_they_are(raw: Any, _: Any) -> None:
    """The driver would make the first and the last date infinite."""
    codec = {"encoder": dt.date.isoformat, "decoder": dt.date.fromisoformat, "format": "text"}
    raw.run_async(lambda c: c.set_type_codec("date", schema="pg_catalog", **codec))


def wanted(text: str, process: dict[str, Any]) -> list[Any]:
    term = compiled(text, cases.SCOPE, None)
    return [evaluate(term, record.environment(process)) for record in RECORDS]


async def test_postgres_agrees(connection: AsyncConnection, sources: list[str]) -> None:
    for seed, text in enumerate(sources):
        process = cases.process(seed)
        term = compiled(text, cases.SCOPE, None)
        source = print_sqlalchemy(term, cases.QUERY_NAMES)
        element = eval(source, cases.namespace(process))
        query = sa.select(cases.Thing.id, element.label("it")).order_by(cases.Thing.id)
        found = [row.it for row in await connection.execute(query)]
        assert found == wanted(text, process), (text, source)
        if term.type.kind is Kind.BOOLEAN and not term.type.nullable:
            true = await connection.scalars(sa.select(cases.Thing.id).where(element))
            expected = [id for id, value in enumerate(wanted(text, process)) if value]
            assert sorted(true) == expected, (text, source)


MARIADB = "WEBNOVA_TEST_MARIADB_URL"
"""Names a database that the test may fill, as `mariadb+pymysql://…`; its driver must be there."""


@pytest.fixture
def mariadb() -> Iterator[sa.Connection]:
    if MARIADB not in os.environ:
        pytest.skip(f"{MARIADB} names no MariaDB")
    engine = sa.create_engine(os.environ[MARIADB])
    with engine.connect() as opened:
        opened.exec_driver_sql("SET time_zone = '+03:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
        opened.exec_driver_sql("SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin")
        name = engine.url.database
        opened.exec_driver_sql(f"ALTER DATABASE {name} COLLATE utf8mb4_nopad_bin")
        cases.Base.metadata.drop_all(opened)
        cases.Base.metadata.create_all(opened)
        for table, rows in cases.inserts(RECORDS):
            opened.execute(sa.insert(table), rows)
        yield opened
    engine.dispose()


def test_mariadb_agrees(mariadb: sa.Connection, sources: list[str]) -> None:
    for seed, text in enumerate(sources):
        process = cases.process(seed)
        source = print_sqlalchemy(compiled(text, cases.SCOPE, None), cases.QUERY_NAMES)
        element = eval(source, cases.namespace(process))
        query = sa.select(cases.Thing.id, element.label("it")).order_by(cases.Thing.id)
        found = [row.it for row in mariadb.execute(query)]
        assert found == wanted(text, process), (text, source)


# Node.js.


def without_types(source: str) -> str:
    """The runtime as JavaScript: its types are all of forms that a pattern can find."""
    source = re.sub(r"^\s+readonly .*;\n", "", source, flags=re.M)
    source = re.sub(r"\bprivate ", "", source)
    source = re.sub(r"(?<=\w)<T>(?=\()", "", source)
    kind = r"[A-Za-z][\w<>\[\]]*(?: \| [A-Za-z][\w<>\[\]]*)*"
    return re.sub(rf"(?<=[\w)]): (?:Array<[^>]*>|{kind})(?=[,)]| [={{])", "", source)


def as_json(value: Any) -> Any:
    """A value as a platform's API gives it."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)


def as_record(record: cases.Record) -> dict[str, Any]:
    own = {name: as_json(value) for name, value in record.values.items() if "." not in name}
    if record.values["owner"] is not None:
        own["owner_record"] = {
            "name": as_json(record.values["owner.name"]),
            "credit": as_json(record.values["owner.credit"]),
            "home_id": as_json(record.values["owner.home"]),
            "home": {"name": as_json(record.values["owner.home.name"])},
        }
    lines = [{name: as_json(v) for name, v in line.items()} for line in record.lines]
    return {**own, "lines": lines}


def node_name(path: tuple[str, ...]) -> str:
    if path[0] != "owner" or len(path) == 1:
        return of_record(path)
    rest = "home_id" if path[1:] == ("home",) else "?.".join(path[1:])
    return f"record.owner_record?.{rest}"


def back(value: Any, kind: Kind) -> Any:
    """What Node.js printed, as the evaluator has it."""
    if value is None or isinstance(value, bool):
        return value
    if kind is Kind.NUMBER:
        return Fraction(value)
    if kind is Kind.INSTANT:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(value))
    kinds = {
        Kind.DATE: dt.date.fromisoformat,
        Kind.TIME: dt.time.fromisoformat,
        Kind.UUID: UUID,
    }
    return kinds[kind](value) if kind in kinds else value


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_node_agrees(tmp_path: Path, sources: list[str]) -> None:
    lines = []
    for seed, text in enumerate(sources):
        process = cases.process(seed)
        term = compiled(text, cases.SCOPE, None)
        names = Names(node_name, lambda relation: f"record.{relation}")
        given: dict[str, dict[str, Any]] = {"input": {}, "user": {}}
        for path, value in process.items():
            root, _, name = path.partition(".")
            given[root][name] = as_json(value)
        source = print_typescript(term, names)
        lines.append(f"[(record, input, user) => ({source}), {json.dumps(given)}],")
    exported = re.findall(r"^export (?:function|class) (\w+)", runtime("values.ts"), re.M)
    (tmp_path / "values.mjs").write_text(without_types(runtime("values.ts")))
    (tmp_path / "main.mjs").write_text(
        f"import {{ {', '.join(exported)} }} from './values.mjs';\n"
        f"const now = '{as_json(cases.NOW)}', today = '{cases.NOW.date()}';\n"
        f"const records = {json.dumps([as_record(each) for each in RECORDS])};\n"
        "const expressions = [\n" + "\n".join(lines) + "\n];\n"
        "const text = (value) => typeof value === 'bigint' ? value.toString() : value;\n"
        "console.log(JSON.stringify(expressions.map(([run, given]) =>\n"
        "  records.map((record) => text(run(record, given.input, given.user))))));\n"
    )
    run = subprocess.run(
        ["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
    for seed, (text, found) in enumerate(zip(sources, json.loads(run.stdout), strict=True)):
        kind = compiled(text, cases.SCOPE, None).type.kind
        expected = wanted(text, cases.process(seed))
        assert [back(value, kind) for value in found] == expected, (text, lines[seed])
