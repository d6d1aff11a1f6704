"""What Prometheus can collect, under which names, and who may read it."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from vendor_api.metrics import Metrics
from vendor_api.settings import VendorSettings

NAMES = {
    "vl2v_http_requests": ("counter", {"route", "method", "status"}),
    "vl2v_http_request_duration_seconds": ("histogram", {"route"}),
    "vl2v_items": ("counter", {"model", "modality", "outcome"}),
    "vl2v_embed_batch_size": ("histogram", {"model", "lane"}),
    "vl2v_embed_duration_seconds": ("histogram", {"model", "lane"}),
    "vl2v_queue_depth": ("gauge", {"model"}),
    "vl2v_ledger_tx": ("counter", {"op", "outcome"}),
    "vl2v_ledger_commit_duration_seconds": ("histogram", set()),
    "vl2v_ledger_batch_size": ("histogram", set()),
    "vl2v_holds_outstanding": ("gauge", set()),
    "vl2v_holds_expired": ("counter", set()),
    "vl2v_ledger_invariant_violations": ("gauge", set()),
    "vl2v_ratelimit_decisions": ("counter", {"policy", "decision"}),
    "vl2v_idempotency": ("counter", {"result"}),
    "vl2v_redis_degraded": ("gauge", set()),
    "vl2v_alert": ("gauge", {"name", "severity"}),
}
"""As operators of other gateways know them."""


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


def read(vendor: Any, name: str, **labels: str) -> float | None:
    value: float | None = vendor.app.state.shop.metrics.registry.get_sample_value(name, labels)
    return value


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_has_the_name_the_type_and_the_labels_that_dashboards_expect(name: str) -> None:
    kind, labels = NAMES[name]
    metrics = Metrics()
    (found,) = (each for each in metrics.registry.collect() if each.name == name)
    assert found.type == kind
    declared = metrics.registry._names_to_collectors[name]
    assert set(declared._labelnames) == labels  # type: ignore[attr-defined]


def test_no_label_could_hold_whatever_a_client_sends() -> None:
    labels = {
        label
        for collector in set(Metrics().registry._names_to_collectors.values())
        for label in collector._labelnames  # type: ignore[attr-defined]
    }
    assert labels <= {
        *("route", "method", "status", "model", "modality", "lane"),
        *("op", "outcome", "policy", "decision", "result", "kind", "name", "severity"),
    }


async def test_an_unknown_method_makes_no_new_label(vendor: Any) -> None:
    await vendor.http.request("BREW", "/v1/embeddings")
    text = (await vendor.http.get("/metrics")).text
    assert "BREW" not in text


async def test_what_idempotency_keys_met_is_counted(vendor: Any) -> None:
    first = {"idempotency-key": "k"}
    assert (await vendor.embed("a dog", headers=first)).status_code == 200
    assert (await vendor.embed("a dog", headers=first)).status_code == 200
    assert (await vendor.embed("a cat", headers=first)).status_code == 422
    counted = {
        result: read(vendor, "vl2v_idempotency_total", result=result)
        for result in ("new", "replayed", "conflict")
    }
    assert counted == {"new": 1, "replayed": 1, "conflict": 1}


async def test_a_refused_ledger_operation_says_why(vendor: Any) -> None:
    assert (
        await vendor.embed(*(f"text {n}" for n in range(2)), headers={"idempotency-key": "k"})
    ).is_success
    assert (await vendor.embed("other", headers={"idempotency-key": "k"})).status_code == 422
    assert read(vendor, "vl2v_ledger_tx_total", op="reserve", outcome="ok") == 1
    assert read(vendor, "vl2v_ledger_tx_total", op="reserve", outcome="key_reused") == 1


async def test_metrics_are_for_this_machine_when_there_is_no_token(vendor: Any) -> None:
    def connect(host: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(vendor.app, client=(host, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://vendor")

    for path in ("/metrics", "/metrics/alerts"):
        for host, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.1", 403), ("", 403)):
            async with connect(host) as http:
                answer = await http.get(path)
                assert answer.status_code == status, (path, host)
        assert "VENDOR_METRICS_TOKEN" in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
async def test_what_a_proxy_on_this_machine_passes_on_is_not_from_here(
    anonymous: Callable[[], httpx.AsyncClient], header: str
) -> None:
    async with anonymous() as http:
        assert (await http.get("/metrics", headers={header: "192.0.2.1"})).status_code == 403


class TestToken:
    @pytest.fixture
    def settings(self, settings: VendorSettings) -> VendorSettings:
        return settings.model_copy(update={"metrics_token": SecretStr("a token of metrics")})

    @pytest.mark.parametrize("path", ["/metrics", "/metrics/alerts"])
    async def test_only_who_sends_it_may_read(
        self, anonymous: Callable[[], httpx.AsyncClient], path: str
    ) -> None:
        async with anonymous() as http:
            for credentials in (None, "Bearer wrong", "Basic YTph", "Bearer "):
                headers = {} if credentials is None else {"authorization": credentials}
                answer = await http.get(path, headers=headers)
                assert answer.status_code == 401, credentials
                assert answer.headers["www-authenticate"] == "Bearer"
            right = {"authorization": "Bearer a token of metrics"}
            assert (await http.get(path, headers=right)).status_code == 200

    async def test_a_customers_key_is_no_token(self, vendor: Any) -> None:
        assert (await vendor.http.get("/metrics")).status_code == 401


async def test_the_queue_is_counted_in_items(vendor: Any) -> None:
    vendor.model.gate.clear()
    asking = [asyncio.create_task(vendor.embed("first"))]
    async with asyncio.timeout(30):
        while not vendor.model.entered.is_set():  # noqa: ASYNC110  (a thread sets it)
            await asyncio.sleep(0.005)
        asking += [asyncio.create_task(vendor.embed(f"text {n}")) for n in range(2)]
        while vendor.batcher.state().waiting < 2:  # noqa: ASYNC110  (a thread changes it)
            await asyncio.sleep(0.005)
    await vendor.http.get("/metrics")
    assert read(vendor, "vl2v_queue_depth", model="icon-clip") == 2
    vendor.model.gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 3
    await vendor.http.get("/metrics")
    assert read(vendor, "vl2v_queue_depth", model="icon-clip") == 0
