"""Reports find what they sum without a scan; a sketch of the embedding space sold to each account."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INT64 = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Table("account", metadata, Column("id", Text, primary_key=True))  # of revision 0001

coverage_sketch = Table(
    "coverage_sketch",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("revision", Text, nullable=False),
    Column("buckets", LargeBinary, nullable=False),
    Column("vectors", INT64, nullable=False),
    Column("updated_at", INT64, nullable=False),
    PrimaryKeyConstraint("account_id", "revision"),
    sqlite_strict=True,
)


def upgrade() -> None:
    """Add the indexes and the table."""
    op.create_index("ix_usage_rollup_hour", "usage_rollup", ["hour"])
    op.create_index(
        "ix_ledger_txn_not_capture",
        "ledger_txn",
        ["created_at", "id"],
        sqlite_where=text("kind <> 'capture'"),
        postgresql_where=text("kind <> 'capture'"),
    )
    coverage_sketch.create(op.get_bind())


def downgrade() -> None:
    """Drop them."""
    coverage_sketch.drop(op.get_bind())
    op.drop_index("ix_ledger_txn_not_capture", "ledger_txn")
    op.drop_index("ix_usage_rollup_hour", "usage_rollup")
