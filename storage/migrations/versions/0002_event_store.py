"""Events by month, one head per stream, and appending in a single statement."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEPARATOR = "\n--;\n"

TABLES = """
ALTER TABLE webnova.events RENAME TO events_before
--;
ALTER TABLE webnova.events_before NO FORCE ROW LEVEL SECURITY
--;
CREATE SEQUENCE webnova.event_position AS bigint
--;
CREATE TABLE webnova.events (
    position bigint NOT NULL DEFAULT nextval('webnova.event_position'),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    event_id uuid NOT NULL,
    type text NOT NULL,
    schema_version smallint NOT NULL,
    data jsonb NOT NULL,
    metadata jsonb NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT events_in_stream PRIMARY KEY (tenant_id, kind, id, version, at)
) PARTITION BY RANGE (at)
--;
CREATE INDEX events_by_order ON webnova.events (tenant_id, xid, position)
--;
CREATE INDEX events_by_id ON webnova.events (tenant_id, event_id)
--;
CREATE INDEX events_by_cause ON webnova.events (tenant_id, (metadata ->> 'cause'))
    WHERE metadata ? 'cause'
--;
CREATE TABLE webnova.events_default PARTITION OF webnova.events DEFAULT
--;
ALTER TABLE webnova.events_default ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.events_default FORCE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.events ENABLE ROW LEVEL SECURITY
--;
CREATE TABLE webnova.event_ids (
    tenant_id text NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, event_id)
)
--;
ALTER TABLE webnova.event_ids ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.event_ids FORCE ROW LEVEL SECURITY
--;
CREATE POLICY event_ids_of_tenant ON webnova.event_ids TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
-- A stream that is no document has a head all the same.
ALTER TABLE webnova.documents ALTER COLUMN data DROP NOT NULL
--;
REVOKE DELETE ON webnova.documents FROM webnova_app
"""

# Partitions answer to the policies of their parent when they are reached through it, and to nobody
# directly: they have none of their own and are granted to nobody.
PARTITIONS = """
CREATE FUNCTION webnova.make_event_partitions(first date, months integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', first);
    name text;
BEGIN
    FOR counted IN 1..months LOOP
        name := 'events_' || to_char(month, 'YYYY_MM');
        IF to_regclass('webnova.' || name) IS NULL THEN
            BEGIN
                EXECUTE format(
                    'CREATE TABLE webnova.%I PARTITION OF webnova.events'
                    ' FOR VALUES FROM (%L) TO (%L)',
                    name, month::timestamp AT TIME ZONE 'UTC',
                    (month + interval '1 month')::timestamp AT TIME ZONE 'UTC'
                );
                EXECUTE format('ALTER TABLE webnova.%I ENABLE ROW LEVEL SECURITY', name);
                EXECUTE format('ALTER TABLE webnova.%I FORCE ROW LEVEL SECURITY', name);
            EXCEPTION WHEN check_violation THEN
                -- The default partition holds events of this month: it goes on to hold them.
                RAISE NOTICE 'events of % stay in the default partition', month;
            END;
        END IF;
        month := month + interval '1 month';
    END LOOP;
END
$$
--;
REVOKE ALL ON FUNCTION webnova.make_event_partitions FROM PUBLIC
"""

COPY = """
SELECT webnova.make_event_partitions(
    coalesce((SELECT min(at) FROM webnova.events_before), now())::date,
    13 + (extract(year FROM age(now(), coalesce(
        (SELECT min(at) FROM webnova.events_before), now()))) * 12)::integer
       + extract(month FROM age(now(), coalesce(
        (SELECT min(at) FROM webnova.events_before), now())))::integer
)
--;
INSERT INTO webnova.events (position, xid, tenant_id, kind, id, version, event_id, type,
    schema_version, data, metadata, at)
SELECT position, xid, tenant_id, kind, id, version, event_id, type, schema_version, data, metadata,
    at FROM webnova.events_before
--;
SELECT setval('webnova.event_position',
    greatest(1, (SELECT coalesce(max(position), 0) FROM webnova.events_before)))
--;
DROP TABLE webnova.events_before
--;
ALTER TABLE webnova.events FORCE ROW LEVEL SECURITY
--;
CREATE POLICY events_of_tenant ON webnova.events TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
GRANT SELECT, INSERT ON webnova.events, webnova.event_ids TO webnova_app
--;
GRANT USAGE ON SEQUENCE webnova.event_position TO webnova_app
"""

# The head's row decides between concurrent writers: a unique index over all months can't exist.
# It is locked until the commit, so the versions of a stream have no gap.
APPEND = """
CREATE FUNCTION webnova.append(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_event_ids uuid[], p_types text[],
    p_schema_versions smallint[], p_data text[], p_metadata jsonb, p_at timestamptz,
    p_document jsonb
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    added integer := cardinality(p_event_ids);
    head integer;
BEGIN
    IF abs(extract(epoch FROM clock_timestamp() - p_at)) > 300 THEN
        RAISE EXCEPTION 'the clocks differ by more than 5 minutes' USING ERRCODE = 'WN002';
    END IF;
    IF p_expected IS NULL THEN
        INSERT INTO webnova.documents AS d (tenant_id, kind, id, version, data)
        VALUES (p_tenant, p_kind, p_id, added, p_document)
        ON CONFLICT (tenant_id, kind, id) DO UPDATE
        SET version = d.version + added, data = coalesce(excluded.data, d.data)
        RETURNING d.version INTO head;
    ELSIF p_expected = 0 THEN
        INSERT INTO webnova.documents (tenant_id, kind, id, version, data)
        VALUES (p_tenant, p_kind, p_id, added, p_document)
        ON CONFLICT (tenant_id, kind, id) DO NOTHING RETURNING version INTO head;
    ELSE
        UPDATE webnova.documents SET version = p_expected + added, data = p_document
        WHERE tenant_id = p_tenant AND kind = p_kind AND id = p_id AND version = p_expected
        RETURNING version INTO head;
    END IF;
    IF head IS NULL THEN
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
--;
CREATE FUNCTION webnova.append_alone(
    p_tenant text, p_kind text, p_id text, p_expected integer, p_event_ids uuid[], p_types text[],
    p_schema_versions smallint[], p_data text[], p_metadata jsonb, p_at timestamptz,
    p_document jsonb
) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('webnova.tenant', p_tenant, true);
    RETURN webnova.append(p_tenant, p_kind, p_id, p_expected, p_event_ids, p_types,
        p_schema_versions, p_data, p_metadata, p_at, p_document);
END
$$
"""


def upgrade() -> None:
    for script in (TABLES, PARTITIONS, COPY, APPEND):
        # The driver prepares every statement, and only one can be prepared at a time.
        for statement in script.split(SEPARATOR):
            op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("events are never dropped; restore a backup instead")
