"""`vl2v-vendor credit`: money that a customer has paid in, or was given."""

from typing import Annotated, cast

import typer
from sqlalchemy import Connection

from shared.money import format_usd, show_usd
from vendor_api.admin import actions
from vendor_api.cli.shell import (
    DryRunFlag,
    JsonFlag,
    Shell,
    name_actor,
    parse_amount,
    read_future,
    require_text,
)
from vendor_api.db import MAX_CREDITED_NANOUSD
from vendor_api.ledger.accounts import Account, find_account
from vendor_api.ledger.commands import Booking, Credit, CreditKind

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(credit)


def credit(  # noqa: PLR0913, PLR0917
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's id or name.")],
    amount: Annotated[str, typer.Argument(help="Dollars, like 5.00.")],
    ref: Annotated[
        str, typer.Option(help="The payment's own reference; the same one is credited once.")
    ],
    kind: Annotated[str, typer.Option(help="credit (paid in) or promo (given away).")] = "credit",
    expires: Annotated[
        str | None,
        typer.Option(help="When what is unspent is lost: 90d or 2027-01-31; never unless said."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="A note for the audit log.")] = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Credit an account, once for each reference: running it again credits nothing.

    Example: vl2v-vendor credit ada 5.00 --ref invoice-17
    """
    amount_nanousd = parse_amount(amount)
    if not 0 < amount_nanousd <= MAX_CREDITED_NANOUSD:
        raise typer.BadParameter("a credit is more than zero dollars and less than 4.6 billion")
    ref = require_text(ref, "--ref", "name the payment")
    if kind not in ("credit", "promo"):
        raise typer.BadParameter("--kind is credit or promo")

    def work(connection: Connection, now: int) -> tuple[Account, Booking]:
        found = find_account(connection, account)
        command = Credit(
            found.id,
            amount_nanousd,
            ref,
            cast("CreditKind", kind),
            read_future(expires, now),
            reason,
        )
        return found, actions.credit(connection, now, name_actor(), command)

    shell = Shell.of(ctx)
    found, booking = shell.change(work, dry_run=dry_run)
    document = {
        "account_id": found.id,
        "amount_usd": format_usd(amount_nanousd),
        "ref": ref,
        "credited": booking.new,
        "available_usd": format_usd(booking.available_nanousd),
        "dry_run": dry_run,
    }
    deed = f"{ref} was credited before to"
    if booking.new:
        deed = f"{'would credit' if dry_run else 'credited'} {show_usd(amount_nanousd)} to"
    available = show_usd(booking.available_nanousd)
    shell.show(document, f"{deed} {found.name}: {available} available", as_json=as_json)
