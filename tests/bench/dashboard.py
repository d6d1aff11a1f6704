"""How long each page of the dashboard takes to answer over a SQLite file with a million charges.

    python -m tests.bench.dashboard

Each page is requested in this process, through the whole application, with its queries and its
template; the first request of each is not counted.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import httpx
import structlog
from sqlalchemy import text

from shared.migrating import upgrade
from tests.planted import plant
from tests.vendor_api.conftest import INFO, FakeModel, FakePreparation
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.auth.operators import issue_operator
from vendor_api.db import Database, format_instant, open_database, read_clock
from vendor_api.db.clock import DAY
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher
from vendor_api.ledger import Ledger
from vendor_api.settings import VendorSettings

PEPPER = b"a pepper for benches, 32 bytes.."
GOAL_MS = 300

__all__ = ["Cell", "main"]


@dataclass(frozen=True)
class Cell:
    """One page's durations, in milliseconds."""

    page: str
    path: str
    median_ms: float
    max_ms: float
    cpu_ms: float
    """The median of the process's own time: what a machine with nothing else to do would take."""
    bytes: int


def list_pages(database: Database) -> dict[str, str]:
    """What is looked at: the page in words, and its address."""
    with database.read() as connection:
        row = connection.execute(
            text("SELECT * FROM charge WHERE state = 'captured' ORDER BY id LIMIT 1 OFFSET 1000")
        ).one()
        span = connection.execute(text("SELECT MIN(created_at), MAX(created_at) FROM charge"))
        middle = sum(span.one()) // 2
    account, key = row.account_id, row.key_id
    day = f"since={format_instant(middle)}&until={format_instant(middle + DAY)}"
    all_time = "since=&until="
    return {
        "money, 30 days": "/dashboard/money",
        "money, all time": f"/dashboard/money?{all_time}",
        "money, one account, all time": f"/dashboard/money?{all_time}&account={account}",
        "money, its chart, all time": f"/dashboard/money/chart.json?{all_time}",
        "journal, all time": f"/dashboard/money/journal?{all_time}",
        "usage by day, 30 days": "/dashboard/usage",
        "usage by hour and everything, all time": (
            f"/dashboard/usage?{all_time}&group=hour,account,key,model,modality"
        ),
        "usage by month and account, all time": f"/dashboard/usage?{all_time}&group=month,account",
        "usage of one key, all time": f"/dashboard/usage?{all_time}&key={key}",
        "charges": "/dashboard/charges",
        "charges of a day": f"/dashboard/charges?{day}",
        "charges captured on a day": f"/dashboard/charges?{day}&clock=captured&state=captured",
        "charges of one account": f"/dashboard/charges?account={account}",
        "charges, held": "/dashboard/charges?state=held",
        "charges, released for good": "/dashboard/charges?state=released_final",
        "charges, by id": f"/dashboard/charges?q={row.id}",
        "charges, by idempotency key": f"/dashboard/charges?q={quote(row.idempotency_key)}",
        "charges, by request id": f"/dashboard/charges?q={row.request_id}",
        "one charge": f"/dashboard/charges/{row.id}",
        "integrity": "/dashboard/integrity",
        "abuse, 30 days": "/dashboard/abuse",
        "abuse, all time": f"/dashboard/abuse?{all_time}",
        "audit log": "/dashboard/log",
        "accounts": "/dashboard/accounts",
        "accounts, the shortest runway first": "/dashboard/accounts?sort=runway",
        "one account": f"/dashboard/accounts/{account}",
        "keys": "/dashboard/keys",
        "models and prices": "/dashboard/prices",
        "what-if, 30 days": (
            f"/dashboard/prices/what-if?model={quote(row.model)}&image_usd=0.001&days=30"
        ),
        "what-if, 365 days": (
            f"/dashboard/prices/what-if?model={quote(row.model)}&image_usd=0.001&days=365"
        ),
    }


async def measure(http: httpx.AsyncClient, page: str, path: str, times: int) -> Cell:
    """The page, requested so many times after a first time that does not count."""
    taken, worked = [], []
    for number in range(times + 1):
        began, before = time.perf_counter(), time.process_time()
        answer = await http.get(path)
        seconds, spent = time.perf_counter() - began, time.process_time() - before
        assert answer.status_code == 200, (path, answer.text[:500])
        if number:
            taken.append(1000 * seconds)
            worked.append(1000 * spent)
    return Cell(page, path, median(taken), max(taken), median(worked), len(answer.content))


