"""What the archive of a month was when its events were dropped, for the tenant to see."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Null where a month was dropped before these were kept.
SCRIPT = """
ALTER TABLE webnova.archived_months
    ADD COLUMN log_size bigint,
    ADD COLUMN log_root text,
    ADD COLUMN bytes bigint,
    ADD COLUMN sha256 text,
    ADD COLUMN verified_at timestamptz
"""


def upgrade() -> None:
    op.execute(SCRIPT)


def downgrade() -> None:
    raise RuntimeError("what is known of archives is never dropped; restore a backup instead")
