"""The people who open the dashboard: who they are, their sessions, one-time links, and who guessed.

And below how much an account's balance somebody wants to be warned.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INT64 = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

person = Table(
    "person",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),
    Column("created_at", INT64, nullable=False),
    Column("last_login_at", INT64),
    Column("disabled_at", INT64),
    CheckConstraint("role IN ('viewer', 'support', 'finance', 'admin')", name="role"),
    sqlite_strict=True,
)

session = Table(
    "session",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("person_id", Text, ForeignKey("person.id"), nullable=False, index=True),
    Column("created_at", INT64, nullable=False),
    Column("last_seen_at", INT64, nullable=False),
    Column("expires_at", INT64, nullable=False, index=True),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    sqlite_strict=True,
)

invitation = Table(
    "invitation",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("person_id", Text, ForeignKey("person.id"), index=True),
    Column("created_at", INT64, nullable=False),
    Column("expires_at", INT64, nullable=False),
    Column("used_at", INT64),
    sqlite_strict=True,
)

login_failure = Table(
    "login_failure",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", INT64, nullable=False),
    Column("last_at", INT64, nullable=False, index=True),
    Column("locked_until", INT64, nullable=False),
    CheckConstraint("failures > 0", name="failures"),
    sqlite_strict=True,
)

# Of revision 0001; the new table refers to it.
Table("account", metadata, Column("id", Text, primary_key=True))
low_balance_alert = Table(
    "low_balance_alert",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("threshold_nanousd", INT64, nullable=False),
    CheckConstraint("threshold_nanousd >= 0", name="threshold"),
    sqlite_strict=True,
)

CREATED = (person, session, invitation, login_failure, low_balance_alert)


def upgrade() -> None:
    """Add the tables; nothing is in them yet."""
    metadata.create_all(op.get_bind(), tables=CREATED)


def downgrade() -> None:
    """Drop them: everybody is logged out, and has to be created again."""
    metadata.drop_all(op.get_bind(), tables=CREATED)
