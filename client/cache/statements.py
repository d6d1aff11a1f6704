"""Statements of every paid request: built and compiled once, then handed to the driver as they are.

SQLAlchemy takes longer to put such a statement together than SQLite takes to carry it out, and looks at
every value of every row on the way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, CursorResult, Dialect, bindparam
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

__all__ = ["Statement", "given"]


def given(name: str, kind: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    """A value that each execution gives under this name; `kind` where nothing beside it tells."""
    return bindparam(name, None, kind)


class Statement:
    """A statement with `given` values for what changes; values go to the driver unconverted.

    Only integers, text, bytes and None may be given and are answered. Safe to use from several threads.
    """

    def __init__(self, clause: ClauseElement | Callable[[str], ClauseElement]) -> None:
        """clause: the statement, or what makes it for a dialect's name where the two differ."""
        self._clause = clause
        self._made: dict[str, _Made] = {}

    def run(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Carry it out once."""
        made = self._make(connection.dialect)
        return connection.exec_driver_sql(made.text, made.fill(values))

    def run_many(
        self, connection: Connection, rows: Iterable[Mapping[str, Any]]
    ) -> CursorResult[Any]:
        """Carry it out for each of the rows, of which there is at least one."""
        made = self._make(connection.dialect)
        return connection.exec_driver_sql(made.text, [made.fill(row) for row in rows])

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
        self._constants = dict(compiled.params)
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None

    def fill(self, values: Mapping[str, Any]) -> Any:
        """The parameters of one execution, as the driver takes them."""
        given = {**self._constants, **values}
        return given if self._order is None else tuple([given[name] for name in self._order])
