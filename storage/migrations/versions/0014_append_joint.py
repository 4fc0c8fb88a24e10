"""Appends that wait at the same time are made as one transaction.

Each costs the server a round trip, a snapshot and a commit less. Who may append at which version is
still decided by `webnova.advance`, which now also knows an answer that spoils nothing for others.
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OLD_ADVANCE = (
    "DROP FUNCTION webnova.advance"
    "(text, text, text, integer, integer, timestamptz, jsonb, smallint)"
)
ADVANCE = """
CREATE FUNCTION webnova.advance(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_added integer, p_at timestamptz,
    p_document jsonb, p_fold smallint, p_refuse boolean DEFAULT true
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
    IF head IS NOT NULL OR NOT p_refuse THEN
        RETURN head;
    END IF;
    IF EXISTS (
        SELECT FROM webnova.documents d
        WHERE d.tenant_id = p_tenant AND d.kind = p_kind AND d.id = p_id
          AND d.version = coalesce(p_expected, d.version) AND d.xid > webnova.current_xid()
    ) THEN
        RAISE EXCEPTION 'a later transaction has appended to the stream' USING ERRCODE = 'WN003';
    END IF;
    RAISE EXCEPTION 'the stream is not at version %', p_expected USING ERRCODE = 'WN001';
END
$$
"""

# One event each, for streams that differ. The new versions come back in the order given; NULL where
# nothing was appended, because the stream is elsewhere or a later transaction was there before.
# Nobody waits long for somebody else's lock here: the others of the call would wait, too.
APPEND_JOINT = """
CREATE FUNCTION webnova.append_joint(
    p_tenant text, p_kinds text[], p_ids text[], p_expected integer[], p_event_ids uuid[],
    p_types text[], p_schema_versions smallint[], p_data text[], p_metadata text[],
    p_at timestamptz[]
) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    heads integer[];
BEGIN
    PERFORM set_config('webnova.tenant', p_tenant, true), set_config('lock_timeout', '50', true);
    FOR n IN 1..cardinality(p_ids) LOOP
        heads[n] := webnova.advance(p_tenant, p_kinds[n], p_ids[n], p_expected[n], 1, p_at[n],
            NULL, 1::smallint, false);
    END LOOP;
    INSERT INTO webnova.events
        (tenant_id, kind, id, version, event_id, type, schema_version, data, metadata, at)
    SELECT p_tenant, e.kind, e.id, e.head, e.event_id, e.type, e.schema_version, e.data::jsonb,
        e.metadata::jsonb, e.at
    FROM unnest(p_kinds, p_ids, heads, p_event_ids, p_types, p_schema_versions, p_data, p_metadata,
        p_at) AS e (kind, id, head, event_id, type, schema_version, data, metadata, at)
    WHERE e.head IS NOT NULL;
    RETURN heads;
END
$$
"""


def upgrade() -> None:
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in (OLD_ADVANCE, ADVANCE, APPEND_JOINT):
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("events are never dropped; restore a backup instead")
