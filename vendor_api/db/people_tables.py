"""Tables of the people who open the dashboard: who they are, where they are logged in, who guessed."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, Table, Text

from vendor_api.db.schema import INT64, metadata

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

__all__ = ["invitation", "login_failure", "person", "session"]
