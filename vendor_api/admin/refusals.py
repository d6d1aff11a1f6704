"""What the ledger refuses, in an operator's words; and the two roads to it: read and change."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from shared.errors import ErrorCode
from shared.money import show_usd
from vendor_api.admin.actions import Conflict
from vendor_api.admin.keyring import UnknownKey
from vendor_api.dependencies import Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.accounts import AccountExists
from vendor_api.ledger.commands import (
    InsufficientCredit,
    LedgerError,
    OverRefund,
    ReferenceReused,
    UnknownAccount,
    UnknownCharge,
)
from vendor_api.ledger.writer import Work
from vendor_api.metering.refusals import translate

T = TypeVar("T")

__all__ = ["change", "read"]


async def read(shop: Shop, query: Callable[[Connection], T]) -> T:
    """The query's result. Raises VendorError."""
    try:
        return await shop.ledger.read(query)
    except LedgerError as error:
        raise _translate(error) from error


async def change(shop: Shop, account_id: str, work: Work[T]) -> T:
    """The work's result once it is committed. Raises VendorError; then nothing has changed."""
    try:
        try:
            return await shop.ledger.change(account_id, work)
        except IntegrityError:
            # Another account's transaction may have taken the reference meanwhile: look again.
            return await shop.ledger.change(account_id, work)
    except LedgerError as error:
        raise _translate(error) from error
    except (IntegrityError, DataError) as error:
        raise VendorError(
            ErrorCode.CONFLICT,
            "The account's balance cannot hold that: it would pass one of the ledger's bounds.",
        ) from error


def _translate(error: LedgerError) -> VendorError:
    match error:
        case UnknownAccount():
            return VendorError(ErrorCode.NOT_FOUND, "There is no such account.")
        case UnknownCharge():
            return VendorError(ErrorCode.NOT_FOUND, "There is no such charge.")
        case UnknownKey():
            return VendorError(ErrorCode.NOT_FOUND, "There is no such key.")
        case AccountExists():
            return VendorError(ErrorCode.CONFLICT, "An account of this name exists.", param="name")
        case Conflict():
            return VendorError(ErrorCode.CONFLICT, f"{error}.")
        case ReferenceReused():
            sentence = "The reference belongs to another movement of money: use one of its own."
            return VendorError(ErrorCode.REFERENCE_REUSED, sentence, param="external_ref")
        case OverRefund():
            left = show_usd(error.left_nanousd)
            sentence = f"The charge has {left} left to refund; nothing was refunded."
            return VendorError(ErrorCode.OVER_REFUND, sentence, param="amount_usd")
        case InsufficientCredit():
            available = show_usd(error.available_nanousd)
            sentence = f"The account has {available} available: that is less than this takes away."
            return VendorError(ErrorCode.CONFLICT, sentence)
    return translate(error)
