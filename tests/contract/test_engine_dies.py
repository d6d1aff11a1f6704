"""A real server whose engine is killed or stopped under load: it says so, recovers, and charges for
what it delivered."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.api import VendorClient, VendorError
from shared.money import parse_usd
from tests.contract.conftest import MODEL, Contract, open_contract

READY_SECONDS = 30


@pytest.fixture(scope="module")
def contract(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, serve_vendor: Any
) -> Iterator[Contract]:
    folder = tmp_path_factory.mktemp("dying")
    with open_contract(folder, sqlite_template, serve_vendor, VENDOR_ENGINE="process") as contract:
        yield contract


def find_worker(contract: Contract) -> int:
    """The engine's process, a child of the server's."""
    # Each thread has the children that it has started.
    tasks = Path(f"/proc/{contract.pid}/task").glob("*/children")
    children = " ".join(task.read_text() for task in tasks).split()
    (worker,) = [
        int(pid)
        for pid in children
        if b"vendor_api.engine.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return worker


def is_ready(contract: Contract) -> bool:
    return httpx.get(f"{contract.url}/readyz").status_code == 200


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


class Buyer(threading.Thread):
    """Buys one new text after another, and counts what was delivered."""

    def __init__(self, contract: Contract, name: str) -> None:
        super().__init__(name=name)
        self.client = VendorClient(api_key=contract.key, base_url=contract.url, max_retries=0)
        self.ending = threading.Event()
        self.delivered = 0
        self.refusals: list[VendorError] = []

    def run(self) -> None:
        with self.client:
            for number in range(100_000):
                if self.ending.is_set():
                    return
                try:
                    answer = self.client.embeddings.create(
                        input=f"{self.name} {number}", model=MODEL
                    )
                except VendorError as error:
                    self.refusals.append(error)
                    time.sleep(0.02)
                else:
                    self.delivered += sum(item.embedding is not None for item in answer.data)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_the_server_outlives_its_engine(contract: Contract, blow: signal.Signals) -> None:
    wait_until(lambda: is_ready(contract), READY_SECONDS)
    with VendorClient(api_key=contract.key, base_url=contract.url) as client:
        before = parse_usd(client.balance.get().available_usd)
        buyers = [Buyer(contract, f"{blow.name}-{number}") for number in range(3)]
        for buyer in buyers:
            buyer.start()
        wait_until(lambda: all(buyer.delivered > 3 for buyer in buyers), READY_SECONDS)
        os.kill(find_worker(contract), blow)
        wait_until(lambda: not is_ready(contract), 5)
        wait_until(lambda: is_ready(contract), READY_SECONDS)
        counts = [buyer.delivered for buyer in buyers]
        wait_until(
            lambda: all(b.delivered > n for b, n in zip(buyers, counts, strict=True)), READY_SECONDS
        )
        for buyer in buyers:
            buyer.ending.set()
        for buyer in buyers:
            buyer.join()
        balance = client.balance.get()
    assert any(buyer.refusals for buyer in buyers)
    assert balance.held_usd == "0.000000000"
    paid = before - parse_usd(balance.available_usd)
    assert paid == 10_000 * sum(buyer.delivered for buyer in buyers)
