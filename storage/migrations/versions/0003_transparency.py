"""The tamper-evident log of each tenant's events: leaves, inner nodes and heads."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TENANT_TABLES = ("log_leaves", "log_nodes", "log_heads")

SCHEMA = """
CREATE TABLE webnova.log_leaves (
    tenant_id text NOT NULL,
    index bigint NOT NULL CHECK (index >= 0),
    event_id uuid NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    xid xid8 NOT NULL,
    position bigint NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (tenant_id, index),
    UNIQUE (tenant_id, event_id)
);

CREATE TABLE webnova.log_nodes (
    tenant_id text NOT NULL,
    level smallint NOT NULL CHECK (level > 0),
    index bigint NOT NULL CHECK (index >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, level, index)
);

CREATE TABLE webnova.log_heads (
    tenant_id text PRIMARY KEY,
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    frontier bytea[] NOT NULL,
    xid xid8 NOT NULL,
    position bigint NOT NULL
);

GRANT SELECT, INSERT ON webnova.log_leaves, webnova.log_nodes TO webnova_app;
GRANT SELECT, INSERT ON webnova.log_heads TO webnova_app;
GRANT UPDATE (size, root, frontier, xid, position) ON webnova.log_heads TO webnova_app;
-- The executor finds out which logs are behind: it sees where events lie, and nothing of them.
GRANT SELECT (tenant_id, xid, position) ON webnova.events, webnova.log_heads TO webnova_worker;
"""

WALL = """
ALTER TABLE webnova.{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_tenant ON webnova.{table} TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()));
"""

PLACES = """
CREATE POLICY {table}_places ON webnova.{table} FOR SELECT TO webnova_worker USING (true);
"""


def upgrade() -> None:
    script = SCHEMA + "".join(WALL.format(table=table) for table in TENANT_TABLES)
    script += "".join(PLACES.format(table=table) for table in ("events", "log_heads"))
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("a log is never dropped; restore a backup instead")
