"""Each alert comes when it should, says what to do, and goes again."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from typer.testing import CliRunner

from shared.money import parse_usd
from vendor_api.alerts import SEVERITIES, Alert, find_alerts
from vendor_api.alerts.alert import enumerate_subjects
from vendor_api.alerts.books import find_book_alerts, list_low_balances
from vendor_api.alerts.surroundings import look_at_audit, look_at_disk
from vendor_api.alerts.watch import AlertWatch
from vendor_api.cli import app
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY, SECOND
from vendor_api.db.tables import account, low_balance_alert, usage_rollup
from vendor_api.db.tables import api_key as api_key_table
from vendor_api.ledger import Ledger
from vendor_api.ledger.audit import Violation
from vendor_api.ledger.auditor import AuditReport
from vendor_api.ledger.caps import set_cap
from vendor_api.settings import VendorSettings

CALM = VendorSettings(alert_low_balance_usd="0", alert_runway_days=0, alert_disk_free_bytes=0)
"""Only what a test makes wrong is wrong."""


@pytest.fixture
def settings(settings: VendorSettings) -> VendorSettings:
    return settings.model_copy(
        update={
            "alert_low_balance_usd": "0",
            "alert_runway_days": 0,
            "alert_disk_free_bytes": 0,
            "alert_seconds": 3600.0,
        }
    )


async def names(vendor: Any) -> list[str]:
    return [alert.name for alert in await find_alerts(vendor.app.state.shop)]


def ask_books(shop: Any, settings: VendorSettings = CALM, later: int = 0) -> list[Alert]:
    with shop.database.read() as connection:
        return find_book_alerts(connection, read_clock(connection) + later, settings)


async def spend(shop: Any, ledger: Ledger, *names: str) -> None:
    """An image of each name, $0.0001."""
    hold = await ledger.reserve(shop.reserve(f"key {names}", *names))
    await ledger.capture(hold, [True] * len(names))  # type: ignore[arg-type]


class TestBalances:
    async def test_an_account_that_buys_and_has_little_left(
        self, shop: Any, ledger: Ledger
    ) -> None:
        poor = CALM.model_copy(update={"alert_low_balance_usd": "1.00"})
        assert ask_books(shop, poor) == [], "an account that buys nothing misses nothing"
        await spend(shop, ledger, "a")
        (alert,) = ask_books(shop, poor)
        assert alert.name == "low_balance"
        assert alert.severity == "warning"
        assert "ada ($0.9999" in alert.summary
        assert ask_books(shop, poor, later=8 * DAY) == [], "it stopped buying a week ago"
        assert ask_books(shop) == []

    @pytest.mark.parametrize(("days", "low"), [(3, False), (4, True)])
    async def test_a_runway_says_how_long_a_balance_lasts(
        self, shop: Any, ledger: Ledger, days: int, low: bool
    ) -> None:
        await spend(shop, ledger, "a")
        with shop.database.write() as connection:  # $0.9999 is three days and a tenth
            spent = parse_usd("0.9999") * 10 // 31
            connection.execute(update(usage_rollup).values(cost_nanousd=spent))
        pace = CALM.model_copy(update={"alert_runway_days": days})
        with shop.database.read() as connection:
            found = list_low_balances(connection, read_clock(connection), pace)
        assert [row.pace.show_days(row.available_nanousd) for row in found] == ["3.1"] * low

    async def test_an_accounts_own_threshold_stands_for_the_general_one(
        self, shop: Any, ledger: Ledger
    ) -> None:
        rich = CALM.model_copy(update={"alert_low_balance_usd": "100"})
        await spend(shop, ledger, "a")
        for threshold, warned in ((parse_usd("0.10"), False), (parse_usd("2.00"), True)):
            with shop.database.write() as connection:
                connection.execute(delete(low_balance_alert))
                (ada,) = connection.execute(select(account.c.id)).scalars()
                row = {"account_id": ada, "threshold_nanousd": threshold}
                connection.execute(insert(low_balance_alert).values(**row))
            assert bool(ask_books(shop, rich)) is warned
            assert bool(ask_books(shop, rich, later=8 * DAY)) is warned

    async def test_a_frozen_account_is_no_longer_told_of(self, shop: Any, ledger: Ledger) -> None:
        await spend(shop, ledger, "a")
        with shop.database.write() as connection:
            connection.execute(update(account).values(status="frozen"))
        assert ask_books(shop, CALM.model_copy(update={"alert_low_balance_usd": "2"})) == []


class TestCaps:
    async def test_a_cap_that_is_used_up(self, vendor: Any, shop: Any, api_key: Any) -> None:
        key = api_key.key_id
        with shop.database.write() as connection:
            set_cap(connection, key, "items", "day", 3)
            set_cap(connection, key, "spend", "ever", parse_usd("5"))
        assert (await vendor.embed("a dog", "a cat")).status_code == 200
        assert ask_books(shop) == []
        for percent, on in ((66, True), (67, False)):  # 2 of 3 are used
            nearly = CALM.model_copy(update={"alert_cap_percent": percent})
            assert bool(ask_books(shop, nearly)) is on
        assert (await vendor.embed("a bird")).status_code == 200
        (alert,) = ask_books(shop)
        assert alert.name == "cap_reached"
        assert f"{key} (items a day)" in alert.summary
        assert ask_books(shop, later=DAY) == [], "the next day begins anew"

    async def test_a_revoked_keys_cap_is_nobodys(
        self, vendor: Any, shop: Any, api_key: Any
    ) -> None:
        with shop.database.write() as connection:
            set_cap(connection, api_key.key_id, "items", "ever", 1)
        assert (await vendor.embed("a dog")).status_code == 200
        assert [alert.name for alert in ask_books(shop)] == ["cap_reached"]
        with shop.database.write() as connection:
            now = read_clock(connection)
            connection.execute(update(api_key_table).values(revoked_at=now))
        assert ask_books(shop) == []


async def test_holds_past_their_time(shop: Any, ledger: Ledger) -> None:
    await ledger.reserve(shop.reserve("k", "a", "b", hold_seconds=10))
    assert ask_books(shop, later=60 * SECOND) == []
    (alert,) = ask_books(shop, later=80 * SECOND)
    assert alert.name == "stuck_holds"
    assert "$0.0002" in alert.summary


class TestService:
    @pytest.fixture
    def vendor_database_url(self, sqlite_url: str) -> str:
        return sqlite_url

    async def test_nothing_is_wrong_with_a_vendor_that_has_just_started(self, vendor: Any) -> None:
        assert await names(vendor) == []

    async def test_a_dead_engine(self, vendor: Any) -> None:
        vendor.model.failure = SystemExit()
        await vendor.embed("a dog")
        assert await names(vendor) == ["engine_down"]

    async def test_a_silent_database(self, vendor: Any) -> None:
        await vendor.app.state.shop.ledger.close()
        assert await names(vendor) == ["database_down"]

    async def test_answers_that_fail(self, vendor: Any, clock: Any) -> None:
        vendor.model.failure = RuntimeError("out of memory")
        assert (await vendor.embed("first")).status_code == 503
        vendor.model.failure = None
        clock(1)
        assert await names(vendor) == [], "one answer is no share"
        for _ in range(19):
            assert (await vendor.http.get("/v1/balance")).status_code == 200
            assert (await vendor.http.get("/healthz")).status_code == 200
        clock(1)
        assert await names(vendor) == ["error_rate"]
        (alert,) = await find_alerts(vendor.app.state.shop)
        assert "1 of 20 answers" in alert.summary
        for _ in range(20):
            await vendor.http.get("/v1/balance")
        clock(1)
        assert await names(vendor) == [], "1 of 40 is less than 5 %"

    async def test_failures_of_long_ago(self, vendor: Any, clock: Any) -> None:
        vendor.model.failure = RuntimeError("out of memory")
        for number in range(20):
            assert (await vendor.embed(f"text {number}")).status_code == 503
        clock(300)
        assert await names(vendor) == ["error_rate"]
        clock(1)
        assert await names(vendor) == []

    async def test_redis_that_does_not_answer(self, vendor: Any) -> None:
        vendor.app.state.shop.metrics.redis_degraded.set(1)
        assert await names(vendor) == ["redis_degraded"]

    async def test_the_disk(self, vendor: Any) -> None:
        shop = vendor.app.state.shop
        path = str(shop.ledger.database.url)
        shop.settings = shop.settings.model_copy(
            update={"database_url": path, "alert_disk_free_bytes": 2**62}
        )
        assert await names(vendor) == ["disk_nearly_full"]

    def test_postgresql_has_a_disk_of_its_own(self) -> None:
        assert (
            list(look_at_disk(None, CALM.model_copy(update={"alert_disk_free_bytes": 2**62}))) == []
        )

    async def test_the_watch_publishes_and_takes_back(self, vendor: Any) -> None:
        shop = vendor.app.state.shop
        watch = AlertWatch(shop)

        def published(name: str) -> float:
            labels = {"name": name, "severity": SEVERITIES[name]}
            value = shop.metrics.registry.get_sample_value("vl2v_alert", labels)
            assert value is not None
            return float(value)

        shop.metrics.redis_degraded.set(1)
        assert [alert.name for alert in await watch.look()] == ["redis_degraded"]
        assert [alert.name for alert in shop.alerts] == ["redis_degraded"]
        assert published("redis_degraded") == 1
        assert published("engine_down") == 0
        shop.metrics.redis_degraded.set(0)
        await watch.look()
        assert shop.alerts == ()
        assert published("redis_degraded") == 0

    async def test_a_running_server_watches_by_itself(self, vendor: Any) -> None:
        name = {"name": "books_wrong", "severity": "critical"}
        async with asyncio.timeout(30):
            while (  # noqa: ASYNC110  (its first look)
                vendor.app.state.shop.metrics.registry.get_sample_value("vl2v_alert", name) is None
            ):
                await asyncio.sleep(0.01)

    async def test_the_route_answers_the_same(self, vendor: Any) -> None:
        vendor.app.state.shop.metrics.redis_degraded.set(1)
        (document,) = (await vendor.http.get("/metrics/alerts")).json()
        (alert,) = await find_alerts(vendor.app.state.shop)
        assert document == {
            "name": alert.name,
            "severity": alert.severity,
            "summary": alert.summary,
            "link": alert.link,
        }


class TestAudit:
    NOW = 1_000_000 * SECOND

    def look(self, last: AuditReport | None, began: int) -> list[str]:
        return [alert.name for alert in look_at_audit(last, self.NOW, began, CALM)]

    def test_one_that_is_late(self) -> None:
        old = AuditReport(self.NOW - 901 * SECOND, True, (), 0.1, ())
        assert self.look(old, 0) == ["audit_overdue"]
        assert self.look(AuditReport(self.NOW, True, (), 0.1, ()), 0) == []

    def test_a_first_one_is_late_by_the_servers_start(self) -> None:
        assert self.look(None, self.NOW - 899 * SECOND) == []
        assert self.look(None, self.NOW - 901 * SECOND) == ["audit_overdue"]

    def test_one_that_found_something(self) -> None:
        wrong = (Violation("held", "acct_1", "7 too much", "acct_1"),)
        assert self.look(AuditReport(self.NOW, False, wrong, 0.1, ()), 0) == ["books_wrong"]


def test_a_summary_names_a_few_and_counts_the_rest() -> None:
    assert enumerate_subjects("ab") == "a, b"
    assert enumerate_subjects("abcde") == "a, b, c and 2 more"


class TestCommand:
    @pytest.fixture
    def vendor_database_url(self, sqlite_url: str) -> str:
        return sqlite_url

    @pytest.fixture
    def run(self, sqlite_url: str) -> Any:
        def invoke(*arguments: str, **environment: str) -> Any:
            env = {"VENDOR_DATABASE_URL": sqlite_url, "VENDOR_ALERT_DISK_FREE_BYTES": "0"}
            return CliRunner().invoke(app, ["alerts", *arguments], env=env | environment)

        return invoke

    def test_a_database_in_order(self, run: Any, shop: Any) -> None:
        well = run("--offline")
        assert well.exit_code == 0, well.output
        assert (well.stdout, well.stderr) == ("", "nothing to look at\n")

    def test_a_warning_is_no_failure(self, run: Any, shop: Any, ledger: Ledger) -> None:
        asyncio.run(spend(shop, ledger, "a"))
        told = run("--offline", "--json")
        assert told.exit_code == 0
        assert [each["name"] for each in json.loads(told.stdout)] == ["low_balance"]

    def test_a_critical_one_is(self, run: Any, shop: Any) -> None:
        full = run("--offline", VENDOR_ALERT_DISK_FREE_BYTES=str(2**62))
        assert full.exit_code == 1
        assert "disk_nearly_full" in full.stdout

    def test_a_server_that_is_not_there(self, run: Any, shop: Any) -> None:
        silent = run("--url", "http://127.0.0.1:9", "--json")
        assert silent.exit_code == 1
        assert [each["name"] for each in json.loads(silent.stdout)] == ["service_down"]

    def test_a_server_is_asked_with_the_token(self, run: Any, shop: Any) -> None:
        alert = {"name": "engine_down", "severity": "critical", "summary": "s", "link": "/"}
        with answer_with(json.dumps([alert]).encode(), token="a token") as url:
            told = run("--url", url, "--json", VENDOR_METRICS_TOKEN="a token")
            assert json.loads(told.stdout) == [alert]
            assert told.exit_code == 1
            refused = run("--url", url)
            assert refused.exit_code == 1
            assert "VENDOR_METRICS_TOKEN" in refused.stderr

    def test_what_is_no_address(self, run: Any, shop: Any) -> None:
        assert "http://127.0.0.1:8000" in run("--url", "file:///etc/passwd").stderr


@contextmanager
def answer_with(body: bytes, token: str) -> Iterator[str]:
    """A server that answers this to who bears the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            admitted = self.headers["authorization"] == f"Bearer {token}"
            self.send_response(200 if admitted else 401)
            self.end_headers()
            self.wfile.write(body if admitted else b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def test_a_wrong_threshold_is_refused_by_name() -> None:
    result = CliRunner().invoke(app, ["alerts"], env={"VENDOR_ALERT_LOW_BALANCE_USD": "much"})
    assert result.exit_code == 1
    assert "VENDOR_ALERT_LOW_BALANCE_USD" in result.output
