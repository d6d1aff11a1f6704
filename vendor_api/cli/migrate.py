"""`vl2v-vendor migrate`: bring the database to the schema of this version."""

import typer
from sqlalchemy.exc import DBAPIError

from shared.migrating import pending, upgrade
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.db import parse_url

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """Create or upgrade the vendor's database; safe to run again, and beside another run.

    Example: vl2v-vendor migrate
    """
    shell = Shell.of(ctx)
    url = shell.settings.database_url
    shown = parse_url(url).render_as_string(hide_password=True)
    try:
        changed = pending("vendor", url)
    except DBAPIError:
        changed = True  # the upgrade says what is wrong
    if changed:
        upgrade("vendor", url, busy_timeout_s=shell.settings.busy_timeout_s)
    sentence = f"{shown} is {'now' if changed else 'already'} up to date"
    shell.show({"database": shown, "changed": changed}, sentence, as_json=as_json)
