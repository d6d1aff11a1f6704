"""What a client meets: headers on every counted answer, 429 with when to come back, places freed."""

import asyncio
from typing import Any

import httpx
import pytest

from shared.headers import RETRY_AFTER, RETRY_AFTER_MS, SHOULD_RETRY
from shared.wire import Problem
from tests.structured_fields import parse_list
from vendor_api.auth.repository import KeyLimits, set_limits
from vendor_api.settings import VendorSettings


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def settings() -> VendorSettings:
    return VendorSettings(
        max_body_bytes=200_000, requests_per_minute=600, items_per_minute=1000, audit_seconds=0
    )


@pytest.fixture
def limit(shop: Any, api_key: Any) -> Any:
    """Gives the key limits of its own; to be called before it is used."""

    def set_own(**limits: int) -> None:
        with shop.database.write() as connection:
            set_limits(connection, api_key.key_id, KeyLimits(**limits))

    return set_own


def policies(answer: httpx.Response) -> dict[str, Any]:
    return parse_list(answer.headers["ratelimit-policy"])


def states(answer: httpx.Response) -> dict[str, Any]:
    return parse_list(answer.headers["ratelimit"])


def assert_refused(answer: httpx.Response, *violated: str) -> Problem:
    assert answer.status_code == 429, answer.text
    problem = Problem.model_validate(answer.json())
    assert problem.code == "rate_limited"
    assert answer.json()["violated-policies"] == problem.violated_policies == [*violated]
    assert set(states(answer)) == set(violated)
    assert answer.headers[SHOULD_RETRY] == "true"
    seconds = int(answer.headers[RETRY_AFTER])
    assert seconds >= max(state.get("t", 0) for state in states(answer).values())
    assert seconds * 1000 >= int(answer.headers[RETRY_AFTER_MS]) > 0
    return problem


async def test_an_answer_says_what_the_key_may_do_and_how_far_it_has_got(vendor: Any) -> None:
    answer = await vendor.embed("a dog", "a dog", "a cat")
    assert answer.status_code == 200
    size = len(answer.request.content)
    process = {"vendor-scope": "process"}
    assert policies(answer) == {
        "requests": {"q": 600, "w": 60, "qu": "requests"} | process,
        "concurrency": {"q": 64, "qu": "concurrent-requests"} | process,
        "items": {"q": 1000, "w": 60, "qu": "items"} | process,
        "bytes": {"q": 6 * 1024**3, "w": 60, "qu": "content-bytes"} | process,
    }
    left = states(answer)
    assert left.pop("bytes")["r"] == pytest.approx(6 * 1024**3 - size, abs=200)  # a µs is 107 bytes
    assert left == {
        "requests": {"r": 599, "t": 1},
        "concurrency": {"r": 63},
        "items": {"r": 997, "t": 1},
    }
    assert answer.headers["x-ratelimit-limit-requests"] == "600"
    assert answer.headers["x-ratelimit-remaining-requests"] == "599"
    assert answer.headers["x-ratelimit-reset-requests"] == "100ms"
    assert answer.headers["x-ratelimit-limit-items"] == "1000"
    assert answer.headers["x-ratelimit-remaining-items"] == "997"
    assert answer.headers["x-ratelimit-reset-items"] == "180ms"


async def test_every_answer_to_a_known_key_is_counted(vendor: Any, anonymous: Any) -> None:
    for path, status in (
        ("/v1/balance", 200),
        ("/v1/usage", 200),
        ("/v1/charges", 200),
        ("/v1/models", 200),
        ("/v1/models/none", 404),
        ("/v1/charges?limit=x", 400),
    ):
        answer = await vendor.http.get(path)
        assert answer.status_code == status
        assert set(policies(answer)) == set(states(answer)) == {"requests", "concurrency"}
    async with anonymous() as http:
        assert "ratelimit" not in (await http.get("/v1/balance")).headers
        assert "ratelimit" not in (await http.get("/healthz")).headers


async def test_a_crash_is_counted_too(vendor: Any) -> None:
    vendor.app.state.shop.catalogue = None
    answer = await vendor.http.get("/v1/models")
    assert answer.status_code == 500
    assert states(answer)["requests"]["r"] == 599


