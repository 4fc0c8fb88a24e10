"""Durable subscriptions, their dead letters, and the deliveries of webhooks."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEPARATOR = "\n--;\n"

TENANT_TABLES = ("subscriptions", "dead_letters", "webhook_deliveries")

TABLES = """
CREATE TABLE webnova.subscriptions (
    tenant_id text NOT NULL,
    name text NOT NULL,
    slot smallint NOT NULL DEFAULT 0 CHECK (slot >= 0 AND slot < slots),
    slots smallint NOT NULL DEFAULT 1 CHECK (slots <= 64),
    xid xid8 NOT NULL,
    position bigint NOT NULL,
    fence bigint NOT NULL DEFAULT 0,
    owner text,
    leased_until timestamptz,
    event_id uuid,
    attempts integer NOT NULL DEFAULT 0,
    replay boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, name, slot)
)
--;
CREATE TABLE webnova.dead_letters (
    tenant_id text NOT NULL,
    name text NOT NULL,
    slot smallint NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version integer NOT NULL,
    xid xid8 NOT NULL,
    position bigint NOT NULL,
    type text NOT NULL,
    attempts integer NOT NULL,
    error text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    replay boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, name, event_id),
    FOREIGN KEY (tenant_id, name, slot) REFERENCES webnova.subscriptions ON DELETE CASCADE
)
--;
CREATE INDEX dead_letters_in_order ON webnova.dead_letters (tenant_id, name, slot, xid, position)
--;
CREATE INDEX dead_letters_of_stream ON webnova.dead_letters (tenant_id, name, kind, id)
--;
-- What is due has a time for it; what has arrived or was given up has none.
CREATE TABLE webnova.webhook_deliveries (
    tenant_id text NOT NULL,
    webhook text NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz DEFAULT now() CHECK ((due_at IS NOT NULL) = (state = 'pending')),
    status integer,
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    failed_at timestamptz,
    delivered_at timestamptz,
    PRIMARY KEY (tenant_id, webhook, event_id)
)
--;
CREATE INDEX webhook_deliveries_by_due ON webnova.webhook_deliveries (tenant_id, due_at)
    WHERE due_at IS NOT NULL
--;
CREATE INDEX webhook_deliveries_by_age
    ON webnova.webhook_deliveries (tenant_id, webhook, created_at, event_id)
--;
GRANT SELECT (tenant_id, due_at) ON webnova.webhook_deliveries TO webnova_worker
--;
CREATE POLICY webhook_deliveries_due ON webnova.webhook_deliveries FOR SELECT
    TO webnova_worker USING (true)
--;
GRANT SELECT, INSERT, UPDATE, DELETE
    ON webnova.subscriptions, webnova.dead_letters, webnova.webhook_deliveries TO webnova_app
--;
GRANT SELECT (tenant_id, name, slot, xid, position, fence, owner, leased_until, replay)
    ON webnova.subscriptions TO webnova_worker
--;
GRANT UPDATE (fence, owner, leased_until) ON webnova.subscriptions TO webnova_worker
"""

WALL = """
ALTER TABLE webnova.{table} ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.{table} FORCE ROW LEVEL SECURITY
--;
CREATE POLICY {table}_of_tenant ON webnova.{table} TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
"""

WORKER = (
    "CREATE POLICY subscriptions_of_all ON webnova.subscriptions TO webnova_worker"
    " USING (true) WITH CHECK (true)"
)


def upgrade() -> None:
    walls = [WALL.format(table=table) for table in TENANT_TABLES]
    for script in (TABLES, *walls, WORKER):
        # The driver prepares every statement, and only one can be prepared at a time.
        for statement in script.split(SEPARATOR):
            op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("checkpoints are never dropped; restore a backup instead")
