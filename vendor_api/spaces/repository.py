"""Private spaces in the database: whether an account has one, and which; never the rotation."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from vendor_api.db.tables import account_space
from vendor_api.db.upsert import insert
from vendor_api.spaces.service import Space

__all__ = ["StoredSpace", "find_space", "read_space", "write_space"]


@dataclass(frozen=True, slots=True)
class StoredSpace:
    """The last space that an account was given."""

    space: Space
    on: bool
    """Whether the account is answered in it now, or in everybody's."""
    changed_at: int
    """Microseconds."""


def read_space(connection: Connection, account_id: str) -> StoredSpace | None:
    """The account's last space, on or off; None when it never had one."""
    query = select(account_space).where(account_space.c.account_id == account_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    space = Space(row.account_id, row.serial, row.space_id)
    return StoredSpace(space, row.status == "on", row.changed_at)


def find_space(connection: Connection, account_id: str) -> Space | None:
    """The space that the account is answered in now; None: everybody's."""
    stored = read_space(connection, account_id)
    return stored.space if stored is not None and stored.on else None


def write_space(connection: Connection, now: int, space: Space, *, on: bool) -> None:
    """Answer the space's account in it from now on, or in everybody's."""
    fresh = {
        "serial": space.serial,
        "space_id": space.id,
        "status": "on" if on else "off",
        "changed_at": now,
    }
    statement = insert(connection, account_space).values(account_id=space.account_id, **fresh)
    connection.execute(statement.on_conflict_do_update(index_elements=["account_id"], set_=fresh))
