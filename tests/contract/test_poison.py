"""A real server that is sent poison and more than it can do: others are served, and nobody overpays."""

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from client.api import VendorClient
from shared import headers
from shared.codecs import decode_octets
from shared.frames import FRAMES, pack_frames
from shared.money import parse_usd
from tests.contract.conftest import MODEL, Contract, open_contract

IMAGE_NANOUSD = 100_000


@pytest.fixture(scope="module")
def contract(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, serve_vendor: Any
) -> Iterator[Contract]:
    """Only a quarter of a second's work may wait, and nothing is remembered."""
    folder = tmp_path_factory.mktemp("poison")
    with open_contract(
        folder,
        sqlite_template,
        serve_vendor,
        VENDOR_MAX_QUEUED_MS="250",
        VENDOR_RESULT_CACHE_BYTES="0",
    ) as contract:
        yield contract


def draw(seed: int, size: int = 48) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


TRUNCATED = draw(1000)[:-500]


class Customer:
    """Sends octets and keeps what it learns."""

    def __init__(self, contract: Contract) -> None:
        self.http = httpx.Client(
            base_url=contract.url,
            headers={"authorization": f"Bearer {contract.key}"},
            timeout=60,
            limits=httpx.Limits(max_connections=64),
        )

    def post(self, data: bytes, kind: str = "image/jpeg", path: str = "image") -> httpx.Response:
        return self.http.post(
            f"/v1/embed/{path}",
            params={"model": MODEL},
            content=data,
            headers={"content-type": kind},
        )

    def balance(self) -> int:
        return parse_usd(self.http.get("/v1/balance").json()["available_usd"])


@pytest.fixture
def customer(contract: Contract) -> Iterator[Customer]:
    customer = Customer(contract)
    yield customer
    customer.http.close()


def rows(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return decode_octets(answer.content).reshape(-1, 16)


def test_the_failure_that_kills_others(customer: Customer) -> None:
    """Good picture, truncated one, good picture, text, health: as serving.md has it of two peers."""
    before = customer.balance()
    answers = [
        customer.post(draw(1)),
        customer.post(TRUNCATED),
        customer.post(draw(2)),
        customer.post(b"a bell", "text/plain", "text"),
        customer.http.get("/readyz"),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 200, 200, 200]
    assert before - customer.balance() == 2 * IMAGE_NANOUSD + 10_000


def test_one_in_eight_of_a_batch_and_one_of_eight_at_once(customer: Customer) -> None:
    good = [draw(seed) for seed in range(10, 17)]
    before = customer.balance()
    clean = rows(customer.post(pack_frames(good), FRAMES))
    batch = customer.post(pack_frames([*good[:3], TRUNCATED, *good[3:]]), FRAMES)
    assert batch.headers[headers.ERRORS] == '{"3":"invalid_image"}'
    # Batches may be others, and sums of floats depend on that; that pixels are equal bit by bit is
    # tested with a model whose vectors are digests.
    assert np.allclose(np.delete(rows(batch), 3, axis=0), clean, atol=1e-5)
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(customer.post, [*good[:3], TRUNCATED, *good[3:]]))
    assert [answer.status_code for answer in answers] == [200] * 3 + [422] + [200] * 4
    mixed = np.concatenate([rows(answer) for answer in answers if answer.status_code == 200])
    assert np.allclose(mixed, clean, atol=1e-5)
    assert before - customer.balance() == 7 * IMAGE_NANOUSD


def test_a_crowd_that_honours_what_it_is_told_is_served(contract: Contract) -> None:
    """Thirty-two lists at once, of which few may wait: each served within three returns, once paid."""
    customer = Customer(contract)
    before = customer.balance()
    start = threading.Barrier(32)

    def call(number: int) -> int:
        lists = pack_frames([draw(10_000 + 4 * number + row, 16) for row in range(4)])
        start.wait(60)
        for attempt in range(4):
            answer = customer.post(lists, FRAMES)
            if answer.status_code == 200:
                return attempt
            assert answer.status_code == 503
            assert answer.json()["code"] == "overloaded"
            told = int(answer.headers[headers.RETRY_AFTER_MS])
            assert int(answer.headers[headers.RETRY_AFTER]) >= told / 1000
            time.sleep(told / 1000)
        return 9

    with ThreadPoolExecutor(32) as callers:
        attempts = list(callers.map(call, range(32)))
    assert max(attempts) <= 3
    assert before - customer.balance() == 128 * IMAGE_NANOUSD
    customer.http.close()


def test_the_sdk_waits_as_long_as_it_is_told(contract: Contract) -> None:
    with VendorClient(api_key=contract.key, base_url=contract.url, max_retries=3) as client:
        with ThreadPoolExecutor(16) as callers:
            answers = list(
                callers.map(
                    lambda number: client.images.embed(draw(20_000 + number, 16), model=MODEL),
                    range(48),
                )
            )
        assert all(answer.data[0].embedding is not None for answer in answers)
        assert client.balance.get().held_usd == "0.000000000"
