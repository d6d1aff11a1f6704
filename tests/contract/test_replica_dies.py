"""Two servers and two replicas on a real Ray cluster: one replica is killed under load, and the bill
is what was delivered; then replicas that follow the load, up and down."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from client.api import APIStatusError, VendorClient
from shared.money import parse_usd
from tests.conftest import IN_MEMORY, REPOSITORY
from tests.contract.conftest import MODEL, Contract, open_books
from tests.contract.test_engine_dies import Buyer, wait_until
from vendor_api.db import open_database
from vendor_api.ledger.audit import audit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # a cluster, two replicas and two servers start one after the other
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]
PATIENCE_SECONDS = 120
STARTED = "block forever"
"""In what a head says once it has started."""
OBJECT_STORE_BYTES = 78_643_200
"""The least that Ray takes."""


@dataclass(frozen=True)
class Cluster:
    """A Ray head in a session of its own, which all its processes share."""

    address: str
    head: int

    def find(self, title: bytes) -> list[int]:
        """Its living processes whose title begins so."""
        return [
            pid
            for pid in self.pids()
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title)
        ]

    def pids(self) -> list[int]:
        """All its living processes."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = status.read_text().rpartition(")")[2].split()[:4]
            except OSError:  # it has just ended
                continue
            if int(session) == self.head and state != "Z":
                found.append(int(status.parent.name))
        return found

    def run(self, *words: str, **settings: str) -> Any:
        """What a command of ours about this cluster prints as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "vendor_api.cli", "engine", *words, "--json"],
            cwd=REPOSITORY,
            env=os.environ
            | {"VENDOR_RAY_ADDRESS": self.address, "OMP_NUM_THREADS": "1"}
            | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS * 2,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def start_head() -> Iterator[Cluster]:
    """As `ray start --head` does, on this machine alone, and gone afterwards."""
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        port, client_port = one.getsockname()[1], other.getsockname()[1]
    # Ray's sockets have long names, and pytest's folders too.
    folder = tempfile.mkdtemp(prefix="vl2v-ray-", dir=IN_MEMORY)
    words = [
        *("start", "--head", "--block", "--disable-usage-stats", "--include-dashboard=false"),
        *(f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=2"),
        f"--ray-client-server-port={client_port}",
        *(f"--object-store-memory={OBJECT_STORE_BYTES}", f"--temp-dir={folder}"),
    ]
    program = Path(sys.executable).with_name("ray")
    log = Path(folder, "head.log")
    with log.open("wb") as written:
        head = subprocess.Popen(
            [program, *words],
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    cluster = Cluster(f"127.0.0.1:{port}", head.pid)
    try:
        wait_until(lambda: head.poll() is not None or STARTED in log.read_text(), PATIENCE_SECONDS)
        assert STARTED in log.read_text(), log.read_text()
        yield cluster
    finally:
        for pid in cluster.pids():
            os.kill(pid, signal.SIGKILL)
        head.wait()
        wait_until(lambda: not cluster.pids(), PATIENCE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(clip_folder: Path) -> Iterator[Cluster]:
    """Two replicas of the tiny model."""
    with start_head() as cluster:
        deployed = cluster.run(
            *("deploy", "--model", f"{MODEL}=local-dir:{clip_folder}"),
            *("--replicas", "2", "--cpus", "0.5"),
        )
        assert [(one["model"], one["running"]) for one in deployed] == [(MODEL, 2)]
        yield cluster


def find_replicas(cluster: Cluster) -> list[int]:
    return cluster.find(b"ray::ServeReplica:vl2v-" + MODEL.encode())


def test_a_replica_dies_under_load_and_the_bill_is_what_was_delivered(
    cluster: Cluster, postgres_url: str, serve_vendor: Any, tmp_path: Path
) -> None:
    key, poor_key = open_books(postgres_url, tmp_path)
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            serving = stack.enter_context(
                serve_vendor(
                    postgres_url,
                    tmp_path / "pepper",
                    VENDOR_ENGINE="ray",
                    VENDOR_RAY_ADDRESS=cluster.address,
                )
            )
            servers.append(Contract(serving.url, key, poor_key, pid=serving.process.pid))
        buyers = [Buyer(server, f"{n}") for n, server in enumerate(servers)]
        for buyer in buyers:
            buyer.start()
        for buyer in buyers:
            stack.callback(buyer.ending.set)
        await_sales(buyers)
        before = find_replicas(cluster)
        os.kill(before[0], signal.SIGKILL)
        await_sales(buyers)
        wait_until(lambda: count_running(cluster, before) == 2, PATIENCE_SECONDS)
        await_sales(buyers)
        for buyer in buyers:
            buyer.ending.set()
        for buyer in buyers:
            buyer.join()
        refusals = [error for buyer in buyers for error in buyer.refusals]
        assert all(isinstance(error, APIStatusError) for error in refusals), refusals
        assert {error.status_code for error in refusals if isinstance(error, APIStatusError)} <= {
            503
        }
        check_bill(servers[0], postgres_url, sum(buyer.delivered for buyer in buyers))
    # The process is there before it has loaded the model.
    wait_until(lambda: read_running(cluster) == {MODEL: 2}, PATIENCE_SECONDS)


def test_replicas_follow_the_load_up_and_down_and_are_stopped(
    cluster: Cluster, clip_folder: Path, postgres_url: str, serve_vendor: Any, tmp_path: Path
) -> None:
    cluster.run(
        *("deploy", "--model", f"{MODEL}=local-dir:{clip_folder}", "--replicas", "1-2"),
        *("--cpus", "0.5"),
        VENDOR_RAY_TARGET="0.1",
        VENDOR_RAY_UP_S="0",
        VENDOR_RAY_DOWN_S="2",
    )
    wait_until(lambda: read_running(cluster) == {MODEL: 1}, PATIENCE_SECONDS)
    key, poor_key = open_books(postgres_url, tmp_path)
    given = {"VENDOR_ENGINE": "ray", "VENDOR_RAY_ADDRESS": cluster.address}
    with serve_vendor(postgres_url, tmp_path / "pepper", **given) as serving:
        server = Contract(serving.url, key, poor_key, pid=serving.process.pid)
        buyers = [Buyer(server, f"{number}") for number in range(4)]
        for buyer in buyers:
            buyer.start()
        try:
            wait_until(lambda: read_running(cluster) == {MODEL: 2}, PATIENCE_SECONDS)
        finally:
            for buyer in buyers:
                buyer.ending.set()
            for buyer in buyers:
                buyer.join()
        wait_until(lambda: read_running(cluster) == {MODEL: 1}, PATIENCE_SECONDS)
        assert not [error for buyer in buyers for error in buyer.refusals]
        check_bill(server, postgres_url, sum(buyer.delivered for buyer in buyers))
    assert cluster.run("stop", "--model", MODEL) == {"stopped": [MODEL]}
    wait_until(lambda: not find_replicas(cluster), PATIENCE_SECONDS)
    assert cluster.run("status") == []


def read_running(cluster: Cluster) -> dict[str, int]:
    """Replicas of each model that can be asked, as the command tells."""
    return {one["model"]: one["running"] for one in cluster.run("status")}


def count_running(cluster: Cluster, before: list[int]) -> int:
    """Replicas, once the dead one has been replaced."""
    now = find_replicas(cluster)
    return len(now) if set(now) != set(before) else 0


def await_sales(buyers: list[Buyer]) -> None:
    """Wait until each has been delivered some more."""
    counts = [buyer.delivered + 5 for buyer in buyers]
    enough: Callable[[], bool] = lambda: all(  # noqa: E731
        buyer.delivered >= count for buyer, count in zip(buyers, counts, strict=True)
    )
    wait_until(enough, PATIENCE_SECONDS)


def check_bill(server: Contract, database_url: str, delivered: int) -> None:
    """What was delivered was charged, once each, and nothing else was or is held."""
    with VendorClient(api_key=server.key, base_url=server.url) as client:
        balance = client.balance.get()
    assert balance.held_usd == "0.000000000"
    assert parse_usd("1.00") - parse_usd(balance.available_usd) == 10_000 * delivered
    database = open_database(database_url)
    with database.read() as connection:
        sold = connection.exec_driver_sql("SELECT sum(items) FROM purchase_lot").scalar_one()
    books = audit(database)
    database.close()
    assert books.ok, books.violations
    assert sold == delivered
