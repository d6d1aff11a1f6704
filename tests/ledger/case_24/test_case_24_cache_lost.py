"""Case 24: the client loses its cache and journal; buying again costs nothing and the books agree."""

from collections.abc import Callable
from pathlib import Path

import pytest

from client.failpoints import KILLED
from tests.ledger.case_24.conftest import Counting, Customer
from tests.ledger.conftest import Running

IMAGES = 150
PAGE = 4096
"""Bytes that SQLite writes at once."""

Pictures = Callable[..., Path]


def companions(file: Path) -> list[Path]:
    """The write-ahead log and its index, where SQLite left them."""
    return [path for path in file.parent.glob(f"{file.name}-*") if path.exists()]


def test_case_24_a_deleted_cache_is_filled_again_for_nothing(
    customer: Customer, pictures: Pictures, vendor: Running
) -> None:
    data = pictures(IMAGES)
    customer.fetch(data)
    for path in [customer.file, *companions(customer.file)]:
        path.unlink()
    customer.fetch(data)
    customer.check(images=IMAGES)


def test_case_24_a_cache_deleted_after_a_kill_leaves_its_log_behind(
    customer: Customer, pictures: Pictures, vendor: Running
) -> None:
    data = pictures(IMAGES)
    customer.fetch(data, failpoint="settled:3", code=KILLED)
    assert companions(customer.file)
    customer.file.unlink()
    customer.fetch(data)
    customer.check(images=IMAGES)


def test_case_24_a_cache_deleted_more_often_than_answers_are_repeated_costs_nothing(
    customer: Customer, pictures: Pictures, vendor: Running, house: Counting
) -> None:
    data = pictures(10)
    customer.fetch(data)
    for _ in range(5):
        customer.file.unlink()
        while customer.fetch(data, code=None).returncode:
            pass  # says that the same command again gets the items under a new key, for nothing
    customer.check(images=10)
    assert house.free_items() > 0


@pytest.mark.parametrize("left", [0, 100, 20 * PAGE, -PAGE])
def test_case_24_a_truncated_cache_says_what_to_type_and_loses_no_money(
    customer: Customer, pictures: Pictures, vendor: Running, house: Counting, left: int
) -> None:
    data = pictures(IMAGES)
    customer.fetch(data)
    whole = customer.file.read_bytes()
    customer.file.write_bytes(whole[:left])
    if left:
        refused = customer.fetch(data, code=1)
        assert "nothing was deleted" in refused.stderr
        assert house.balance() == (IMAGES * 100_000 + 2 * 10_000, 0)
        # As the message says: mv client.db client.db.damaged
        assert f"mv {customer.file} {customer.file}.damaged" in " ".join(refused.stderr.split())
        customer.file.rename(f"{customer.file}.damaged")
    customer.fetch(data)
    customer.check(images=IMAGES)


def test_case_24_a_cache_lost_halfway_through_another_folder_is_explained(
    customer: Customer, pictures: Pictures, vendor: Running, house: Counting
) -> None:
    customer.fetch(pictures(70))
    customer.file.unlink()
    # Other requests than before: the items are free, and the old charges are nobody's here.
    customer.fetch(pictures(30, first=70))
    house.check_items(images=100, texts=2)
    told = customer.type("reconcile", code=1)
    assert "not here" in told.stdout
    assert "that is not in this journal" in " ".join(told.stdout.split())
