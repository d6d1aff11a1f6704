"""One purchase after another, in the test's own process: what is sent, kept, settled and given up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from client.api import ConflictError, InvalidAnswerError
from client.cache import EmbeddingStore
from client.data import DataError
from client.errors import BudgetReached
from client.teachers import VendorTeacher
from tests.client.pictures import make_picture
from tests.client.shop import RUN, Shop
from tests.client.standin import BROKEN, IMAGE_NANOUSD, StandInVendor

REFUSE_TO_SETTLE = """
CREATE TRIGGER refuse BEFORE UPDATE ON journal WHEN NEW.state = 'settled'
BEGIN SELECT RAISE(ABORT, 'the test demands it'); END
"""


def test_requests_hold_64_images_or_256_texts_and_texts_go_first(shop: Shop) -> None:
    shop.add_images(150)
    shop.add_texts(*(f"text {n}" for n in range(300)))
    receipt = shop.fetch()
    assert receipt.stopped is None
    assert sorted(charge.images for charge in shop.vendor.charges.values()) == [0, 0, 22, 64, 64]
    assert sorted(charge.texts for charge in shop.vendor.charges.values()) == [0, 0, 0, 44, 256]
    assert receipt.items == {"image": 150, "text": 300}
    assert receipt.cost_nanousd == shop.vendor.debited
    assert receipt.balance_nanousd == shop.vendor.credit - shop.vendor.debited
    shop.check()


def test_the_same_content_has_the_same_keys_on_another_machine(
    shop: Shop, vendor: StandInVendor, tmp_path: Path
) -> None:
    shop.add_images(70)
    shop.fetch()
    with EmbeddingStore.open(tmp_path / "other.db") as other:
        twin = Shop(vendor, other, tmp_path)
        twin.images = dict(reversed(shop.images.items()))
        receipt = twin.fetch()
        assert receipt.items["image"] == 70
        assert other.count() == 70
        twin.check()


def test_a_receipt_that_cannot_be_booked_leaves_no_vectors_and_the_request_open(shop: Shop) -> None:
    shop.add_images(1)
    with shop.store.database.write() as connection:
        connection.exec_driver_sql(REFUSE_TO_SETTLE)
    with pytest.raises(IntegrityError):
        shop.fetch()
    assert shop.store.count() == 0
    assert [entry.state for entry in shop.journal.unfinished(RUN)] == ["sent"]
    with shop.store.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")
    assert shop.fetch().items["image"] == shop.store.count() == 1
    shop.check()


def test_a_repeated_answer_is_kept_before_its_receipt_is_asked_for(shop: Shop) -> None:
    class Forgetful(VendorTeacher):
        def find_charge(self, idempotency_key):
            raise InvalidAnswerError("no record can be read")

    shop.add_images(1)
    shop.vendor.faults.append("drop-after")
    shop.teacher = Forgetful(shop.vendor.client(sleep=shop.sleep))
    assert isinstance(shop.fetch().stopped, InvalidAnswerError)
    assert shop.store.count() == 1
    shop.teacher = None
    assert shop.fetch().stopped is None
    shop.check()


def test_a_request_is_in_the_journal_as_sent_before_the_first_byte(shop: Shop) -> None:
    shop.add_images(1)
    states: list[str] = []
    shop.vendor.before_answer = lambda: states.extend(e.state for e in shop.journal.unfinished(RUN))
    shop.fetch()
    assert states == ["sent"]


def test_images_that_all_turn_out_bad_are_free_and_never_sent_again(shop: Shop) -> None:
    shop.add_images(3, extra=BROKEN)
    receipt = shop.fetch()
    assert [failure.code for failure in receipt.failures] == ["invalid_image"] * 3
    assert receipt.cost_nanousd == 0
    before = len(shop.vendor.requests)
    assert shop.fetch().failures == []
    assert len(shop.vendor.requests) == before
    shop.check()


def test_a_file_that_changes_before_it_is_sent_stops_the_fetch_and_costs_nothing(
    shop: Shop,
) -> None:
    (file,) = shop.add_images(1)
    file.write_bytes(make_picture(99))
    receipt = shop.fetch()
    assert isinstance(receipt.stopped, DataError)
    assert "changed while fetching: run the same command again" in str(receipt.stopped)
    assert shop.vendor.debited == 0
    shop.check()


def test_a_changed_revision_stops_the_fetch_and_costs_nothing(shop: Shop) -> None:
    shop.add_images(1)
    shop.vendor.faults.append("revision_changed")
    receipt = shop.fetch()
    assert isinstance(receipt.stopped, ConflictError)
    assert shop.journal.unfinished(RUN) == []
    assert shop.fetch().stopped is None
    shop.check()


def test_a_revision_that_the_vendor_left_since_the_quote_is_not_bought(shop: Shop) -> None:
    shop.add_images(1)
    receipt = shop.fetch(revision="a" * 16)
    assert "Request req_x: the model has changed" in str(receipt.stopped)
    assert shop.store.count() == 0
    assert shop.vendor.debited == 0


def test_a_request_still_in_flight_is_waited_for(shop: Shop) -> None:
    shop.add_images(1)
    shop.vendor.faults.extend(["request_in_flight"] * 10)
    assert shop.fetch().stopped is None
    shop.check()


def test_waiting_for_a_request_in_flight_ends_when_asked_to_stop(shop: Shop) -> None:
    shop.add_images(1)
    shop.vendor.faults.extend(["request_in_flight"] * 4)
    receipt = shop.fetch(replace(shop.purchaser(), sleep=lambda _: True))
    assert isinstance(receipt.stopped, ConflictError)
    assert [entry.state for entry in shop.journal.unfinished(RUN)] == ["unknown"]
    assert shop.fetch().stopped is None
    shop.check()


def test_a_vendor_that_charges_more_than_quoted_is_stopped_at_once(shop: Shop) -> None:
    shop.add_texts("a cat")
    shop.add_images(200)
    receipt = shop.fetch(price_per_text_usd="0.000000001")
    assert "charged more than it quoted" in str(receipt.stopped)
    assert shop.vendor.debited < 200 * IMAGE_NANOUSD
    shop.check()


def test_two_requests_in_flight_share_a_budget_that_covers_one_and_a_half(shop: Shop) -> None:
    shop.add_images(130)
    shop.cap = 100 * IMAGE_NANOUSD
    receipt = shop.fetch()
    assert isinstance(receipt.stopped, BudgetReached)
    assert shop.vendor.debited == shop.cap
    shop.cap = 130 * IMAGE_NANOUSD
    assert shop.fetch().stopped is None
    shop.check()


@pytest.mark.parametrize("broken", ["nan", "nothing"])
def test_an_unusable_vector_is_not_cached(shop: Shop, broken: str) -> None:
    shop.add_texts("a cat")
    vendor = shop.vendor
    if broken == "nan":
        shop.vendor.vector = lambda digest: StandInVendor.vector(vendor, digest) * float("nan")  # type: ignore[method-assign]
    else:
        shop.vendor.octets = False  # in octets, what has no error has numbers
        row = {"index": 0, "embedding": None, "cost_usd": "0.000000000"}
        shop.vendor._row = lambda *_: json.loads(json.dumps(row))  # type: ignore[method-assign]
    receipt = shop.fetch()
    assert isinstance(receipt.stopped, InvalidAnswerError)
    assert shop.store.count() == 0
    assert [entry.state for entry in shop.journal.unfinished(RUN)] == ["unknown"]
