"""Tables of who may ask: customers' keys with their caps, and operators' keys."""

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

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("secret_hmac", LargeBinary, nullable=False),
    Column("created_at", INT64, nullable=False),
    Column("revoked_at", INT64),
    Column("expires_at", INT64),
    Column("last_used_at", INT64),
    Column("rotated_from", Text),
    Column("models", Text),
    Column("requests_per_minute", INT64),
    Column("items_per_minute", INT64),
    Column("bytes_per_minute", INT64),
    Column("concurrency", INT64),
    sqlite_strict=True,
)

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

__all__ = ["api_key", "cap_window", "key_cap", "operator_key"]
