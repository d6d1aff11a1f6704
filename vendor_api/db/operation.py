"""The tables of those who operate the vendor: caps of keys, operators' keys, what operators did."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from vendor_api.db.schema import INT64, metadata

__all__ = ["audit_log", "cap_window", "key_cap", "operator_key"]

key_cap = Table(
    "key_cap",
    metadata,
    Column("key_id", Text, ForeignKey("api_key.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("cap", INT64, nullable=False),
    PrimaryKeyConstraint("key_id", "kind", "window"),
    CheckConstraint("kind IN ('items', 'spend')", name="kind"),
    CheckConstraint("\"window\" IN ('day', 'month', 'ever')", name="window"),
    CheckConstraint("cap >= 0", name="cap"),
    sqlite_strict=True,
)

cap_window = Table(
    "cap_window",
    metadata,
    Column("key_id", Text, ForeignKey("api_key.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("starts_at", INT64, nullable=False),
    Column("used", INT64, nullable=False),
    Column("held", INT64, nullable=False),
    PrimaryKeyConstraint("key_id", "kind", "window", "starts_at"),
    CheckConstraint("used >= 0", name="used"),
    CheckConstraint("held >= 0", name="held"),
    sqlite_strict=True,
)

operator_key = Table(
    "operator_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("secret_hmac", LargeBinary, nullable=False),
    Column("created_at", INT64, nullable=False),
    Column("expires_at", INT64),
    Column("last_used_at", INT64),
    Column("revoked_at", INT64),
    sqlite_strict=True,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", INT64, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    sqlite_strict=True,
)
