"""Statements of every paid request, in one database's own words, handed to its driver as they are.

SQLAlchemy takes several times as long to look at such a statement, and at what comes of it, as
SQLite takes to carry it out. They run in the transaction that the connection has begun.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Values = tuple[Any, ...] | Mapping[str, Any]
"""What a statement is given, by position or by name: text, bytes, integers, lists of these, None."""

__all__ = ["Values", "fetch", "run"]


def fetch(connection: Connection, text: str, values: Values = ()) -> Sequence[Sequence[Any]]:
    """The rows that the statement answers, nothing in them converted. Raises SQLAlchemy's errors."""
    if connection.dispatch.before_cursor_execute:  # who listens to statements hears of these too
        result = connection.exec_driver_sql(text, values)
        return result.all() if result.returns_rows else []
    with _open_cursor(connection, text) as cursor:
        cursor.execute(text, values)
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
        return rows


def run(connection: Connection, text: str, rows: Sequence[Values]) -> int:
    """Carry it out with each of the rows, of which there is at least one; how many it changed.

    Raises SQLAlchemy's errors.
    """
    if connection.dispatch.before_cursor_execute:  # as above
        return connection.exec_driver_sql(text, rows).rowcount
    with _open_cursor(connection, text) as cursor:
        if len(rows) == 1:
            cursor.execute(text, rows[0])
        else:
            cursor.executemany(text, rows)
        return int(cursor.rowcount)


@contextmanager
def _open_cursor(connection: Connection, text: str) -> Iterator[Any]:
    raw = connection.connection
    cursor, dialect = raw.cursor(), connection.dialect
    known = dialect.loaded_dbapi.Error
    try:
        yield cursor
    except known as error:
        gone = dialect.is_disconnect(error, raw.dbapi_connection, cursor)
        if gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            text,
            None,
            error,
            known,
            hide_parameters=True,
            connection_invalidated=gone,
            dialect=dialect,
        ) from error
    finally:
        cursor.close()
