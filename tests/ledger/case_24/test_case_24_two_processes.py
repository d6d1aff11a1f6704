"""Case 24: two processes buy the same 1,000 images at once; every image is paid once."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from client.failpoints import KILLED
from tests.ledger.case_24.buyers import start_buyer
from tests.ledger.case_24.conftest import Counting, Customer, fetch_words, kill
from tests.ledger.conftest import IMAGE_NANOUSD, Running, wait_until

IMAGES = 1000
AT_ONCE = 4
"""Requests that each process has under way while the other has as many."""

Pictures = Callable[..., Path]


def under_way(customer: Customer, state: str = "sent") -> dict[str, int]:
    """Run → its requests in that state."""
    sql = f"SELECT run, count(*) FROM journal WHERE state = '{state}' GROUP BY run"
    try:
        return dict(customer.query(sql))
    except sqlite3.OperationalError:  # the process has not made it yet
        return {}


def test_case_24_eight_threads_in_each_of_two_processes_pay_each_image_once(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(IMAGES)
    house.close_gate()
    buyers = [start_buyer(house, customer.home, data, run) for run in ("one", "two")]
    # Each holds its money; what one has sent the other waits for.
    wait_until(
        lambda: set(under_way(customer, "planned")) | set(under_way(customer)) == {"one", "two"}
    )
    wait_until(lambda: sum(under_way(customer).values()) >= 2 * AT_ONCE)
    house.open_gate()
    receipts = [buyer.end() for buyer in buyers]
    assert [stopped for _, _, stopped in receipts] == ["", ""]
    assert sum(images for images, _, _ in receipts) == IMAGES
    assert sum(cost for _, cost, _ in receipts) == IMAGES * IMAGE_NANOUSD
    customer.check(images=IMAGES, texts=0)
    assert house.free_items() == 0


def test_case_24_two_caches_of_one_account_pay_each_image_once(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running, tmp_path: Path
) -> None:
    data, twin = pictures(IMAGES), customer.twin(tmp_path / "twin")
    house.close_gate()
    buyers = [
        start_buyer(house, customer.home, data, "one"),
        start_buyer(house, twin.home, data, "two"),
    ]
    wait_until(lambda: all(sum(under_way(c).values()) >= AT_ONCE for c in (customer, twin)))
    house.open_gate()
    receipts = [buyer.end() for buyer in buyers]
    assert [(images, stopped) for images, _, stopped in receipts] == [(IMAGES, "")] * 2
    assert sum(cost for _, cost, _ in receipts) == IMAGES * IMAGE_NANOUSD
    house.check_items(images=IMAGES, texts=0)
    assert customer.count() == twin.count() == IMAGES


def test_case_24_two_commands_of_two_runs_share_what_they_buy(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(IMAGES)
    house.close_gate()
    running = [customer.start(*fetch_words(data, "--run", run)) for run in ("one", "two")]
    wait_until(lambda: len(under_way(customer, "planned")) + len(under_way(customer)) >= 2)
    house.open_gate()
    ended = [one.end() for one in running]
    assert [one.returncode for one in ended] == [0, 0], ended
    customer.check(images=IMAGES)
    assert house.free_items() == 0


def test_case_24_a_second_command_of_the_same_run_is_told_to_wait(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(100)
    house.close_gate()
    first = customer.start(*fetch_words(data))
    wait_until(lambda: bool(under_way(customer)))
    refused = customer.fetch(data, code=1)
    assert "wait for it, or name another run" in " ".join(refused.stderr.split())
    house.open_gate()
    assert first.end().returncode == 0
    customer.check(images=100)


@pytest.mark.parametrize("step", ["sent", "answered", "stored"])
def test_case_24_a_run_takes_over_what_a_killed_one_left_open(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running, step: str
) -> None:
    data = pictures(300)
    customer.fetch(data, "--run", "one", failpoint=f"{step}:2", code=KILLED)
    customer.fetch(data, "--run", "two")
    assert "0 to buy" in customer.fetch(data, "--run", "one").stdout
    customer.check(images=300)
    assert house.free_items() == 0


def test_case_24_a_run_goes_on_when_the_one_it_waits_for_is_killed(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(300)
    house.close_gate()
    first = customer.start(*fetch_words(data, "--run", "one"))
    wait_until(lambda: "one" in under_way(customer))
    second = customer.start(*fetch_words(data, "--run", "two"))
    wait_until(lambda: "two" in under_way(customer, "planned"))
    kill(first)
    house.open_gate()
    assert second.end().returncode == 0
    assert "0 to buy" in customer.fetch(data, "--run", "one").stdout
    customer.check(images=300)
    assert house.free_items() == 0


def test_case_24_killed_while_leaving_out_what_another_run_bought(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    customer.fetch(pictures(40, name="part"), "--run", "one", failpoint="sent:2", code=KILLED)
    data = pictures(100)
    customer.fetch(data, "--run", "two", failpoint="narrowed", code=KILLED)
    assert customer.query("SELECT count(*) FROM journal WHERE state = 'failed'")[0][0] >= 1
    for run in ("two", "one"):
        customer.fetch(data, "--run", run)
    customer.check(images=100)
    assert house.free_items() == 0
