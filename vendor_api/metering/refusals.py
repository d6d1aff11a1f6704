"""The ledger's refusals in the client's words."""

from shared.errors import ErrorCode
from shared.money import show_usd
from vendor_api.errors import VendorError
from vendor_api.ledger import commands
from vendor_api.ledger.commands import InsufficientCredit, LedgerError

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
_SILENT = "The ledger does not answer; send the same request again with the same idempotency key."
RETRY_SECONDS = 2.0

__all__ = ["translate"]


def translate(error: LedgerError) -> VendorError:
    """The same refusal as the answer that the client gets."""
    if isinstance(error, InsufficientCredit):
        needed, available = show_usd(error.needed_nanousd), show_usd(error.available_nanousd)
        sentence = (
            f"The request costs {needed} and {available} is available: add credit to the account."
        )
        return VendorError(ErrorCode.INSUFFICIENT_CREDIT, sentence)
    code, sentence = _SENTENCES.get(type(error), (ErrorCode.NOT_READY, _SILENT))
    return VendorError(code, sentence, retry_after_s=RETRY_SECONDS)
