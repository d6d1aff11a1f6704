"""What a capture charges, remembers and refuses."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.money import parse_usd
from shared.wire import MAX_ITEMS
from vendor_api.db.clock import DAY
from vendor_api.ledger.commands import REBUY_FREE_DAYS, HoldLost


async def usage(ledger, shop):
    now = datetime.now(UTC)
    return await ledger.usage(shop.account.id, now - timedelta(hours=1), now + timedelta(hours=1))


def age_purchases(shop, microseconds):
    with shop.database.write() as connection:
        connection.exec_driver_sql(
            f"UPDATE purchase_lot SET bought_at = bought_at - {microseconds}"
        )


async def buy(ledger, shop, key, *names):
    hold = await ledger.reserve(shop.reserve(key, *names))
    return await ledger.capture(hold, [True] * len(names))


class TestCapture:
    async def test_only_delivered_lines_cost_anything(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a", "b", "c"))
        receipt = await ledger.capture(hold, [True, False, True])
        assert receipt.line_costs_nanousd == (100_000, 0, 100_000)
        assert receipt.cost_nanousd == 200_000
        assert receipt.available_nanousd == parse_usd("1.00") - 200_000
        balance = await ledger.balance(shop.account.id)
        assert (balance.debited_usd, balance.held_usd) == ("0.000200000", "0.000000000")

    async def test_images_and_texts_have_their_own_prices(self, ledger, shop):
        lines = shop.lines("a") + shop.lines("a", "b", modality="text")
        hold = await ledger.reserve(shop.reserve("k", lines=lines))
        receipt = await ledger.capture(hold, [True, True, False])
        assert receipt.line_costs_nanousd == (100_000, 10_000, 0)
        (charge,) = (await ledger.charges(shop.account.id)).data
        assert (charge.images, charge.texts, charge.cost_usd) == (1, 1, "0.000110000")

    async def test_the_largest_request_is_charged_item_by_item(self, ledger, shop):
        names = [f"item {n}" for n in range(MAX_ITEMS)]
        assert (await buy(ledger, shop, "k1", *names)).cost_nanousd == MAX_ITEMS * 100_000
        again = await buy(ledger, shop, "k2", *names[1:], "new")
        assert again.line_costs_nanousd == (0,) * (MAX_ITEMS - 1) + (100_000,)

    async def test_nothing_delivered_costs_nothing_and_spends_the_key(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        receipt = await ledger.capture(hold, [False])
        assert receipt.cost_nanousd == 0
        assert (await ledger.verify()).ok

    async def test_the_number_of_outcomes_must_fit(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a", "b"))
        with pytest.raises(ValueError, match="2 lines"):
            await ledger.capture(hold, [True])
        assert (await ledger.capture(hold, [True, True])).cost_nanousd == 200_000

    async def test_twice_charges_once(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        await ledger.capture(hold, [True])
        with pytest.raises(HoldLost):
            await ledger.capture(hold, [True])
        assert (await ledger.balance(shop.account.id)).debited_usd == "0.000100000"

    async def test_a_price_change_meanwhile_does_not_touch_the_hold(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        shop.set_prices(image="0.5", text="0.5")
        assert (await ledger.prices("icon-clip"))["image"].unit_nanousd == parse_usd("0.5")
        assert (await ledger.capture(hold, [True])).cost_nanousd == 100_000
        assert (await ledger.verify()).ok


class TestFence:
    async def test_a_worker_whose_hold_expired_charges_nothing(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        await ledger.sweep()
        with pytest.raises(HoldLost):
            await ledger.capture(hold, [True])
        assert (await ledger.balance(shop.account.id)).debited_usd == "0.000000000"
        assert (await buy(ledger, shop, "other", "a")).cost_nanousd == 100_000

    async def test_a_late_worker_cannot_capture_its_successors_hold(self, ledger, shop):
        late = await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        await ledger.sweep()
        current = await ledger.reserve(shop.reserve("k", "a"))
        with pytest.raises(HoldLost):
            await ledger.capture(late, [True])
        assert (await ledger.capture(current, [True])).cost_nanousd == 100_000
        assert (await ledger.verify()).ok

    async def test_an_overdue_hold_that_nobody_swept_is_still_good(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
        assert (await ledger.capture(hold, [True])).cost_nanousd == 100_000


class TestFreeRebuy:
    async def test_within_thirty_days_it_is_free(self, ledger, shop):
        await buy(ledger, shop, "k1", "a", "b")
        age_purchases(shop, (REBUY_FREE_DAYS - 1) * DAY)
        receipt = await buy(ledger, shop, "k2", "b", "c")
        assert receipt.line_costs_nanousd == (0, 100_000)

    async def test_after_thirty_days_it_is_charged_and_renewed(self, ledger, shop):
        await buy(ledger, shop, "k1", "a")
        age_purchases(shop, REBUY_FREE_DAYS * DAY + DAY)
        assert (await buy(ledger, shop, "k2", "a")).cost_nanousd == 100_000
        assert (await buy(ledger, shop, "k3", "a")).cost_nanousd == 0

    async def test_a_free_one_does_not_prolong_the_thirty_days(self, ledger, shop):
        await buy(ledger, shop, "k1", "a")
        age_purchases(shop, (REBUY_FREE_DAYS - 1) * DAY)
        await buy(ledger, shop, "k2", "a")
        age_purchases(shop, 2 * DAY)
        assert (await buy(ledger, shop, "k3", "a")).cost_nanousd == 100_000

    async def test_another_account_pays_for_itself(self, ledger, shop):
        await buy(ledger, shop, "k1", "a")
        bob = shop.open_account("bob", "1.00")
        hold = await ledger.reserve(shop.reserve("k", "a", account_id=bob.id))
        assert (await ledger.capture(hold, [True])).cost_nanousd == 100_000

    async def test_another_revision_is_another_item(self, ledger, shop):
        await buy(ledger, shop, "k1", "a")
        hold = await ledger.reserve(shop.reserve("k2", "a", revision="fedcba9876543210"))
        assert (await ledger.capture(hold, [True])).cost_nanousd == 100_000

    async def test_an_image_and_a_text_of_one_digest_are_two_items(self, ledger, shop):
        await buy(ledger, shop, "k1", "a")
        hold = await ledger.reserve(shop.reserve("k2", lines=shop.lines("a", modality="text")))
        assert (await ledger.capture(hold, [True])).cost_nanousd == 10_000

    async def test_a_line_that_failed_was_not_bought(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k1", "a"))
        await ledger.capture(hold, [False])
        assert (await buy(ledger, shop, "k2", "a")).cost_nanousd == 100_000


class TestUsage:
    async def test_counts_paid_free_and_failed_items(self, ledger, shop):
        await buy(ledger, shop, "k1", "a")
        hold = await ledger.reserve(shop.reserve("k2", "a", "b", "c"))
        await ledger.capture(hold, [True, True, False], failed=2, repeated=1)
        (row,) = (document := await usage(ledger, shop)).data
        assert (row.items, row.items_free, row.items_failed) == (2, 2, 3)
        assert row.cost_usd == document.total_cost_usd == "0.000200000"
        assert document.total_items == 2
        assert (row.model, row.modality, row.key_id) == ("icon-clip", "image", "key_test")

    async def test_modalities_have_rows_of_their_own(self, ledger, shop):
        lines = shop.lines("a") + shop.lines("x", "y", modality="text")
        hold = await ledger.reserve(shop.reserve("k", lines=lines))
        await ledger.capture(hold, [True] * 3, failed={"text": 1}, repeated={"image": 4})
        rows = {row.modality: row for row in (await usage(ledger, shop)).data}
        assert (rows["image"].items, rows["image"].items_free) == (1, 4)
        assert (rows["text"].items, rows["text"].items_failed) == (2, 1)

    async def test_bare_counts_of_a_text_request_are_texts(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", lines=shop.lines("x", modality="text")))
        await ledger.capture(hold, [True], failed=1)
        (row,) = (await usage(ledger, shop)).data
        assert (row.modality, row.items_failed) == ("text", 1)

    async def test_other_hours_and_accounts_are_left_out(self, ledger, shop):
        await buy(ledger, shop, "k", "a")
        now = datetime.now(UTC)
        past = await ledger.usage(shop.account.id, now - timedelta(days=2), now - timedelta(days=1))
        assert past.data == []
        bob = shop.open_account("bob", "1.00")
        everything = await ledger.usage(bob.id, now - timedelta(days=1), now + timedelta(days=1))
        assert everything.data == []

    async def test_an_instant_without_a_time_zone_is_refused(self, ledger, shop):
        with pytest.raises(TypeError):
            await ledger.usage(shop.account.id, datetime(2026, 1, 1), datetime(2026, 1, 2))


class TestCharges:
    async def test_are_listed_oldest_first_in_pages(self, ledger, shop):
        for key in ("k1", "k2", "k3"):
            await buy(ledger, shop, key, key)
        first = await ledger.charges(shop.account.id, limit=2)
        assert [charge.idempotency_key for charge in first.data] == ["k1", "k2"]
        assert first.has_more
        rest = await ledger.charges(shop.account.id, limit=2, after=first.data[-1].id)
        assert [charge.idempotency_key for charge in rest.data] == ["k3"]
        assert not rest.has_more

    async def test_of_another_account_are_not_seen(self, ledger, shop):
        await buy(ledger, shop, "k", "a")
        bob = shop.open_account("bob", "1.00")
        assert (await ledger.charges(bob.id, idempotency_key="k")).data == []

    async def test_say_when_they_were_captured(self, ledger, shop):
        await ledger.reserve(shop.reserve("open", "a"))
        await buy(ledger, shop, "done", "b")
        opened, done = (await ledger.charges(shop.account.id)).data
        assert (opened.state, opened.captured_at) == ("held", None)
        assert done.captured_at.endswith("Z")
        assert done.reserved_usd == done.cost_usd == "0.000100000"
