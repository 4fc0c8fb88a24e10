"""How far a tenant that is a witness has seen others' logs."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCRIPT = """
CREATE TABLE webnova.witnessed_logs (
    tenant_id text NOT NULL,
    origin text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    -- The last checkpoint that was cosigned; null only inside the transaction of the first.
    note text,
    cosigned_at timestamptz,
    CHECK ((note IS NULL) = (cosigned_at IS NULL)),
    PRIMARY KEY (tenant_id, origin)
)
--;
ALTER TABLE webnova.witnessed_logs ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.witnessed_logs FORCE ROW LEVEL SECURITY
--;
CREATE POLICY witnessed_logs_of_tenant ON webnova.witnessed_logs TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
-- What was seen can't be forgotten: there is no DELETE.
GRANT SELECT, INSERT, UPDATE (size, root, note, cosigned_at) ON webnova.witnessed_logs
    TO webnova_app
--;
GRANT SELECT, DELETE ON webnova.witnessed_logs TO webnova_eraser
--;
CREATE POLICY witnessed_logs_erased ON webnova.witnessed_logs TO webnova_eraser
    USING (tenant_id = (SELECT webnova.current_tenant()) AND EXISTS (
        SELECT FROM webnova.deletions d WHERE d.tenant_id = (SELECT webnova.current_tenant())))
    WITH CHECK (false)
"""


def upgrade() -> None:
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in SCRIPT.split("\n--;\n"):
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("a witness that forgets what it saw can be shown another history")
