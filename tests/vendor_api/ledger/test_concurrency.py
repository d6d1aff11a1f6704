"""Many at once, through two ledgers on one database, as two processes would."""

import asyncio

import pytest

from vendor_api.ledger import Ledger
from vendor_api.ledger.commands import (
    Hold,
    InsufficientCredit,
    Replay,
    RequestInFlight,
)

N = 40


@pytest.fixture
async def two_ledgers(ledger, vendor_database_url):
    second = Ledger.open(vendor_database_url)
    yield ledger, second
    await second.close()


async def test_of_2n_requests_exactly_n_are_paid_when_the_credit_covers_n(two_ledgers, shop):
    bob = shop.open_account("bob", f"{N * 0.0001:.4f}")

    async def request(n):
        ledger = two_ledgers[n % 2]
        hold = await ledger.reserve(shop.reserve(f"k{n}", f"item {n}", account_id=bob.id))
        return await ledger.capture(hold, [True])

    outcomes = await asyncio.gather(*map(request, range(2 * N)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientCredit)]
    paid = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert (len(paid), len(refused)) == (N, N)
    balance = await two_ledgers[0].balance(bob.id)
    assert (balance.available_usd, balance.held_usd) == ("0.000000000", "0.000000000")
    assert (await two_ledgers[0].verify()).ok


async def test_one_key_fired_fifty_times_is_one_charge(two_ledgers, shop):
    command = shop.reserve("k", "a")
    calls = [two_ledgers[n % 2].reserve(command) for n in range(50)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    holds = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
    assert len(holds) == 1
    assert sum(isinstance(outcome, RequestInFlight) for outcome in outcomes) == 49
    await two_ledgers[0].capture(holds[0], [True])
    assert isinstance(await two_ledgers[1].reserve(command), Replay)
    assert len((await two_ledgers[0].charges(shop.account.id)).data) == 1


async def test_one_item_in_many_requests_is_charged_once_for_each_account(two_ledgers, shop):
    owners = [shop.account, shop.open_account("bob", "1.00")]

    async def request(n):
        ledger, owner = two_ledgers[n % 2], owners[n // 2 % 2]
        hold = await ledger.reserve(shop.reserve(f"k{n}", "same", account_id=owner.id))
        return await ledger.capture(hold, [True])

    receipts = await asyncio.gather(*map(request, range(40)))
    assert sorted(receipt.cost_nanousd for receipt in receipts) == [0] * 38 + [100_000] * 2
    for owner in owners:
        balance = await two_ledgers[0].balance(owner.id)
        assert balance.debited_usd == "0.000100000"


async def test_a_hold_is_captured_or_expired_never_both(two_ledgers, shop):
    async def race(n):
        hold = await two_ledgers[0].reserve(shop.reserve(f"k{n}", f"i{n}", hold_seconds=0))
        return await asyncio.gather(
            two_ledgers[0].capture(hold, [True]), two_ledgers[1].sweep(), return_exceptions=True
        )

    await asyncio.gather(*map(race, range(20)))
    states = {charge.state for charge in (await two_ledgers[0].charges(shop.account.id)).data}
    assert states <= {"captured", "expired"}
    assert (await two_ledgers[0].verify()).ok


async def test_accounts_in_any_order_never_deadlock(two_ledgers, shop):
    owners = [shop.open_account(f"customer {n}", "1.00") for n in range(6)]

    async def request(n):
        ledger, owner = two_ledgers[n % 2], owners[n * 5 % 6]
        command = shop.reserve(f"k{n % 30}", f"i{n % 30}", account_id=owner.id)
        outcome = await ledger.reserve(command)
        if isinstance(outcome, Hold):
            await ledger.capture(outcome, [True])

    outcomes = await asyncio.gather(*map(request, range(120)), return_exceptions=True)
    failed = [o for o in outcomes if o is not None and not isinstance(o, RequestInFlight)]
    assert failed == []
    assert (await two_ledgers[0].verify()).ok
