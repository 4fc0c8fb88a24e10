"""The catalogue of the schema is linted, and the lint is shown to see each breach."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.integration.catalogue import LAWS, violations


@pytest.fixture
async def admin(postgres: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """An administrator inside a transaction that is rolled back."""
    connection = await asyncpg.connect(postgres.admin_url.rpartition("/")[0] + "/webnova")
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def test_nothing_stands_against_the_walls(admin: asyncpg.Connection) -> None:
    assert await violations(admin) == set()


NEW = "CREATE TABLE webnova.fresh (tenant_id text NOT NULL, id text NOT NULL);"
OWNED = NEW + "ALTER TABLE webnova.fresh OWNER TO webnova_owner;"
BREACHES = [
    (OWNED, "no row security", "fresh"),
    (OWNED, "row security not forced", "fresh"),
    (OWNED, "no policy", "fresh"),
    (NEW, "owned by another role", "fresh"),
    ("CREATE TABLE webnova.fresh (tenant_id text)", "no tenant", "fresh"),
    ("CREATE TABLE webnova.fresh (id text)", "no tenant", "fresh"),
    ("ALTER TABLE webnova.blobs DISABLE ROW LEVEL SECURITY", "no row security", "blobs"),
    ("ALTER TABLE webnova.blobs NO FORCE ROW LEVEL SECURITY", "row security not forced", "blobs"),
    (
        "ALTER TABLE webnova.events_default DISABLE ROW LEVEL SECURITY",
        *("no row security", "events_default"),
    ),
    (
        "CREATE TABLE webnova.events_1999 PARTITION OF webnova.events"
        " FOR VALUES FROM ('1999-01-01') TO ('1999-02-01')",
        *("no row security", "events_1999"),
    ),
    (
        "CREATE POLICY mine ON webnova.events_default TO webnova_app USING (true)",
        *("policy of a partition", "mine"),
    ),
    (
        "GRANT SELECT ON webnova.events_default TO webnova_app",
        *("granted what nobody may reach", "events_default SELECT webnova_app"),
    ),
    ("DROP POLICY blobs_of_tenant ON webnova.blobs", "no policy", "blobs"),
    (
        "ALTER POLICY blobs_of_tenant ON webnova.blobs USING (true)",
        *("policy shows others", "blobs_of_tenant"),
    ),
    (
        "ALTER POLICY blobs_of_tenant ON webnova.blobs WITH CHECK (true)",
        *("policy takes others", "blobs_of_tenant"),
    ),
    (
        "CREATE POLICY also ON webnova.blobs TO webnova_app USING (true)",
        *("policy shows others", "also"),
    ),
    ("CREATE POLICY also ON webnova.blobs USING (true)", "policy for others", "also"),
    (
        "CREATE POLICY also ON webnova.blobs TO webnova_worker USING (true)",
        *("undeclared policy", "also"),
    ),
    ("DROP POLICY work_of_all ON webnova.work", "exception without a policy", "work_of_all"),
    ("DROP TABLE webnova.alembic_version", "exception without a table", "alembic_version"),
    (
        "DROP FUNCTION webnova.append_alone",
        *("exception without a function", "append_alone"),
    ),
    (
        "CREATE VIEW webnova.all_events AS SELECT * FROM webnova.events",
        *("view with its owner's rights", "all_events"),
    ),
    (
        "CREATE VIEW webnova.v WITH (security_invoker = false) AS SELECT 1",
        *("view with its owner's rights", "v"),
    ),
    (
        "CREATE MATERIALIZED VIEW webnova.counted AS SELECT count(*) FROM webnova.events",
        *("materialised view", "counted"),
    ),
    (
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
        "CREATE FOREIGN TABLE webnova.away (tenant_id text NOT NULL) SERVER s",
        *("foreign table", "away"),
    ),
    (
        "CREATE RULE twice AS ON INSERT TO webnova.blobs DO ALSO SELECT 1",
        *("rewrite rule", "blobs"),
    ),
    (
        "CREATE FUNCTION webnova.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        " SET search_path = pg_catalog RETURN 1",
        *("function with its owner's rights", "f"),
    ),
    (
        "CREATE FUNCTION webnova.f() RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
        *("search path of the caller", "f"),
    ),
    (
        "CREATE FUNCTION webnova.f() RETURNS bigint LANGUAGE sql RETURN 1",
        *("function open to all", "f"),
    ),
    (
        "GRANT EXECUTE ON FUNCTION webnova.make_event_partitions TO PUBLIC",
        *("function open to all", "make_event_partitions"),
    ),
    (
        "ALTER TABLE webnova.blobs ADD CONSTRAINT one UNIQUE (digest)",
        *("unique across tenants", "webnova.one"),
    ),
    (
        "CREATE UNIQUE INDEX one ON webnova.blobs (digest) INCLUDE (tenant_id)",
        *("unique across tenants", "webnova.one"),
    ),
    (
        "ALTER TABLE webnova.blobs ADD CONSTRAINT one EXCLUDE (digest WITH =)",
        *("unique across tenants", "webnova.one"),
    ),
    (
        "CREATE UNIQUE INDEX one ON webnova.event_ids (event_id);"
        "ALTER TABLE webnova.log_leaves ADD CONSTRAINT far FOREIGN KEY (event_id)"
        " REFERENCES webnova.event_ids (event_id)",
        *("reference across tenants", "far"),
    ),
    (
        "ALTER TABLE webnova.log_leaves ADD CONSTRAINT crossed FOREIGN KEY (kind, event_id)"
        " REFERENCES webnova.event_ids (tenant_id, event_id) NOT VALID",
        *("reference across tenants", "crossed"),
    ),
    (
        "GRANT SELECT ON SEQUENCE webnova.event_position TO webnova_app",
        *("sequence can be read or set", "event_position SELECT webnova_app"),
    ),
    ("GRANT SELECT ON webnova.events TO PUBLIC", "granted to others", "events SELECT public"),
    (
        "GRANT TRUNCATE ON webnova.blobs TO webnova_app",
        *("granted more than rows", "blobs TRUNCATE webnova_app"),
    ),
    (
        "GRANT SELECT ON webnova.alembic_version TO webnova_app",
        *("granted what nobody may reach", "alembic_version SELECT webnova_app"),
    ),
    (
        "CREATE TABLE public.aside (a int); GRANT SELECT ON public.aside TO webnova_app",
        *("granted outside the schema", "aside SELECT webnova_app"),
    ),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA webnova GRANT SELECT ON TABLES TO webnova_app",
        *("granted by default", "r"),
    ),
    ("GRANT SELECT (data) ON webnova.events TO webnova_worker", "worker sees more", "events"),
    ("GRANT SELECT (content) ON webnova.blobs TO webnova_worker", "worker sees more", "blobs"),
    ("GRANT DELETE ON webnova.work TO webnova_worker", "worker sees more", "work"),
    (
        "REVOKE SELECT (xid) ON webnova.events FROM webnova_worker",
        *("worker sees less than declared", "events"),
    ),
    ("ALTER ROLE webnova_app SUPERUSER", "role too mighty", "webnova_app"),
    ("ALTER ROLE webnova_app BYPASSRLS", "role too mighty", "webnova_app"),
    ("ALTER ROLE webnova_owner BYPASSRLS", "role too mighty", "webnova_owner"),
    ("GRANT webnova_owner TO webnova_app", "role is a member", "webnova_app"),
    ("GRANT pg_read_all_data TO webnova_worker", "role is a member", "webnova_worker"),
    ("ALTER TABLE webnova.blobs OWNER TO webnova_app", "role owns", "webnova_app"),
    ("GRANT CREATE ON SCHEMA public TO webnova_app", "role may create", "webnova_app"),
    ("GRANT TEMPORARY ON DATABASE webnova TO PUBLIC", "role may create", "webnova_app"),
]


@pytest.mark.parametrize(
    ("statements", "law", "name"), BREACHES, ids=[f"{each[1]}: {each[0][:60]}" for each in BREACHES]
)
async def test_each_breach_is_found(
    admin: asyncpg.Connection, statements: str, law: str, name: str
) -> None:
    # What other tests have left must not keep a breach from being made.
    await admin.execute("TRUNCATE webnova.blobs, webnova.event_ids, webnova.log_leaves")
    await admin.execute(statements)
    found = await violations(admin)
    assert any(each.law == law and each.object.startswith(name) for each in found), found


def test_each_law_has_been_seen_broken() -> None:
    assert {law for _, law, _ in BREACHES} == LAWS
