"""Two tenants in every table, and every way in which one could reach the other's rows.

What is tried, and on which tables, comes from the catalogue: a new table is tried without a change
here. The trying happens inside the open transaction of an administrator, who takes the roles' place
with `SET ROLE`, so that a wall that was mutated in the same transaction is seen mutated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg

from engine.conductor.requests import CreatePlatform
from engine.kernel.contracts import Call, Event
from engine.ledger.metering.budgets import ReserveBudget, SetBudget
from engine.ledger.metering.prices import PublishPrices
from engine.ledger.metering.rating import RateUsage
from engine.ledger.metering.usage import RecordUsage
from engine.ledger.streams import Append, NewEvent, Origin
from tests.integration.catalogue import ROOT_DECIDES
from tests.integration.conftest import execute, owner
from webnova.compose import Installation

ORIGIN = Origin(caller="token:test", command="Test")
PLAIN = {
    "text": "'x'",
    "integer": "1",
    "bigint": "1",
    "smallint": "1",
    "numeric": "1",
    "boolean": "true",
    "jsonb": "'{}'",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
    "date": "now()",
    "bytea": "decode(repeat('00', 32), 'hex')",
    "bytea[]": "'{}'",
    "text[]": "'{}'",
    "xid8": "pg_current_xact_id()",
}
"""For each type of column some value, to fill tables that nothing else has filled."""

TABLES = """
SELECT c.relname AS name, c.relispartition AS part,
    pg_get_expr(c.relpartbound, c.oid) AS bound,
    ARRAY(SELECT polname::text FROM pg_policy p WHERE p.polrelid = c.oid
          AND 'webnova_app'::regrole::oid = ANY(p.polroles)) AS policies,
    ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0
          AND NOT attisdropped AND attgenerated = ''
          AND has_column_privilege('webnova_app', c.oid, attnum, 'INSERT')
          ORDER BY attnum) AS taken,
    ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0
          AND NOT attisdropped AND attgenerated = ''
          AND has_column_privilege('webnova_app', c.oid, attnum, 'UPDATE')
          ORDER BY attnum) AS changed,
    ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0
          AND NOT attisdropped AND attgenerated = '' ORDER BY attnum) AS written,
    ARRAY(SELECT attname::text || ':' || format_type(atttypid, NULL) FROM pg_attribute a
          WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND NOT atthasdef
          AND attnotnull AND attname <> 'tenant_id' ORDER BY attnum) AS needed
FROM pg_class c WHERE c.relnamespace = 'webnova'::regnamespace AND c.relkind IN ('r', 'p')
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND attname = 'tenant_id')
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    part: bool
    bound: str | None
    policies: list[str]
    taken: list[str]
    changed: list[str]
    written: list[str]
    needed: list[str]


