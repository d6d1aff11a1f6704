"""Case 11: an engine that fails half-way costs nothing, unless the client takes what there is."""

from shared import headers
from tests.ledger.conftest import IMAGE_NANOUSD, House, image_item, picture, vectors

ITEMS = [image_item(picture(level)) for level in range(8)]
SECOND_BATCH_FAILS = "mid_forward=error@2+"
"""Batches have four items here; the items of a batch that fails are tried one by one, and fail."""


def test_case_11_an_engine_that_fails_half_way_is_503_and_may_be_asked_again(house: House) -> None:
    failing = house.start(SECOND_BATCH_FAILS)
    answer = failing.ask(*ITEMS, key="k1")
    assert answer.status_code == 503
    assert answer.headers[headers.SHOULD_RETRY] == "true"
    assert house.charges() == {"k1": "released"}
    house.check_books(captures=0, debited=0)
    failing.kill()
    assert house.start().ask(*ITEMS, key="k1").status_code == 200
    house.check_books(captures=1, debited=8 * IMAGE_NANOUSD)


def test_case_11_partial_ok_charges_exactly_the_vectors_it_returns(house: House) -> None:
    failing = house.start(SECOND_BATCH_FAILS)
    answer = failing.ask(*ITEMS, key="k1", partial_ok=True)
    assert answer.status_code == 200
    returned = [vector is not None for vector in vectors(answer)]
    assert returned == [True] * 4 + [False] * 4
    assert answer.headers[headers.COST_USD] == "0.000400000"
    house.check_books(captures=1, debited=4 * IMAGE_NANOUSD)
    failing.kill()
    healthy = house.start()
    replay = healthy.ask(*ITEMS, key="k1", partial_ok=True)
    assert [vector is not None for vector in vectors(replay)] == returned
    house.check_books(captures=1, debited=4 * IMAGE_NANOUSD)
    healthy.ask(*ITEMS, key="k2")
    house.check_books(captures=2, debited=8 * IMAGE_NANOUSD)
