"""Case 10: a batch without one valid item, or an atomic one with one that is not, costs nothing, for good."""

import pytest

from shared import headers
from tests.ledger import uploads
from tests.ledger.conftest import House, image_item, picture

INVALID = {
    "headers": [uploads.EPS, uploads.too_long(), b""],
    "pixels": [uploads.corrupt(1), uploads.corrupt(2)],
}


@pytest.mark.parametrize("kind", INVALID)
def test_case_10_a_batch_without_a_valid_item_is_422_for_good(house: House, kind: str) -> None:
    server = house.start()
    items = [image_item(data) for data in INVALID[kind]]
    for _ in range(2):
        answer = server.ask(*items, key="k1")
        assert (answer.status_code, answer.json()["code"]) == (422, "no_valid_item")
        assert answer.headers[headers.SHOULD_RETRY] == "false"
    server.kill()
    assert house.start().ask(*items, key="k1").status_code == 422
    assert house.charges() == {"k1": "released_final"}
    assert house.calls() == []
    house.check_books(captures=0, debited=0)


@pytest.mark.parametrize("kind", INVALID)
def test_case_10_an_atomic_batch_with_a_bad_item_is_422_for_good(house: House, kind: str) -> None:
    server = house.start()
    items = [image_item(data) for data in (picture(1), picture(2), INVALID[kind][1])]
    for _ in range(2):
        answer = server.ask(*items, key="k1", atomic=True)
        assert (answer.status_code, answer.json()["code"]) == (422, "items_refused")
        assert answer.headers[headers.SHOULD_RETRY] == "false"
    assert house.charges() == {"k1": "released_final"}
    assert house.calls() == []
    house.check_books(captures=0, debited=0)
