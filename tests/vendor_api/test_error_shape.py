"""Every route, every error: one envelope."""

from typing import Any

import pytest

from shared import headers
from shared.errors import ERROR_KINDS, TYPE_PREFIX, ErrorCode
from shared.wire import Problem
from vendor_api.errors import MEDIA_TYPE, VendorError, render

OPEN_ROUTES = {"/healthz", "/readyz", "/metrics", "/metrics/alerts"}


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


def assert_canonical(answer: Any, status: int, code: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = Problem.model_validate(answer.json())
    assert problem.status == status
    assert problem.code == problem.error.code == code
    assert problem.type == TYPE_PREFIX + code
    assert problem.detail == problem.error.message
    assert problem.request_id == answer.headers[headers.REQUEST_ID]
    retryable = ERROR_KINDS[ErrorCode(code)].retryable
    assert answer.headers[headers.SHOULD_RETRY] == str(retryable).lower()
    assert (headers.RETRY_AFTER in answer.headers) == retryable
    return problem


async def test_every_route_but_the_operators_asks_for_a_key(vendor: Any, anonymous: Any) -> None:
    paths = vendor.app.openapi()["paths"]
    assert {"/v1/embeddings", "/v1/models", "/v1/balance", "/v1/usage", "/v1/charges"} <= set(paths)
    async with anonymous() as http:
        for path in set(paths) - OPEN_ROUTES:
            for method in paths[path]:
                answer = await http.request(method.upper(), path.replace("{name}", "x"))
                assert_canonical(answer, 401, "invalid_api_key")


async def test_wrong_keys_of_every_kind_are_401(vendor: Any, anonymous: Any) -> None:
    wrong = ["Bearer nonsense", f"Bearer {vendor.key[:-1]}", f"Basic {vendor.key}", "Bearer", ""]
    async with anonymous() as http:
        for value in wrong:
            answer = await http.get("/v1/balance", headers={"authorization": value})
            assert_canonical(answer, 401, "invalid_api_key")
            assert vendor.key[:30] not in answer.text


async def test_errors_of_routing(vendor: Any) -> None:
    assert_canonical(await vendor.http.get("/nowhere"), 404, "not_found")
    answer = await vendor.http.delete("/v1/embeddings")
    assert_canonical(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_errors_of_queries(vendor: Any) -> None:
    for path in (
        "/v1/usage?since=yesterday",
        "/v1/usage?since=2026-02-01&until=2026-01-01",
        "/v1/charges?limit=0",
        "/v1/charges?limit=many",
        f"/v1/charges?idempotency_key={'a' * 256}",
    ):
        assert_canonical(await vendor.http.get(path), 400, "invalid_request")


async def test_errors_of_bodies(vendor: Any) -> None:
    answer = await vendor.http.post("/v1/embeddings", content=b"{")
    assert_canonical(answer, 400, "invalid_request")
    answer = await vendor.embed("a", model="nothing")
    assert_canonical(answer, 404, "model_not_found")


async def test_a_body_over_the_limit_is_413_whatever_it_promises(vendor: Any) -> None:
    big = b" " * 200_001

    async def pieces() -> Any:
        for start in range(0, len(big), 50_000):
            yield big[start : start + 50_000]

    for content in (big, pieces()):
        answer = await vendor.http.post("/v1/embeddings", content=content)
        problem = assert_canonical(answer, 413, "request_too_large")
        assert "200000 bytes" in problem.detail


async def test_compressed_bodies_are_refused(vendor: Any) -> None:
    answer = await vendor.http.post(
        "/v1/embeddings", content=b"x", headers={"content-encoding": "gzip"}
    )
    assert_canonical(answer, 400, "invalid_request")


async def test_a_crash_is_500_without_its_secrets(vendor: Any) -> None:
    async def crash() -> None:
        raise RuntimeError(f"the key {vendor.key} is in this message")

    vendor.app.add_api_route("/crash", crash)
    answer = await vendor.http.get("/crash")
    problem = assert_canonical(answer, 500, "internal")
    assert vendor.key not in answer.text
    assert problem.request_id in problem.detail


def test_every_code_renders_with_its_status() -> None:
    for code, kind in ERROR_KINDS.items():
        answer = render(VendorError(code, "A sentence."), "req_1")
        assert answer.status_code == kind.status
        Problem.model_validate_json(bytes(answer.body))


def test_a_short_wait_is_said_in_milliseconds_too() -> None:
    answer = render(VendorError(ErrorCode.OVERLOADED, "Busy.", retry_after_s=0.25), "req_1")
    assert answer.headers[headers.RETRY_AFTER] == "1"
    assert answer.headers[headers.RETRY_AFTER_MS] == "250"
