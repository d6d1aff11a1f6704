"""Case 4: a key belongs to a meaning, not to bytes."""

import base64
import json

from shared import headers
from tests.ledger.conftest import IMAGE_NANOUSD, TEXT_NANOUSD, House, image_item, keyed, picture
from tests.ledger.tiny import MODEL


def test_case_04_other_content_under_a_key_is_422_and_moves_no_money(house: House) -> None:
    server = house.start()
    assert server.ask("a dog", "a cat", key="k1").status_code == 200
    paid = house.balance()
    others = [
        server.ask("a dog", "a cow", key="k1"),
        server.ask("a cat", "a dog", key="k1"),
        server.ask("a dog", key="k1"),
        server.ask("a dog", "a cat", key="k1", encoding_format="float"),
        server.ask("a dog", "a cat", key="k1", atomic=True),
    ]
    for answer in others:
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert answer.headers[headers.SHOULD_RETRY] == "false"
    assert house.balance() == paid
    house.check_books(captures=1, debited=2 * TEXT_NANOUSD)


def test_case_04_the_same_content_written_otherwise_is_replayed(house: House) -> None:
    server = house.start()
    data = picture(7)
    first = server.ask("a dog", image_item(data), key="k1")
    assert first.status_code == 200
    lines = base64.encodebytes(data).decode()
    document = {
        "encoding_format": "base64",
        "user": "somebody",
        "input": [{"text": "a dog"}, {"image": f"data:image/png;base64,{lines}"}],
        "model": MODEL,
    }
    bodies = [
        json.dumps(document, indent=3).encode(),
        json.dumps(document, separators=(",", ":")).replace("dog", "\\u0064og").encode(),
    ]
    with server.client() as http:
        for body in bodies:
            replay = http.post("/v1/embeddings", content=body, headers=keyed("k1"))
            assert replay.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
            assert replay.json()["data"][1]["embedding"] == first.json()["data"][1]["embedding"]
    house.check_books(captures=1, debited=TEXT_NANOUSD + IMAGE_NANOUSD)
