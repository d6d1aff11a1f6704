"""Two runs of one cache want the same items: each is bought once, by whoever comes first.

The stand-in forgives nothing: an item sold under two keys would be charged twice.
"""

import threading
from dataclasses import replace
from typing import Any

import pytest

from client.acquire import FetchInterrupted, hold_run
from client.budget import Batch, Budgets, Journal, check_books
from client.cache import EmbeddingStore
from tests.client.shop import RUN, Shop
from tests.client.standin import IMAGE_NANOUSD, REVISION

OTHER = "other"


@pytest.fixture
def other(shop: Shop) -> Shop:
    """A second run over the same pictures and texts."""
    opened = Shop(shop.vendor, shop.store, shop.folder, run=OTHER)
    opened.images, opened.texts = shop.images, shop.texts
    return opened


def leave_open(shop: Shop, *faults: str) -> None:
    """A fetch that gets no answer: its request's end is unknown."""
    shop.vendor.faults.extend(faults)
    assert shop.fetch().stopped is not None
    assert [entry.state for entry in shop.journal.unfinished(shop.run)] == ["unknown"]


def check(shop: Shop, images: int) -> None:
    """Every image was sold once and the books agree."""
    assert shop.store.count(modality="image") == images
    assert shop.vendor.debited == images * IMAGE_NANOUSD
    shop.check()


@pytest.mark.parametrize("fault", ["drop-before", "drop-after"])
def test_what_a_run_that_has_ended_left_open_is_closed_by_the_next(
    shop: Shop, other: Shop, fault: str
) -> None:
    shop.add_images(5)
    leave_open(shop, *[fault] * 3)
    receipt = other.fetch()
    assert receipt.stopped is None
    assert shop.journal.unfinished(RUN) == []
    # The request belongs to the first run, and so does what it cost.
    spent = {run: found.spent_nanousd for run, found in shop.budgets.list_runs().items()}
    assert spent == {RUN: 5 * IMAGE_NANOUSD, OTHER: 0}
    check(shop, 5)


def test_what_another_run_bought_after_the_quote_is_left_out(shop: Shop, other: Shop) -> None:
    shop.add_images(3)
    first = dict(shop.images)
    shop.add_images(3)
    everything, shop.images = shop.images, first
    other.images = everything

    class Overtaken(Journal):
        """Between a plan of one run and its request the other run buys a part of it."""

        def plan(self, batch: Batch) -> None:
            super().plan(batch)
            shop.fetch()

    other.journal = Overtaken(other.store.database)
    receipt = other.fetch()
    assert receipt.cost_nanousd == 3 * IMAGE_NANOUSD
    assert receipt.items["image"] == 3
    check(shop, 6)


def test_while_a_living_run_buys_them_another_waits(shop: Shop, other: Shop) -> None:
    shop.add_images(5)
    leave_open(shop, *["drop-before"] * 3)
    looks = threading.Event()

    def sleep(_seconds: float) -> bool:
        looks.set()
        return True

    other.sleep = sleep
    with hold_run(shop.store.database, RUN):
        stopped = other.fetch().stopped
    assert isinstance(stopped, FetchInterrupted)
    assert looks.is_set()
    assert other.journal.unfinished(OTHER) == []
    assert shop.vendor.debited == 0
    assert other.fetch().stopped is None
    check(shop, 5)


def test_an_open_request_whose_pictures_are_gone_holds_nobody_up(shop: Shop, other: Shop) -> None:
    shop.add_images(5)
    leave_open(shop, *["drop-before"] * 3)
    gone = next(iter(shop.images))
    other.images = {digest: path for digest, path in shop.images.items() if digest != gone}
    assert other.fetch().stopped is None
    assert shop.vendor.debited == 4 * IMAGE_NANOUSD
    assert len(shop.journal.unfinished(RUN)) == 1
    check_books(shop.store.database)


class TestClaims:
    """Of any number of runs that claim an item at once, one gets it."""

    def plan(self, journal: Journal, run: str, digests: tuple[bytes, ...]) -> str:
        journal.plan(
            Batch(
                run=run,
                idempotency_key=f"key of {run}",
                model_id="toy",
                revision=REVISION,
                modality="image",
                purpose="training",
                digests=digests,
                max_cost_nanousd=len(digests),
            )
        )
        return f"key of {run}"

    def test_one_of_eight_threads_gets_it(self, store: EmbeddingStore) -> None:
        journal = Journal(store.database)
        for number in range(8):
            Budgets(store.database).set_cap(str(number), 10)
        shared = b"x" * 32
        keys = [self.plan(journal, str(n), (shared, bytes([n]) * 32)) for n in range(8)]
        granted: list[str] = []
        barrier = threading.Barrier(8)

        def claim(key: str) -> None:
            barrier.wait()
            if journal.claim(key).granted:
                granted.append(key)

        threads = [threading.Thread(target=claim, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(granted) == 1
        (rival,) = journal.rivals(next(key for key in keys if key not in granted))
        assert rival.batch.idempotency_key == granted[0]

    def test_another_view_or_revision_is_another_question(self, store: EmbeddingStore) -> None:
        journal = Journal(store.database)
        for run in "abc":
            Budgets(store.database).set_cap(run, 10)
        assert journal.claim(self.plan(journal, "a", (b"x" * 32,))).granted
        others: list[tuple[str, dict[str, Any]]] = [
            ("b", {"view": "view-0001"}),
            ("c", {"revision": "f" * 16}),
        ]
        for run, change in others:
            batch = Batch(
                run=run,
                idempotency_key=run,
                model_id="toy",
                modality="image",
                purpose="training",
                digests=(b"x" * 32,),
                max_cost_nanousd=1,
                **({"revision": REVISION} | change),
            )
            journal.plan(batch)
            assert journal.claim(run).granted


def test_a_run_that_is_overtaken_at_the_end_of_a_shared_budget_asks_for_what_is_left(
    shop: Shop, other: Shop
) -> None:
    shop.add_images(10)
    shop.budgets.change_project("default", {"cap_nanousd": 6 * IMAGE_NANOUSD})
    taker = shop.journal

    class Overtaken(Journal):
        """Between a look at what the budget covers and the hold, the first run holds a part of it."""

        def plan(self, batch: Batch) -> None:
            if len(batch.digests) < 10 and not taker.unfinished(RUN):
                key, wanted = "key of the first", tuple(other.images)[:1]
                taker.plan(
                    replace(
                        batch,
                        run=RUN,
                        idempotency_key=key,
                        digests=wanted,
                        max_cost_nanousd=2 * IMAGE_NANOUSD,
                    )
                )
            super().plan(batch)

    shop.budgets.set_cap(RUN, 10**9)
    other.journal = Overtaken(other.store.database)
    receipt = other.fetch()
    assert "project default" in str(receipt.stopped)
    assert receipt.cost_nanousd == 4 * IMAGE_NANOUSD
    assert shop.budgets.get_project("default").left_nanousd == 0
    check_books(shop.store.database)
