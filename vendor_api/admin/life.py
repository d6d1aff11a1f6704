"""What an operator does with an account as a whole: its private space, and its end."""

from typing import Literal

from sqlalchemy import Connection

from shared.money import format_usd
from vendor_api.admin.actions import Conflict
from vendor_api.admin.log import record_action
from vendor_api.ledger import balance
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.closing import Close, Closure, close_account
from vendor_api.spaces import Spaces
from vendor_api.spaces.repository import StoredSpace, read_space, write_space

SpaceChange = Literal["on", "off", "new"]
"""Into the account's private space, back to everybody's, or into a private space that is new."""

__all__ = ["SpaceChange", "change_space", "end_account"]


def change_space(
    connection: Connection,
    now: int,
    actor: str,
    spaces: Spaces,
    account_id: str,
    wanted: SpaceChange,
) -> StoredSpace | None:
    """Answer the account in another space from now on; None: in everybody's, it never had one.

    Turned on again, a space is the one that it was. Raises UnknownAccount, and Conflict for a closed
    account.
    """
    balance.lock(connection, [account_id])
    found = find_account(connection, account_id)
    if found.status == "closed":
        raise Conflict(f"the account {found.name} is closed for ever")
    known = read_space(connection, found.id)
    serial, on = _choose(known, wanted)
    if serial == 0 or (known is not None and (known.space.serial, known.on) == (serial, on)):
        return known
    space = spaces.name(found.id, serial)
    write_space(connection, now, space, on=on)
    detail = {"space": wanted, "space_id": space.id, "serial": serial}
    record_action(
        connection, now, actor=actor, action="account.space", subject=found.id, detail=detail
    )
    return read_space(connection, found.id)


def _choose(known: StoredSpace | None, wanted: SpaceChange) -> tuple[int, bool]:
    """The number of the space to have, 0 for none, and whether it is on."""
    last = 0 if known is None else known.space.serial
    if wanted == "new":
        return last + 1, True
    if wanted == "on":
        return max(1, last), True
    return last, False


def end_account(connection: Connection, now: int, actor: str, command: Close) -> Closure:
    """Close an account for ever; closing it again as before changes nothing.

    Raises UnknownAccount, CannotClose and ReferenceReused.
    """
    closure = close_account(connection, now, command)
    if closure.new:
        detail = {
            "reason": closure.reason,
            "refund_ref": closure.refund_ref,
            "refunded_usd": format_usd(closure.refunded_nanousd),
            "forfeited_usd": format_usd(closure.forfeited_nanousd),
        }
        record_action(
            connection,
            now,
            actor=actor,
            action="account.close",
            subject=closure.account_id,
            detail=detail,
        )
    return closure
