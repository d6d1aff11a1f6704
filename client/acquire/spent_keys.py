"""Idempotency keys that bring nothing any more: closed, so that their items are asked for under new ones."""

from datetime import datetime
from typing import TYPE_CHECKING

from client.acquire.errors import FormLost, ReplaysUsedUp
from client.api import APIStatusError
from client.budget import Batch, ItemOutcome, Settlement
from shared.errors import ErrorCode
from shared.money import parse_usd

if TYPE_CHECKING:
    from client.acquire.purchase import Purchaser

__all__ = ["give_up_form", "give_up_replays", "is_reused"]


def is_reused(error: Exception) -> bool:
    """Whether the vendor knows the key by another request: the same items in another form."""
    return (
        isinstance(error, APIStatusError)
        and error.status_code == 422
        and error.code == ErrorCode.IDEMPOTENCY_KEY_REUSED
    )


def give_up_replays(purchaser: "Purchaser", batch: Batch, error: APIStatusError) -> None:
    """Settle a paid batch without its vectors, if buying them again is certainly free.

    Raises ReplaysUsedUp when it was settled.
    """
    charge = purchaser.find_charge(batch)
    if charge is None or charge.captured_at is None:
        return
    captured = datetime.fromisoformat(charge.captured_at)
    age_days = (purchaser.clock() - captured.timestamp()) / 86_400
    if age_days + 1 > purchaser.rebuy_free_days:
        return
    cost = parse_usd(charge.cost_usd)
    purchaser.journal.settle(
        batch.idempotency_key,
        Settlement(cost, charge.id, charge.request_id, problem=error.code),
    )
    raise ReplaysUsedUp(
        "the vendor repeated an answer too often today: run the same command again, the items "
        "come under a new key and are free"
    ) from error


def give_up_form(purchaser: "Purchaser", batch: Batch, error: APIStatusError) -> None:
    """Close a batch whose key the vendor knows by a form that cannot be made here, at what it cost.

    Raises FormLost when it was closed: the next quote says what its items cost in another form.
    """
    charge = purchaser.find_charge(batch)
    if charge is not None and charge.state == "held":
        return
    key, code = batch.idempotency_key, error.code
    if charge is not None and charge.state == "captured":
        cost = parse_usd(charge.cost_usd)
        settlement = Settlement(cost, charge.id, charge.request_id, problem=code)
    else:
        said = "it was asked for in a form that cannot be made here"
        lost = tuple(ItemOutcome(digest, str(code), said) for digest in batch.digests)
        settlement = Settlement(0, failures=lost, problem=code)
    purchaser.journal.settle(key, settlement)
    raise FormLost(
        "the vendor answers an earlier request in the form in which it was made, which cannot be made "
        "here: run the same command again, and its items come under a new key, at the price of the quote"
    ) from error
