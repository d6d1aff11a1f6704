"""`vl2v-vendor operators`: who may use the operator's routes and page."""

from typing import Annotated, cast, get_args

import typer
from sqlalchemy import Connection

from vendor_api.admin import keyring
from vendor_api.admin.holdings import show_instant
from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.operators import Role, StoredOperator, list_operators
from vendor_api.auth.pepper import open_pepper
from vendor_api.cli.shell import JsonFlag, Shell, key_id_of, name_actor, read_future, require_text
from vendor_api.db import format_instant
from vendor_api.refusal import Refusal

operators = typer.Typer(help="Create, list and revoke operators' keys.", no_args_is_help=True)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(operators, name="operators")


@operators.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    role: Annotated[str, typer.Option(help="viewer (looks) or admin (also changes).")] = "viewer",
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 90d or 2027-01-31; never unless said.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Create an operator's key and print it, once: only a hash of it is kept.

    Example: vl2v-vendor operators create --name eva --role viewer --expires 90d
    """
    given = require_text(name, "--name", "say whose key it is")
    if role not in get_args(Role):
        raise typer.BadParameter("--role is viewer or admin")
    shell = Shell.of(ctx)
    settings = shell.settings
    pepper = open_pepper(settings.database_url, settings.key_pepper_file)

    def work(connection: Connection, now: int) -> IssuedKey:
        ends_at, wanted = read_future(expires, now), cast("Role", role)
        return keyring.create_operator(
            connection, now, name_actor(), pepper, given, wanted, ends_at
        )

    key = shell.change(work)
    document = {"id": key.key_id, "name": given, "role": role, "operator_key": key.text}
    shell.show(document, key.text, as_json=as_json)
    typer.echo("keep it now, it cannot be shown again", err=True)


@operators.command("list")
def list_all(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """List operators' keys, ended ones too, without their secrets.

    Example: vl2v-vendor operators list
    """
    shell = Shell.of(ctx)
    rows = shell.read(lambda c, _now: [_document(operator) for operator in list_operators(c)])
    empty = "no operators yet: vl2v-vendor operators create --name NAME"
    shell.list(rows, empty, as_json=as_json)


@operators.command()
def revoke(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The key's id (opk_…), or the key itself.")],
    as_json: JsonFlag = False,
) -> None:
    """End an operator's key at once.

    Example: vl2v-vendor operators revoke opk_0a1B2c3D4e5F
    """
    key_id = key_id_of(key)
    shell = Shell.of(ctx)
    if not shell.change(lambda c, now: keyring.end_operator(c, now, name_actor(), key_id)):
        raise Refusal(f"there is no active key {key_id}: see `vl2v-vendor operators list`")
    shell.show({"id": key_id, "revoked": True}, f"revoked {key_id}", as_json=as_json)


def _document(operator: StoredOperator) -> dict[str, str | None]:
    return {
        "id": operator.id,
        "name": operator.name,
        "role": operator.role,
        "created_at": format_instant(operator.created_at),
        "expires_at": show_instant(operator.expires_at),
        "last_used_at": show_instant(operator.last_used_at),
        "revoked_at": show_instant(operator.revoked_at),
    }
