"""Private spaces, and the end of accounts.

An account that was closed before, with nothing left on it, has its closing dated to the migration:
what is to be erased after a closing waits from then on. One with money left is closed by the command.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
)

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INT64 = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Table("account", metadata, Column("id", Text, primary_key=True))

account_space = Table(
    "account_space",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("serial", INT64, nullable=False),
    Column("space_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("changed_at", INT64, nullable=False),
    CheckConstraint("serial >= 1", name="serial"),
    CheckConstraint("status IN ('on', 'off')", name="status"),
    sqlite_strict=True,
)
account_closure = Table(
    "account_closure",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("closed_at", INT64, nullable=False),
    Column("reason", Text, nullable=False),
    Column("refund_ref", Text),
    Column("refunded_nanousd", INT64, nullable=False),
    Column("forfeited_nanousd", INT64, nullable=False),
    Column("erased_at", INT64),
    CheckConstraint("refunded_nanousd >= 0", name="refunded"),
    CheckConstraint("forfeited_nanousd >= 0", name="forfeited"),
    sqlite_strict=True,
)
CREATED = (account_space, account_closure)

NOW = {
    "sqlite": "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000",
    "postgresql": "CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT)",
}
CLOSED_BEFORE = """
INSERT INTO account_closure (account_id, closed_at, reason, refunded_nanousd, forfeited_nanousd)
SELECT a.id, {now}, 'closed before this was written down', 0, 0
FROM account a JOIN account_balance b ON b.account_id = a.id
WHERE a.status = 'closed' AND b.credited_nanousd = b.debited_nanousd
"""


def upgrade() -> None:
    """Add the tables; nobody has a private space until it is asked for."""
    metadata.create_all(op.get_bind(), tables=list(CREATED))
    op.execute(CLOSED_BEFORE.format(now=NOW[op.get_bind().dialect.name]))


def downgrade() -> None:
    """Drop them: every account is answered in everybody's space again, under that name.

    Closed accounts stay closed and their money where it was booked; which space an account had, and
    when and why one was closed, is lost.
    """
    metadata.drop_all(op.get_bind(), tables=list(CREATED))
