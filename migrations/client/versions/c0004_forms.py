"""How a request's items travelled: the vendor repeats its answer to a key in that form alone.

Nothing is rewritten: a request of before went in JSON, and says so by an empty column.
"""

from alembic import op
from sqlalchemy import Column, String

revision = "c0004"
down_revision = "c0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("journal", Column("form", String(8)))


def downgrade() -> None:
    """Drop it; a request under way that was not sent in JSON cannot be repeated then."""
    op.drop_column("journal", "form")
