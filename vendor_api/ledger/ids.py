"""Names of new rows: a prefix that says what it is, and a UUIDv7 that sorts by time."""

from uuid_utils import uuid7

__all__ = ["new_id"]


def new_id(prefix: str) -> str:
    """A fresh id such as `chg_0190…`; later ids of one process sort after earlier ones."""
    return f"{prefix}_{uuid7().hex}"
