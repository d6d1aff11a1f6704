"""Case 2: fifty times the same request at once is one charge and one computation."""

from concurrent.futures import ThreadPoolExecutor, wait

import httpx
import numpy as np

from shared import headers
from tests.ledger.conftest import TEXT_NANOUSD, House, vectors, wait_until

CALLERS = 50


def test_case_02_fifty_at_once_are_charged_and_computed_once(house: House) -> None:
    server = house.start()
    house.close_gate()
    with ThreadPoolExecutor(CALLERS) as callers:
        asking = [callers.submit(server.ask, "a dog", key="k1") for _ in range(CALLERS)]
        # All but the one whose money is held have their answer before anything is computed.
        wait_until(lambda: sum(future.done() for future in asking) == CALLERS - 1)
        house.open_gate()
        wait(asking, 20)
    answers = [future.result() for future in asking]
    (sold,) = [answer for answer in answers if answer.status_code == 200]
    turned_away = [answer for answer in answers if answer is not sold]
    assert {answer.status_code for answer in turned_away} == {409}
    assert all(headers.RETRY_AFTER in answer.headers for answer in turned_away)
    assert house.calls() == [("text", 1)]
    house.check_books(captures=1, debited=TEXT_NANOUSD)
    _check_replays(sold, [server.ask("a dog", key="k1") for _ in range(3)])
    house.check_books(captures=1, debited=TEXT_NANOUSD)


def _check_replays(sold: httpx.Response, replays: list[httpx.Response]) -> None:
    (vector,) = vectors(sold)
    for replay in replays:
        assert replay.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
        assert replay.headers[headers.COST_USD] == "0.000000000"
        assert replay.json()["charge_id"] == sold.json()["charge_id"]
        assert float(np.dot(vectors(replay)[0], vector)) >= 0.9999
