"""Minutes of random kill -9 of servers, Redis, PostgreSQL and customers under load; then the books.

`pytest -m soak -s tests/soak`; VL2V_SOAK_SECONDS [600] says for how long, VL2V_SOAK_SEED [0] how.
"""

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.migrating import upgrade
from tests.conftest import IN_MEMORY, PEPPER, Shop, name_database, open_shop
from tests.ledger.conftest import TEXT_NANOUSD
from tests.ledger.server import Options
from tests.soak.customer import ITEMS, Customer
from tests.soak.machinery import Child, Postgres, Redis, free_port, make_customer, make_vendor
from vendor_api.auth.repository import issue_key
from vendor_api.db import open_database, read_clock
from vendor_api.db.clock import SECOND
from vendor_api.ledger.audit import audit
from vendor_api.ledger.commands import HOLD_SECONDS

SECONDS = float(os.environ.get("VL2V_SOAK_SECONDS", "600"))
SEED = int(os.environ.get("VL2V_SOAK_SEED", "0"))
VENDORS, CUSTOMERS = 2, 4
PATIENCE_S = 4
"""A hold older than this is made to run out, as a minute and a half of waiting would."""


@dataclass
class Soak:
    """What runs, and how often each was killed."""

    home: Path
    postgres: Postgres
    redis: Redis
    shop: Shop
    vendors: list[Child]
    customers: list[Child]
    journals: list[Customer]
    kills: Counter[str] = field(default_factory=Counter)

    def kill_one(self, rng: random.Random) -> None:
        """Somebody dies, stays dead for a moment, and comes back."""
        kind = rng.choice(["vendor"] * 4 + ["customer"] * 4 + ["redis"] * 2 + ["postgres"])
        named: dict[str, Any] = {
            "vendor": rng.choice(self.vendors),
            "customer": rng.choice(self.customers),
            "redis": self.redis,
            "postgres": self.postgres,
        }
        self.kills[kind] += 1
        named[kind].kill()
        time.sleep(rng.uniform(0, 0.5))
        named[kind].start()

    def start_the_fallen(self) -> None:
        """A vendor that came up while the database was away has ended again."""
        for child in self.vendors:
            if child.process is not None and not child.process.is_alive():
                child.start()

    def let_old_holds_run_out(self) -> None:
        """Also those whose worker lives: it must then deliver nothing."""
        sql = "UPDATE charge SET expires_at = :now WHERE state = 'held' AND expires_at < :limit"
        try:
            with self.shop.database.write() as connection:
                now = read_clock(connection)
                limit = now + (HOLD_SECONDS - PATIENCE_S) * SECOND
                connection.execute(text(sql), {"now": now, "limit": limit})
        except SQLAlchemyError:
            pass  # killed a moment ago


@pytest.fixture
def soak() -> Iterator[Soak]:
    """A database, two vendors on it, four customers."""
    home = Path(tempfile.mkdtemp(prefix="vl2v-soak-", dir=IN_MEMORY))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(home))
    postgres, redis = Postgres(home), Redis(home)
    postgres.start()
    redis.start()
    with psycopg.connect(postgres.address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE soak")
    url = name_database(postgres.address, "soak")
    upgrade("vendor", url)
    with closing(open_database(url)) as database:
        shop = open_shop(database)
        account = shop.open_account("soak", "10000.00")
        with database.write() as connection:
            key = issue_key(connection, read_clock(connection), PEPPER, account.id, name="soak")
        ports = [free_port() for _ in range(VENDORS)]
        settings = {"redis_url": f"redis://127.0.0.1:{redis.port}/0"}
        vendors = [
            make_vendor(Options(url, PEPPER, home, port=port, alone=False, settings=settings))
            for port in ports
        ]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        journals = [Customer(n, SEED, home, urls, key.text) for n in range(CUSTOMERS)]
        customers = [make_customer(journal) for journal in journals]
        yield Soak(home, postgres, redis, shop, vendors, customers, journals)
        for child in (*vendors, *customers):
            child.kill()
    redis.kill()
    postgres.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 600)
def test_kills_of_everything_lose_nothing_and_charge_nothing_twice(soak: Soak) -> None:
    for child in (*soak.vendors, *soak.customers):
        child.start()
    rng, end = random.Random(SEED), time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.2, 1.5))
        soak.kill_one(rng)
        soak.start_the_fallen()
        soak.let_old_holds_run_out()
    _let_all_finish(soak)
    _report(soak)
    _check(soak)


def _let_all_finish(soak: Soak) -> None:
    (soak.home / "stop").touch()
    deadline = time.monotonic() + 300
    while any(child.process is not None and child.process.is_alive() for child in soak.customers):
        assert time.monotonic() < deadline, (soak.home / "log").read_text()[-3000:]
        soak.start_the_fallen()
        soak.let_old_holds_run_out()
        time.sleep(0.5)
    assert [c.process.exitcode for c in soak.customers if c.process] == [0] * CUSTOMERS


def _report(soak: Soak) -> None:
    events: Counter[str] = Counter()
    for journal in soak.journals:
        for row in journal.read():
            events[row["event"]] += 1
            events[f"{row['event']} {row.get('status', '')}".strip()] += "status" in row
            events["replayed"] += bool(row.get("replayed"))
    (captured, reentered) = _ask(
        soak, "SELECT count(*), sum(epoch - 1) FROM charge WHERE state = 'captured'"
    )
    print()
    print(f"soak: {SECONDS:g} s, seed {SEED}; killed: {dict(soak.kills)}")
    print(f"purchases {events['begin']}, charges {captured}, holds taken anew {reentered}")
    print(
        f"requests that broke {events['broken']}, 409s {events['refused 409']}, "
        f"503s {events['refused 503']}, answered by replay {events['replayed']}, "
        f"paid but over the day's replays {events['done 429']}"
    )


def _check(soak: Soak) -> None:
    begun = [r["name"] for j in soak.journals for r in j.read() if r["event"] == "begin"]
    done = {r["name"] for j in soak.journals for r in j.read() if r["event"] == "done"}
    assert len(begun) == len(set(begun))
    assert set(begun) == done
    rows = _all(soak, "SELECT idempotency_key, state, cost_nanousd FROM charge")
    assert {row[0] for row in rows} == done, "a purchase was lost"
    assert {row[1] for row in rows} == {"captured"}
    assert {row[2] for row in rows} == {ITEMS * TEXT_NANOUSD}, "something was paid twice, or half"
    (debited, held) = _ask(
        soak, "SELECT sum(debited_nanousd), sum(held_nanousd) FROM account_balance"
    )
    assert (int(debited), int(held)) == (len(done) * ITEMS * TEXT_NANOUSD, 0)
    result = audit(soak.shop.database)
    assert result.ok, result.violations


def _all(soak: Soak, sql: str) -> list[Any]:
    with soak.shop.database.read() as connection:
        return list(connection.execute(text(sql)))


def _ask(soak: Soak, sql: str) -> Any:
    (row,) = _all(soak, sql)
    return row
