"""The vendor's database: tables, connections, its clock, and the lock of a single server."""

from vendor_api.db.clock import as_datetime, as_microseconds, format_instant, read_clock
from vendor_api.db.engine import Database, open_database, parse_url, sqlite_path
from vendor_api.db.lock import DatabaseInUse, ServerLock
from vendor_api.db.tables import MAX_CREDITED_NANOUSD

__all__ = [
    "MAX_CREDITED_NANOUSD",
    "Database",
    "DatabaseInUse",
    "ServerLock",
    "as_datetime",
    "as_microseconds",
    "format_instant",
    "open_database",
    "parse_url",
    "read_clock",
    "sqlite_path",
]
