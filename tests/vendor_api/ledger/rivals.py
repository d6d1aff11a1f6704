"""Many processes on one database, started together: `python -m tests.vendor_api.ledger.rivals …`.

Prints one line of JSON for each process: how often each outcome was seen.
"""

import asyncio
import json
import multiprocessing
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from vendor_api.ledger import Ledger
from vendor_api.ledger.commands import (
    Hold,
    LedgerError,
    LedgerUnavailable,
    Line,
    Refund,
    Reserve,
)
from vendor_api.ledger.corrections import refund_charge

ROOT = Path(__file__).parents[3]
PATIENCE = 20


def compete(task, url, processes, *arguments):
    """The outcomes of each process; returns when the last one has ended."""
    command = [
        sys.executable,
        "-m",
        "tests.vendor_api.ledger.rivals",
        task,
        url,
        str(processes),
        *map(str, arguments),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def attempt(call, seen):
    """What `call` gives, tried again while the database is busy; a refusal's name otherwise."""
    for _ in range(PATIENCE):
        try:
            return await call()
        except LedgerUnavailable:
            seen["tried again"] += 1
        except LedgerError as error:
            return type(error).__name__
    raise AssertionError("the database never answered")


def write_request(prices, account_id, key, *names):
    lines = tuple(Line("image", name.encode().ljust(32), prices["image"]) for name in names)
    print_ = repr(names).encode()
    return Reserve(account_id, "key_r", key, print_, "req", "icon-clip", "rev", lines)


async def buy(ledger, request, seen):
    hold = await attempt(lambda: ledger.reserve(request), seen)
    if not isinstance(hold, Hold):
        return hold if isinstance(hold, str) else "replayed"
    receipt = await attempt(lambda: ledger.capture(hold, [True] * len(hold.lines)), seen)
    return receipt if isinstance(receipt, str) else "captured"


async def spend(ledger, me, account_id, count):
    """`count` requests at once, each for an item of its own."""
    seen: Counter[str] = Counter()
    prices = await ledger.prices("icon-clip")
    requests = [
        write_request(prices, account_id, f"{me}.{n}", f"item {me}.{n}") for n in range(int(count))
    ]
    seen.update(await asyncio.gather(*(buy(ledger, request, seen) for request in requests)))
    return seen


async def refund(ledger, me, account_id, charge_id):
    """The same refund as everybody else."""
    seen: Counter[str] = Counter()

    def work(connection, now):
        return refund_charge(connection, now, Refund(charge_id, None, "same", "was blurred"))

    for _ in range(5):
        booking = await attempt(lambda: ledger.change(account_id, work), seen)
        seen["new" if booking.new else "known"] += 1
    return seen


async def mingle(ledger, me, seconds, *account_ids):
    """Groups of credits and purchases for random accounts, in any order, until time is up."""
    seen: Counter[str] = Counter()
    chance = random.Random(int(me))
    prices = await ledger.prices("icon-clip")
    end, turn = time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        turn += 1
        calls = []
        for n, account_id in enumerate(chance.choices(account_ids, k=8)):
            name = f"{me}.{turn}.{n}"
            if n % 2:
                calls.append(buy(ledger, write_request(prices, account_id, name, name), seen))
            else:
                calls.append(attempt(lambda a=account_id, r=name: ledger.credit(a, 1, r), seen))
        for outcome in await asyncio.gather(*calls):
            seen["credited" if outcome is True else str(outcome)] += 1
    return seen


async def work(task, url, me, arguments, barrier):
    ledger = Ledger.open(url)
    try:
        barrier.wait()
        return await {"spend": spend, "refund": refund, "mingle": mingle}[task](
            ledger, me, *arguments
        )
    finally:
        await ledger.close()


def run(task, url, me, arguments, barrier, results):
    results.put(dict(asyncio.run(work(task, url, me, arguments, barrier))))


def main(task, url, processes, *arguments):
    # Forked before there is any thread or connection: all start at once, and quickly.
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(int(processes)), context.SimpleQueue()
    rivals = [
        context.Process(target=run, args=(task, url, me, arguments, barrier, results))
        for me in range(int(processes))
    ]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    if any(rival.exitcode for rival in rivals):
        sys.exit("a rival failed")
    for _ in rivals:
        print(json.dumps(results.get()))


if __name__ == "__main__":
    main(*sys.argv[1:])
