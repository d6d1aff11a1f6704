"""A real server process with two customers, for clients that know nothing of its insides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from shared.money import parse_usd
from vendor_api.auth.repository import issue_key
from vendor_api.db import open_database, read_clock
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.commands import Credit
from vendor_api.ledger.credits import add_credit
from vendor_api.ledger.prices import set_prices

MODEL = "icon-clip"


class Contract:
    """A server with a customer who has a dollar and one who has nothing."""

    def __init__(self, url: str, key: str, poor_key: str, *, pid: int) -> None:
        self.url, self.key, self.poor_key, self.pid = url, key, poor_key, pid

    def connect(self, key: str) -> openai.OpenAI:
        """What a user of OpenAI types, with another address."""
        return openai.OpenAI(api_key=key, base_url=f"{self.url}/v1")


@pytest.fixture(scope="module")
def contract(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, serve_vendor: Any
) -> Iterator[Contract]:
    folder = tmp_path_factory.mktemp("contract")
    with open_contract(folder, sqlite_template, serve_vendor) as contract:
        yield contract


@contextmanager
def open_contract(
    folder: Path, sqlite_template: Path, serve_vendor: Any, **settings: Any
) -> Iterator[Contract]:
    """A server of its own, with these settings."""
    (folder / "vendor.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{folder / 'vendor.db'}"
    keys = open_books(url, folder)
    with serve_vendor(url, folder / "pepper", **settings) as serving:
        yield Contract(serving.url, *keys, pid=serving.process.pid)


def open_books(database_url: str, folder: Path) -> tuple[str, str]:
    """Prices, a customer with a dollar and one without: their keys. The pepper lies in the folder."""
    pepper = b"a pepper for tests, 32 bytes long"
    (folder / "pepper").write_bytes(pepper)
    database = open_database(database_url)
    with database.write() as connection:
        now = read_clock(connection)
        set_prices(connection, now, MODEL, {"image": 100_000, "text": 10_000})
        ada, poor = (create_account(connection, now, name) for name in ("ada", "poor"))
        add_credit(connection, now, Credit(ada.id, parse_usd("1.00"), "opening"))
        keys = [issue_key(connection, now, pepper, a.id, name="k").text for a in (ada, poor)]
    database.close()
    return keys[0], keys[1]
