"""A fetch goes as fast as the vendor bears, and waits when it is told to."""

import pytest

from client.acquire import MAX_BYTES, Fetch, Purchaser, Retries, Sources, Wants, make_quote
from client.acquire.concurrency import START
from client.acquire.fetch import BYTES_IN_FLIGHT
from client.acquire.patience import PATIENCE, buy_patiently
from client.acquire.purchase import Bought, FetchInterrupted
from client.api import RateLimitError
from client.budget import Batch
from client.errors import ClientError
from client.teachers import VendorTeacher
from shared.wire import ModelDocument
from tests.client.shop import RUN, Shop, instant


class Clock:
    """Seconds that pass in sleeps alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def make_fetch(shop: Shop, retries: Retries, *, in_flight: int = 16) -> Fetch:
    """A fetch whose client tells of its retries."""
    purchaser = Purchaser(
        VendorTeacher(shop.vendor.client(sleep=instant, on_retry=retries.hear)),
        shop.store,
        shop.journal,
        Sources(shop.images, shop.texts),
        sleep=instant,
    )
    document = ModelDocument.model_validate(shop.vendor.model_document())
    quote = make_quote(
        Wants("training", shop.images, shop.texts),
        document,
        store=shop.store,
        journal=shop.journal,
        run=RUN,
    )
    shop.budgets.set_cap(RUN, shop.cap)
    return Fetch(purchaser, shop.budgets, quote, in_flight=in_flight, retries=retries)


def test_more_requests_are_in_flight_while_that_helps(shop: Shop) -> None:
    shop.add_images(64 * 6)
    receipt = make_fetch(shop, Retries()).run()
    assert receipt.stopped is None
    assert receipt.window is not None
    assert receipt.window.peak > START
    shop.check()


def test_no_more_than_the_ceiling_are_in_flight(shop: Shop) -> None:
    shop.add_images(64 * 5)
    receipt = make_fetch(shop, Retries(), in_flight=1).run()
    assert receipt.window is not None
    assert receipt.window.peak == 1
    assert receipt.items["image"] == 320


def test_large_pictures_are_fewer_in_flight_whatever_the_limit(shop: Shop) -> None:
    # Three requests of 16 MB; a fourth would be more than is to be in memory.
    shop.add_images(5, extra=bytes(11_000_000))
    fetch, most = make_fetch(shop, Retries()), [0]
    fetch.window.limit = 16

    def look() -> None:
        most[0] = max(most[0], sum(held.planned.size for held in fetch._under_way.values()))

    shop.vendor.before_answer = look
    assert fetch.run().items["image"] == 5
    assert 0 < most[0] < BYTES_IN_FLIGHT + MAX_BYTES


def test_a_vendor_that_refuses_for_speed_many_times_is_waited_for(shop: Shop) -> None:
    shop.add_images(64 * 4)
    shop.vendor.faults.extend(["rate_limited"] * 9)
    receipt = make_fetch(shop, Retries()).run()
    assert receipt.stopped is None
    assert receipt.items["image"] == 256
    assert receipt.retries == 9
    assert receipt.window is not None
    assert "refused" in [step.why for step in receipt.window.trace]
    shop.check()


def test_an_overloaded_vendor_makes_the_fetch_go_slower(shop: Shop) -> None:
    shop.add_images(64 * 4)
    shop.vendor.faults.extend(["overloaded"])
    receipt = make_fetch(shop, Retries()).run()
    assert receipt.stopped is None
    assert receipt.window is not None
    assert [step.why for step in receipt.window.trace][1] == "refused"
    assert receipt.window.trace[1].limit == 1
    shop.check()


class TestPatience:
    def buy(
        self, shop: Shop, clock: Clock, sleep: object = None, kind: type[Purchaser] = Purchaser
    ) -> Bought:
        retries = Retries(clock=clock)
        fetch = make_fetch(shop, retries)
        planned = fetch._plan.take()
        assert planned is not None
        shop.journal.plan(planned.batch)
        purchaser = kind(
            VendorTeacher(shop.vendor.client(sleep=instant)),
            shop.store,
            shop.journal,
            fetch.purchaser.sources,
            clock=clock,
            sleep=sleep or clock.sleep,  # type: ignore[arg-type]
        )
        return buy_patiently(purchaser, planned.batch, retries)

    def test_it_waits_as_long_as_it_is_told(self, shop: Shop) -> None:
        shop.add_images(1)
        shop.vendor.delay_ms = 30_000
        shop.vendor.faults.extend(["rate_limited"] * 3 * 4)
        clock = Clock()
        assert self.buy(shop, clock).delivered == 1
        assert clock.now == 4 * 30
        shop.check()

    def test_it_ends_some_day(self, shop: Shop) -> None:
        shop.add_images(1)
        shop.vendor.delay_ms = 60_000
        shop.vendor.faults.extend(["rate_limited"] * 1000)
        clock = Clock()
        with pytest.raises(RateLimitError):
            self.buy(shop, clock)
        assert PATIENCE - 60 <= clock.now <= PATIENCE

    def test_a_vendor_that_asks_for_too_long_a_wait_is_not_waited_for(self, shop: Shop) -> None:
        shop.add_images(1)
        shop.vendor.delay_ms = 10**6
        shop.vendor.faults.extend(["rate_limited"] * 10)
        clock = Clock()
        with pytest.raises(RateLimitError):
            self.buy(shop, clock)
        assert clock.now == 0

    def test_a_request_that_the_journal_has_closed_is_not_sent_again(self, shop: Shop) -> None:
        shop.add_images(1)
        shop.vendor.faults.extend(["rate_limited"] * 3)

        class Forgetful(Purchaser):
            def buy(self, batch: Batch, *, sent_before: bool = False) -> Bought:
                try:
                    return super().buy(batch, sent_before=sent_before)
                except RateLimitError:
                    self.journal.fail(batch.idempotency_key, "closed by another hand")
                    raise

        with pytest.raises(RateLimitError):
            self.buy(shop, Clock(), kind=Forgetful)
        assert shop.vendor.sold == []

    def test_ctrl_c_ends_the_wait_and_what_is_open_is_closed_by_the_next_fetch(
        self, shop: Shop
    ) -> None:
        shop.add_images(1)
        shop.vendor.faults.extend(["rate_limited"] * 10)
        with pytest.raises(FetchInterrupted):
            self.buy(shop, Clock(), lambda _: True)
        shop.vendor.faults.clear()
        assert shop.fetch().items["image"] == 1
        assert shop.store.count() == 1
        shop.check()


def test_what_is_refused_for_good_still_ends_the_fetch(shop: Shop) -> None:
    shop.add_images(64 * 2)
    shop.vendor.credit = 0
    receipt = make_fetch(shop, Retries()).run()
    assert isinstance(receipt.stopped, ClientError)
    assert receipt.window is not None
    assert receipt.window.limit == START
