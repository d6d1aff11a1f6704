"""The vendor's database: tables, connections, its clock, and the lock of a single server."""

from vendor_api.db.clock import as_datetime, as_microseconds, format_instant, read_clock
from vendor_api.db.engine import Database, open_database, sqlite_path
from vendor_api.db.lock import DatabaseInUse, ServerLock

__all__ = [
    "Database",
    "DatabaseInUse",
    "ServerLock",
    "as_datetime",
    "as_microseconds",
    "format_instant",
    "open_database",
    "read_clock",
    "sqlite_path",
]
