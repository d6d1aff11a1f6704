"""A new vendor's first admin: a one-time token in a file that only the server's user may read."""

from pathlib import Path

from sqlalchemy import Connection

from vendor_api.auth.pepper import pepper_file
from vendor_api.auth.secret_file import write_secret
from vendor_api.db import open_database, read_clock
from vendor_api.people.invitations import find_invitation, invite
from vendor_api.people.roster import count_admins

__all__ = ["first_admin_file", "offer_first_admin"]


def first_admin_file(database_url: str, pepper_path: Path | None = None) -> Path:
    """Where the token is: beside the secret that keys are hashed with. Raises Refusal as that does."""
    beside = pepper_file(database_url, pepper_path)
    return beside.with_name(f"{beside.name}.first-admin")


def offer_first_admin(database_url: str, pepper_path: Path | None = None) -> Path | None:
    """The file that holds a token for the first admin; None, and no file, once there is an admin.

    A token that still works stays: a second server of the same folder does not end it. Raises
    OSError when the folder cannot be written to; then there is no token either.
    """
    path = first_admin_file(database_url, pepper_path)
    database = open_database(database_url)
    try:
        with database.read() as connection:
            founded = count_admins(connection) > 0
            present = not founded and _is_offered(connection, path)
        if founded:
            path.unlink(missing_ok=True)
            return None
        if not present:
            write_secret(path, b"", replace=True)  # no token for a file that cannot be written
            token = database.change(lambda c: invite(c, read_clock(c), None))
            write_secret(path, f"{token}\n".encode(), replace=True)
    finally:
        database.close()
    return path


def _is_offered(connection: Connection, path: Path) -> bool:
    if not path.exists():
        return False
    token = path.read_text(encoding="utf-8").strip()
    return find_invitation(connection, read_clock(connection), token) is not None
