"""Case 5: a client that hangs up while it waits pays nothing; later, it pays once and may come back."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import headers
from tests.ledger.conftest import TEXT_NANOUSD, House, Running, wait_until
from tests.ledger.tiny import MODEL


def send(server: Running, text: str, key: str) -> socket.socket:
    """A request on a bare connection, so that the test may break it."""
    body = json.dumps({"model": MODEL, "input": [text], "encoding_format": "base64"})
    lines = [
        "POST /v1/embeddings HTTP/1.1",
        "host: vendor",
        f"authorization: Bearer {server.key}",
        f"{headers.IDEMPOTENCY_KEY}: {key}",
        f"content-length: {len(body)}",
    ]
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall("\r\n".join([*lines, "", body]).encode())
    return connection


@pytest.fixture(autouse=True)
def nothing_is_left_open(house: House):
    """No transaction stays open and no hold is left to the sweeper."""
    yield
    assert "held" not in house.charges().values()
    if house.database.url.get_backend_name() == "postgresql":
        wait_until(lambda: not house.query(IDLE))


IDLE = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
)


def test_case_05_a_client_that_leaves_the_queue_pays_nothing(house: House) -> None:
    server = house.start()
    house.close_gate()
    with ThreadPoolExecutor(1) as callers:
        ahead = callers.submit(server.ask, "a dog", key="ahead")
        wait_until(lambda: len(house.calls()) == 1)
        with send(server, "a cat", "queued"):
            wait_until(lambda: house.charges().get("queued") == "held")
        wait_until(lambda: house.charges()["queued"] == "released")
        house.open_gate()
        assert ahead.result(20).status_code == 200
    house.check_books(captures=1, debited=TEXT_NANOUSD)
    assert house.calls() == [("text", 1)]
    assert server.ask("a cat", key="queued").headers[headers.COST_USD] == "0.000010000"


def test_case_05_a_client_that_leaves_while_its_item_is_computed_pays_once(house: House) -> None:
    server = house.start()
    house.close_gate()
    with send(server, "a cat", "gone"):
        wait_until(lambda: len(house.calls()) == 1)
    house.open_gate()
    wait_until(lambda: house.charges()["gone"] == "captured")
    replay = server.ask("a cat", key="gone")
    assert replay.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
    house.check_books(captures=1, debited=TEXT_NANOUSD)


def test_case_05_a_client_that_leaves_half_way_through_the_answer_pays_once(house: House) -> None:
    server = house.start("mid_body=sleep:0.3@1")
    with send(server, "a cat", "gone") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert house.charges() == {"gone": "captured"}
    replay = server.ask("a cat", key="gone")
    assert replay.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
    house.check_books(captures=1, debited=TEXT_NANOUSD)
