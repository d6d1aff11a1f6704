"""`vl2v-vendor accounts`: who may buy."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shared.money import format_usd
from vendor_api.admin import actions
from vendor_api.admin.books import read_account
from vendor_api.admin.holdings import describe_account
from vendor_api.cli.shell import JsonFlag, Shell, name_actor, parse_amount, require_text
from vendor_api.db import MAX_CREDITED_NANOUSD, format_instant
from vendor_api.ledger.accounts import Account, find_account, list_accounts
from vendor_api.ledger.commands import AccountStatus

accounts = typer.Typer(help="Create, list, show, freeze accounts.", no_args_is_help=True)

AccountArgument = Annotated[str, typer.Argument(help="The account's id or name.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit log.")]

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
    limit = _parse_limit(credit_limit)
    given = require_text(name, "NAME", "give the account a name")
    shell = Shell.of(ctx)
    created = shell.change(lambda c, now: actions.open_account(c, now, name_actor(), given, limit))
    shell.show(_document(created), created.id, as_json=as_json)
    typer.echo(f"next: vl2v-vendor credit {created.name} 5.00 --ref REFERENCE", err=True)


@accounts.command("list")
def list_all(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """List every account, oldest first.

    Example: vl2v-vendor accounts list --json
    """
    shell = Shell.of(ctx)
    rows = shell.read(lambda c, _now: [_document(account) for account in list_accounts(c)])
    shell.list(rows, "no accounts yet: vl2v-vendor accounts create NAME", as_json=as_json)


@accounts.command()
def show(ctx: typer.Context, account: AccountArgument, as_json: JsonFlag = False) -> None:
    """Show an account, its balance, grants and keys.

    Example: vl2v-vendor accounts show ada
    """

    shell = Shell.of(ctx)
    found = shell.read(lambda c, now: describe_account(c, now, find_account(c, account).id))
    document = found.model_dump(exclude={"object"})
    plain = {name: value for name, value in document.items() if not isinstance(value, list)}
    lines = [f"{name}: {value}" for name, value in plain.items()]
    lines += [
        f"{grant.kind} {grant.txn_id}: {grant.remaining_usd} of {grant.amount_usd} left, "
        f"{'never expires' if grant.expires_at is None else f'expires {grant.expires_at}'}"
        for grant in found.grants
    ]
    lines.append(f"keys: {', '.join(key.id for key in found.keys) or 'none'}")
    shell.show(document, "\n".join(lines), as_json=as_json)


@accounts.command()
def freeze(
    ctx: typer.Context,
    account: AccountArgument,
    reason: ReasonOption,
    as_json: JsonFlag = False,
) -> None:
    """Let an account buy nothing more; requests under way are finished and charged.

    Example: vl2v-vendor accounts freeze ada --reason "unpaid invoice"
    """
    _set_status(ctx, account, "frozen", reason, as_json=as_json)


@accounts.command()
def unfreeze(
    ctx: typer.Context,
    account: AccountArgument,
    reason: ReasonOption,
    as_json: JsonFlag = False,
) -> None:
    """Let a frozen account buy again.

    Example: vl2v-vendor accounts unfreeze ada --reason "invoice paid"
    """
    _set_status(ctx, account, "active", reason, as_json=as_json)


@accounts.command()
def limit(
    ctx: typer.Context,
    account: AccountArgument,
    amount: Annotated[str, typer.Argument(help="Dollars the account may owe; 0 for none.")],
    as_json: JsonFlag = False,
) -> None:
    """Change what an account may owe.

    Example: vl2v-vendor accounts limit ada 10.00
    """
    wanted = _parse_limit(amount)

    def work(connection: Connection, now: int) -> dict[str, str]:
        found = find_account(connection, account)
        actions.change_credit_limit(connection, now, name_actor(), found.id, wanted)
        return read_account(connection, found.id).model_dump(exclude={"object"})

    shell = Shell.of(ctx)
    document = shell.change(work)
    sentence = (
        f"{document['name']} may owe {format_usd(wanted)}: {document['available_usd']} available"
    )
    shell.show(document, sentence, as_json=as_json)


def _set_status(
    ctx: typer.Context, account: str, status: AccountStatus, reason: str, *, as_json: bool
) -> None:
    why = require_text(reason, "--reason", "say why")

    def work(connection: Connection, now: int) -> Account:
        found = find_account(connection, account)
        return actions.change_status(connection, now, name_actor(), found.id, status, why)

    shell = Shell.of(ctx)
    changed = shell.change(work)
    shell.show(_document(changed), f"{changed.name} is {changed.status}", as_json=as_json)


def _parse_limit(text: str) -> int:
    amount = parse_amount(text)
    if not 0 <= amount <= MAX_CREDITED_NANOUSD:
        raise typer.BadParameter("a credit limit is zero or more, less than 4.6 billion dollars")
    return amount


def _document(account: Account) -> dict[str, str]:
    return {
        "id": account.id,
        "name": account.name,
        "status": account.status,
        "created_at": format_instant(account.created_at),
    }
