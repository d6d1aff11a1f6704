"""Copies the books while a server goes on writing them: one instant's state, whole or not at all."""

import os
import secrets
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from vendor_api.auth.pepper import PepperMismatch, fingerprint, pepper_file, read_fingerprint
from vendor_api.backup.manifest import (
    DATABASE_FILES,
    FINGERPRINT,
    PEPPER,
    Backend,
    Manifest,
    sync_folder,
    write_manifest,
    write_private,
)
from vendor_api.db import format_instant, open_database, read_clock, sqlite_path
from vendor_api.refusal import Refusal

__all__ = ["find_tool", "name_without_password", "write_backup"]


def write_backup(
    folder: Path, database_url: str, *, pepper: Path | None = None, with_pepper: bool = False
) -> Manifest:
    """Copy the database, and its keys' pepper when asked, into a new folder.

    `pepper` is the configured pepper file. A running server is neither stopped nor slowed. Raises
    Refusal when the folder exists, the pepper is another one, or pg_dump is missing; then there is
    no folder.
    """
    if folder.exists():
        raise Refusal(f"{folder} exists already: name a new folder for each backup")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir(mode=0o700)
    try:
        manifest = _fill(partial, database_url, pepper, with_pepper=with_pepper)
        sync_folder(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def find_tool(name: str) -> str:
    """Where PostgreSQL's program is. Raises Refusal saying what to install."""
    found = shutil.which(name)
    if found is None:
        raise Refusal(
            f"{name} is not on PATH: install PostgreSQL's client programs "
            "(Debian and Ubuntu: apt-get install postgresql-client)"
        )
    return found


def name_without_password(url: URL) -> tuple[str, dict[str, str]]:
    """The address for PostgreSQL's programs, and an environment with the password, which ps must not show."""
    plain = url.set(drivername="postgresql", password=None)
    secret = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    return plain.render_as_string(hide_password=False), {**os.environ, **secret}


def _fill(folder: Path, database_url: str, pepper: Path | None, *, with_pepper: bool) -> Manifest:
    with closing(open_database(database_url)) as database, database.read() as connection:
        made_at = format_instant(read_clock(connection))
        known = read_fingerprint(connection) or ""
    source = sqlite_path(database_url)
    backend: Backend = "postgresql" if source is None else "sqlite"
    target = folder / DATABASE_FILES[backend]
    write_private(target, b"")
    if source is None:
        _dump_postgres(database.url, target)
    else:
        _copy_sqlite(source, target)
    _sync(target)
    write_private(folder / FINGERPRINT, known.encode() + b"\n")
    names = [target.name, FINGERPRINT]
    if with_pepper:
        write_private(folder / PEPPER, _read_pepper(pepper_file(database_url, pepper), known))
        names.append(PEPPER)
    return write_manifest(folder, backend=backend, made_at=made_at, names=names)


def _copy_sqlite(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        # In one step: a copy in several would begin again whenever the server writes.
        reading.backup(writing, pages=-1)
        writing.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
        (verdict,) = writing.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Refusal(f"{source} is damaged ({verdict}): this copy was thrown away")


def _dump_postgres(url: URL, target: Path) -> None:
    address, environment = name_without_password(url)
    command = [find_tool("pg_dump"), "--format=custom", "--no-owner", "--no-acl"]
    done = subprocess.run(  # noqa: S603
        [*command, f"--file={target}", f"--dbname={address}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refusal(f"pg_dump failed: {' '.join(done.stderr.split())}")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _read_pepper(path: Path, known: str) -> bytes:
    if not path.is_file():
        raise Refusal(f"{path} is missing: set VENDOR_KEY_PEPPER_FILE, or leave out --with-pepper")
    content = path.read_bytes()
    if known and fingerprint(content.strip()) != known:
        raise PepperMismatch(f"{path} is not the secret that this database's keys were hashed with")
    return content
