"""Statements of every paid request: built and compiled once, then handed to the driver as they are.

SQLAlchemy takes several times as long to put such a statement together, and to look at what comes of it,
as SQLite takes to carry it out.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

__all__ = ["Statement", "given"]


def given(name: str, kind: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    """A value that each execution gives under this name; `kind` where nothing beside it tells."""
    return bindparam(name, None, kind)


class Statement:
    """A statement with `given` values for what changes, carried out in the caller's transaction.

    Only integers, text, bytes and None are given and answered: nothing converts them. Errors are
    SQLAlchemy's. Safe to use from several threads.
    """

    def __init__(self, clause: ClauseElement | Callable[[str], ClauseElement]) -> None:
        """clause: the statement, or what makes it for a dialect's name where the two differ."""
        self._clause = clause
        self._made: dict[str, _Made] = {}

    def run(self, connection: Connection, **values: Any) -> int:
        """Carry it out; how many rows it changed."""
        made = self._make(connection.dialect)
        with made.cursor(connection) as cursor:
            cursor.execute(made.text, made.fill(values))
            return int(cursor.rowcount)

    def run_many(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
        """Carry it out for each of the rows, of which there is at least one; how many it changed."""
        made = self._make(connection.dialect)
        with made.cursor(connection) as cursor:
            cursor.executemany(made.text, [made.fill(row) for row in rows])
            return int(cursor.rowcount)

    def fetch(self, connection: Connection, **values: Any) -> list[Any]:
        """The rows that it answers, each a tuple with its columns' names."""
        made = self._make(connection.dialect)
        with made.cursor(connection) as cursor:
            cursor.execute(made.text, made.fill(values))
            row = made.name_row(cursor.description)
            return [row(*values) for values in cursor.fetchall()]

    def fetch_one(self, connection: Connection, **values: Any) -> Any | None:
        """The first row that it answers; None where there is none."""
        rows = self.fetch(connection, **values)
        return rows[0] if rows else None

    def _make(self, dialect: Dialect) -> "_Made":
        made = self._made.get(dialect.name)
        if made is None:
            clause = self._clause(dialect.name) if callable(self._clause) else self._clause
            made = self._made[dialect.name] = _Made(clause, dialect)
        return made


class _Made:
    """A statement in one database's words."""

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 (for the type checker)
        self.text = str(compiled)
        self._row: Callable[..., Any] | None = None
        self._constants = dict(compiled.params)
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None

    def fill(self, values: Mapping[str, Any]) -> Any:
        """The parameters of one execution, as the driver takes them. Raises TypeError for one too many."""
        known = {**self._constants, **values}
        if len(known) != len(self._constants):
            raise TypeError(f"no such values in {self.text!r}: {known.keys() - self._constants}")
        return known if self._order is None else tuple([known[name] for name in self._order])

    def name_row(self, description: Sequence[Sequence[Any]]) -> Callable[..., Any]:
        """What makes a row of values, by the driver's account of the columns."""
        if self._row is None:
            names = [column[0] for column in description]
            made = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            self._row = made
        return self._row

    @contextmanager
    def cursor(self, connection: Connection) -> Iterator[Any]:
        """The driver's cursor, inside the transaction that the connection has begun."""
        cursor = connection.connection.cursor()
        dialect = connection.dialect
        try:
            yield cursor
        except dialect.loaded_dbapi.Error as error:
            known = dialect.loaded_dbapi.Error
            raise DBAPIError.instance(self.text, None, error, known, dialect=dialect) from error
        finally:
            cursor.close()
