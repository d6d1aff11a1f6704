"""Case 3: kill -9 between any two steps, start again, send the same request again: charged once."""

import signal
from typing import Any

import httpx
import pytest

from shared import headers
from tests.ledger.conftest import TEXT_NANOUSD, House, Running
from vendor_api import failpoints

ON_THE_WAY_OUT = ("before_release_commit", "after_release")
PAID = {"after_capture", "mid_body"}
"""Where the charge is committed already, so that the second answer is a replay."""


def die(house: House, points: str) -> None:
    """Start a server that is armed, send the request, and see the server killed."""
    doomed = house.start(points)
    with pytest.raises(httpx.TransportError):
        doomed.ask("a dog", key="k1")
    doomed.process.join(20)
    assert doomed.process.exitcode == -signal.SIGKILL


def retry(house: House) -> tuple[Running, Any]:
    """Start again, and send the same request once its old hold has run out."""
    healthy = house.start()
    answer = healthy.ask("a dog", key="k1")
    if (
        answer.status_code == 409
    ):  # PostgreSQL may have other servers: an orphan is not known as one
        assert answer.headers[headers.SHOULD_RETRY] == "true"
        house.let_holds_run_out()
        answer = healthy.ask("a dog", key="k1")
    return healthy, answer


def test_every_failpoint_is_tried() -> None:
    assert {*failpoints.NAMES} == {*STEPS, *ON_THE_WAY_OUT}


STEPS = [name for name in failpoints.NAMES if name not in ON_THE_WAY_OUT]


@pytest.mark.parametrize("name", STEPS)
def test_case_03_a_kill_between_reserve_and_answer_charges_once(house: House, name: str) -> None:
    die(house, f"{name}=kill")
    healthy, answer = retry(house)
    assert answer.status_code == 200, answer.text
    assert (answer.headers.get(headers.IDEMPOTENCY_REPLAYED) == "true") == (name in PAID)
    again = healthy.ask("a dog", key="k1")
    assert again.json()["data"][0]["embedding"] == answer.json()["data"][0]["embedding"]
    assert again.json()["charge_id"] == answer.json()["charge_id"]
    house.check_books(captures=1, debited=TEXT_NANOUSD)


@pytest.mark.parametrize("name", ON_THE_WAY_OUT)
def test_case_03_a_kill_while_money_is_given_back_loses_none(house: House, name: str) -> None:
    die(house, f"mid_forward=error,{name}=kill")
    _, answer = retry(house)
    assert answer.status_code == 200, answer.text
    house.check_books(captures=1, debited=TEXT_NANOUSD)
