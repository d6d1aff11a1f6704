"""INSERT as each engine spells it when the row may be there already."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert"]


def insert(connection: Connection, table: Any) -> Any:
    """The engine's own INSERT, which knows ON CONFLICT; the two take the same arguments."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)
