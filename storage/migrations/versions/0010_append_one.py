"""An append of one event is a call without arrays, half as dear as one of many.

Who may append at which version is decided in one place for both: `webnova.advance`.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The head's row decides between concurrent writers, and is locked until the commit. See 0005 for
# who waits and who is refused.
ADVANCE = """
CREATE FUNCTION webnova.advance(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_added integer, p_at timestamptz,
    p_document jsonb, p_fold smallint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
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
        VALUES (p_tenant, p_kind, p_id, p_added, p_document, webnova.current_xid(), p_fold)
        ON CONFLICT (tenant_id, kind, id) DO UPDATE SET version = d.version + p_added,
            data = coalesce(excluded.data, d.data), xid = excluded.xid, fold = excluded.fold
        WHERE d.xid IS NULL OR d.xid <= excluded.xid
        RETURNING d.version INTO head;
    ELSIF p_expected = 0 THEN
        INSERT INTO webnova.documents (tenant_id, kind, id, version, data, xid, fold)
        VALUES (p_tenant, p_kind, p_id, p_added, p_document, webnova.current_xid(), p_fold)
        ON CONFLICT (tenant_id, kind, id) DO NOTHING RETURNING version INTO head;
    ELSE
        UPDATE webnova.documents d
        SET version = p_expected + p_added, data = p_document, xid = webnova.current_xid(),
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
    RETURN head;
END
$$
"""
APPEND = """
CREATE OR REPLACE FUNCTION webnova.append(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_event_ids uuid[], p_types text[],
    p_schema_versions smallint[], p_data text[], p_metadata jsonb, p_at timestamptz,
    p_document jsonb, p_fold smallint DEFAULT 1
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    added integer := cardinality(p_event_ids);
    head integer := webnova.advance(
        p_tenant, p_kind, p_id, p_expected, added, p_at, p_document, p_fold);
BEGIN
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
APPEND_ONE = """
CREATE FUNCTION webnova.append_one(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_event_id uuid, p_type text,
    p_schema_version smallint, p_data jsonb, p_metadata jsonb, p_at timestamptz
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    head integer;
BEGIN
    PERFORM set_config('webnova.tenant', p_tenant, true);
    head := webnova.advance(p_tenant, p_kind, p_id, p_expected, 1, p_at, NULL, 1::smallint);
    INSERT INTO webnova.events
        (tenant_id, kind, id, version, event_id, type, schema_version, data, metadata, at)
    VALUES (p_tenant, p_kind, p_id, head, p_event_id, p_type, p_schema_version, p_data, p_metadata,
        p_at);
    RETURN head;
END
$$
"""


def upgrade() -> None:
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in (ADVANCE, APPEND, APPEND_ONE):
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("events are never dropped; restore a backup instead")
