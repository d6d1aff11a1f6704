"""The ledger's refusals in the client's words."""

import math
import time
from collections.abc import Callable

from shared.errors import ErrorCode
from shared.money import show_usd
from vendor_api.db.clock import SECOND, format_instant
from vendor_api.errors import VendorError
from vendor_api.ledger import commands
from vendor_api.ledger.commands import CapReached, InsufficientCredit, LedgerError

_SENTENCES: dict[type[LedgerError], tuple[ErrorCode, str]] = {
    commands.KeyReused: (
        ErrorCode.IDEMPOTENCY_KEY_REUSED,
        "The idempotency key belongs to a request with other content: use a new key.",
    ),
    commands.RequestInFlight: (
        ErrorCode.REQUEST_IN_FLIGHT,
        "A request with this idempotency key is being worked on: send it again in a moment.",
    ),
    commands.NothingValid: (
        ErrorCode.NO_VALID_ITEM,
        "No item of the request with this idempotency key was valid; nothing was charged.",
    ),
    commands.ReplayLimit: (
        ErrorCode.REPLAY_LIMIT,
        f"The charge was replayed {commands.REPLAYS_PER_DAY} times today: ask again tomorrow.",
    ),
    commands.AccountFrozen: (ErrorCode.ACCOUNT_FROZEN, "The account is frozen: ask the operator."),
    commands.HoldLost: (
        ErrorCode.NOT_READY,
        "The request took too long and its hold ran out; nothing was charged. Send it again.",
    ),
}
_COUNTED = {"spend": "spending", "items": "items"}
_SILENT = "The ledger does not answer; send the same request again with the same idempotency key."
RETRY_SECONDS = 2.0

__all__ = ["translate"]


def translate(error: LedgerError, *, clock: Callable[[], float] = time.time) -> VendorError:
    """The same refusal as the answer that the client gets; `clock` tells Unix time in seconds."""
    if isinstance(error, InsufficientCredit):
        needed, available = show_usd(error.needed_nanousd), show_usd(error.available_nanousd)
        sentence = (
            f"The request costs {needed} and {available} is available: add credit to the account."
        )
        return VendorError(ErrorCode.INSUFFICIENT_CREDIT, sentence)
    if isinstance(error, CapReached):
        return _translate_cap(error, clock())
    code, sentence = _SENTENCES.get(type(error), (ErrorCode.NOT_READY, _SILENT))
    return VendorError(code, sentence, retry_after_s=RETRY_SECONDS)


def _translate_cap(error: CapReached, now: float) -> VendorError:
    until = (
        "it never starts anew"
        if error.resets_at is None
        else f"it starts anew at {format_instant(error.resets_at)}"
    )
    window = {"day": "daily", "month": "monthly", "ever": "total"}[error.window]
    sentence = (
        f"The {window} cap on the {_COUNTED[error.kind]} of this key does not cover the request, and "
        f"{until}: ask whoever manages the key to raise it. Nothing was charged."
    )
    if error.kind == "spend":
        return VendorError(ErrorCode.SPEND_CAP_REACHED, sentence)
    if error.resets_at is None:
        return VendorError(ErrorCode.RATE_LIMITED, sentence, retryable=False)
    seconds = max(1, math.ceil(error.resets_at / SECOND - now))
    return VendorError(ErrorCode.RATE_LIMITED, sentence, retry_after_s=seconds)
