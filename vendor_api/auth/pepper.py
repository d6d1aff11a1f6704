"""The secret that API keys are hashed with: a file, never in the database, made at first start."""

import hashlib
import hmac
import secrets
from pathlib import Path

from sqlalchemy import Connection, select

from vendor_api.auth.secret_file import write_secret
from vendor_api.db import open_database, sqlite_path
from vendor_api.db.tables import meta
from vendor_api.ledger.reservation import insert
from vendor_api.refusal import Refusal

FINGERPRINT = "key_pepper_fingerprint"

__all__ = ["PepperMismatch", "fingerprint", "open_pepper", "pepper_file", "read_fingerprint"]


class PepperMismatch(Refusal):
    """The file is not the one that this database's keys were hashed with."""


def pepper_file(database_url: str, configured: Path | None = None) -> Path:
    """Where the pepper lives. Raises Refusal when PostgreSQL is used and no file is named."""
    if configured is not None:
        return configured
    database = sqlite_path(database_url)
    if database is None:
        raise Refusal(
            "with PostgreSQL, say where the secret that API keys are hashed with lives: "
            "set VENDOR_KEY_PEPPER_FILE to a file (it is created when missing)"
        )
    return Path(f"{database}.pepper")


def open_pepper(database_url: str, configured: Path | None = None) -> bytes:
    """The pepper, made on first use with mode 0600 and tied to the database by its fingerprint.

    Raises PepperMismatch when the database's keys were hashed with another one: starting with it
    would turn every customer away.
    """
    path = pepper_file(database_url, configured)
    database = open_database(database_url)
    try:
        with database.read() as connection:
            known = read_fingerprint(connection)
        if known is not None and not path.exists():
            raise PepperMismatch(
                f"{path} is missing, and this database's API keys were hashed with it: "
                "restore it from your backup, or set VENDOR_KEY_PEPPER_FILE to where it is"
            )
        pepper = _load(path)
        expected = database.change(lambda connection: _pin(connection, fingerprint(pepper)))
    finally:
        database.close()
    if not hmac.compare_digest(expected, fingerprint(pepper)):
        raise PepperMismatch(
            f"{path} is not the secret that this database's API keys were hashed with: "
            "set VENDOR_KEY_PEPPER_FILE to the right file"
        )
    return pepper


def _load(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_secret(path, secrets.token_hex(32).encode() + b"\n")
    pepper = path.read_bytes().strip()
    if len(pepper) < 32:
        raise PepperMismatch(f"{path} holds less than 32 bytes: restore it from your backup")
    return pepper


def fingerprint(pepper: bytes) -> str:
    """What the database remembers of its pepper: enough to know it again, useless to find it."""
    return hashlib.sha256(b"vl2v key pepper\0" + pepper).hexdigest()[:32]


def read_fingerprint(connection: Connection) -> str | None:
    """Of the pepper that this database's keys were hashed with; None before the first key."""
    query = select(meta.c.value).where(meta.c.name == FINGERPRINT)
    value: str | None = connection.execute(query).scalar_one_or_none()
    return value


def _pin(connection: Connection, fingerprint: str) -> str:
    statement = insert(connection, meta).values(name=FINGERPRINT, value=fingerprint)
    connection.execute(statement.on_conflict_do_nothing())
    return read_fingerprint(connection) or fingerprint
