"""Puts a backup where a vendor can serve it: checked before, settled and audited after."""

import asyncio
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from shared.migrating import pending, upgrade
from vendor_api.auth.pepper import PepperMismatch, fingerprint, pepper_file
from vendor_api.backup.manifest import (
    FINGERPRINT,
    PEPPER,
    Manifest,
    read_manifest,
    sync_folder,
    write_private,
)
from vendor_api.backup.write import find_tool, name_without_password
from vendor_api.db import ServerLock, parse_url, sqlite_path
from vendor_api.ledger.audit import Audit
from vendor_api.ledger.ledger import Ledger
from vendor_api.refusal import Refusal

__all__ = ["restore_backup"]


def restore_backup(folder: Path, database_url: str, *, pepper: Path | None = None) -> Audit:
    """Make the backup the database at `database_url`; what every rule of the books says of it.

    Holds are expired, since whoever held them works on another database. `pepper` is the configured
    pepper file; it is made from the backup's when there is none. Raises Refusal, having changed
    nothing, when the backup is not whole, the database holds accounts, or the pepper is another one,
    and UnknownRevision for a backup by a newer version.
    """
    manifest = read_manifest(folder)
    target = sqlite_path(database_url)
    if (manifest.backend == "sqlite") != (target is not None):
        raise Refusal(
            f"this is a backup of {manifest.backend}: name such a database with --database-url"
        )
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    with ServerLock(database_url):
        if target is not None:
            pending("vendor", f"sqlite:///{folder / manifest.database_file}")
        _refuse_accounts(database_url)
        _prepare_pepper(folder, manifest, pepper_file(database_url, pepper))
        if target is None:
            _load_postgres(folder / manifest.database_file, parse_url(database_url))
        else:
            _place_sqlite(folder / manifest.database_file, target)
        upgrade("vendor", database_url)
        return asyncio.run(_settle(database_url))


async def _settle(database_url: str) -> Audit:
    ledger = Ledger.open(database_url)
    try:
        await ledger.expire_orphans()
        return await ledger.verify()
    finally:
        await ledger.close()


def _refuse_accounts(database_url: str) -> None:
    path = sqlite_path(database_url)
    if path is not None and not path.exists():
        return
    engine = create_engine(parse_url(database_url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("account"):
                return
            full = connection.execute(text("SELECT 1 FROM account LIMIT 1")).first()
    except DatabaseError as error:
        raise Refusal(f"{path or 'the database'} cannot be looked into: {error.orig}") from error
    finally:
        engine.dispose()
    if full is not None:
        raise Refusal("the database holds accounts: name an empty or a new one to restore into")


def _prepare_pepper(folder: Path, manifest: Manifest, path: Path) -> None:
    known = (folder / FINGERPRINT).read_text(encoding="utf-8").strip()
    if path.exists():
        if known and fingerprint(path.read_bytes().strip()) != known:
            raise PepperMismatch(
                f"{path} is not the secret that the backup's API keys were hashed with: "
                "set VENDOR_KEY_PEPPER_FILE to the right file, or to a new one"
            )
        return
    if manifest.has_pepper:
        content = (folder / PEPPER).read_bytes()
        if known and fingerprint(content.strip()) != known:
            raise PepperMismatch(f"{folder / PEPPER} is not the pepper of this backup's API keys")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, content)
        sync_folder(path.parent)


def _place_sqlite(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        shutil.copyfile(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        for suffix in ("-wal", "-shm"):  # of the empty database that is replaced
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        partial.replace(target)
        sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _load_postgres(source: Path, url: URL) -> None:
    address, environment = name_without_password(url)
    command = [find_tool("pg_restore"), "--no-owner", "--no-acl", "--clean", "--if-exists"]
    done = subprocess.run(  # noqa: S603
        [*command, "--single-transaction", "--exit-on-error", f"--dbname={address}", str(source)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Refusal(f"pg_restore failed: {' '.join(done.stderr.split())}")
