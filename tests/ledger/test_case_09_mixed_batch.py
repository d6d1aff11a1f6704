"""Case 9: of a batch of 64, the good and distinct are charged, the rest say what is wrong."""

from decimal import Decimal

from shared.money import parse_usd
from tests.ledger import uploads
from tests.ledger.conftest import IMAGE_NANOUSD, House, image_item, picture

CORRUPT, LONG, SAME, BOMB = {3, 20, 40}, {5, 33}, {10, 11, 30, 63}, {50}
GOOD = 64 - len(CORRUPT | LONG | SAME | BOMB) + 1


def make(index: int) -> bytes:
    if index in CORRUPT:
        return uploads.corrupt(index)
    if index in LONG:
        return uploads.too_long(20_001 + index)
    if index in BOMB:
        return uploads.bomb()
    return picture(77 if index in SAME else 100 + index)


def test_case_09_of_a_mixed_batch_the_good_are_charged_once_each(house: House) -> None:
    server = house.start(batch=16)
    answer = server.ask(*(image_item(make(index)) for index in range(64)), key="k1")
    assert answer.status_code == 200
    rows = answer.json()["data"]
    assert [row["index"] for row in rows] == list(range(64))
    failed = {row["index"] for row in rows if row.get("error") is not None}
    assert failed == CORRUPT | LONG | BOMB
    assert failed == {row["index"] for row in rows if row["embedding"] is None}
    assert {rows[index]["error"]["code"] for index in failed} == {"invalid_image"}
    assert "megapixels" in rows[50]["error"]["message"]
    assert len({rows[index]["embedding"] for index in SAME}) == 1
    paid = sum(parse_usd(row["cost_usd"]) for row in rows)
    assert paid == parse_usd(answer.json()["cost_usd"]) == GOOD * IMAGE_NANOUSD
    assert Decimal(answer.headers["x-cost-usd"]) == Decimal(answer.json()["cost_usd"])
    entries = house.query(
        "SELECT sum(abs(e.amount_nanousd)) FROM ledger_entry e JOIN ledger_txn t ON t.id = e.txn_id "
        "WHERE t.kind = 'capture'"
    )
    assert int(entries[0][0]) == 2 * paid  # out of one book, into another
    house.check_books(captures=1, debited=paid)
