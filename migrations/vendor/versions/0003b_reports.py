"""Reports find an hour's usage, and the movements of money that are no captures, without a scan."""

from alembic import op
from sqlalchemy import text

revision = "0003b"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_usage_rollup_hour", "usage_rollup", ["hour"])
    op.create_index(
        "ix_ledger_txn_not_capture",
        "ledger_txn",
        ["account_id", "created_at"],
        sqlite_where=text("kind <> 'capture'"),
        postgresql_where=text("kind <> 'capture'"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_ledger_txn_not_capture", "ledger_txn")
    op.drop_index("ix_usage_rollup_hour", "usage_rollup")
