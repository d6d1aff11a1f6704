"""Case 8: a database that is gone, silent or locked: 503, nothing computed without a hold, one charge."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared import headers
from tests.faults.proxy import FaultProxy
from tests.ledger.conftest import TEXT_NANOUSD, House, Running, through_proxy, wait_until

on_postgres = pytest.mark.parametrize("vendor_database_url", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("vendor_database_url", ["sqlite"], indirect=True)


@pytest.fixture
def served(house: House, postgres_url: str, postgres_proxy: FaultProxy) -> Iterator[Running]:
    """A server that reaches PostgreSQL through the proxy; its key is known already."""
    away = replace(house, database_url=through_proxy(postgres_url, postgres_proxy))
    server = away.start()
    assert server.ask("a bird", key="before").status_code == 200
    yield server
    postgres_proxy.rules.frozen = False


def ask_until_answered(house: House, server: Running, text: str, key: str) -> httpx.Response:
    """The same request again and again, as a client would; its hold runs out meanwhile."""
    answers: list[httpx.Response] = []

    def is_answered() -> bool:
        answers.append(server.ask(text, key=key))
        if answers[-1].status_code == 409:
            house.let_holds_run_out()
        return answers[-1].status_code not in (409, 503)

    wait_until(is_answered)
    return answers[-1]


def expect_503(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers[headers.SHOULD_RETRY] == "true"
    assert headers.RETRY_AFTER in answer.headers


@on_postgres
def test_case_08_a_database_that_is_gone_is_503_and_nothing_is_computed(
    house: House, served: Running, postgres_proxy: FaultProxy
) -> None:
    before = house.calls()
    postgres_proxy.rules.refuse = True
    postgres_proxy.reset()
    for _ in range(3):
        expect_503(served.ask("a dog", key="k1"))
    with served.client() as http:
        assert http.get("/readyz").status_code == 503
        assert http.get("/healthz").status_code == 200
    assert house.calls() == before
    postgres_proxy.rules.refuse = False
    assert ask_until_answered(house, served, "a dog", "k1").status_code == 200
    house.check_books(captures=2, debited=2 * TEXT_NANOUSD)


@on_postgres
def test_case_08_a_database_that_is_gone_when_the_work_is_done_is_503(
    house: House, served: Running, postgres_proxy: FaultProxy
) -> None:
    house.close_gate()
    with ThreadPoolExecutor(1) as callers:
        asking = callers.submit(served.ask, "a dog", key="k1")
        wait_until(lambda: len(house.calls()) == 2)
        postgres_proxy.rules.refuse = True
        postgres_proxy.reset()
        house.open_gate()
        expect_503(asking.result(20))
    postgres_proxy.rules.refuse = False
    assert ask_until_answered(house, served, "a dog", "k1").status_code == 200
    house.check_books(captures=2, debited=2 * TEXT_NANOUSD)


@on_postgres
def test_case_08_a_database_that_is_silent_is_503_within_seconds(
    house: House, served: Running, postgres_proxy: FaultProxy
) -> None:
    before = house.calls()
    postgres_proxy.rules.frozen = True
    expect_503(served.ask("a dog", key="k1"))
    assert house.calls() == before
    postgres_proxy.rules.frozen = False
    assert ask_until_answered(house, served, "a dog", "k1").status_code == 200
    house.check_books(captures=2, debited=2 * TEXT_NANOUSD)


@on_postgres
@pytest.mark.parametrize("written", [b"INSERT INTO charge", b"INSERT INTO ledger_txn"])
def test_case_08_a_commit_whose_outcome_is_unknown_becomes_one_charge(
    house: House, served: Running, postgres_proxy: FaultProxy, written: bytes
) -> None:
    postgres_proxy.rules.cut_after, postgres_proxy.rules.cut_on = written, b"COMMIT"
    expect_503(served.ask("a dog", key="k1"))
    assert postgres_proxy.cuts == 1
    reserved = written.endswith(b"charge")
    wait_until(lambda: house.charges().get("k1") == ("held" if reserved else "captured"))
    assert len(house.calls()) == (1 if reserved else 2)
    answer = ask_until_answered(house, served, "a dog", "k1")
    assert answer.status_code == 200
    assert (headers.IDEMPOTENCY_REPLAYED in answer.headers) == (not reserved)
    house.check_books(captures=2, debited=2 * TEXT_NANOUSD)


@on_sqlite
def test_case_08_a_locked_file_is_503_and_nothing_is_computed(house: House) -> None:
    server = house.start(settings={"busy_timeout_s": 0.2})
    with house.database.write():
        expect_503(server.ask("a dog", key="k1"))
        assert house.calls() == []
    assert server.ask("a dog", key="k1").status_code == 200
    house.check_books(captures=1, debited=TEXT_NANOUSD)


@on_sqlite
def test_case_08_a_file_that_is_locked_when_the_work_is_done_is_503(house: House) -> None:
    server: Any = house.start(settings={"busy_timeout_s": 0.2})
    house.close_gate()
    with ThreadPoolExecutor(1) as callers:
        asking = callers.submit(server.ask, "a dog", key="k1")
        wait_until(lambda: len(house.calls()) == 1)
        with house.database.write():
            house.open_gate()
            expect_503(asking.result(20))
    assert ask_until_answered(house, server, "a dog", "k1").status_code == 200
    house.check_books(captures=1, debited=TEXT_NANOUSD)
