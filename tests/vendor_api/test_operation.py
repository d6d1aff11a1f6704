"""What an operator sees: readiness, metrics, logs."""

import asyncio
import io
import json
from typing import Any

import pytest
import structlog

from vendor_api import logs
from vendor_api.app import SWEEP_SECONDS
from vendor_api.ledger import Ledger
from vendor_api.settings import VendorSettings


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_a_running_vendor_is_healthy_and_ready(vendor: Any, anonymous: Any) -> None:
    async with anonymous() as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ready"}


async def test_a_draining_vendor_is_not_ready(vendor: Any) -> None:
    vendor.app.state.shop.draining = True
    answer = await vendor.http.get("/readyz")
    assert answer.status_code == 503
    assert "stopped" in answer.json()["detail"]
    vendor.app.state.shop.draining = False


async def test_a_vendor_without_a_database_is_not_ready(vendor: Any) -> None:
    await vendor.app.state.shop.ledger.close()
    answer = await vendor.http.get("/readyz")
    assert answer.status_code == 503
    assert "database" in answer.json()["detail"]
    assert (await vendor.http.get("/healthz")).status_code == 200


async def test_metrics_count_items_money_and_batches_and_name_no_account(vendor: Any) -> None:
    await vendor.embed("a dog", "a dog", "a cat")
    await vendor.embed("a dog")
    await vendor.http.get("/v1/models/nothing")
    text = (await vendor.http.get("/metrics")).text
    for line in (
        'vl2v_items_total{modality="text",model="icon-clip",outcome="charged"} 2.0',
        'vl2v_items_total{modality="text",model="icon-clip",outcome="free"} 2.0',
        'vl2v_charged_nanousd_total{model="icon-clip"} 20000.0',
        'vl2v_http_requests_total{method="POST",route="/v1/embeddings",status="200"} 2.0',
        'vl2v_engine_alive{model="icon-clip"} 1.0',
        'vl2v_ledger_tx_total{op="capture",outcome="ok"} 2.0',
    ):
        assert line in text.splitlines(), text
    account = (await vendor.http.get("/v1/balance")).json()["account_id"]
    assert account not in text
    assert "nothing" not in text


async def test_a_path_that_is_no_route_makes_no_new_label(vendor: Any) -> None:
    await vendor.http.get("/someone/elses/idea")
    text = (await vendor.http.get("/metrics")).text
    assert "someone" not in text


async def test_stopping_waits_for_the_request_under_way(vendor: Any) -> None:
    vendor.model.gate.clear()
    asking = asyncio.create_task(vendor.embed("a dog"))
    async with asyncio.timeout(30):
        while not vendor.model.entered.is_set():  # noqa: ASYNC110  (a thread sets it)
            await asyncio.sleep(0.005)
    assert len(vendor.app.state.shop.running) == 1
    vendor.model.gate.set()
    assert (await asking).status_code == 200


def test_keys_are_blacked_out_of_every_line() -> None:
    key = "vl2v_live_0123456789ab_" + "s" * 49
    event = logs.redact(None, "info", {"event": f"refused {key}", "count": 3})
    assert key not in event["event"]
    assert event["event"].startswith("refused vl2v_live_")
    assert event["count"] == 3


def test_logs_are_json_lines_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    try:
        logs.configure_logs(json=True)
        structlog.get_logger().info("request", status=200)
    finally:
        structlog.reset_defaults()
    assert json.loads(stream.getvalue())["status"] == 200


class TestAudit:
    @pytest.fixture
    def settings(self, settings: VendorSettings) -> VendorSettings:
        return settings.model_copy(update={"audit_seconds": 0.05})

    async def test_books_that_go_wrong_while_serving_freeze_their_account(
        self, vendor: Any, shop: Any
    ) -> None:
        assert (await vendor.embed("a dog")).status_code == 200
        with shop.database.write() as connection:
            connection.exec_driver_sql("UPDATE account_balance SET held_nanousd = 7")
        async with asyncio.timeout(30):
            while (await vendor.embed("a cat")).status_code != 403:  # noqa: ASYNC110  (the auditor makes it so)
                await asyncio.sleep(0.02)
        text = (await vendor.http.get("/metrics")).text
        assert "vl2v_ledger_invariant_violations 1.0" in text.splitlines()

    async def test_right_books_are_audited_again_and_again(self, vendor: Any) -> None:
        async with asyncio.timeout(30):
            while vendor.app.state.auditor.last is None:  # noqa: ASYNC110  (a thread sets it)
                await asyncio.sleep(0.01)
        assert vendor.app.state.auditor.last.ok
        text = (await vendor.http.get("/metrics")).text
        assert "vl2v_ledger_invariant_violations 0.0" in text.splitlines()


async def test_the_sweeper_gives_back_what_a_dead_worker_held(shop: Any, ledger: Ledger) -> None:
    assert SWEEP_SECONDS <= 5
    await ledger.reserve(shop.reserve("k", "a", hold_seconds=0))
    assert await ledger.sweep() == 1
