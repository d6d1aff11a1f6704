"""Case 24: kill -9 of the client between any two steps of a purchase, and of both sides at once.

The next fetch completes, every item is charged once, and both sides' books agree.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from client.failpoints import KILLED, PURCHASE
from tests.ledger.case_24.conftest import Counting, Customer, fetch_words, kill
from tests.ledger.conftest import Running, wait_until

IMAGES = 150
"""In three requests, after one of texts."""

Pictures = Callable[..., Path]


@pytest.mark.parametrize("step", PURCHASE)
def test_case_24_a_kill_between_any_two_steps_is_completed_and_charged_once(
    customer: Customer, pictures: Pictures, vendor: Running, step: str
) -> None:
    data = pictures(IMAGES)
    for time in (1, 3):
        customer.fetch(data, failpoint=f"{step}:{time}", code=KILLED)
    customer.fetch(data)
    customer.check(images=IMAGES)


@pytest.mark.parametrize("step", ["recovering", *PURCHASE[2:]])
def test_case_24_a_kill_during_recovery_is_completed_and_charged_once(
    customer: Customer, pictures: Pictures, vendor: Running, step: str
) -> None:
    data = pictures(IMAGES)
    customer.fetch(data, failpoint="answered:2", code=KILLED)
    customer.fetch(data, failpoint=step, code=KILLED)
    customer.fetch(data)
    customer.check(images=IMAGES)


@pytest.mark.parametrize("step", ["recorded", "settling"])
def test_case_24_a_kill_while_the_vendors_record_settles_it_is_completed(
    customer: Customer, pictures: Pictures, vendor: Running, step: str
) -> None:
    data = pictures(IMAGES)
    customer.fetch(data, failpoint="answered:2", code=KILLED)
    # The answer comes again, and its vectors are kept before its receipt is asked for.
    customer.fetch(data, failpoint="stored", code=KILLED)
    customer.fetch(data, failpoint=step, code=KILLED)
    customer.fetch(data)
    customer.check(images=IMAGES)


def test_case_24_killed_at_every_start_it_still_pays_once(
    customer: Customer, pictures: Pictures, vendor: Running
) -> None:
    data = pictures(IMAGES)
    # More deaths after the answer than the vendor repeats one answer a day.
    for step in ("answered:2", *["answered"] * 5, "receipt", "settling", "sent"):
        customer.fetch(data, failpoint=step, code=None)
    wait_until(lambda: customer.fetch(data, code=None).returncode == 0, seconds=60)
    customer.check(images=IMAGES)


@pytest.mark.parametrize("point", ["after_reserve", "mid_forward", "after_capture", "mid_body"])
def test_case_24_both_sides_killed_at_once_lose_nothing(
    customer: Customer, pictures: Pictures, house: Counting, point: str
) -> None:
    data = pictures(IMAGES)
    doomed = house.start(f"{point}=kill@2")
    buying = customer.start(*fetch_words(data))
    doomed.process.join(60)
    kill(buying)
    house.start()
    customer.fetch(data)
    customer.check(images=IMAGES)


def test_case_24_both_sides_killed_with_requests_in_the_model(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(IMAGES)
    house.close_gate()
    buying = customer.start(*fetch_words(data))
    wait_until(lambda: "held" in house.charges().values(), seconds=60)
    vendor.kill()
    kill(buying)
    house.open_gate()
    house.start()
    customer.fetch(data)
    customer.check(images=IMAGES)
