"""What the API asks of the ledger, and what it answers: plain values, no SQL, no I/O."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.wire import Modality

REQUEST_SECONDS = 60
"""A request is answered within this."""
HOLD_SECONDS = REQUEST_SECONDS + 30
"""A hold outlives its request by half a minute, then the sweeper expires it."""
REBUY_FREE_DAYS = 30
"""An item bought again within this many days costs nothing."""
REPLAYS_PER_DAY = 3
"""A captured charge is recomputed free of charge at most this often a day."""

CapKind = Literal["items", "spend"]
"""What a key's cap counts: items asked for, or nano-dollars."""
CapWindow = Literal["day", "month", "ever"]
"""How long a cap counts before it starts anew: days and months of UTC."""
CreditKind = Literal["credit", "promo"]
"""Money paid in, or given away."""
AccountStatus = Literal["active", "frozen", "closed"]


@dataclass(frozen=True, slots=True)
class Price:
    """One immutable row of the price book, pinned to each charge that uses it."""

    id: str
    model: str
    modality: Modality
    unit_nanousd: int
    valid_from: int = 0
    """Microseconds since 1970 in UTC."""


class Line(NamedTuple):
    """One distinct item of a request."""

    modality: Modality
    digest: bytes
    price: Price


@dataclass(frozen=True, slots=True)
class Reserve:
    """Claim an idempotency key and hold the money for every line, in one transaction."""

    account_id: str
    key_id: str
    idempotency_key: str
    fingerprint: bytes
    request_id: str
    model: str
    revision: str
    lines: tuple[Line, ...]
    hold_seconds: int = HOLD_SECONDS


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one request, until captured, released or expired."""

    charge_id: str
    account_id: str
    epoch: int
    """Fences a late worker: a capture under an older epoch changes nothing."""
    reserved_nanousd: int
    available_nanousd: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """The key's charge is already captured: the answer may be recomputed and costs nothing."""

    charge_id: str
    account_id: str
    available_nanousd: int
    original_nanousd: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a captured request cost, line by line in the hold's order."""

    charge_id: str
    cost_nanousd: int
    line_costs_nanousd: tuple[int, ...]
    available_nanousd: int


@dataclass(frozen=True, slots=True)
class Credit:
    """Pay money in, once for each (kind, external reference)."""

    account_id: str
    amount_nanousd: int
    external_ref: str
    kind: CreditKind = "credit"
    expires_at: int | None = None
    """Microseconds; what is unspent and unheld then is lost. None: never."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back all or part of what a charge cost, once for each external reference."""

    charge_id: str
    amount_nanousd: int | None
    """None: all that was not refunded before."""
    external_ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class Adjust:
    """Correct a balance by hand, up or down, once for each external reference."""

    account_id: str
    amount_nanousd: int
    external_ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement of money that an operator asked for."""

    txn_id: str
    account_id: str
    amount_nanousd: int
    """As the customer's balance sees it: negative when money went away."""
    new: bool
    """False: this very movement was booked before, under the same reference."""
    available_nanousd: int


class LedgerError(Exception):
    """A refusal by the ledger; nothing has changed."""


class InsufficientCredit(LedgerError):
    """The account cannot cover the hold."""

    def __init__(self, needed_nanousd: int, available_nanousd: int) -> None:
        super().__init__(needed_nanousd, available_nanousd)
        self.needed_nanousd = needed_nanousd
        self.available_nanousd = available_nanousd


class KeyReused(LedgerError):
    """The idempotency key belongs to a request with other content."""


class RequestInFlight(LedgerError):
    """The idempotency key's request is still held by a worker."""


class NothingValid(LedgerError):
    """The idempotency key's request was final: no item of it was valid."""


class ReplayLimit(LedgerError):
    """The charge was replayed too often today."""


class HoldLost(LedgerError):
    """The hold expired or was taken over: the result must not be delivered."""


class AccountFrozen(LedgerError):
    """The account is not active."""


class AccountClosed(LedgerError):
    """The account is closed for ever: it is given nothing more."""


class UnknownAccount(LedgerError):
    """There is no such account."""


class ReferenceReused(LedgerError):
    """The reference belongs to another movement of money: of another account, amount or charge."""


class CapReached(LedgerError):
    """The key's cap does not cover the request."""

    def __init__(self, kind: CapKind, window: CapWindow, resets_at: int | None) -> None:
        super().__init__(kind, window, resets_at)
        self.kind = kind
        self.window = window
        self.resets_at = resets_at
        """When the window starts anew, microseconds; None for a cap that never does."""


class UnknownCharge(LedgerError):
    """There is no such charge."""


class OverRefund(LedgerError):
    """More would be given back than the charge has left."""

    def __init__(self, wanted_nanousd: int, left_nanousd: int) -> None:
        super().__init__(wanted_nanousd, left_nanousd)
        self.wanted_nanousd = wanted_nanousd
        self.left_nanousd = left_nanousd


class CreditLimitInUse(LedgerError):
    """The account has spent or holds more than the wanted credit limit would cover."""

    def __init__(self, wanted_nanousd: int, least_nanousd: int) -> None:
        super().__init__(wanted_nanousd, least_nanousd)
        self.wanted_nanousd = wanted_nanousd
        self.least_nanousd = least_nanousd
        """The lowest limit that the account could have now."""


class LedgerUnavailable(LedgerError):
    """The database did not answer; the same request may be sent again."""


__all__ = [
    "HOLD_SECONDS",
    "REBUY_FREE_DAYS",
    "REPLAYS_PER_DAY",
    "REQUEST_SECONDS",
    "AccountClosed",
    "AccountFrozen",
    "AccountStatus",
    "Adjust",
    "Booking",
    "CapKind",
    "CapReached",
    "CapWindow",
    "Credit",
    "CreditKind",
    "CreditLimitInUse",
    "Hold",
    "HoldLost",
    "InsufficientCredit",
    "KeyReused",
    "LedgerError",
    "LedgerUnavailable",
    "Line",
    "NothingValid",
    "OverRefund",
    "Price",
    "Receipt",
    "ReferenceReused",
    "Refund",
    "Replay",
    "ReplayLimit",
    "RequestInFlight",
    "Reserve",
    "UnknownAccount",
    "UnknownCharge",
]