@asynccontextmanager
async def open_vendor(url: str, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The vendor's application on that database, seen by an operator."""
    with database.write() as connection:
        now = read_clock(connection)
        operator = issue_operator(connection, now, PEPPER, name="bench", role="viewer")
    ledger, authenticator = Ledger.open(url), Authenticator.open(url, PEPPER)
    engine = Batcher(FakeModel())
    served = {INFO.id: ServedModel(INFO, FakePreparation(), engine)}
    settings = VendorSettings(audit_seconds=0)
    app = create_app(settings, engines=served, ledger=ledger, authenticator=authenticator)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        stack.push_async_callback(authenticator.close)
        stack.callback(engine.close, 30)
        await stack.enter_async_context(app.router.lifespan_context(app))
        headers = {"authorization": f"Bearer {operator.text}", "accept": "text/html"}
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://vendor", headers=headers
        )
        yield await stack.enter_async_context(client)


async def measure_all(url: str, database: Database, times: int) -> list[Cell]:
    """Every page."""
    async with open_vendor(url, database) as http:
        pages = list_pages(database)
        return [await measure(http, page, path, times) for page, path in pages.items()]


def describe_books(database: Database) -> str:
    """How large the tables are, in a line."""
    tables = ("charge", "ledger_entry", "usage_rollup", "account")
    with database.read() as connection:
        counts = [
            connection.execute(text(f"SELECT COUNT(*) FROM {name}")).scalar_one() for name in tables
        ]
    return ", ".join(f"{count:,} {name}" for name, count in zip(tables, counts, strict=True))


def describe_machine() -> str:
    """Where this was measured, in a line."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f}"
    )


def show(cell: Cell) -> str:
    """One line of the table."""
    mark = "" if cell.median_ms < GOAL_MS else " (over)"
    durations = f"{cell.median_ms:.0f}{mark} | {cell.max_ms:.0f} | {cell.cpu_ms:.0f}"
    return f"| {cell.page} | {durations} | {cell.bytes // 1000} |"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dashboard")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure")
    parser.add_argument(
        "--books", type=Path, help="a file to keep the books in, and find them again"
    )
    parser.add_argument("--charges", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--times", type=int, default=5, help="requests of each page")
    parser.add_argument(
        "--spread", action="store_true", help="scatter the charges evenly, not in bursts"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(arguments)


def open_books(wanted: argparse.Namespace, url: str) -> Database:
    """The database at `url`, with books made now if it has none."""
    upgrade("vendor", url)
    database = open_database(url)
    with database.read() as connection:
        made = connection.execute(text("SELECT EXISTS (SELECT 1 FROM charge)")).scalar_one()
    if not made:
        plant(
            database,
            PEPPER,
            charges=wanted.charges,
            accounts=wanted.accounts,
            days=wanted.days,
            spread=wanted.spread,
        )
    return database


def run(wanted: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the books, measure, and print the table unless JSON is wanted."""
    url = f"sqlite:///{wanted.books or folder / 'vendor.db'}"
    database = open_books(wanted, url)
    date, machine = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", describe_machine()
    books = describe_books(database)
    cells = asyncio.run(measure_all(url, database, wanted.times))
    database.close()
    if not wanted.json:
        print(f"{date}: {machine}; {books}\n")
        print(f"| page | median of {wanted.times}, ms | max, ms | processor, ms | kB |")
        print("|---|--:|--:|--:|--:|")
        print("\n".join(show(cell) for cell in cells))
    return {
        "date": date,
        "machine": machine,
        "books": books,
        "cells": [asdict(cell) for cell in cells],
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table or a JSON document."""
    wanted = parse_arguments(arguments)
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)  # a line for each request would stand in the table
    try:
        with tempfile.TemporaryDirectory(prefix="vl2v-bench-", dir=wanted.dir) as made:
            report = run(wanted, Path(made))
    finally:
        structlog.reset_defaults()
    if wanted.json:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
