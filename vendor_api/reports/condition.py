"""The state of the books' machinery: holds, database, schema, the last backup."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text

from vendor_api.db.clock import SECOND
from vendor_api.db.tables import audit_log, charge
from vendor_api.ledger.audit import OVERDUE_S
from vendor_api.ledger.holds import HELD

BACKUP = "backup"
"""The action, and its subject, under which `vl2v-vendor backup` is remembered."""
SHOWN = 100

__all__ = ["BACKUP", "Condition", "StuckHold", "read_condition"]

_VERSIONS = {"sqlite": "SELECT sqlite_version()", "postgresql": "SHOW server_version"}
_SIZES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


@dataclass(frozen=True, slots=True)
class StuckHold:
    """Money that is still held long after its time: nobody sweeps."""

    charge_id: str
    account_id: str
    reserved_nanousd: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Condition:
    """What the database says of itself at `as_of`."""

    as_of: int
    engine: str
    version: str
    schema: str
    """The revision of its migrations."""
    size_bytes: int
    holds: int
    held_nanousd: int
    stuck: list[StuckHold]
    """The oldest hundred at most."""
    backup_at: int | None
    """The last that `vl2v-vendor backup` made; None when the books know of none."""


def read_condition(connection: Connection, now: int) -> Condition:
    """The condition as one connection sees it."""
    engine = connection.dialect.name
    count, held = _read_holds(connection)
    return Condition(
        as_of=now,
        engine="PostgreSQL" if engine == "postgresql" else "SQLite",
        version=str(_scalar(connection, _VERSIONS[engine])),
        schema=str(_scalar(connection, "SELECT version_num FROM alembic_version")),
        size_bytes=int(_scalar(connection, _SIZES[engine])),
        holds=count,
        held_nanousd=held,
        stuck=_list_stuck(connection, now),
        backup_at=_find_backup(connection),
    )


def _read_holds(connection: Connection) -> tuple[int, int]:
    query = select(func.count(), func.sum(charge.c.reserved_nanousd)).where(HELD)
    count, held = connection.execute(query).one()
    return int(count), int(held or 0)


def _list_stuck(connection: Connection, now: int) -> list[StuckHold]:
    columns = (charge.c.id, charge.c.account_id, charge.c.reserved_nanousd, charge.c.expires_at)
    overdue = charge.c.expires_at < now - OVERDUE_S * SECOND
    query = select(*columns).where(HELD, overdue).order_by(charge.c.expires_at).limit(SHOWN)
    return [StuckHold(*row) for row in connection.execute(query)]


def _find_backup(connection: Connection) -> int | None:
    query = select(func.max(audit_log.c.at)).where(
        audit_log.c.subject == BACKUP, audit_log.c.action == BACKUP
    )
    found: int | None = connection.execute(query).scalar_one()
    return found


def _scalar(connection: Connection, sql: str) -> Any:
    return connection.execute(text(sql)).scalar_one()
