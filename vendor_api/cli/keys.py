"""`vl2v-vendor keys`: what a customer proves itself with."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from vendor_api.auth.keys import IssuedKey, parse_key
from vendor_api.auth.pepper import open_pepper
from vendor_api.auth.repository import StoredKey, issue_key, revoke_key
from vendor_api.auth.repository import list_keys as read_keys
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.db import format_instant, read_clock
from vendor_api.ledger.accounts import Account, find_account
from vendor_api.refusal import Refusal

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(keys, name="keys")


@keys.command()
def create(
    ctx: typer.Context,
    account: Annotated[str, typer.Option(help="The account's id or name.")],
    name: Annotated[str, typer.Option(help="A name to know the key by.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Create an API key and print it, once: only a hash of it is kept.

    Example: vl2v-vendor keys create --account ada --name laptop
    """
    shell = Shell.of(ctx)
    settings = shell.settings
    pepper = open_pepper(settings.database_url, settings.key_pepper_file)

    def work(connection: Connection) -> tuple[Account, IssuedKey]:
        found = find_account(connection, account)
        return found, issue_key(connection, read_clock(connection), pepper, found.id, name=name)

    with shell.database() as database:
        found, key = database.change(work)
    document = {"id": key.key_id, "account_id": found.id, "name": name, "api_key": key.text}
    shell.show(document, key.text, as_json=as_json)
    typer.echo("keep it now, it cannot be shown again: export VL2V_API_KEY=…", err=True)


@keys.command("list")
def list_all(
    ctx: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List API keys, revoked ones too, without their secrets.

    Example: vl2v-vendor keys list --account ada
    """
    shell = Shell.of(ctx)
    with shell.database() as database, database.read() as connection:
        account_id = None if account is None else find_account(connection, account).id
        rows = [_document(key) for key in read_keys(connection, account_id)]
    shell.list(rows, "no keys yet: vl2v-vendor keys create --account NAME", as_json=as_json)


@keys.command()
def revoke(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The key's id (key_…), or the key itself.")],
    as_json: JsonFlag = False,
) -> None:
    """End a key for ever; a running server follows within half a minute.

    Example: vl2v-vendor keys revoke key_0a1B2c3D4e5F
    """
    parts = parse_key(key)
    key_id = key if parts is None else parts.key_id
    shell = Shell.of(ctx)
    with shell.database() as database:
        revoked = database.change(lambda c: revoke_key(c, read_clock(c), key_id))
    if not revoked:
        raise Refusal(f"there is no active key {key_id[:24]}: see `vl2v-vendor keys list`")
    shell.show({"id": key_id, "revoked": True}, f"revoked {key_id}", as_json=as_json)


def _document(key: StoredKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "created_at": format_instant(key.created_at),
        "revoked_at": None if key.revoked_at is None else format_instant(key.revoked_at),
    }
