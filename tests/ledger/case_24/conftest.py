"""A real vendor process and real `vl2v` processes that buy from it, get killed and start again."""

import json
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Command, Ended
from tests.client.conftest import Running as RunningCommand
from tests.client.pictures import make_picture
from tests.conftest import IN_MEMORY
from tests.ledger.conftest import IMAGE_NANOUSD, TEXT_NANOUSD, House, Running
from tests.ledger.tiny import MODEL

DOMAIN = "ink"


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    """Which engine the vendor's books are in makes no difference to a client."""
    return sqlite_url


@dataclass
class Counting(House):
    """A vendor that can say how often each item was paid."""

    def start(self, failpoints: str = "", **changes: Any) -> Running:
        # A model that waits at a gate looks slow, and a slow one refuses what would queue long.
        settings = {"max_queued_ms": 3_600_000}
        return super().start(failpoints, **{"batch": 64, "settings": settings, **changes})

    def check_items(
        self, *, images: int, texts: int, prices: tuple[int, int] | None = None
    ) -> None:
        """So many items were paid, each once, nothing is held, and the books have no breach."""
        sql = (
            "SELECT count(*), sum(images - images_free), sum(texts - texts_free) FROM charge "
            "WHERE state = 'captured'"
        )
        ((captures, paid_images, paid_texts),) = self.query(sql)
        assert (paid_images, paid_texts) == (images, texts)
        assert self.query("SELECT sum(items) FROM purchase_lot") == [(images + texts,)]
        image, text = prices or (IMAGE_NANOUSD, TEXT_NANOUSD)
        self.check_books(captures=captures, debited=images * image + texts * text)

    def free_items(self) -> int:
        """Items that were asked for although they had been bought."""
        sql = "SELECT coalesce(sum(images_free + texts_free), 0) FROM charge"
        return int(self.query(sql)[0][0])


@dataclass
class Customer:
    """One client installation: a cache, a journal, and the command."""

    house: Counting
    home: Path
    command: Command

    @property
    def file(self) -> Path:
        """The cache and journal."""
        return self.home / "client.db"

    def twin(self, home: Path) -> "Customer":
        """The same account on another machine."""
        environment = self.command.environment | {"VL2V_HOME": str(home)}
        return Customer(self.house, home, replace(self.command, environment=environment))

    def start(self, *words: str, failpoint: str = "") -> RunningCommand:
        """Type a command and leave it running."""
        self.command.environment["VL2V_BASE_URL"] = self.house.running[-1].url
        armed = {"VL2V_FAILPOINT": failpoint} if failpoint else {}
        return self.command.start(*words, **armed)

    def type(self, *words: str, failpoint: str = "", code: int | None = 0) -> Ended:
        """Type a command; `code` is what it must end with."""
        ended = self.start(*words, failpoint=failpoint).end()
        assert code is None or ended.returncode == code, f"{ended}\n{self.house.log()}"
        return ended

    def fetch(self, data: Path, *more: str, failpoint: str = "", code: int | None = 0) -> Ended:
        """Buy every picture of the folder and the class texts."""
        return self.type(*fetch_words(data, *more), failpoint=failpoint, code=code)

    def query(self, sql: str) -> list[Any]:
        """Plain SQL on the cache and journal."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=5)) as opened:
            return opened.execute(sql).fetchall()

    def count(self, modality: str = "image") -> int:
        """Distinct vectors in the cache."""
        sql = f"SELECT count(DISTINCT digest) FROM embedding WHERE modality = '{modality}'"
        return int(self.query(sql)[0][0])

    def budgets(self) -> list[dict[str, Any]]:
        """What `vl2v budget show` says of the runs and projects."""
        return list(json.loads(self.type("budget", "show", "--json").stdout))

    def check(self, *, images: int, texts: int = 2) -> None:
        """So much is cached and was charged, each item once; nothing is open; both books agree."""
        assert (self.count(), self.count("text")) == (images, texts)
        assert self.query("SELECT count(*) FROM journal WHERE held_nanousd > 0") == [(0,)]
        self.house.check_items(images=images, texts=texts)
        self.reconcile()

    def reconcile(self) -> None:
        """Both sides tell the same story to the nano-dollar."""
        told = self.type("reconcile").stdout
        assert told.endswith("0 differences\n"), told
        assert "sums agree" in self.type("doctor").stdout


def fetch_words(data: Path, *more: str) -> list[str]:
    """`vl2v fetch` of all there is: a domain that is only evaluated on is not split."""
    words = ["fetch", str(data), "--model", MODEL, "--purpose", "evaluation", "--target", DOMAIN]
    return [*words, *(() if "--budget" in more else ("--budget", "1")), *more]


def kill(running: RunningCommand) -> None:
    """kill -9 of a command."""
    os.kill(running.pid, signal.SIGKILL)
    running.end()


@pytest.fixture
def house(house: House) -> Counting:
    """A vendor whose books the tests read."""
    return Counting(**vars(house))


@pytest.fixture
def vendor(house: Counting) -> Running:
    """A server of it that runs from the start."""
    return house.start()


@pytest.fixture
def customer(house: Counting, tmp_path: Path) -> Iterator[Customer]:
    """A client of the account."""
    with tempfile.TemporaryDirectory(prefix="vl2v-client-", dir=IN_MEMORY) as folder:
        home = Path(folder) / "home"
        environment = {"VL2V_HOME": str(home), "VL2V_API_KEY": house.key, "NO_COLOR": "1"}
        yield Customer(house, home, Command(environment, tmp_path))


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Writes `count` pictures of two classes, those from number `first` on."""

    def write(count: int, *, name: str = "data", first: int = 0) -> Path:
        for number in range(first, first + count):
            folder = tmp_path / name / DOMAIN / ("cat", "dog")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:05}.png").write_bytes(make_picture(number))
        return tmp_path / name

    return write
