"""Connections that keep promises: every write is durable before it is acknowledged, on both engines."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from shared.migrating import PendingMigrations, pending
from vendor_api.db.driver import fetch
from vendor_api.refusal import Refusal

STATEMENT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 2
IDLE_TIMEOUT_S = 5
AUDIT_TIMEOUT_S = 600
ATTEMPTS = 3

_RETRYABLE_STATES = {"40001", "40P01", "55P03"}
"""Serialisation failure, deadlock, lock timeout: PostgreSQL rolled back, nothing happened."""

_GIVE_UP = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""libpq's words for leaving a server that a dead network hides: in seconds, and milliseconds."""

T = TypeVar("T")

__all__ = ["Database", "is_contention", "open_database", "parse_url", "sqlite_path"]


@dataclass(frozen=True, slots=True)
class Database:
    """One database, opened twice: for writing, and for reading where a write is an error."""

    url: URL
    writing: Engine
    reading: Engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed at the end, rolled back on an exception."""
        with self.writing.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state and cannot write."""
        with self.reading.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Like `read`, with the same state for every statement and minutes of time for each."""
        with self.reading.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
                connection.execute(text(f"SET LOCAL statement_timeout = '{AUDIT_TIMEOUT_S}s'"))
            yield connection

    def change(self, work: Callable[[Connection], T]) -> T:
        """`work`'s result after its commit; tried again when PostgreSQL gave way to another writer."""
        for attempt in range(ATTEMPTS):
            try:
                with self.write() as connection:
                    return work(connection)
            except DBAPIError as error:
                if attempt == ATTEMPTS - 1 or not is_contention(error):
                    raise
                time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311
        raise AssertionError("the last attempt returns or raises")

    def checkpoint(self) -> None:
        """Copy what SQLite's log holds into the file, as far as no reader is in the way.

        Never waits for a writer nor makes one wait. PostgreSQL does this by itself.
        """
        if self.url.get_backend_name() == "sqlite":
            connection = self.reading.raw_connection()  # in no transaction
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()
            finally:
                connection.close()

    def close(self) -> None:
        """Give every connection back."""
        self.writing.dispose()
        self.reading.dispose()


def open_database(
    url: str, *, busy_timeout_s: float = 5.0, readers: int = 4, unchecked: bool = False
) -> Database:
    """The vendor's database at `url`.

    Raises Refusal for an address that cannot be used and PendingMigrations when its schema is not
    the one this version writes.
    """
    parsed = parse_url(url)
    try:
        if not unchecked and pending("vendor", url):
            raise PendingMigrations("vendor")
    except OperationalError as error:
        raise Refusal(_explain_unreachable(parsed, error)) from error
    writing = _create_engine(parsed, busy_timeout_s, begin="BEGIN IMMEDIATE")
    reading = _create_engine(parsed, busy_timeout_s, begin="BEGIN", pool_size=readers)
    return Database(parsed, writing, reading)


def parse_url(url: str) -> URL:
    """The database's address. Raises Refusal for one that the ledger cannot live at."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Refusal(
            f"{url!r} is not a database address: write it like sqlite:///./vendor.db"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise Refusal(f"{backend} is not supported: use sqlite:///PATH or postgresql://…")
    if parsed.database in (None, "", ":memory:"):
        raise Refusal(
            "the ledger needs a SQLite file: write the address like sqlite:///./vendor.db"
        )
    return parsed


def sqlite_path(url: str) -> Path | None:
    """The SQLite file that `url` names; None for PostgreSQL."""
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database is None:
        return None
    return Path(parsed.database)


def is_contention(error: DBAPIError) -> bool:
    """Whether the transaction lost against another writer and may simply be run again."""
    return getattr(error.orig, "sqlstate", None) in _RETRYABLE_STATES


def _create_engine(url: URL, busy_timeout_s: float, *, begin: str, pool_size: int = 4) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _create_sqlite(url, busy_timeout_s, begin, pool_size)
    settings = {
        "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        "lock_timeout": f"{LOCK_TIMEOUT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S}s",
        "default_transaction_read_only": "on" if begin == "BEGIN" else "off",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    arguments = {"options": options, "connect_timeout": STATEMENT_TIMEOUT_S, **_GIVE_UP}
    return create_engine(
        url,
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=pool_size,
        hide_parameters=True,  # what customers send is not for logs
    )


def _create_sqlite(url: URL, busy_timeout_s: float, begin: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": busy_timeout_s},
        pool_size=pool_size,
        hide_parameters=True,  # as above
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own BEGIN is deferred: a later write would fail at once on a busy file.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL may roll back an acknowledged charge after a power loss.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if begin == "BEGIN":
            connection.execute("PRAGMA query_only=ON")
        else:
            # Purchases fall on pages at random: a large group must not spill (64 MiB at most).
            connection.execute("PRAGMA cache_size=-65536")
            # `checkpoint` copies the log; a commit does only when that has fallen 64 MiB behind.
            connection.execute("PRAGMA wal_autocheckpoint=16384")
            connection.execute("PRAGMA busy_timeout=1")  # _begin_patiently waits instead

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        _begin_patiently(connection, begin, busy_timeout_s)

    return engine


def _begin_patiently(connection: Connection, begin: str, busy_timeout_s: float) -> None:
    # SQLite's own waiting sleeps for up to 0.1 s, and a busy server is always quicker than that.
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            fetch(connection, begin)
            return
        except OperationalError as error:
            if "database is locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.001, 0.004))  # noqa: S311


def _explain_unreachable(url: URL, error: OperationalError) -> str:
    shown = url.render_as_string(hide_password=True)
    reason = str(error.orig).strip().splitlines()[0]
    return f"the database {shown} does not answer ({reason}): start it or set VENDOR_DATABASE_URL"
