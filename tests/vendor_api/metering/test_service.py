"""Selling: money held first, work second, charged last, on both database engines."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import ErrorCode
from vendor_api.errors import VendorError
from vendor_api.ledger import Ledger, commands
from vendor_api.metering import Asked, Meter, NothingDelivered, Order, quote_items, translate
from vendor_api.metrics import Metrics

MODEL = "icon-clip"


@pytest.fixture
def meter(ledger: Ledger) -> Meter:
    return Meter(ledger, Metrics())


def order(shop: Any, *names: str, key: str = "k", refused: Any = None) -> Order:
    asked = [Asked("image", name.encode().ljust(32, b".")) for name in names]
    return Order(
        account_id=shop.account.id,
        key_id="key_test",
        idempotency_key=key,
        fingerprint=repr(names).encode(),
        request_id="req_1",
        model=MODEL,
        revision="0123456789abcdef",
        quote=quote_items(asked, shop.prices),
        refused=refused or {},
    )


async def balances(ledger: Ledger, shop: Any) -> tuple[str, str]:
    document = await ledger.balance(shop.account.id)
    return document.held_usd, document.debited_usd


async def test_money_is_held_while_the_work_is_done_and_charged_after(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    async def work(lines: Any) -> list[bool]:
        assert await balances(ledger, shop) == ("0.000200000", "0.000000000")
        return [True, False]

    settlement = await meter.sell(order(shop, "a", "b"), work)
    assert settlement.line_costs_nanousd == (100_000, 0)
    assert settlement.cost_nanousd == 100_000
    assert not settlement.replayed
    assert await balances(ledger, shop) == ("0.000000000", "0.000100000")


async def test_whatever_the_work_raises_gives_the_money_back(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    async def fail(lines: Any) -> list[bool]:
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError):
        await meter.sell(order(shop, "a"), fail)
    assert await balances(ledger, shop) == ("0.000000000", "0.000000000")
    assert (await meter.sell(order(shop, "a"), deliver)).cost_nanousd == 100_000


async def deliver(lines: Any) -> list[bool]:
    return [True]


async def test_a_cancelled_sale_gives_the_money_back(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    working = asyncio.Event()

    async def wait(lines: Any) -> list[bool]:
        working.set()
        await asyncio.Event().wait()
        return [True]

    sale = asyncio.create_task(meter.sell(order(shop, "a"), wait))
    await working.wait()
    sale.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sale
    assert await balances(ledger, shop) == ("0.000000000", "0.000000000")


async def test_nothing_delivered_spends_the_key(meter: Meter, ledger: Ledger, shop: Any) -> None:
    async def refuse(lines: Any) -> list[bool]:
        raise NothingDelivered(ErrorCode.NO_VALID_ITEM, "Nothing can be read.")

    with pytest.raises(NothingDelivered):
        await meter.sell(order(shop, "a"), refuse)
    with pytest.raises(VendorError) as caught:
        await meter.sell(order(shop, "a"), deliver)
    assert caught.value.code == ErrorCode.NO_VALID_ITEM
    assert await balances(ledger, shop) == ("0.000000000", "0.000000000")


async def test_a_replay_does_the_work_again_for_nothing(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    first = await meter.sell(order(shop, "a"), deliver)
    again = await meter.sell(order(shop, "a"), deliver)
    assert again.replayed
    assert (again.charge_id, again.cost_nanousd) == (first.charge_id, 0)
    assert again.line_costs_nanousd == (0,)
    assert await balances(ledger, shop) == ("0.000000000", "0.000100000")


async def test_a_hold_that_was_lost_is_never_charged(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    async def dawdle(lines: Any) -> list[bool]:
        await ledger.expire_orphans()
        return [True]

    with pytest.raises(VendorError) as caught:
        await meter.sell(order(shop, "a"), dawdle)
    assert caught.value.code == ErrorCode.NOT_READY
    assert await balances(ledger, shop) == ("0.000000000", "0.000000000")


async def test_a_release_that_fails_hides_no_error(meter: Meter, ledger: Ledger, shop: Any) -> None:
    async def lose_and_fail(lines: Any) -> list[bool]:
        await ledger.expire_orphans()
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError, match="the engine is gone"):
        await meter.sell(order(shop, "a"), lose_and_fail)


async def test_usage_counts_failed_and_repeated_items(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    async def half(lines: Any) -> list[bool]:
        return [True, False]

    await meter.sell(order(shop, "a", "a", "b", "b", "b", refused={"image": 4}), half)
    (row,) = (await meter_usage(ledger, shop)).data
    assert (row.items, row.items_free, row.items_failed) == (1, 1, 7)


async def meter_usage(ledger: Ledger, shop: Any) -> Any:
    from datetime import UTC, datetime

    since, until = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    return await ledger.usage(shop.account.id, since, until)


async def test_a_model_needs_both_prices(meter: Meter, shop: Any) -> None:
    assert set(await meter.prices(MODEL)) == {"image", "text"}
    assert await meter.prices("unpriced") == {}


async def test_a_closed_ledger_is_said_to_be_silent(
    meter: Meter, ledger: Ledger, shop: Any
) -> None:
    await ledger.close()
    for question in (meter.prices(MODEL), meter.sell(order(shop, "a"), deliver)):
        with pytest.raises(VendorError) as caught:
            await question
        assert caught.value.code == ErrorCode.NOT_READY


async def sell_noting(meter: Meter, order: Order, work: Any = None) -> list[str]:
    """In which order a sale prepares and works."""
    seen: list[str] = []

    async def note(lines: Any) -> list[bool]:
        seen.append("work")
        return [True] * len(lines)

    with suppress(VendorError):
        await meter.sell(order, work or note, prepare=lambda: seen.append("prepare"))
    return seen


async def test_work_is_prepared_for_accounts_that_have_bought_and_have_enough_left(
    meter: Meter, shop: Any
) -> None:
    assert await sell_noting(meter, order(shop, "a", key="1")) == ["work"]
    assert await sell_noting(meter, order(shop, "b", key="2")) == ["prepare", "work"]
    dear = {"image": replace(shop.prices["image"], unit_nanousd=2 * 10**9)}
    quote = quote_items([Asked("image", b"c" * 32)], dear)  # type: ignore[arg-type]
    costly = replace(order(shop, "c", key="3"), quote=quote)
    assert await sell_noting(meter, costly) == []
    assert await sell_noting(meter, order(shop, "d", key="4")) == ["work"]


async def test_a_refused_order_ends_the_trust_until_the_next_sale(meter: Meter, shop: Any) -> None:
    for key, name in (("1", "a"), ("2", "b")):
        await sell_noting(meter, order(shop, name, key=key))
    assert await sell_noting(meter, order(shop, "c", key="1")) == ["prepare"]  # the key is spent
    assert await sell_noting(meter, order(shop, "d", key="1")) == []
    assert await sell_noting(meter, order(shop, "e", key="3")) == ["work"]
    assert await sell_noting(meter, order(shop, "f", key="4")) == ["prepare", "work"]


async def test_a_replay_may_be_prepared_and_costs_nothing(meter: Meter, shop: Any) -> None:
    await sell_noting(meter, order(shop, "a"))
    assert await sell_noting(meter, order(shop, "a")) == ["prepare", "work"]


def test_every_refusal_of_the_ledger_has_its_words() -> None:
    expected = {
        commands.InsufficientCredit(20, 10): ErrorCode.INSUFFICIENT_CREDIT,
        commands.KeyReused(): ErrorCode.IDEMPOTENCY_KEY_REUSED,
        commands.RequestInFlight(): ErrorCode.REQUEST_IN_FLIGHT,
        commands.NothingValid(): ErrorCode.NO_VALID_ITEM,
        commands.ReplayLimit(): ErrorCode.REPLAY_LIMIT,
        commands.AccountFrozen(): ErrorCode.ACCOUNT_FROZEN,
        commands.HoldLost(): ErrorCode.NOT_READY,
        commands.LedgerUnavailable(): ErrorCode.NOT_READY,
    }
    assert {error: translate(error).code for error in expected} == expected
