"""Documents that know which version of the fold has made them, and fields to look them up by."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCRIPT = """
-- An index over JSON is of no use behind row-level security: see `storage.documents`.
DROP INDEX webnova.events_by_cause
--;
ALTER TABLE webnova.events ADD COLUMN cause text GENERATED ALWAYS AS (metadata ->> 'cause') STORED
--;
CREATE INDEX events_by_cause ON webnova.events (tenant_id, cause) WHERE cause IS NOT NULL
--;
DROP INDEX webnova.documents_by_platform
--;
CREATE TABLE webnova.document_fields (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    field text NOT NULL,
    text text COLLATE "C",
    number double precision,
    instant timestamptz,
    PRIMARY KEY (tenant_id, kind, id, field)
)
--;
CREATE INDEX document_fields_by_text ON webnova.document_fields
    (tenant_id, kind, field, text, id) WHERE text IS NOT NULL
--;
CREATE INDEX document_fields_by_number ON webnova.document_fields
    (tenant_id, kind, field, number, id) WHERE number IS NOT NULL
--;
CREATE INDEX document_fields_by_instant ON webnova.document_fields
    (tenant_id, kind, field, instant, id) WHERE instant IS NOT NULL
--;
ALTER TABLE webnova.document_fields ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.document_fields FORCE ROW LEVEL SECURITY
--;
CREATE POLICY document_fields_of_tenant ON webnova.document_fields TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
GRANT SELECT, INSERT, UPDATE ON webnova.document_fields TO webnova_app
--;
CREATE TABLE webnova.document_folds (
    tenant_id text NOT NULL,
    kind text NOT NULL,
    fold smallint NOT NULL,
    PRIMARY KEY (tenant_id, kind)
)
--;
ALTER TABLE webnova.document_folds ENABLE ROW LEVEL SECURITY
--;
ALTER TABLE webnova.document_folds FORCE ROW LEVEL SECURITY
--;
CREATE POLICY document_folds_of_tenant ON webnova.document_folds TO webnova_app
    USING (tenant_id = (SELECT webnova.current_tenant()))
    WITH CHECK (tenant_id = (SELECT webnova.current_tenant()))
--;
GRANT SELECT, INSERT, UPDATE ON webnova.document_folds TO webnova_app
--;
CREATE POLICY document_folds_of_all ON webnova.document_folds FOR SELECT TO webnova_worker
    USING (true)
--;
CREATE POLICY documents_kinds ON webnova.documents FOR SELECT TO webnova_worker USING (true)
--;
GRANT SELECT ON webnova.document_folds TO webnova_worker
--;
GRANT SELECT (tenant_id, kind) ON webnova.documents TO webnova_worker
"""


def upgrade() -> None:
    # The driver prepares every statement, and only one can be prepared at a time.
    for statement in SCRIPT.split("\n--;\n"):
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("documents are never dropped; restore a backup instead")
