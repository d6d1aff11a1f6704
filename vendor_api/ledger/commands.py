"""What the API asks of the ledger, and what it answers: plain values, no SQL, no I/O."""

from dataclasses import dataclass

from shared.wire import Modality

REQUEST_SECONDS = 60
"""A request is answered within this."""
HOLD_SECONDS = REQUEST_SECONDS + 30
"""A hold outlives its request by half a minute, then the sweeper expires it."""
REBUY_FREE_DAYS = 30
"""An item bought again within this many days costs nothing."""
REPLAYS_PER_DAY = 3
"""A captured charge is recomputed free of charge at most this often a day."""


@dataclass(frozen=True, slots=True)
class Price:
    """One immutable row of the price book, pinned to each charge that uses it."""

    id: str
    model: str
    modality: Modality
    unit_nanousd: int


@dataclass(frozen=True, slots=True)
class Line:
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


class UnknownAccount(LedgerError):
    """There is no such account."""


class ReferenceReused(LedgerError):
    """The credit's reference belongs to a credit of another account or amount."""


class LedgerUnavailable(LedgerError):
    """The database did not answer; the same request may be sent again."""


__all__ = [
    "HOLD_SECONDS",
    "REBUY_FREE_DAYS",
    "REPLAYS_PER_DAY",
    "REQUEST_SECONDS",
    "AccountFrozen",
    "Hold",
    "HoldLost",
    "InsufficientCredit",
    "KeyReused",
    "LedgerError",
    "LedgerUnavailable",
    "Line",
    "NothingValid",
    "Price",
    "Receipt",
    "Replay",
    "ReplayLimit",
    "RequestInFlight",
    "Reserve",
]
