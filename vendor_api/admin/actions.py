"""Everything an operator can change, each change with its line in the audit log, in one transaction.

Commands and HTTP routes both come here. A movement of money that was booked before under the same
reference changes nothing and leaves no second line.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from shared.money import format_usd
from shared.wire import Modality
from vendor_api.admin.log import record_action
from vendor_api.db import format_instant
from vendor_api.ledger.accounts import (
    Account,
    create_account,
    find_account,
    set_credit_limit,
    set_status,
)
from vendor_api.ledger.commands import (
    AccountStatus,
    Adjust,
    Booking,
    Credit,
    LedgerError,
    Price,
    Refund,
)
from vendor_api.ledger.corrections import adjust_balance, refund_charge
from vendor_api.ledger.credits import add_credit
from vendor_api.ledger.prices import set_prices
from vendor_api.ledger.standing import require_open

__all__ = [
    "Conflict",
    "adjust",
    "change_credit_limit",
    "change_prices",
    "change_status",
    "credit",
    "open_account",
    "refund",
]


class Conflict(LedgerError):
    """The present state does not allow the change; the message says why."""


def open_account(
    connection: Connection, now: int, actor: str, name: str, credit_limit_nanousd: int
) -> Account:
    """A new account. Raises AccountExists."""
    created = create_account(connection, now, name, credit_limit_nanousd=credit_limit_nanousd)
    # Not the name: the log is for ever, and a closed account's name is not.
    detail = {"credit_limit_usd": format_usd(credit_limit_nanousd)}
    record_action(
        connection, now, actor=actor, action="account.create", subject=created.id, detail=detail
    )
    return created


def change_status(
    connection: Connection,
    now: int,
    actor: str,
    account_id: str,
    status: AccountStatus,
    reason: str,
) -> Account:
    """Freeze an account, or let it buy again. Raises UnknownAccount, and Conflict for a closed one."""
    found = find_account(connection, account_id)
    if found.status == "closed":
        raise Conflict(f"the account {found.name} is closed for ever")
    if found.status == status:
        return found
    set_status(connection, found.id, status)
    action = "account.freeze" if status == "frozen" else "account.unfreeze"
    detail = {"from": found.status, "reason": reason}
    record_action(connection, now, actor=actor, action=action, subject=found.id, detail=detail)
    return find_account(connection, found.id)


def change_credit_limit(
    connection: Connection, now: int, actor: str, account_id: str, credit_limit_nanousd: int
) -> Account:
    """Let the account owe this much.

    Raises UnknownAccount, AccountClosed, and CreditLimitInUse when it owes more.
    """
    found = find_account(connection, account_id)
    require_open(connection, found.id)
    set_credit_limit(connection, found.id, credit_limit_nanousd)
    detail = {"credit_limit_usd": format_usd(credit_limit_nanousd)}
    record_action(
        connection, now, actor=actor, action="account.limit", subject=found.id, detail=detail
    )
    return found


def credit(connection: Connection, now: int, actor: str, command: Credit) -> Booking:
    """Pay money in, once for each reference. Raises UnknownAccount and ReferenceReused."""
    booking = add_credit(connection, now, command)
    if booking.new:
        expires = None if command.expires_at is None else format_instant(command.expires_at)
        detail = _describe(booking, command.external_ref, command.reason)
        detail |= {"kind": command.kind, "expires_at": expires}
        record_action(
            connection, now, actor=actor, action="credit", subject=booking.account_id, detail=detail
        )
    return booking


def refund(connection: Connection, now: int, actor: str, command: Refund) -> Booking:
    """Give back what a charge cost. Raises UnknownCharge, OverRefund and ReferenceReused."""
    booking = refund_charge(connection, now, command)
    if booking.new:
        detail = _describe(booking, command.external_ref, command.reason)
        record_action(
            connection,
            now,
            actor=actor,
            action="refund",
            subject=command.charge_id,
            detail=detail | {"account_id": booking.account_id},
        )
    return booking


def adjust(connection: Connection, now: int, actor: str, command: Adjust) -> Booking:
    """Correct a balance by hand. Raises UnknownAccount, InsufficientCredit and ReferenceReused."""
    booking = adjust_balance(connection, now, command)
    if booking.new:
        detail = _describe(booking, command.external_ref, command.reason)
        record_action(
            connection, now, actor=actor, action="adjust", subject=booking.account_id, detail=detail
        )
    return booking


def change_prices(
    connection: Connection,
    now: int,
    actor: str,
    model: str,
    units: Mapping[Modality, int],
    valid_from: int | None,
) -> dict[Modality, Price]:
    """Sell a model at these prices from an instant on, at once unless said."""
    prices = set_prices(connection, now, model, units, valid_from=valid_from)
    detail: dict[str, object] = {f"{name}_usd": format_usd(unit) for name, unit in units.items()}
    detail["valid_from"] = format_instant(now if valid_from is None else valid_from)
    record_action(connection, now, actor=actor, action="price", subject=model, detail=detail)
    return prices


def _describe(booking: Booking, external_ref: str, reason: str | None) -> dict[str, object]:
    return {
        "amount_usd": format_usd(booking.amount_nanousd),
        "external_ref": external_ref,
        "reason": reason,
        "txn_id": booking.txn_id,
    }
