"""Case 6: a worker that slept past its hold delivers nothing; another one has, and was paid."""

from concurrent.futures import ThreadPoolExecutor

from shared import headers
from tests.ledger.conftest import TEXT_NANOUSD, House, wait_until


def test_case_06_a_worker_that_wakes_too_late_charges_and_delivers_nothing(house: House) -> None:
    stalled, other = house.start(), house.start(alone=False)
    house.close_gate()
    with ThreadPoolExecutor(1) as callers:
        late = callers.submit(stalled.ask, "a dog", key="k1")
        wait_until(lambda: len(house.calls()) == 1)
        stalled.stop()
        house.let_holds_run_out()
        wait_until(lambda: house.charges() == {"k1": "expired"})  # the other server's sweeper
        house.open_gate()
        answer = other.ask("a dog", key="k1")
        assert answer.status_code == 200
        assert headers.IDEMPOTENCY_REPLAYED not in answer.headers
        stalled.resume()
        refused = late.result(20)
    assert refused.status_code == 503
    assert "data" not in refused.json()
    assert refused.headers[headers.SHOULD_RETRY] == "true"
    house.check_books(captures=1, debited=TEXT_NANOUSD)
    assert stalled.ask("a dog", key="k1").headers[headers.IDEMPOTENCY_REPLAYED] == "true"
    house.check_books(captures=1, debited=TEXT_NANOUSD)


def test_case_06_a_retry_takes_an_overdue_hold_over_before_the_sweeper_comes(house: House) -> None:
    stalled, other = house.start(), house.start(alone=False)
    house.close_gate()
    with ThreadPoolExecutor(1) as callers:
        late = callers.submit(stalled.ask, "a dog", key="k1")
        wait_until(lambda: len(house.calls()) == 1)
        stalled.stop()
        assert other.ask("a dog", key="k1").status_code == 409
        house.open_gate()
        house.let_holds_run_out()
        assert other.ask("a dog", key="k1").status_code == 200
        stalled.resume()
        assert late.result(20).status_code == 503
    house.check_books(captures=1, debited=TEXT_NANOUSD)
