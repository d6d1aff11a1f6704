"""`vl2v-vendor accounts`: who may buy."""

from typing import Annotated

import typer

from vendor_api.cli.shell import JsonFlag, Shell, parse_amount
from vendor_api.db import format_instant, read_clock
from vendor_api.ledger import balance
from vendor_api.ledger.accounts import Account, create_account, find_account, list_accounts

accounts = typer.Typer(help="Create, list and show accounts.", no_args_is_help=True)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(accounts, name="accounts")


@accounts.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of your choice, unique.")],
    credit_limit: Annotated[
        str, typer.Option(help="Dollars the account may owe; none unless said.")
    ] = "0",
    as_json: JsonFlag = False,
) -> None:
    """Create an account and print its id.

    Example: vl2v-vendor accounts create ada
    """
    limit = parse_amount(credit_limit)
    if limit < 0:
        raise typer.BadParameter("--credit-limit is zero or more")
    if not name.strip():
        raise typer.BadParameter("NAME is empty: give the account a name")
    shell = Shell.of(ctx)
    with shell.database() as database:
        created = database.change(
            lambda c: create_account(c, read_clock(c), name.strip(), credit_limit_nanousd=limit)
        )
    shell.show(_document(created), created.id, as_json=as_json)
    typer.echo(f"next: vl2v-vendor credit {created.name} 5.00 --ref REFERENCE", err=True)


@accounts.command("list")
def list_all(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """List every account, oldest first.

    Example: vl2v-vendor accounts list --json
    """
    shell = Shell.of(ctx)
    with shell.database() as database, database.read() as connection:
        rows = [_document(account) for account in list_accounts(connection)]
    shell.list(rows, "no accounts yet: vl2v-vendor accounts create NAME", as_json=as_json)


@accounts.command()
def show(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's id or name.")],
    as_json: JsonFlag = False,
) -> None:
    """Show an account and its balance.

    Example: vl2v-vendor accounts show ada
    """
    shell = Shell.of(ctx)
    with shell.database() as database, database.read() as connection:
        found = find_account(connection, account)
        money = balance.describe(connection, found.id, read_clock(connection))
    document = {**_document(found), **money.model_dump(exclude={"object", "account_id"})}
    lines = [f"{name}: {value}" for name, value in document.items()]
    shell.show(document, "\n".join(lines), as_json=as_json)


def _document(account: Account) -> dict[str, str]:
    return {
        "id": account.id,
        "name": account.name,
        "status": account.status,
        "created_at": format_instant(account.created_at),
    }
