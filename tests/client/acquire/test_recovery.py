"""What an earlier fetch left open, or lost, is closed or replayed and never paid again."""

import pytest

from client.acquire import (
    FetchStopped,
)
from client.acquire.purchase import ReplaysUsedUp
from client.api import RateLimitError, VendorError
from tests.client.shop import RUN, Shop
from tests.client.standin import IMAGE_NANOUSD, TEXT_NANOUSD


class TestReplays:
    def lose_vectors(self, shop: Shop) -> None:
        with shop.store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM embedding")

    def test_lost_vectors_are_replayed_free(self, shop: Shop) -> None:
        shop.add_images(5)
        shop.fetch()
        self.lose_vectors(shop)
        shop.fetch()
        assert shop.store.count() == 5
        assert len(shop.vendor.charges) == 1
        shop.check()

    def test_a_used_up_replay_is_bought_under_a_new_key_when_that_is_free(self, shop: Shop) -> None:
        shop.vendor.replays, shop.vendor.rebuy_free, shop.vendor.rebuy_free_days = 0, True, 30
        shop.add_images(5)
        shop.fetch()
        self.lose_vectors(shop)
        assert isinstance(shop.fetch().stopped, ReplaysUsedUp)
        assert shop.fetch().stopped is None
        assert shop.store.count() == 5
        assert shop.vendor.debited == 5 * IMAGE_NANOUSD
        shop.check()

    def test_a_used_up_replay_is_not_bought_again_when_that_would_cost(self, shop: Shop) -> None:
        shop.vendor.replays = 0
        shop.add_images(5)
        shop.fetch()
        self.lose_vectors(shop)
        for _ in range(2):
            try:
                stopped = shop.fetch().stopped
            except VendorError as error:
                stopped = error
            assert isinstance(stopped, RateLimitError)
        assert shop.vendor.debited == 5 * IMAGE_NANOUSD

    def test_recovery_survives_a_used_up_replay(self, shop: Shop) -> None:
        shop.vendor.replays, shop.vendor.rebuy_free, shop.vendor.rebuy_free_days = 0, True, 30
        shop.add_images(5)
        shop.vendor.faults.extend(["drop-after", "drop-before", "drop-before"])
        assert shop.fetch().stopped is not None
        assert shop.fetch().stopped is None
        assert shop.store.count() == 5
        assert shop.vendor.debited == 5 * IMAGE_NANOUSD
        shop.check()


class TestRecovery:
    def test_a_vendor_that_is_down_leaves_everything_for_later(self, shop: Shop) -> None:
        shop.add_images(2)
        shop.vendor.faults.extend(["drop-after"] * 3)
        shop.fetch()
        held = shop.budgets.get(RUN)
        assert held is not None
        assert held.held_nanousd == 2 * IMAGE_NANOUSD
        shop.vendor.faults.extend(["drop-before"] * 3)
        with pytest.raises(VendorError):
            shop.fetch()
        assert shop.fetch().items["image"] == 2
        shop.check()

    def test_without_the_files_and_without_a_charge_the_hold_comes_back(self, shop: Shop) -> None:
        (file,) = shop.add_images(1)
        shop.vendor.faults.extend(["drop-before"] * 3)
        shop.fetch()
        file.unlink()
        shop.images.clear()
        shop.add_texts("a cat")
        receipt = shop.fetch()
        assert receipt.cost_nanousd == TEXT_NANOUSD
        assert shop.journal.unfinished(RUN) == []
        shop.check()

    def test_without_the_texts_the_charge_is_settled_by_the_vendors_record(
        self, shop: Shop
    ) -> None:
        shop.add_texts("a cat")
        shop.vendor.faults.extend(["drop-after"] * 3)
        shop.fetch()
        shop.texts.clear()
        assert shop.fetch().cost_nanousd == TEXT_NANOUSD
        shop.check()

    def test_a_request_that_the_vendor_still_holds_is_not_guessed_about(self, shop: Shop) -> None:
        shop.add_texts("a cat")
        shop.vendor.faults.extend(["drop-after"] * 3)
        shop.fetch()
        shop.texts.clear()
        (charge,) = shop.vendor.charges.values()
        charge.state = "held"
        with pytest.raises(FetchStopped, match="run the same command again in two minutes"):
            shop.fetch()
        charge.state = "captured"
        shop.fetch()
        shop.check()

    def test_a_refusal_of_a_request_sent_before_is_checked_against_the_record(
        self, shop: Shop
    ) -> None:
        shop.add_images(1)
        shop.vendor.faults.extend(["drop-after"] * 3)
        shop.fetch()
        shop.vendor.faults.append("revision_changed")
        receipt = shop.fetch()
        assert receipt.cost_nanousd == IMAGE_NANOUSD
        assert receipt.items["image"] == shop.store.count() == 1
        assert [t.cost_nanousd for t in shop.journal.totals()] == [IMAGE_NANOUSD]
