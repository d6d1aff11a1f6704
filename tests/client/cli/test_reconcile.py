"""`vl2v reconcile` against the stand-in, for what goes wrong, and against a real vendor's own ledger."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.api import VendorClient
from client.cache import EmbeddingStore
from shared.money import format_usd
from tests.client.conftest import Command
from tests.client.standin import StandInVendor
from tests.conftest import PEPPER, open_shop
from vendor_api.auth.repository import issue_key
from vendor_api.db import open_database, read_clock


def reconcile(command: Command, *words: str) -> tuple[int, dict[str, Any]]:
    done = command.run("reconcile", "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def tamper(store: EmbeddingStore, statement: str) -> None:
    with store.database.write() as connection:
        connection.exec_driver_sql(statement)


class TestStandIn:
    @pytest.fixture(autouse=True)
    def bought(self, command: Command, data: Path) -> None:
        assert command.run("fetch", str(data), "--model", "toy", "--budget", "1").returncode == 0

    def test_two_sides_that_agree_exit_0(self, command: Command, vendor: StandInVendor) -> None:
        code, found = reconcile(command)
        assert (code, found["differences"]) == (0, [])
        assert found["journal_usd"] == found["vendor_usd"] == format_usd(vendor.debited)
        assert "2 charges there for $0.00122; 0 differences" in command.run("reconcile").stdout

    def test_a_journal_that_was_changed_exits_1(
        self, command: Command, store: EmbeddingStore
    ) -> None:
        tamper(store, "UPDATE journal SET cost_nanousd = cost_nanousd + 1 WHERE modality = 'image'")
        code, found = reconcile(command)
        assert code == 1
        (difference,) = found["differences"]
        assert difference["kind"] == "other cost"
        assert difference["journal_cost_usd"] == "0.001200001"
        assert difference["charge_cost_usd"] == "0.001200000"
        done = command.run("reconcile")
        assert done.returncode == 1
        assert "$0.001200001 booked here" in done.stdout

    def test_a_vendor_that_forgot_and_one_that_knows_more_exit_1(
        self, command: Command, vendor: StandInVendor
    ) -> None:
        charge = next(iter(vendor.charges.values()))
        del vendor.charges[charge.key]
        charge.key = "another"
        vendor.charges["another"] = charge
        code, found = reconcile(command)
        assert code == 1
        assert sorted(d["kind"] for d in found["differences"]) == ["not charged", "not here"]

    def test_a_span_is_read(self, command: Command) -> None:
        assert reconcile(command, "--since", "2020-01-01")[1]["requests"] == 2
        assert reconcile(command, "--until", "2020-01-01")[1]["requests"] == 0
        assert command.run("reconcile", "--since", "long ago").returncode == 2

    def test_without_a_vendor_it_says_so(self, command: Command) -> None:
        done = command.run("reconcile", VL2V_BASE_URL="http://127.0.0.1:9")
        assert done.returncode == 1
        assert "cannot reach the vendor" in done.stderr


@pytest.fixture
def real(
    command: Command, sqlite_url: str, pepper_file: Path, serve_vendor: Any
) -> Iterator[Command]:
    """The command, with a funded account at a real server of a tiny model."""
    database = open_database(sqlite_url)
    shop = open_shop(database)
    with database.write() as connection:
        issued = issue_key(connection, read_clock(connection), PEPPER, shop.account.id, name="test")
    database.close()
    with serve_vendor(sqlite_url, pepper_file) as serving:
        command.environment |= {"VL2V_API_KEY": issued.text, "VL2V_BASE_URL": serving.url}
        yield command


@pytest.mark.slow
def test_a_real_vendor_and_this_journal_agree_until_one_is_changed(
    real: Command, data: Path, store: EmbeddingStore
) -> None:
    fetch = ("fetch", str(data), "--model", "icon-clip")
    assert real.run(*fetch, "--budget", "0.0006").returncode == 3
    assert reconcile(real)[0] == 0
    assert real.run(*fetch, "--budget", "1").returncode == 0
    code, found = reconcile(real)
    assert (code, found["differences"]) == (0, [])
    assert found["requests"] == found["charges"] > 2
    assert found["journal_usd"] == found["vendor_usd"] > format_usd(0)
    assert real.run("cache", "verify").returncode == 0
    # Another program buys with the same key.
    environment = real.environment
    with VendorClient(
        api_key=environment["VL2V_API_KEY"], base_url=environment["VL2V_BASE_URL"]
    ) as client:
        out = client.embeddings.create(input="a text of its own", model="icon-clip")
        assert out.cost_nanousd > 0
        assert [charge.id for charge in client.charges.iterate(page=1)][-1] == out.charge_id
    code, found = reconcile(real)
    assert (code, [d["kind"] for d in found["differences"]]) == (1, ["not here"])
    assert found["differences"][0]["charge_id"] == out.charge_id
    tamper(store, "DELETE FROM journal WHERE modality = 'text'")
    assert [d["kind"] for d in reconcile(real)[1]["differences"]] == ["not here"] * 2
