"""A tenant sees that it was deleted, so that its tokens are refused while its rows are going."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE POLICY deletions_of_tenant ON webnova.deletions FOR SELECT TO webnova_app"
        " USING (tenant_id = (SELECT webnova.current_tenant()))"
    )


def downgrade() -> None:
    op.execute("DROP POLICY deletions_of_tenant ON webnova.deletions")
