"""The life of a tenant: suspension, the keys of the people that its data is about, deletion."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE webnova.suspensions (
    tenant_id text PRIMARY KEY CHECK (tenant_id <> 'root'),
    since timestamptz NOT NULL,
    reason text NOT NULL
);
ALTER TABLE webnova.suspensions ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.suspensions FORCE ROW LEVEL SECURITY;
-- A tenant sees that it is suspended; only the root tenant's transactions suspend and resume.
CREATE POLICY suspensions_of_tenant ON webnova.suspensions FOR SELECT TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()));
CREATE POLICY suspensions_by_root ON webnova.suspensions TO webnova_app
    USING ((SELECT webnova.current_tenant()) = 'root')
    WITH CHECK ((SELECT webnova.current_tenant()) = 'root');
CREATE POLICY suspensions_of_all ON webnova.suspensions FOR SELECT TO webnova_worker USING (true);
GRANT SELECT, INSERT, DELETE ON webnova.suspensions TO webnova_app;
-- The executor sees whose work rests, not why.
GRANT SELECT (tenant_id) ON webnova.suspensions TO webnova_worker;

-- A key is sealed by the installation's own; once it is gone the row says so for ever.
CREATE TABLE webnova.subject_keys (
    tenant_id text NOT NULL,
    subject text NOT NULL,
    key bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz CHECK (erased_at IS NULL OR key IS NULL),
    PRIMARY KEY (tenant_id, subject)
);
ALTER TABLE webnova.subject_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.subject_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY subject_keys_of_tenant ON webnova.subject_keys TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()));
GRANT SELECT, INSERT, UPDATE (key, erased_at) ON webnova.subject_keys TO webnova_app;
"""

# Root notes which tenants shall go; the database takes no note of one that is not suspended.
DELETION = """
CREATE TABLE webnova.deletions (
    tenant_id text PRIMARY KEY CHECK (tenant_id <> 'root'),
    requested_at timestamptz NOT NULL DEFAULT now(),
    purged_at timestamptz
);
ALTER TABLE webnova.deletions ENABLE ROW LEVEL SECURITY;
ALTER TABLE webnova.deletions FORCE ROW LEVEL SECURITY;
CREATE POLICY deletions_by_root ON webnova.deletions TO webnova_app
    USING ((SELECT webnova.current_tenant()) = 'root')
    WITH CHECK ((SELECT webnova.current_tenant()) = 'root' AND EXISTS (
        SELECT FROM webnova.suspensions s WHERE s.tenant_id = deletions.tenant_id));
CREATE POLICY deletions_carried_out ON webnova.deletions TO webnova_eraser
    USING (true) WITH CHECK (tenant_id = (SELECT webnova.current_tenant()));
GRANT SELECT, INSERT (tenant_id) ON webnova.deletions TO webnova_app;
GRANT USAGE ON SCHEMA webnova TO webnova_eraser;
GRANT SELECT, UPDATE (purged_at) ON webnova.deletions TO webnova_eraser;
"""

ERASABLE = (
    "events",
    "documents",
    "event_ids",
    "idempotency",
    "work",
    "blobs",
    "log_leaves",
    "log_nodes",
    "log_heads",
    "usage",
    "unrated_usage",
    "tier_counts",
    "ledger_entries",
    "ledger_postings",
    "charges",
    "budget_limits",
    "budget_periods",
    "reservations",
    "dead_letters",
    "subscriptions",
    "webhook_deliveries",
    "document_fields",
    "document_folds",
    "subject_keys",
    "suspensions",
)

# A row can't be found without being read, so the eraser sees what it may delete, and nothing else.
ERASURE = """
GRANT SELECT, DELETE ON webnova.{table} TO webnova_eraser;
CREATE POLICY {table}_erased ON webnova.{table} TO webnova_eraser
    USING (tenant_id = (SELECT webnova.current_tenant()) AND EXISTS (
        SELECT FROM webnova.deletions d WHERE d.tenant_id = (SELECT webnova.current_tenant())))
    WITH CHECK (false);
"""


def upgrade() -> None:
    # The driver prepares every statement, and only one can be prepared at a time.
    script = SCHEMA + DELETION + "".join(ERASURE.format(table=table) for table in ERASABLE)
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("what was recorded is never dropped; restore a backup instead")
