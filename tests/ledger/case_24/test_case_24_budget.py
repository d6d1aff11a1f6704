"""Case 24: a budget of $1 and more threads and processes than it is good for: never a cent beyond it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.money import parse_usd
from tests.conftest import Shop
from tests.ledger.case_24.buyers import start_buyer
from tests.ledger.case_24.conftest import Counting, Customer, fetch_words
from tests.ledger.conftest import Running

DOLLAR = 10**9
IMAGE = parse_usd("0.0025")
TEXT = parse_usd("0.001")
IMAGES = 600
"""More than a dollar buys: 400."""

Pictures = Callable[..., Path]


@pytest.fixture
def rich(shop: Shop) -> None:
    """An account that could pay for everything, and dearer pictures."""
    shop.set_prices(image="0.0025", text="0.001")
    with shop.database.write() as connection:
        connection.exec_driver_sql("UPDATE account_balance SET credit_limit_nanousd = 9000000000")


def paid(house: Counting) -> int:
    """Nano-dollars, when nothing is held."""
    debited, held = house.balance()
    assert held == 0
    return debited


@pytest.mark.usefixtures("rich")
def test_case_24_eight_threads_spend_a_dollar_and_not_more(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    buyer = start_buyer(house, customer.home, pictures(IMAGES), "run", cap_nanousd=DOLLAR)
    images, cost, stopped = buyer.end()
    assert "the budget of $1.00 ends here" in stopped
    assert images * IMAGE == cost == paid(house) == DOLLAR
    house.check_items(images=images, texts=0, prices=(IMAGE, TEXT))
    customer.reconcile()


@pytest.mark.usefixtures("rich")
@pytest.mark.parametrize("same", [True, False], ids=["same pictures", "other pictures"])
def test_case_24_two_processes_share_a_projects_dollar(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running, same: bool
) -> None:
    first = pictures(IMAGES)
    second = first if same else pictures(IMAGES, name="other", first=IMAGES)
    customer.type("budget", "set", "--project", "both", "--usd", "1")
    for run in ("one", "two"):
        customer.type("budget", "set", "--run", run, "--usd", "9", "--project", "both")
    buyers = [
        start_buyer(house, customer.home, data, run, cap_nanousd=9 * DOLLAR)
        for data, run in ((first, "one"), (second, "two"))
    ]
    receipts = [buyer.end() for buyer in buyers]
    assert all("project both" in stopped for _, _, stopped in receipts)
    bought = sum(images for images, _, _ in receipts)
    assert bought * IMAGE == sum(cost for _, cost, _ in receipts) == paid(house) <= DOLLAR
    house.check_items(images=bought, texts=0, prices=(IMAGE, TEXT))
    assert house.free_items() == 0
    customer.reconcile()
    # What one had to leave because the other held the rest is there for the next command.
    for run, data in (("one", first), ("two", second)):
        start_buyer(house, customer.home, data, run, cap_nanousd=9 * DOLLAR).end()
    assert paid(house) == DOLLAR
    customer.reconcile()


@pytest.mark.usefixtures("rich")
def test_case_24_two_commands_share_a_projects_cap_in_items(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(300)
    customer.type("budget", "set", "--project", "both", "--items", "200")
    for run in ("one", "two"):
        customer.type("budget", "set", "--run", run, "--usd", "9", "--project", "both")
    words = [fetch_words(data, "--run", run, "--budget", "9") for run in ("one", "two")]
    running = [customer.start(*command) for command in words]
    assert {one.end().returncode for one in running} <= {0, 3}
    assert customer.count() + customer.count("text") <= 200
    for command in words:
        customer.type(*command, code=3)
    images = 198
    assert (customer.count(), customer.count("text")) == (images, 2)
    house.check_items(images=images, texts=2, prices=(IMAGE, TEXT))
    assert paid(house) == images * IMAGE + 2 * TEXT
    customer.reconcile()


@pytest.mark.usefixtures("rich")
def test_case_24_killed_at_the_end_of_its_budget_a_run_spends_it_and_not_more(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(IMAGES)
    for step in ("answered:3", "sent:2", "settling:4", "stored:1"):
        customer.fetch(data, failpoint=step, code=None)
    customer.fetch(data, code=3)
    texts, images = 2, (DOLLAR - 2 * TEXT) // IMAGE
    assert (customer.count(), customer.count("text")) == (images, texts)
    assert paid(house) == images * IMAGE + texts * TEXT <= DOLLAR
    customer.reconcile()


@pytest.mark.usefixtures("rich")
def test_case_24_a_lost_cache_does_not_lift_the_budget_when_it_is_named_again(
    customer: Customer, pictures: Pictures, house: Counting, vendor: Running
) -> None:
    data = pictures(IMAGES)
    customer.fetch(data, code=3)
    before = paid(house)
    shutil.rmtree(customer.home)
    customer.fetch(data, code=3)
    assert paid(house) == before
    assert customer.count() == (DOLLAR - 2 * TEXT) // IMAGE
    customer.reconcile()
