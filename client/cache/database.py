"""The client's one database: opened, migrated, and its failures put into sentences."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from client.cache.copies import keep_copy
from client.cache.tables import SCHEMA_HEAD
from client.errors import ClientError

BUSY_SECONDS = 30.0
"""How long one command waits for another to finish writing."""
_READ_ONLY = "vl2v_read_only"

__all__ = ["BUSY_SECONDS", "CacheError", "Database", "open_database"]


class CacheError(ClientError):
    """The cache database cannot be used now; it is never deleted or overwritten."""


@dataclass(frozen=True)
class Database:
    """An open, migrated database and short transactions on it, from any thread."""

    engine: Engine
    _reader: Engine = field(init=False, repr=False)
    _turn: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)
    """Threads of this process write in turns: SQLite would let them sleep and look again, ever longer."""

    def __post_init__(self) -> None:
        reader = self.engine.execution_options(**{_READ_ONLY: True})
        object.__setattr__(self, "_reader", reader)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None on a server."""
        return _file_of(self.engine.url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that writes nothing. Raises CacheError, as `write` does."""
        with translated(self.engine.url), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first line."""
        with translated(self.engine.url), self._turn, self.engine.begin() as connection:
            yield connection

    def compact(self) -> None:
        """Give space that is no longer used back to the disk; rewrites a SQLite file. Raises CacheError."""
        if self.file is None:
            return
        with translated(self.engine.url), self.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)  # noqa: S101 (for the type checker)
            raw.execute("VACUUM")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()


def open_database(url_or_path: str | Path, *, busy_seconds: float = BUSY_SECONDS) -> Database:
    """The database at a path or SQLAlchemy URL, created and migrated to this version's schema.

    A file of an older version is copied first, to `<name>.before-<schema>` beside it. Raises CacheError
    for a file that is no database, is damaged, locked, or of a newer version.
    """
    url = _as_url(url_or_path)
    file = _file_of(url)
    with translated(url):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = _create_engine(url, busy_seconds)
        try:
            _migrate(engine, busy_seconds)
        except BaseException:
            engine.dispose()
            raise
    return Database(engine)


def _as_url(url_or_path: str | Path) -> URL:
    name = str(url_or_path)
    if "://" not in name:
        return URL.create("sqlite", database=str(Path(name).expanduser().absolute()))
    try:
        url = make_url(name)
    except ArgumentError as error:
        raise CacheError(
            f"{name!r} is not a database URL: set VL2V_CACHE_URL to a path or to a URL like "
            "sqlite:////home/me/client.db"
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    return url


def _file_of(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)


def _create_engine(url: URL, busy_seconds: float) -> Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)
        engine = create_engine(url, connect_args={"timeout": busy_seconds})
    except (NoSuchModuleError, ImportError) as error:
        raise CacheError(
            f"the driver for {url.render_as_string()} is missing ({error}): install it, or set "
            "VL2V_CACHE_URL to a file path"
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own BEGIN is deferred and late; `_begin_sqlite` says it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: what the journal says was planned or sent must survive a power cut.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that upgrades to writing fails at once instead of waiting its turn.
    reading = connection.get_execution_options().get(_READ_ONLY, False)
    connection.connection.cursor().execute("BEGIN" if reading else "BEGIN IMMEDIATE")


def _migrate(engine: Engine, busy_seconds: float) -> None:
    if _schema_version(engine) == SCHEMA_HEAD:
        return
    # Alembic takes a third of a second to import: only when there is work for it.
    from shared.migrating import UnknownRevision, upgrade

    try:
        url = engine.url.render_as_string(hide_password=False)
        upgrade("client", url, busy_timeout_s=busy_seconds, before=lambda: _copy(engine.url))
    except UnknownRevision as error:
        raise CacheError(
            f"the cache {_shown(engine.url)} was written by another version of vl2v: type "
            "`pip install --upgrade vl2v`, or set VL2V_CACHE_URL to another file"
        ) from error


def _copy(url: URL) -> None:
    file = _file_of(url)
    if file is not None:
        keep_copy(file, f"before-{SCHEMA_HEAD}")


def _schema_version(engine: Engine) -> str | None:
    with engine.execution_options(**{_READ_ONLY: True}).begin() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _shown(url: URL) -> str:
    return str(_file_of(url) or url.render_as_string())


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the driver's failures into CacheError with what to do next."""
    try:
        yield
    except DatabaseError as error:
        # Its other subclasses are mistakes of this program, not of the file.
        if not isinstance(error, OperationalError) and type(error) is not DatabaseError:
            raise
        raise CacheError(_explain(url, str(error.orig))) from error
    except (sqlite3.Error, OSError) as error:
        raise CacheError(_explain(url, str(error))) from error


def _explain(url: URL, reason: str) -> str:
    shown = _shown(url)
    if "locked" in reason or "busy" in reason:
        return (
            f"the cache {shown} is locked by another program: wait for it to finish or close it, "
            "then run the same command again"
        )
    if "not a database" in reason or "malformed" in reason:
        return (
            f"the cache {shown} is damaged ({reason}); nothing was deleted. Type `vl2v doctor` to "
            f"look at it, or move it aside: mv {shown} {shown}.damaged"
        )
    return (
        f"the cache {shown} cannot be used ({reason}): check that its folder can be written to, "
        "or set VL2V_CACHE_URL to another file"
    )
