"""A reading order that goes on when the database is restored into another cluster.

Readers go by `(xid, position)`, and transaction ids belong to one cluster of Postgres: in another
one, a restored database would find its old events ahead of the new ones, or not at all. So events
carry `current_xid()`, and readers ask for `horizon()`: the server's own numbers plus a base. When
the database finds itself in a cluster that it does not know, the base is raised past every number
that was ever given out, and cursors of readers stay good: they miss nothing and see nothing twice.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

EPOCH = 1 << 32
"""Bases are multiples of it: readers who were ahead of the backup by fewer transactions find their
cursors behind all that comes."""

HERE = text("SELECT system_identifier, webnova.cluster() FROM pg_control_system()")
HOLDERS = text(
    """
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'webnova'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND a.attname = 'xid' AND NOT a.attisdropped
    ORDER BY c.relname
    """
)
FUNCTIONS = (
    "CREATE OR REPLACE FUNCTION webnova.current_xid() RETURNS xid8 LANGUAGE sql STABLE"
    " RETURN (pg_current_xact_id()::text::bigint + {base})::text::xid8",
    "CREATE OR REPLACE FUNCTION webnova.horizon() RETURNS xid8 LANGUAGE sql STABLE"
    " RETURN (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {base})::text::xid8",
    "CREATE OR REPLACE FUNCTION webnova.cluster() RETURNS bigint LANGUAGE sql IMMUTABLE"
    " RETURN {cluster}::bigint",
)


async def adopt(connection: AsyncConnection) -> int | None:
    """Go on in the cluster that the database finds itself in, as the owner of the schema.

    Returns the new base, or None in the cluster that it knows. Must run before anything is
    appended there; the transaction is the caller's to commit.
    """
    here, known = (await connection.execute(HERE)).one()
    if here == known:
        return None
    highest = 0
    for table in (await connection.execute(HOLDERS)).scalars().all():
        # The owner, too, sees no row of a tenant while the walls stand.
        await connection.execute(text(f'ALTER TABLE webnova."{table}" NO FORCE ROW LEVEL SECURITY'))
        newest = text(
            f'SELECT xid::text FROM webnova."{table}" WHERE xid IS NOT NULL'
            " ORDER BY xid DESC LIMIT 1"
        )
        highest = max(highest, int((await connection.execute(newest)).scalar() or 0))
        await connection.execute(text(f'ALTER TABLE webnova."{table}" FORCE ROW LEVEL SECURITY'))
    base = (highest // EPOCH + 1) * EPOCH
    for function in FUNCTIONS:
        await connection.execute(text(function.format(base=base, cluster=here)))
    return base
