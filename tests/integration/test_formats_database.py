"""Live databases as sources: PostgreSQL and SQLite, read and never written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from engine.forge.blueprint.checks import errors
from engine.forge.blueprint.model import FieldType, OnDelete, RelationKind
from engine.forge.formats.building.build import Imported
from engine.forge.formats.conversion import import_blueprint
from engine.kernel.errors import InvalidInput, NotFound, Unavailable
from storage.reflection import reflect
from tests.conftest import TestDatabase

SHOP = Path(__file__).parents[1] / "unit" / "forge" / "sources"
TABLES = """
CREATE TYPE order_state AS ENUM ('new', 'On Hold');
CREATE TABLE customers (
  id serial PRIMARY KEY,
  email varchar(254) NOT NULL UNIQUE,
  age integer CHECK (age >= 18 AND age < 120),
  kind text CHECK (kind IN ('person', 'company'))
);
CREATE TABLE orders (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  state order_state NOT NULL DEFAULT 'new',
  total numeric(10,2) NOT NULL DEFAULT 0,
  placed timestamptz DEFAULT now(),
  customer_id integer NOT NULL REFERENCES customers ON DELETE CASCADE,
  twin uuid UNIQUE REFERENCES orders,
  place point,
  twice numeric GENERATED ALWAYS AS (total * 2) STORED,
  took interval,
  UNIQUE NULLS NOT DISTINCT (total, customer_id)
);
CREATE TABLE tags (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "full name" char(9));
CREATE TABLE orders_tags (
  order_id uuid REFERENCES orders, tag_id bigint REFERENCES tags, PRIMARY KEY (order_id, tag_id)
);
CREATE INDEX by_total ON orders (total);
CREATE INDEX by_both ON orders (customer_id, total DESC);
CREATE INDEX by_words ON orders USING gin (to_tsvector('simple', 'x'));
CREATE INDEX by_hash ON customers USING hash (age);
CREATE INDEX by_more ON customers (kind) INCLUDE (age);
CREATE UNIQUE INDEX partly ON orders (total) WHERE total > 5;
CREATE UNIQUE INDEX lowered ON customers (lower(email));
CREATE VIEW cheap AS SELECT id FROM orders WHERE total < 5;
COMMENT ON TABLE orders IS 'الطلبات; it''s';
COMMENT ON COLUMN orders.total IS 'Sum | المجموع';
"""


@pytest.fixture
async def address(postgres: TestDatabase) -> AsyncIterator[str]:
    """A database of its own with the tables above."""
    admin = await asyncpg.connect(postgres.admin_url)
    await admin.execute("DROP DATABASE IF EXISTS imported")
    await admin.execute("CREATE DATABASE imported")
    parts = urlsplit(postgres.admin_url)
    url = urlunsplit(parts._replace(path="/imported"))
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.close()
    yield url
    await admin.execute("DROP DATABASE imported WITH (FORCE)")
    await admin.close()


async def imported(address: str) -> Imported:
    return import_blueprint(json.dumps(await reflect(address)), "database")


async def test_a_postgres_database_becomes_a_blueprint(address: str) -> None:
    found = await imported(address)
    blueprint = found.blueprint
    assert not errors(blueprint)
    assert set(blueprint.entities) == {"Customer", "Order", "Tag"}
    customer, order = blueprint.entities["Customer"], blueprint.entities["Order"]
    assert customer.fields["email"].unique and customer.fields["email"].max_length == 254
    assert (customer.fields["age"].min, customer.fields["age"].max) == (18, 119)
    assert customer.fields["kind"].type is FieldType.ENUM
    assert order.fields["state"].default == "new"
    assert list(blueprint.enums["order_state"].values) == ["new", "on_hold"]
    assert order.fields["total"].title.ar == "المجموع"
    assert order.description.ar == "الطلبات; it's"
    assert order.relations["customer"].on_delete is OnDelete.CASCADE
    assert order.relations["twin"].kind is RelationKind.ONE_TO_ONE
    assert order.relations["tags"].kind is RelationKind.MANY_TO_MANY
    told = {(each.outcome, each.kind) for each in found.report.entries}
    assert {("dropped", "index"), ("dropped", "unique index"), ("dropped", "view")} <= told
    assert order.unique == [["total", "customer"]]
    assert order.indexes == [["customer", "total"], ["total"]]
    assert customer.indexes == [["age"], ["kind"]]
    assert order.fields["took"].type is FieldType.DURATION
    reasons = {each.source: each.reason or "" for each in found.report.entries}
    assert "agrees with none" in reasons["orders (total, customer_id)"]
    assert "order within" in reasons["orders (customer_id, total)"]
    assert "hash" in reasons["customers (age)"] and "beside" in reasons["customers (kind)"]
    assert "computed from others" in reasons["orders.twice"]
    assert all(each.line is None for each in found.report.entries)


async def test_a_dump_and_its_database_give_the_same(address: str) -> None:
    alive = (await imported(address)).blueprint
    dumped = import_blueprint(TABLES, "sql", dialect="postgres").blueprint
    assert {name: set(each.fields) for name, each in alive.entities.items()} == {
        name: set(each.fields) for name, each in dumped.entities.items()
    }
    for name, entity in dumped.entities.items():
        assert alive.entities[name].relations == entity.relations
        assert alive.entities[name].fields == entity.fields


async def test_a_sqlite_file_becomes_a_blueprint_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a town.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "CREATE TABLE streets (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL UNIQUE);"
            "CREATE TABLE houses (id INTEGER PRIMARY KEY, n INTEGER DEFAULT 1,"
            " street_id INTEGER REFERENCES streets(id) ON DELETE SET NULL);"
        )
    connection.close()
    before = file.read_bytes()
    blueprint = (await imported(f"sqlite:///{file}")).blueprint
    assert blueprint.entities["Street"].fields["name"].unique
    assert blueprint.entities["House"].relations["street"].on_delete is OnDelete.SET_NULL
    assert blueprint.entities["House"].fields["n"].default == 1
    assert file.read_bytes() == before


async def test_what_can_not_be_read_is_told_without_secrets(
    postgres: TestDatabase, tmp_path: Path
) -> None:
    with pytest.raises(NotFound):
        await reflect(f"sqlite:///{tmp_path}/none.db")
    (tmp_path / "text.db").write_text("this is no database, but long enough " * 99)
    with pytest.raises(InvalidInput):
        await reflect(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(InvalidInput):
        await reflect("oracle://user:hidden@host/name")
    parts = urlsplit(postgres.admin_url)
    wrong = urlunsplit(parts._replace(netloc=f"nobody:hidden@{parts.netloc.rpartition('@')[2]}"))
    with pytest.raises(Unavailable) as caught:
        await reflect(wrong)
    assert "hidden" not in str(caught.value) and caught.value.__cause__ is None
    with pytest.raises(Unavailable):
        await reflect("mysql://user:hidden@127.0.0.1:1/name")
