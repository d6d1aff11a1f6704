"""`vl2v-vendor credit`: money that a customer has paid in."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shared.money import format_usd, show_usd
from vendor_api.cli.shell import JsonFlag, Shell, parse_amount
from vendor_api.db import MAX_CREDITED_NANOUSD, read_clock
from vendor_api.ledger.accounts import Account, find_account
from vendor_api.ledger.commands import Credit
from vendor_api.ledger.credits import add_credit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(credit)


def credit(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's id or name.")],
    amount: Annotated[str, typer.Argument(help="Dollars, like 5.00.")],
    ref: Annotated[
        str, typer.Option(help="The payment's own reference; the same one is credited once.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Credit an account, once for each reference: running it again credits nothing.

    Example: vl2v-vendor credit ada 5.00 --ref invoice-17
    """
    amount_nanousd = parse_amount(amount)
    if not 0 < amount_nanousd <= MAX_CREDITED_NANOUSD:
        raise typer.BadParameter("a credit is more than zero dollars and less than 4.6 billion")
    if not ref.strip():
        raise typer.BadParameter("--ref is empty: name the payment")

    def work(connection: Connection) -> tuple[Account, bool, int]:
        found = find_account(connection, account)
        command = Credit(found.id, amount_nanousd, ref)
        booking = add_credit(connection, read_clock(connection), command)
        return found, booking.new, booking.available_nanousd

    shell = Shell.of(ctx)
    with shell.database() as database:
        found, new, available = database.change(work)
    document = {
        "account_id": found.id,
        "amount_usd": format_usd(amount_nanousd),
        "ref": ref,
        "credited": new,
        "available_usd": format_usd(available),
    }
    deed = f"credited {show_usd(amount_nanousd)} to" if new else f"{ref} was credited before to"
    shell.show(document, f"{deed} {found.name}: {show_usd(available)} available", as_json=as_json)
