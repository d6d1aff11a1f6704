"""What the ledger refuses, in an operator's words; and the roads to it: read, rehearse and change."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from shared.errors import ErrorCode
from shared.money import show_usd
from vendor_api.admin.actions import Conflict
from vendor_api.admin.keyring import UnknownKey
from vendor_api.dependencies import Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.accounts import AccountExists
from vendor_api.ledger.closing import CannotClose
from vendor_api.ledger.commands import (
    AccountClosed,
    CreditLimitInUse,
    InsufficientCredit,
    LedgerError,
    OverRefund,
    ReferenceReused,
    UnknownAccount,
    UnknownCharge,
)
from vendor_api.ledger.jobs import Work
from vendor_api.metering.refusals import translate
from vendor_api.people.roster import UnknownPerson

T = TypeVar("T")

__all__ = ["change", "read", "rehearse", "require_future", "survey", "translate_refusal"]


async def read(shop: Shop, query: Callable[[Connection], T]) -> T:
    """The query's result. Raises VendorError."""
    try:
        return await shop.ledger.read(query)
    except LedgerError as error:
        raise translate_refusal(error) from error


async def survey(shop: Shop, query: Callable[[Connection], T]) -> T:
    """Like `read`, over one state of the database, however long it takes. Raises VendorError."""
    try:
        return await shop.ledger.survey(query)
    except LedgerError as error:
        raise translate_refusal(error) from error


async def change(shop: Shop, account_id: str, work: Work[T]) -> T:
    """The work's result once it is committed. Raises VendorError; then nothing has changed."""
    try:
        try:
            return await shop.ledger.change(account_id, work)
        except IntegrityError:
            # Another account's transaction may have taken the reference meanwhile: look again.
            return await shop.ledger.change(account_id, work)
    except LedgerError as error:
        raise translate_refusal(error) from error
    except ValueError as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"{str(error).capitalize()}.") from error
    except (IntegrityError, DataError) as error:
        raise VendorError(
            ErrorCode.CONFLICT,
            "The account's balance cannot hold that: it would pass one of the ledger's bounds.",
        ) from error


async def rehearse(shop: Shop, account_id: str, work: Work[T]) -> T:
    """What `change` would come to, all of it taken back. Raises VendorError where that would."""
    try:
        await change(shop, account_id, lambda c, now: _practise(work(c, now)))
    except _Rehearsed as end:
        result: T = end.result
        return result
    raise AssertionError("a rehearsal never commits")


class _Rehearsed(Exception):
    """Takes a rehearsal back, carrying what it came to."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


def _practise(result: object) -> None:
    raise _Rehearsed(result)


def require_future(now: int, instant: int | None, name: str) -> None:
    """Raises VendorError, naming the member, for an instant that has passed; None never has."""
    if instant is not None and instant <= now:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"{name}: it is in the past", param=name)


_SENTENCES: dict[type[LedgerError], tuple[ErrorCode, str, str | None]] = {
    UnknownAccount: (ErrorCode.NOT_FOUND, "There is no such account.", None),
    AccountClosed: (
        ErrorCode.CONFLICT,
        "The account is closed for ever and is given nothing more: open another one.",
        None,
    ),
    UnknownCharge: (ErrorCode.NOT_FOUND, "There is no such charge.", None),
    UnknownKey: (ErrorCode.NOT_FOUND, "There is no such key.", None),
    UnknownPerson: (ErrorCode.NOT_FOUND, "There is no such person.", None),
    AccountExists: (ErrorCode.CONFLICT, "An account of this name exists already.", "name"),
    ReferenceReused: (
        ErrorCode.REFERENCE_REUSED,
        "The reference belongs to another movement of money: use one of its own.",
        "external_ref",
    ),
}


def translate_refusal(error: LedgerError) -> VendorError:
    """The ledger's refusal as the answer that an operator gets."""
    known = _SENTENCES.get(type(error))
    if known is not None:
        code, sentence, param = known
        return VendorError(code, sentence, param=param)
    match error:
        case OverRefund():
            left = show_usd(error.left_nanousd)
            sentence = f"The charge has {left} left to refund; nothing was refunded."
            return VendorError(ErrorCode.OVER_REFUND, sentence, param="amount_usd")
        case CreditLimitInUse():
            least = show_usd(error.least_nanousd)
            sentence = f"The account has spent or holds more: its limit can be {least} at least."
        case InsufficientCredit():
            available = show_usd(error.available_nanousd)
            sentence = f"The account has {available} available: that is less than this takes away."
        case Conflict() | CannotClose():
            sentence = f"{error}."
        case _:
            return translate(error)
    return VendorError(ErrorCode.CONFLICT, sentence)
