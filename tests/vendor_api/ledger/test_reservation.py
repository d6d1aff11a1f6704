"""An idempotency key's life: held, captured, released, released for good, expired, held again."""

import pytest

from shared.money import format_usd, parse_usd
from vendor_api.db.tables import account, account_balance
from vendor_api.ledger.commands import (
    REPLAYS_PER_DAY,
    AccountFrozen,
    Hold,
    HoldLost,
    InsufficientCredit,
    KeyReused,
    NothingValid,
    Replay,
    ReplayLimit,
    RequestInFlight,
    UnknownAccount,
)


async def held_usd(ledger, shop):
    return (await ledger.balance(shop.account.id)).held_usd


async def state_of(ledger, shop, key):
    (charge,) = (await ledger.charges(shop.account.id, idempotency_key=key)).data
    return charge.state


class TestReserve:
    async def test_it_holds_the_full_price_of_every_line(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a", "b", "c"))
        assert isinstance(hold, Hold)
        assert (hold.epoch, hold.reserved_nanousd) == (1, 3 * 100_000)
        assert hold.available_nanousd == parse_usd("1.00") - 3 * 100_000
        assert await held_usd(ledger, shop) == "0.000300000"
        assert await state_of(ledger, shop, "k") == "held"

    async def test_it_holds_even_for_what_was_bought_before(self, ledger, shop):
        first = await ledger.reserve(shop.reserve("k1", "a"))
        await ledger.capture(first, [True])
        second = await ledger.reserve(shop.reserve("k2", "a"))
        assert second.reserved_nanousd == 100_000

    async def test_no_credit_stores_nothing_and_the_key_may_come_again(self, ledger, shop):
        too_much = shop.reserve("k", *map(str, range(10_001)))
        with pytest.raises(InsufficientCredit) as refused:
            await ledger.reserve(too_much)
        assert refused.value.needed_nanousd == parse_usd("1.0001")
        assert refused.value.available_nanousd == parse_usd("1.00")
        assert (await ledger.charges(shop.account.id)).data == []
        assert isinstance(await ledger.reserve(shop.reserve("k", "a")), Hold)

    async def test_the_last_nano_dollar_can_be_held(self, ledger, shop):
        await ledger.reserve(shop.reserve("all", *map(str, range(10_000))))
        assert (await ledger.balance(shop.account.id)).available_usd == format_usd(0)
        with pytest.raises(InsufficientCredit):
            await ledger.reserve(shop.reserve("more", "x"))

    async def test_one_nano_dollar_too_much_is_refused(self, ledger, shop):
        price = shop.prices["image"]
        dear = type(price)(price.id, price.model, "image", parse_usd("1.00") + 1)
        lines = tuple(type(line)("image", line.digest, dear) for line in shop.lines("a"))
        with pytest.raises(InsufficientCredit):
            await ledger.reserve(shop.reserve("k", lines=lines))

    async def test_an_amount_beyond_an_int64_is_refused_like_any_other(self, ledger, shop):
        price = shop.prices["image"]
        dear = type(price)(price.id, price.model, "image", 2**62)
        lines = tuple(type(line)("image", line.digest, dear) for line in shop.lines("a", "b"))
        with pytest.raises(InsufficientCredit):
            await ledger.reserve(shop.reserve("k", lines=lines))

    async def test_a_request_without_lines_holds_nothing(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k"))
        assert hold.reserved_nanousd == 0

    async def test_an_unknown_account_is_refused(self, ledger, shop):
        with pytest.raises(UnknownAccount):
            await ledger.reserve(shop.reserve("k", "a", account_id="acct_none"))

    async def test_a_frozen_account_is_refused(self, ledger, shop):
        with shop.database.write() as connection:
            connection.execute(account.update().values(status="frozen"))
        with pytest.raises(AccountFrozen):
            await ledger.reserve(shop.reserve("k", "a"))

    async def test_an_account_whose_balance_is_lost_is_refused(self, ledger, shop):
        with shop.database.write() as connection:
            connection.execute(account_balance.delete())
        with pytest.raises(UnknownAccount):
            await ledger.reserve(shop.reserve("k", "a"))

    async def test_repeated_lines_are_a_mistake_of_the_caller(self, ledger, shop):
        with pytest.raises(ValueError, match="distinct"):
            await ledger.reserve(shop.reserve("k", "a", "a"))

    async def test_two_prices_for_one_modality_are_a_mistake_of_the_caller(self, ledger, shop):
        a, b = shop.lines("a", "b")
        other = type(b)(b.modality, b.digest, shop.prices["text"])
        with pytest.raises(ValueError, match="one price"):
            await ledger.reserve(shop.reserve("k", lines=(a, other)))

    async def test_credit_limit_can_be_spent(self, ledger, shop):
        with shop.database.write() as connection:
            connection.execute(account_balance.update().values(credit_limit_nanousd=100_000))
        await ledger.reserve(shop.reserve("all", *map(str, range(10_001))))
        assert (await ledger.balance(shop.account.id)).available_usd == format_usd(0)


class TestTheSameKey:
    async def test_in_flight(self, ledger, shop):
        await ledger.reserve(shop.reserve("k", "a"))
        with pytest.raises(RequestInFlight):
            await ledger.reserve(shop.reserve("k", "a"))
        assert await held_usd(ledger, shop) == "0.000100000"

    @pytest.mark.parametrize("end", ["held", "captured", "released", "expired"])
    async def test_with_other_content(self, ledger, shop, end):
        hold = await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        if end == "captured":
            await ledger.capture(hold, [True])
        if end == "released":
            await ledger.release(hold, final=False)
        if end == "expired":
            await ledger.sweep()
        before = await ledger.balance(shop.account.id)
        with pytest.raises(KeyReused):
            await ledger.reserve(shop.reserve("k", "b"))
        after = await ledger.balance(shop.account.id)
        assert before.available_usd == after.available_usd

    async def test_captured_is_a_free_replay_with_the_original_receipt(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a", "b"))
        await ledger.capture(hold, [True, True])
        replay = await ledger.reserve(shop.reserve("k", "a", "b"))
        assert isinstance(replay, Replay)
        assert replay.charge_id == hold.charge_id
        assert replay.original_nanousd == 200_000
        assert replay.available_nanousd == parse_usd("1.00") - 200_000
        assert await held_usd(ledger, shop) == format_usd(0)

    async def test_replays_are_limited_by_day(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        await ledger.capture(hold, [True])
        for _ in range(REPLAYS_PER_DAY):
            await ledger.reserve(shop.reserve("k", "a"))
        with pytest.raises(ReplayLimit):
            await ledger.reserve(shop.reserve("k", "a"))
        with shop.database.write() as connection:
            connection.exec_driver_sql("UPDATE charge SET replay_day = replay_day - 1")
        assert isinstance(await ledger.reserve(shop.reserve("k", "a")), Replay)

    async def test_of_another_account_is_another_key(self, ledger, shop):
        await ledger.reserve(shop.reserve("k", "a"))
        bob = shop.open_account("bob", "1.00")
        assert isinstance(await ledger.reserve(shop.reserve("k", "b", account_id=bob.id)), Hold)


class TestRelease:
    async def test_gives_the_money_back_and_the_key_enters_again(self, ledger, shop):
        first = await ledger.reserve(shop.reserve("k", "a"))
        await ledger.release(first, final=False)
        assert await held_usd(ledger, shop) == format_usd(0)
        assert await state_of(ledger, shop, "k") == "released"
        again = await ledger.reserve(shop.reserve("k", "a"))
        assert (again.charge_id, again.epoch) == (first.charge_id, 2)
        receipt = await ledger.capture(again, [True])
        assert receipt.cost_nanousd == 100_000

    async def test_final_spends_the_key_at_amount_zero(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        await ledger.release(hold, final=True)
        with pytest.raises(NothingValid):
            await ledger.reserve(shop.reserve("k", "a"))
        balance = await ledger.balance(shop.account.id)
        assert (balance.held_usd, balance.debited_usd) == (format_usd(0), format_usd(0))
        assert await state_of(ledger, shop, "k") == "released_final"

    async def test_a_second_release_changes_nothing(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        await ledger.release(hold, final=False)
        with pytest.raises(HoldLost):
            await ledger.release(hold, final=False)
        assert await held_usd(ledger, shop) == format_usd(0)

    async def test_a_captured_charge_is_not_released(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        await ledger.capture(hold, [True])
        with pytest.raises(HoldLost):
            await ledger.release(hold, final=True)
        assert await state_of(ledger, shop, "k") == "captured"

    async def test_an_older_epoch_does_not_release_a_newer_hold(self, ledger, shop):
        late = await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        await ledger.reserve(shop.reserve("k", "a"))
        with pytest.raises(HoldLost):
            await ledger.release(late, final=False)
        assert await held_usd(ledger, shop) == "0.000100000"


class TestExpiry:
    async def test_the_sweep_expires_only_overdue_holds(self, ledger, shop):
        await ledger.reserve(shop.reserve("overdue", "a", hold_seconds=0))
        await ledger.reserve(shop.reserve("current", "b"))
        assert await ledger.sweep() == 1
        assert await ledger.sweep() == 0
        assert await state_of(ledger, shop, "overdue") == "expired"
        assert await state_of(ledger, shop, "current") == "held"
        assert await held_usd(ledger, shop) == "0.000100000"

    async def test_the_sweep_reaches_every_account(self, ledger, shop):
        bob = shop.open_account("bob", "1.00")
        for owner in (shop.account.id, bob.id):
            for key in ("k1", "k2"):
                await ledger.reserve(shop.reserve(key, "a", account_id=owner, hold_seconds=0))
        assert await ledger.sweep() == 4
        assert (await ledger.verify()).ok

    async def test_an_expired_key_enters_again_under_a_higher_epoch(self, ledger, shop):
        first = await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        await ledger.sweep()
        again = await ledger.reserve(shop.reserve("k", "a"))
        assert (again.charge_id, again.epoch) == (first.charge_id, 2)

    async def test_an_overdue_key_enters_again_before_any_sweep(self, ledger, shop):
        await ledger.reserve(shop.reserve("k", "a", "b", hold_seconds=0))
        again = await ledger.reserve(shop.reserve("k", "a", "b"))
        assert again.epoch == 2
        assert await held_usd(ledger, shop) == "0.000200000"
        assert (await ledger.verify()).ok

    async def test_opening_the_ledger_expires_what_is_overdue(self, ledger, shop):
        await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        reopened = type(ledger).open(shop.database.url.render_as_string(hide_password=False))
        await reopened.close()
        assert await state_of(ledger, shop, "k") == "expired"

    async def test_a_server_that_is_alone_expires_its_dead_predecessors_holds(self, ledger, shop):
        dead = await ledger.reserve(shop.reserve("k", "a"))
        assert await ledger.expire_orphans() == 1
        again = await ledger.reserve(shop.reserve("k", "a"))
        assert again.epoch == 2
        with pytest.raises(HoldLost):
            await ledger.capture(dead, [True])
