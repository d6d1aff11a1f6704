"""Real server processes with a tiny model, on a database of each test's own, on both engines."""

import base64
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import make_url, text

from shared import headers
from shared.codecs import decode_base64
from tests.faults.proxy import FaultProxy, run_proxy
from tests.ledger.server import Options, serve
from tests.ledger.tiny import MODEL
from vendor_api.db import Database
from vendor_api.ledger.audit import audit

IMAGE_NANOUSD = 100_000
TEXT_NANOUSD = 10_000


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def picture(level: int, size: tuple[int, int] = (16, 16), kind: str = "PNG") -> bytes:
    """The bytes of a plain picture."""
    buffer = BytesIO()
    Image.new("RGB", size, (level, 255 - level, level // 2)).save(buffer, kind)
    return buffer.getvalue()


def image_item(data: bytes) -> dict[str, str]:
    """An image item of these bytes."""
    return {"image": base64.b64encode(data).decode()}


def keyed(key: str) -> dict[str, str]:
    """The header that names a request."""
    return {headers.IDEMPOTENCY_KEY: key}


@dataclass
class Running:
    """One server process and a customer's connections to it."""

    url: str
    process: BaseProcess
    key: str

    def client(self, **options: Any) -> httpx.Client:
        """A connection of its own, to be closed by the caller."""
        return httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
            trust_env=False,
            **options,
        )

    def ask(self, *items: Any, key: str | None = None, **options: Any) -> httpx.Response:
        """POST /v1/embeddings. Raises httpx.TransportError when the server dies meanwhile."""
        body = {"model": MODEL, "input": list(items), "encoding_format": "base64", **options}
        with self.client() as http:
            return http.post("/v1/embeddings", json=body, headers=keyed(key) if key else None)

    def kill(self) -> None:
        """kill -9."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(20)

    def stop(self) -> None:
        """SIGSTOP: the process freezes between two instructions."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGCONT)


@dataclass
class House:
    """A vendor's database and however many servers a test starts on it."""

    database: Database
    database_url: str
    pepper: bytes
    key: str
    account_id: str
    home: Path
    running: list[Running] = field(default_factory=list)

    def start(self, failpoints: str = "", **changes: Any) -> Running:
        """A server, ready; `settings=…` sets what VENDOR_* variables set."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["pytest", "tests.ledger.server"])
        values = {
            "database_url": self.database_url,
            "pepper": self.pepper,
            "home": self.home,
            "failpoints": failpoints,
        }
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=serve, args=(Options(**{**values, **changes}), theirs))
        process.start()
        theirs.close()
        with mine:
            assert mine.poll(30), self.log()
            try:
                running = Running(mine.recv(), process, self.key)
            except EOFError:
                raise AssertionError(self.log()) from None
        self.running.append(running)
        return running

    def log(self) -> str:
        """What the servers have said."""
        return (self.home / "log").read_text(encoding="utf-8")

    def close_gate(self) -> None:
        """Batches that begin from now on wait inside the model."""
        (self.home / "gate").touch()

    def open_gate(self) -> None:
        """Let every batch go on."""
        (self.home / "gate").unlink(missing_ok=True)

    def calls(self) -> list[tuple[str, int]]:
        """Every batch that any server's model was asked for."""
        with suppress(FileNotFoundError):
            lines = (self.home / "calls").read_text(encoding="utf-8").split("\n")
            return [(line.split()[0], int(line.split()[1])) for line in lines if line]
        return []

    def query(self, sql: str, **values: Any) -> list[Any]:
        """Plain SQL beside the servers."""
        with self.database.read() as connection:
            return list(connection.execute(text(sql), values))

    def charges(self) -> dict[str, str]:
        """Idempotency key → state."""
        return dict(map(tuple, self.query("SELECT idempotency_key, state FROM charge")))

    def balance(self) -> tuple[int, int]:
        """Debited and held nano-dollars."""
        sql = "SELECT debited_nanousd, held_nanousd FROM account_balance WHERE account_id = :id"
        return tuple(self.query(sql, id=self.account_id)[0])

    def let_holds_run_out(self) -> None:
        """What a minute and a half of waiting would do."""
        with self.database.write() as connection:
            sql = "UPDATE charge SET expires_at = created_at WHERE state = 'held'"
            connection.execute(text(sql))

    def check_books(self, *, captures: int, debited: int) -> None:
        """So many captures, each with its journal entry, so much money, nothing held, no breach."""
        (counted,) = self.query("SELECT count(*) FROM charge WHERE state = 'captured'")
        (booked,) = self.query("SELECT count(*) FROM ledger_txn WHERE kind = 'capture'")
        assert (counted[0], booked[0]) == (captures, captures)
        assert self.balance() == (debited, 0)
        result = audit(self.database)
        assert result.ok, result.violations


def vectors(answer: httpx.Response) -> list[Any]:
    """The answer's vectors, None for an item that has none."""
    return [
        None if row["embedding"] is None else decode_base64(row["embedding"], "float32")
        for row in answer.json()["data"]
    ]


@pytest.fixture
def house(
    vendor_database_url: str, shop: Any, api_key: Any, pepper: bytes, tmp_path: Path
) -> Iterator[House]:
    """A vendor with $1.00 of credit, images at $0.0001, texts at $0.00001; no server runs yet."""
    home = tmp_path / "house"
    home.mkdir()
    opened = House(shop.database, vendor_database_url, pepper, api_key.text, shop.account.id, home)
    yield opened
    opened.open_gate()
    for running in opened.running:
        running.kill()


@pytest.fixture
def postgres_proxy(postgres_url: str) -> Iterator[FaultProxy]:
    """A proxy before the PostgreSQL server."""
    folder = str(make_url(postgres_url).query["host"])
    with run_proxy(f"{folder}/.s.PGSQL.5432") as proxy:
        yield proxy


def through_proxy(postgres_url: str, proxy: FaultProxy) -> str:
    """The same database, by way of the proxy."""
    url = make_url(postgres_url).set(host="127.0.0.1", port=proxy.port)
    url = url.set(query={"sslmode": "disable", "gssencmode": "disable"})
    return re.sub(r"^postgresql:", "postgresql+psycopg:", url.render_as_string(hide_password=False))