async def test_the_request_too_many_is_refused_before_its_body_is_read(
    vendor: Any, limit: Any
) -> None:
    limit(requests_per_minute=2)
    assert (await vendor.embed("a")).status_code == 200
    assert states(await vendor.http.get("/v1/balance"))["requests"]["r"] == 0

    async def unread() -> Any:
        raise AssertionError("the body was read")
        yield b""

    answer = await vendor.http.post("/v1/embeddings", content=unread())
    problem = assert_refused(answer, "requests")
    assert "2 requests a minute" in problem.detail
    assert 25 <= int(answer.headers[RETRY_AFTER]) <= 30


async def test_items_beyond_the_minute_are_refused_before_anything_is_held(
    vendor: Any, limit: Any
) -> None:
    limit(items_per_minute=3)
    assert (await vendor.embed("a", "a")).status_code == 200
    answer = await vendor.embed("b", "c")
    assert_refused(answer, "items")
    assert states(answer)["items"]["r"] == 1
    assert (await vendor.embed("b")).status_code == 200  # the refusal took no items
    charges = (await vendor.http.get("/v1/charges")).json()["data"]
    assert len(charges) == 2


async def test_a_request_refused_for_its_items_was_a_request(vendor: Any, limit: Any) -> None:
    limit(items_per_minute=1, requests_per_minute=3)
    for text, status in (("a", 200), ("b", 429)):
        assert (await vendor.embed(text)).status_code == status
    assert states(await vendor.http.get("/v1/balance"))["requests"]["r"] == 0


async def test_a_replay_counts_its_items(vendor: Any, limit: Any) -> None:
    limit(items_per_minute=3)
    for _ in range(3):
        answer = await vendor.embed("a", headers={"idempotency-key": "k"})
        assert answer.status_code == 200
    assert_refused(await vendor.embed("a", headers={"idempotency-key": "k"}), "items")


async def test_a_request_that_never_fits_is_not_to_be_sent_again(vendor: Any, limit: Any) -> None:
    limit(items_per_minute=3, bytes_per_minute=1000)
    answer = await vendor.embed("a", "b", "c", "d")
    assert answer.status_code == 413
    assert "send at most 3 at a time" in answer.json()["detail"]
    assert answer.headers[SHOULD_RETRY] == "false"
    assert RETRY_AFTER not in answer.headers
    answer = await vendor.embed("a" * 1000)
    assert answer.status_code == 413
    assert answer.json()["violated-policies"] == ["bytes"]


async def test_bytes_are_those_that_came(vendor: Any, limit: Any) -> None:
    limit(bytes_per_minute=1000)
    assert (await vendor.embed("a" * 700)).status_code == 200
    assert_refused(await vendor.embed("b" * 700), "bytes")


async def test_places_are_few_and_freed(vendor: Any, limit: Any) -> None:
    limit(concurrency=1)
    vendor.model.gate.clear()
    asking = asyncio.create_task(vendor.embed("a dog"))
    await entered(vendor)
    problem = assert_refused(await vendor.http.get("/v1/balance"), "concurrency")
    assert "may have 1 requests under way" in problem.detail
    vendor.model.gate.set()
    assert (await asking).status_code == 200
    assert (await vendor.http.get("/v1/balance")).status_code == 200


async def test_a_client_that_goes_frees_its_place(vendor: Any, limit: Any) -> None:
    limit(concurrency=1)
    vendor.model.gate.clear()
    asking = asyncio.create_task(vendor.embed("a dog"))
    await entered(vendor)
    asking.cancel()
    await asyncio.wait([asking])
    assert (await vendor.http.get("/v1/balance")).status_code == 200
    vendor.model.gate.set()


async def test_no_limit_is_no_header(vendor: Any, limit: Any) -> None:
    limit(requests_per_minute=0, items_per_minute=0, bytes_per_minute=0, concurrency=0)
    answer = await vendor.embed("a")
    assert answer.status_code == 200
    assert not [name for name in answer.headers if "ratelimit" in name]


async def test_decisions_are_counted(vendor: Any, limit: Any) -> None:
    limit(items_per_minute=1)
    await vendor.embed("a")
    await vendor.embed("b")
    text = (await vendor.http.get("/metrics")).text.splitlines()
    for policy, decision, count in (
        ("requests", "admitted", 2),
        ("items", "admitted", 1),
        ("items", "refused", 1),
    ):
        labels = f'{{decision="{decision}",policy="{policy}"}}'
        assert f"vl2v_ratelimit_decisions_total{labels} {count}.0" in text
    assert "vl2v_redis_degraded 0.0" in text


async def entered(vendor: Any) -> None:
    async with asyncio.timeout(30):
        while not vendor.model.entered.is_set():  # noqa: ASYNC110  (a thread sets it)
            await asyncio.sleep(0.005)