@dataclass(frozen=True, slots=True)
class Crossing:
    """A table, what was tried on it, and what came of it."""

    table: str
    tried: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Who tries, and whose rows are tried for."""

    us: str
    them: str


class Noted(Event):
    type = "note.noted"
    by: str


async def inhabit(installation: Installation, tenant: str) -> str:
    """Let the tenant use everything that keeps rows; returns the digest of its blob."""
    now = datetime.now(UTC)
    await execute(
        installation, tenant, CreatePlatform(name="shop", description="x"), key=f"key-{tenant}"
    )
    async with installation.transactions.writing(
        Call(CreatePlatform(name="shop"), owner(tenant), tenant)
    ) as tx:
        digest = await tx.put_blob(f"only for {tenant}".encode())
    named = NewEvent(Noted(by=tenant), uuid4())
    await installation.streams.append(tenant, [Append("note", "a", [named])], ORIGIN)
    await execute(
        installation,
        tenant,
        PublishPrices.model_validate(
            {
                "region": "default",
                "currency": "SAR",
                "valid_from": now - timedelta(days=1),
                "prices": {"builds": [{"unit_price": "1"}]},
            }
        ),
    )
    for meter in ("builds", "compute_seconds"):
        event = {"id": meter, "source": "test", "meter": meter, "quantity": "1", "occurred_at": now}
        await execute(installation, tenant, RecordUsage.model_validate({"events": [event]}))
    await execute(installation, tenant, RateUsage())
    name = f"cap-{tenant}"
    budget = {"name": name, "limit": "10", "currency": "SAR"}
    await execute(installation, tenant, SetBudget.model_validate(budget))
    await execute(installation, tenant, ReserveBudget(budget=name, amount=Decimal(1)))
    await installation.logs.sequence(tenant, 1000)
    return digest


async def tables(connection: asyncpg.Connection) -> list[Table]:
    """Every table of tenants and every partition."""
    rows = await connection.fetch(TABLES)
    return [Table(**dict(row)) for row in rows if row["name"] not in ROOT_DECIDES]


async def furnish(connection: asyncpg.Connection, found: Sequence[Table], pair: Pair) -> None:
    """Give both tenants a row in each table that has none of theirs."""
    await connection.execute("SET session_replication_role = replica")
    for table in found:
        for tenant in (pair.us, pair.them):
            held = f"SELECT EXISTS (SELECT FROM webnova.{table.name} WHERE tenant_id = $1)"
            if await connection.fetchval(held, tenant):
                continue
            if table.part:
                names = ", ".join(table.written)
                read = ", ".join(f"r.{each}" for each in table.written)
                await connection.execute(
                    f"INSERT INTO webnova.events ({names}) SELECT {read} FROM webnova.events e,"
                    " jsonb_populate_record(NULL::webnova.events, to_jsonb(e) || $2) r"
                    " WHERE e.tenant_id = $1 LIMIT 1",
                    *(tenant, json.dumps({"at": _first_instant(table), "event_id": str(uuid4())})),
                )
            else:
                needed = [each.split(":") for each in table.needed]
                into = ", ".join(["tenant_id", *(name for name, _ in needed)])
                values = ", ".join(["$1", *(PLAIN[kind] for _, kind in needed)])
                await connection.execute(
                    f"INSERT INTO webnova.{table.name} ({into}) SELECT {values}", tenant
                )
            assert await connection.fetchval(held, tenant), table.name
    await connection.execute("RESET session_replication_role")


def _first_instant(table: Table) -> str:
    """An instant that the partition holds; the default one holds what is long past."""
    match = re.search(r"FROM \('(.+?)'\)", table.bound or "")
    return match[1] if match else "1990-01-01T00:00:00Z"


async def _try(
    connection: asyncpg.Connection, role: str, tenant: str, query: str, *values: object
) -> str:
    """What the role gets in the scope of the tenant: `n` rows, `walled`, `denied` or an SQLSTATE.

    Nothing of it lasts. A query that counts gives its count, any other how many rows it touched.
    """
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(f"SET LOCAL ROLE {role}")
        await connection.execute("SELECT set_config('webnova.tenant', $1, true)", tenant)
        if query.startswith("SELECT"):
            return str(await connection.fetchval(query, *values))
        return str((await connection.execute(query, *values)).split()[-1])
    except asyncpg.InsufficientPrivilegeError as error:
        return "walled" if "row-level security" in str(error) else "denied"
    except asyncpg.PostgresError as error:
        return str(error.sqlstate)
    finally:
        await attempt.rollback()


async def crossings(
    connection: asyncpg.Connection, found: Sequence[Table], pair: Pair
) -> set[Crossing]:
    """Everything on these tables that crosses between the tenants, or hides a tenant's own rows.

    Both tenants must have rows in each of them (`furnish`).
    """
    crossed = set()
    for table in found:
        held = f"SELECT count(*) FROM webnova.{table.name} WHERE tenant_id = $1"
        own = str(await connection.fetchval(held, pair.us))
        theirs = await connection.fetchval(
            f"SELECT to_jsonb(t)::text FROM webnova.{table.name} t WHERE tenant_id = $1 LIMIT 1",
            pair.them,
        )
        assert own != "0" and theirs is not None, f"{table.name} has no rows to try for"
        for tried, role, tenant, query, values, sound in _attempts(table, pair, own, theirs):
            outcome = await _try(connection, role, tenant, query, *values)
            if outcome not in sound:
                crossed.add(Crossing(table.name, tried, outcome))
    return crossed


Attempt = tuple[str, str, str, str, tuple[object, ...], set[str]]
"""Name, role, tenant, query, its values, and the outcomes that are sound."""


def _attempts(table: Table, pair: Pair, own: str, theirs: str) -> Iterator[Attempt]:
    name, app, us, them = f"webnova.{table.name}", "webnova_app", pair.us, pair.them
    mine = {"denied"} if table.part else {own}
    none = {"denied"} if table.part else {"0", "denied"}
    all_of = f"SELECT count(*) FROM {name}"
    yield "see one's own", app, us, f"{all_of} WHERE tenant_id = $1", (us,), mine
    yield "see others", app, us, f"{all_of} WHERE tenant_id <> $1", (us,), none
    yield "see without a tenant", app, "", all_of, (), none
    yield "see as the owner", "webnova_owner", us, all_of, (), {"0"}
    put = f"INSERT INTO {name} ({{0}}) SELECT {{0}} FROM jsonb_populate_record(NULL::{name}, $1)"
    columns = ", ".join(table.taken) or "tenant_id"
    refused = {"denied"} if table.part else {"walled", "denied"}
    yield "put in for others", app, us, put.format(columns), (theirs,), refused
    yield "put in without a tenant", app, "", put.format(columns), (theirs,), refused
    yield "delete of others", app, us, f"DELETE FROM {name} WHERE tenant_id = $1", (them,), none
    column = next(iter(table.changed), "tenant_id")
    change = f"UPDATE {name} SET {column} = {column} WHERE tenant_id = $1"
    yield "change of others", app, us, change, (them,), none
    give = f"UPDATE {name} SET tenant_id = $2 WHERE tenant_id = $1"
    yield "give away", app, us, give, (us, them), refused
    yield "take over", app, us, give, (them, us), none


def mutations(table: Table) -> Iterator[str]:
    """Every way to weaken the wall around the table, as a statement."""
    name = f"webnova.{table.name}"
    yield f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"
    if table.part:
        yield f"GRANT SELECT ON {name} TO webnova_app"
        yield f"GRANT INSERT ON {name} TO webnova_app"
    for policy in table.policies:
        yield f"DROP POLICY {policy} ON {name}"
        yield f"ALTER POLICY {policy} ON {name} USING (true)"
        yield f"ALTER POLICY {policy} ON {name} WITH CHECK (true)"
