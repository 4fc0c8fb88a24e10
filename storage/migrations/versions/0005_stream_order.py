"""The order of each stream is the order in which its events are read.

Readers go by the id of the transaction, which is drawn at its first write. A transaction that drew
its id early and appended late could stand before the events that it follows in their stream. So
each head knows which transaction appended last, and an append by an earlier one is refused.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEPARATOR = "\n--;\n"

# Transaction ids belong to one database cluster. The functions are what the rest asks instead, so
# that a database restored into another cluster can go on counting where it was
# (`storage.clusters`).
ORDER = """
CREATE FUNCTION webnova.current_xid() RETURNS xid8 LANGUAGE sql STABLE
RETURN pg_current_xact_id()
--;
CREATE FUNCTION webnova.horizon() RETURNS xid8 LANGUAGE sql STABLE
RETURN pg_snapshot_xmin(pg_current_snapshot())
--;
ALTER TABLE webnova.events ALTER COLUMN xid SET DEFAULT webnova.current_xid()
--;
DO $$
BEGIN
    EXECUTE format('CREATE FUNCTION webnova.cluster() RETURNS bigint LANGUAGE sql IMMUTABLE'
        ' RETURN (%L)::bigint', (SELECT system_identifier FROM pg_control_system()));
END
$$
"""

# Beside who appended last: which version of the fold has made the document.
HEADS = (
    "ALTER TABLE webnova.documents ADD COLUMN xid xid8, ADD COLUMN fold smallint NOT NULL DEFAULT 1"
)
OLD_APPEND = (
    "DROP FUNCTION webnova.append(text, text, text, integer, uuid[], text[], smallint[], text[],"
    " jsonb, timestamptz, jsonb)"
)

# An append at any version that begins a transaction waits for the others of the stream before the
# transaction gets its id, so that it is not too early. No row can be waited for so: locking it
# draws the id. Who has an id already waits for nobody here: nobody is waited for in a circle.
LOCK = """
CREATE FUNCTION webnova.lock_streams(p_tenant text, p_kinds text[], p_ids text[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT pg_advisory_xact_lock(s.key) FROM (
        SELECT DISTINCT hashtextextended(
            concat_ws('/', 'webnova.stream', p_tenant, k.kind, k.id), 0)
        FROM unnest(p_kinds, p_ids) AS k(kind, id)
        WHERE pg_current_xact_id_if_assigned() IS NULL
        ORDER BY 1
    ) AS s(key);
END
"""
APPEND = """
CREATE FUNCTION webnova.append(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_event_ids uuid[], p_types text[],
    p_schema_versions smallint[], p_data text[], p_metadata jsonb, p_at timestamptz,
    p_document jsonb, p_fold smallint DEFAULT 1
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    added integer := cardinality(p_event_ids);
    head integer;
    waited text;
BEGIN
    IF abs(extract(epoch FROM clock_timestamp() - p_at)) > 300 THEN
        RAISE EXCEPTION 'the clocks differ by more than 5 minutes' USING ERRCODE = 'WN002';
    END IF;
    IF p_expected IS NULL THEN
        -- As a query of its own the wait would cost a tenth of the append.
        waited := CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN
            pg_advisory_xact_lock(hashtextextended(
                concat_ws('/', 'webnova.stream', p_tenant, p_kind, p_id), 0))::text END;
        INSERT INTO webnova.documents AS d (tenant_id, kind, id, version, data, xid, fold)
        VALUES (p_tenant, p_kind, p_id, added, p_document, webnova.current_xid(), p_fold)
        ON CONFLICT (tenant_id, kind, id) DO UPDATE SET version = d.version + added,
            data = coalesce(excluded.data, d.data), xid = excluded.xid, fold = excluded.fold
        WHERE d.xid IS NULL OR d.xid <= excluded.xid
        RETURNING d.version INTO head;
    ELSIF p_expected = 0 THEN
        INSERT INTO webnova.documents (tenant_id, kind, id, version, data, xid, fold)
        VALUES (p_tenant, p_kind, p_id, added, p_document, webnova.current_xid(), p_fold)
        ON CONFLICT (tenant_id, kind, id) DO NOTHING RETURNING version INTO head;
    ELSE
        UPDATE webnova.documents d
        SET version = p_expected + added, data = p_document, xid = webnova.current_xid(),
            fold = p_fold
        WHERE d.tenant_id = p_tenant AND d.kind = p_kind AND d.id = p_id
          AND d.version = p_expected AND (d.xid IS NULL OR d.xid <= webnova.current_xid())
        RETURNING d.version INTO head;
    END IF;
    IF head IS NULL AND EXISTS (
        SELECT FROM webnova.documents d
        WHERE d.tenant_id = p_tenant AND d.kind = p_kind AND d.id = p_id
          AND d.version = coalesce(p_expected, d.version) AND d.xid > webnova.current_xid()
    ) THEN
        RAISE EXCEPTION 'a later transaction has appended to the stream' USING ERRCODE = 'WN003';
    ELSIF head IS NULL THEN
        RAISE EXCEPTION 'the stream is not at version %', p_expected USING ERRCODE = 'WN001';
    END IF;
    INSERT INTO webnova.events
        (tenant_id, kind, id, version, event_id, type, schema_version, data, metadata, at)
    SELECT p_tenant, p_kind, p_id, head - added + e.number, e.event_id, e.type, e.schema_version,
        e.data::jsonb, p_metadata, p_at
    FROM unnest(p_event_ids, p_types, p_schema_versions, p_data)
        WITH ORDINALITY AS e (event_id, type, schema_version, data, number);
    RETURN head;
END
$$
"""


def upgrade() -> None:
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in (*ORDER.split(SEPARATOR), HEADS, LOCK, OLD_APPEND, APPEND):
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("events are never dropped; restore a backup instead")
