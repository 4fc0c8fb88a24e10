"""Events, documents, idempotency, durable work and blobs, each walled per tenant."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TENANT_TABLES = ("events", "documents", "idempotency", "work", "blobs")

SCHEMA = """
-- The setting is '' after a transaction that used SET LOCAL, hence nullif.
CREATE FUNCTION webnova.current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('webnova.tenant', true), '');

CREATE TABLE webnova.events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
    UNIQUE (tenant_id, kind, id, version),
    UNIQUE (tenant_id, event_id)
);
CREATE INDEX events_in_reading_order ON webnova.events (tenant_id, xid, position);

CREATE TABLE webnova.documents (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    data jsonb NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);
CREATE INDEX documents_by_platform
    ON webnova.documents (tenant_id, kind, (data ->> 'platform'), id);

CREATE TABLE webnova.idempotency (
    tenant_id text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    answer jsonb,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE webnova.work (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    due_at timestamptz NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    owner text,
    leased_until timestamptz,
    PRIMARY KEY (tenant_id, kind, id)
);
CREATE INDEX work_by_due ON webnova.work (due_at);

CREATE TABLE webnova.blobs (
    tenant_id text NOT NULL,
    digest text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);
ALTER TABLE webnova.blobs ALTER COLUMN content SET STORAGE EXTERNAL;

GRANT USAGE ON SCHEMA webnova TO webnova_app, webnova_worker;
GRANT SELECT, INSERT ON webnova.events, webnova.blobs TO webnova_app;
GRANT SELECT, INSERT, UPDATE ON webnova.documents, webnova.idempotency TO webnova_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON webnova.work TO webnova_app;
GRANT DELETE ON webnova.documents TO webnova_app;
-- The executor sees which work is due in every tenant, and nothing of what it is about.
GRANT SELECT ON webnova.work TO webnova_worker;
GRANT UPDATE (fence, owner, leased_until) ON webnova.work TO webnova_worker;
"""

WALL = """
ALTER TABLE webnova.{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_tenant ON webnova.{table} TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()));
"""


def upgrade() -> None:
    script = SCHEMA + "".join(WALL.format(table=table) for table in TENANT_TABLES)
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(
        "CREATE POLICY work_of_all ON webnova.work TO webnova_worker USING (true) WITH CHECK (true)"
    )


def downgrade() -> None:
    raise RuntimeError("events are never dropped; restore a backup instead")
