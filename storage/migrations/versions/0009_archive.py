"""What stands in for events that were archived and dropped."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE webnova.document_bases (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    fold smallint NOT NULL,
    month text NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
)
--;
ALTER TABLE webnova.document_bases ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.document_bases FORCE ROW LEVEL SECURITY
--;
CREATE POLICY document_bases_of_tenant ON webnova.document_bases TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
GRANT SELECT, INSERT, UPDATE ON webnova.document_bases TO webnova_app
--;
-- Which leaves of the log lie in the archive of which month: months may meet within a few leaves.
CREATE TABLE webnova.archived_months (
    tenant_id text NOT NULL,
    month text NOT NULL,
    first_leaf bigint NOT NULL,
    last_leaf bigint NOT NULL,
    events bigint NOT NULL CHECK (events > 0),
    PRIMARY KEY (tenant_id, month)
)
--;
ALTER TABLE webnova.archived_months ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.archived_months FORCE ROW LEVEL SECURITY
--;
CREATE POLICY archived_months_of_tenant ON webnova.archived_months TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
GRANT SELECT, INSERT, UPDATE ON webnova.archived_months TO webnova_app
"""


ERASED = """
GRANT SELECT, DELETE ON webnova.{table} TO webnova_eraser
--;
CREATE POLICY {table}_erased ON webnova.{table} TO webnova_eraser
    USING (tenant_id = (SELECT webnova.current_tenant()) AND EXISTS (
        SELECT FROM webnova.deletions d WHERE d.tenant_id = (SELECT webnova.current_tenant())))
    WITH CHECK (false)
"""


def upgrade() -> None:
    erased = [ERASED.format(table=table) for table in ("document_bases", "archived_months")]
    # The driver prepares every statement, and only one can be prepared at a time.
    for script in (SCRIPT, *erased):
        for statement in script.split("\n--;\n"):
            op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("bases stand in for events and are never dropped; restore a backup instead")
