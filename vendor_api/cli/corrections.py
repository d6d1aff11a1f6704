"""`vl2v-vendor refund` and `adjust`: what an operator puts right."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shared.money import format_usd, show_usd
from vendor_api.admin import actions
from vendor_api.cli.shell import (
    DryRunFlag,
    JsonFlag,
    RefOption,
    Shell,
    name_actor,
    parse_amount,
    require_text,
)
from vendor_api.db import MAX_CREDITED_NANOUSD
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.commands import Adjust, Booking, Refund

ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit log and the journal.")]

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(refund)
    # "-0.50" is an amount, not an option.
    app.command(context_settings={"ignore_unknown_options": True})(adjust)


def refund(
    ctx: typer.Context,
    charge: Annotated[str, typer.Argument(help="The charge's id (chg_…).")],
    ref: RefOption,
    reason: ReasonOption,
    amount: Annotated[
        str | None, typer.Option(help="Dollars; all that is left of the charge unless said.")
    ] = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Give back what a charge cost, or a part, once for each reference.

    Example: vl2v-vendor refund chg_0190… --ref ticket-12 --reason "blurred pictures"
    """
    wanted = None if amount is None else parse_amount(amount)
    if wanted is not None and not 0 < wanted <= MAX_CREDITED_NANOUSD:
        raise typer.BadParameter("a refund is more than zero dollars")
    command = Refund(charge.strip(), wanted, _ref(ref), _reason(reason))

    def work(connection: Connection, now: int) -> Booking:
        return actions.refund(connection, now, name_actor(), command)

    booking = Shell.of(ctx).change(work, dry_run=dry_run)
    verb = "would refund" if dry_run else "refunded"
    _show(ctx, booking, command.external_ref, verb, dry_run=dry_run, as_json=as_json)


def adjust(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(help="The account's id or name.")],
    amount: Annotated[str, typer.Argument(help="Dollars up or down, like 0.50 or -0.50.")],
    ref: RefOption,
    reason: ReasonOption,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Correct a balance by hand, up or down, once for each reference.

    Example: vl2v-vendor adjust ada -0.50 --ref ticket-13 --reason "credited twice by hand"
    """
    amount_nanousd = parse_amount(amount.removeprefix("+"))
    if amount_nanousd == 0 or abs(amount_nanousd) > MAX_CREDITED_NANOUSD:
        raise typer.BadParameter("an adjustment is not zero, and less than 4.6 billion dollars")

    def work(connection: Connection, now: int) -> Booking:
        found = find_account(connection, account)
        command = Adjust(found.id, amount_nanousd, _ref(ref), _reason(reason))
        return actions.adjust(connection, now, name_actor(), command)

    booking = Shell.of(ctx).change(work, dry_run=dry_run)
    verb = "would adjust by" if dry_run else "adjusted by"
    _show(ctx, booking, ref, verb, dry_run=dry_run, as_json=as_json)


def _ref(text: str) -> str:
    return require_text(text, "--ref", "give this correction a reference of its own")


def _reason(text: str) -> str:
    return require_text(text, "--reason", "say why")


def _show(
    ctx: typer.Context, booking: Booking, ref: str, verb: str, *, dry_run: bool, as_json: bool
) -> None:
    document = {
        "account_id": booking.account_id,
        "amount_usd": format_usd(booking.amount_nanousd),
        "ref": ref,
        "new": booking.new,
        "txn_id": booking.txn_id,
        "available_usd": format_usd(booking.available_nanousd),
        "dry_run": dry_run,
    }
    deed = (
        f"{verb} {show_usd(booking.amount_nanousd)}" if booking.new else f"{ref} was booked before"
    )
    available = show_usd(booking.available_nanousd)
    Shell.of(ctx).show(document, f"{deed}: {available} available", as_json=as_json)
