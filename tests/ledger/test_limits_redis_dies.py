"""Case 7: Redis wiped, stopped, killed and restarted with an old dump under load: the books do not
notice, on either engine; limits degrade, and an operator can see it."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from shared.money import parse_usd
from tests.conftest import Shop
from tests.ledger.till import Till, open_till
from tests.redis_server import RedisServer, own_redis
from vendor_api.ledger import Ledger

CHUNK = 16
"""Requests at the same time."""

__all__ = ["own_redis"]


async def sell(till: Till, phase: int, beside: Callable[[], object] | None = None) -> None:
    """A chunk of requests at once while something happens to Redis; then half of them again."""
    numbers = range(phase * CHUNK, (phase + 1) * CHUNK)
    happening = asyncio.to_thread(beside) if beside else asyncio.sleep(0)
    statuses, _ = await asyncio.gather(asyncio.gather(*map(till.buy, numbers)), happening)
    assert set(statuses) == {200}
    assert {await till.buy(number) for number in numbers[::2]} == {200}


@pytest.mark.slow
async def test_case_07_whatever_happens_to_redis_the_books_are_the_same(
    vendor_database_url: str, shop: Shop, own_redis: RedisServer
) -> None:
    async with open_till(vendor_database_url, shop, "without", None) as till:
        await till.buy(-1)  # "the same" is bought once, in a known request
        for phase in range(7):
            await sell(till, phase)
        wanted = await till.books()

    wipe = partial(own_redis.run, "FLUSHALL")
    async with open_till(vendor_database_url, shop, "with", own_redis.url) as till:
        await till.buy(-1)
        await till.until("shared")
        await sell(till, 0, partial(own_redis.run, "SAVE"))
        await sell(till, 1, wipe)
        await sell(till, 2, own_redis.pause)
        await till.until("process")
        await sell(till, 3, own_redis.resume)
        await till.until("shared")
        await sell(till, 4, own_redis.kill)
        await till.until("process")
        await sell(till, 5, own_redis.start)  # with the dump of the first phase
        await till.until("shared")
        await sell(till, 6, wipe)
        found = await till.books()

    assert found == wanted
    available, spent = parse_usd(wanted[0]["available_usd"]), 7 * CHUNK + 2
    assert available == parse_usd("1.00") - spent * parse_usd("0.00001")
    ledger = Ledger.open(vendor_database_url)
    assert (await ledger.verify()).ok
    await ledger.close()
