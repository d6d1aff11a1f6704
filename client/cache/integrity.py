"""Whether every page of the cache can be read."""

from client.cache.database import CacheError, Database

__all__ = ["check_integrity"]


def check_integrity(database: Database) -> None:
    """Let SQLite read its whole file. Raises CacheError with what to do about a damaged one."""
    if database.file is None:
        return
    with database.read() as connection:
        said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if said != "ok":
        raise CacheError(
            f"the cache {database.file} is damaged ({said}); nothing was deleted. Move it aside: "
            f"mv {database.file} {database.file}.damaged"
        )
