"""Remembered prices: never an old one after its end, a new one within a second, at once where it was set."""

from typing import Any

import pytest

from shared.money import parse_usd
from vendor_api.db import read_clock
from vendor_api.db.clock import SECOND
from vendor_api.ledger import Ledger
from vendor_api.ledger.prices import set_prices
from vendor_api.metering import Meter
from vendor_api.metering.pricelist import PRICE_SECONDS, PriceList
from vendor_api.metrics import Metrics

MODEL = "icon-clip"
OLD, NEW = parse_usd("0.0001"), parse_usd("0.5")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def prices(ledger: Ledger, clock: Clock) -> PriceList:
    return PriceList(ledger, clock=clock)


def begin_later(shop: Any, seconds: float) -> None:
    """Another price from that many seconds on."""
    with shop.database.write() as connection:
        now = read_clock(connection)
        at = now + int(seconds * SECOND)
        set_prices(connection, now, MODEL, {"image": NEW}, valid_from=at)


async def test_a_price_is_believed_for_a_second(prices: PriceList, shop: Any, clock: Clock) -> None:
    assert prices.recall(MODEL) is None
    assert await prices.read(MODEL) == shop.prices
    shop.set_prices(image="0.5")
    clock.now += PRICE_SECONDS / 2
    known = prices.recall(MODEL)
    assert known is not None
    assert known["image"].unit_nanousd == OLD
    clock.now += PRICE_SECONDS / 2
    assert prices.recall(MODEL) is None
    assert (await prices.read(MODEL))["image"].unit_nanousd == NEW


async def test_no_price_is_believed_past_the_instant_at_which_another_begins(
    prices: PriceList, shop: Any, clock: Clock
) -> None:
    begin_later(shop, 0.75)
    await prices.read(MODEL)
    clock.now += 0.75
    assert prices.recall(MODEL) is None


async def test_a_price_that_begins_later_is_no_reason_to_look_sooner(
    prices: PriceList, shop: Any, clock: Clock
) -> None:
    begin_later(shop, 3600)
    await prices.read(MODEL)
    clock.now += PRICE_SECONDS * 0.9
    assert prices.recall(MODEL) == shop.prices


async def test_what_has_no_price_is_not_remembered(prices: PriceList, shop: Any) -> None:
    assert await prices.read("unpriced") == {}
    assert prices.recall("unpriced") is None


async def test_a_price_that_was_set_here_counts_at_once(ledger: Ledger, shop: Any) -> None:
    meter = Meter(ledger, Metrics())
    assert (await meter.prices(MODEL))["image"].unit_nanousd == OLD
    shop.set_prices(image="0.5")
    meter.forget_prices()
    assert (await meter.prices(MODEL))["image"].unit_nanousd == NEW


async def test_what_was_read_before_a_change_is_not_remembered_after_it(
    prices: PriceList, ledger: Ledger, shop: Any
) -> None:
    class Slow:
        """A ledger that is told of the change while it reads."""

        async def read(self, query: Any) -> Any:
            found = await ledger.read(query)
            late.forget()
            return found

    late = PriceList(Slow())  # type: ignore[arg-type]
    assert await late.read(MODEL) == shop.prices
    assert late.recall(MODEL) is None
