"""Which view of its pictures a request asks about; a request without a row here asks about files.

A table of its own: what was paid for is not rewritten for a new column.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
)

revision = "c0002"
down_revision = "c0001"
branch_labels = None
depends_on = None

metadata = MetaData(
    naming_convention={
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer, "sqlite")

journal = Table("journal", metadata, Column("id", _Id, primary_key=True))

journal_view = Table(
    "journal_view",
    metadata,
    Column("journal_id", _Id, ForeignKey(journal.c.id, ondelete="CASCADE"), primary_key=True),
    Column("view", String(32), nullable=False),
)


def upgrade() -> None:
    """Create the table."""
    journal_view.create(op.get_bind())


def downgrade() -> None:
    """Drop it; bought vectors stay."""
    journal_view.drop(op.get_bind())
