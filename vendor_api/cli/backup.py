"""`vl2v-vendor backup` and `restore`: the books on another disk, and back."""

from pathlib import Path
from typing import Annotated

import typer

from vendor_api.admin.log import record_action
from vendor_api.auth.pepper import pepper_file
from vendor_api.backup import restore_backup, write_backup
from vendor_api.cli.ledger import report_audit
from vendor_api.cli.shell import JsonFlag, Shell, name_actor
from vendor_api.reports.condition import BACKUP

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    with_pepper: Annotated[
        bool,
        typer.Option("--with-pepper", help="Also the secret that API keys are hashed with."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Copy the database into a new folder, as it is at one instant; a server may go on meanwhile.

    Example: vl2v-vendor backup backups/2027-01-31
    """
    shell = Shell.of(ctx)
    settings = shell.settings
    manifest = write_backup(
        path, settings.database_url, pepper=settings.key_pepper_file, with_pepper=with_pepper
    )
    size = sum(file.bytes for file in manifest.files)
    shell.change(
        lambda connection, now: record_action(
            connection,
            now,
            actor=name_actor(),
            action=BACKUP,
            subject=BACKUP,
            detail={"path": str(path), "made_at": manifest.made_at, "bytes": size},
        )
    )
    document = {
        "path": str(path),
        "backend": manifest.backend,
        "made_at": manifest.made_at,
        "files": [{"name": file.name, "bytes": file.bytes} for file in manifest.files],
    }
    shell.show(document, f"{path}: {size} bytes, as of {manifest.made_at}", as_json=as_json)
    if not manifest.has_pepper:
        secret = pepper_file(settings.database_url, settings.key_pepper_file)
        typer.echo(f"keep {secret} too, elsewhere: without it no API key works", err=True)


def restore(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="The folder that `backup` made.")],
    database_url: Annotated[
        str | None,
        typer.Option(help="Where to: a new or empty database. Else VENDOR_DATABASE_URL."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a backup the database, then check every rule of the books; exit code 1 when one is broken.

    Example: vl2v-vendor restore backups/2027-01-31 --database-url sqlite:///./restored.db
    """
    shell = Shell.of(ctx)
    url = database_url or shell.settings.database_url
    configured = shell.settings.key_pepper_file
    found = restore_backup(path, url, pepper=configured)
    secret = pepper_file(url, configured)
    if not secret.exists():
        typer.echo(f"put the pepper of its API keys at {secret} before you serve it", err=True)
    report_audit(shell, found, as_json=as_json)
