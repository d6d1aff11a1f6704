"""`INSERT … ON CONFLICT DO NOTHING`, said the same way to SQLite and PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert_missing"]


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> bool:
    """Insert the rows whose unique values are not there yet; leave the others alone.

    True when it is certain that none was there.
    """
    if not rows:
        return True
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    done = connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
    return done.rowcount == len(rows)
