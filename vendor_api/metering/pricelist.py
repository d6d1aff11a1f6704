"""What models cost, as this process last read it: a request need not wait for a query for that."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.wire import Modality
from vendor_api.db import read_clock
from vendor_api.db.clock import SECOND
from vendor_api.ledger.commands import Price
from vendor_api.ledger.ledger import Ledger
from vendor_api.ledger.prices import current_prices, list_prices

PRICE_SECONDS = 1.0
"""How long a price is believed that another process may have changed meanwhile."""

__all__ = ["PRICE_SECONDS", "PriceList"]


@dataclass(frozen=True, slots=True)
class _Known:
    prices: Mapping[Modality, Price]
    until: float
    """By the clock: when another begins, or may have been set."""


class PriceList:
    """Current prices, read again every second. For one event loop.

    A price that was set to begin at an instant counts from that instant; one that begins at once is
    charged by other processes within `PRICE_SECONDS`, and by this one after `forget`.
    """

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._changes = 0

    def recall(self, model: str) -> Mapping[Modality, Price] | None:
        """The model's current prices, if they were read lately."""
        known = self._known.get(model)
        return known.prices if known is not None and self._clock() < known.until else None

    async def read(self, model: str) -> Mapping[Modality, Price]:
        """The model's current price of each modality; empty when it is not for sale.

        Raises LedgerUnavailable.
        """
        asked, changes = self._clock(), self._changes
        prices, left = await self._ledger.read(lambda c: _read(c, model))
        # A model without a price is asked for by name, and any name may come: none is remembered.
        if prices and changes == self._changes:
            self._known[model] = _Known(prices, asked + left)
        return prices

    def forget(self) -> None:
        """Read every price again when it is next asked for."""
        self._changes += 1  # a query under way may have read the old ones
        self._known.clear()


def _read(connection: Connection, model: str) -> tuple[Mapping[Modality, Price], float]:
    """The model's prices, and for how many seconds they may be believed."""
    now = read_clock(connection)
    prices = current_prices(connection, now, model)
    coming = [
        price for price in list_prices(connection, now, upcoming=True) if price.model == model
    ]
    left = [(price.valid_from - now) / SECOND for price in coming]
    return prices, min([PRICE_SECONDS, *left])
