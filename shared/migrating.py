"""Brings a side's database to the schema that this version writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.pool import NullPool

Side = Literal["vendor", "client"]

_COMMANDS: dict[Side, str] = {"vendor": "vl2v-vendor migrate", "client": "vl2v doctor"}
_ADVISORY_LOCK = 0x766C3276
"""Any fixed number: two migrations of one PostgreSQL database wait for each other."""

__all__ = ["PendingMigrations", "Side", "UnknownRevision", "downgrade", "pending", "upgrade"]


class PendingMigrations(Exception):
    """The database's schema is not the one that this version writes; nothing was changed."""

    def __init__(self, side: Side) -> None:
        super().__init__(f"the database has pending migrations: run `{_COMMANDS[side]}` first")
        self.side = side


class UnknownRevision(Exception):
    """The database's schema is newer than this version knows; nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            "the database was made by a newer version of vl2v: run `pip install --upgrade vl2v`"
        )


def upgrade(
    side: Side,
    url: str,
    revision: str = "head",
    *,
    busy_timeout_s: float = 5.0,
    before: Callable[[], object] = lambda: None,
) -> None:
    """Create or upgrade the database at `url`, in one transaction; a second caller waits.

    `before` is called once no one else can write, if tables of an older schema are about to change.
    Raises sqlalchemy.exc.OperationalError when the database cannot be opened or stays locked, and
    UnknownRevision when a newer version made it.
    """
    parsed = _parse(url)
    if _is_sqlite(parsed) and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    with _connect(parsed, busy_timeout_s) as connection:
        config = _configure(side, connection)
        scripts = ScriptDirectory.from_config(config)
        known = {script.revision for script in scripts.walk_revisions()}
        current = set(MigrationContext.configure(connection).get_current_heads())
        if not known.issuperset(current):
            raise UnknownRevision
        if current and current != set(scripts.get_heads()):
            before()
        command.upgrade(config, revision)


def downgrade(side: Side, url: str, revision: str) -> None:
    """Take the database at `url` back to `revision`; `base` drops every table with its rows."""
    with _connect(_parse(url)) as connection:
        command.downgrade(_configure(side, connection), revision)


def pending(side: Side, url: str) -> bool:
    """Whether `upgrade` would change the database at `url`; creates nothing."""
    parsed = _parse(url)
    if _is_sqlite(parsed) and not (parsed.database and Path(parsed.database).is_file()):
        return True
    engine = create_engine(parsed, poolclass=NullPool)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    return set(current) != set(ScriptDirectory.from_config(_configure(side)).get_heads())


def find_scripts() -> Path:
    """The migrations' folder: beside the installed packages, else at the top of the checkout."""
    beside = Path(__file__).resolve().parent.parent
    installed = beside / "vl2v_migrations"
    return installed if installed.is_dir() else beside / "migrations"


def _configure(side: Side, connection: Connection | None = None) -> Config:
    scripts = find_scripts()
    config = Config(attributes={"side": side, "connection": connection})
    # A percent sign in a path would be read as an interpolation.
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    versions = str(scripts / side / "versions").replace("%", "%%")
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", versions)
    return config


@contextmanager
def _connect(url: URL, busy_timeout_s: float = 5.0) -> Iterator[Connection]:
    arguments = {"timeout": busy_timeout_s} if _is_sqlite(url) else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    if _is_sqlite(url):
        event.listen(engine, "connect", _take_over_transactions)
        event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as connection:
        if not _is_sqlite(url):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        yield connection


def _take_over_transactions(connection: Any, _record: Any) -> None:
    # The driver would commit before DDL, and a half-made schema could stay behind.
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _parse(url: str) -> URL:
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"
