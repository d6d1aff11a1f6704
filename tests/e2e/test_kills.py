"""kill -9 at any moment, then the same command again: nothing lost, nothing paid twice."""

import random
import sqlite3
import subprocess
import time

import pytest

KILLS = 20
WITH_A_HOLD = 15
"""At least this many kills must fall into the time a request's money is held."""
PER_CLASS = 24


def _wait_for_hold(shop, process, rng):
    """Return once a charge is held (then a random moment later), or the command has ended."""
    connection = sqlite3.connect(f"file:{shop.vendor_file}?mode=ro", uri=True, timeout=5)
    try:
        while process.poll() is None:
            if connection.execute("SELECT 1 FROM charge WHERE state = 'held' LIMIT 1").fetchone():
                time.sleep(rng.choice([0, 0, 0.002, 0.01]))
                return
            time.sleep(0.0005)
    finally:
        connection.close()


def _start_fetch(shop, data):
    command = shop.command("vl2v", "fetch", str(data), "--model", "tiny-clip", "--budget", "50")
    return subprocess.Popen(
        command, env=shop.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _finish_fetch(shop, data):
    shop.type("vl2v", "fetch", str(data), "--model", "tiny-clip", "--budget", "50")
    again = shop.type("vl2v", "fetch", str(data), "--model", "tiny-clip", "--budget", "50")
    assert "0 to buy" in again.stdout


def _check_books(shop):
    """Every item charged exactly once, and both sides agree to the nano-dollar."""
    shop.type("vl2v-vendor", "ledger", "verify")
    ((charged, images, texts),) = shop.query(
        "SELECT SUM(cost_nanousd), SUM(images - images_free), SUM(texts - texts_free) FROM charge "
        "WHERE state = 'captured'"
    )
    cached = dict(
        shop.query_client(
            "SELECT modality, COUNT(DISTINCT digest) FROM embedding GROUP BY modality"
        )
    )
    ((paid,),) = shop.query_client("SELECT SUM(cost_nanousd) FROM journal WHERE state = 'settled'")
    ((bought,),) = shop.query("SELECT SUM(items) FROM purchase_lot")
    assert (images, texts) == (cached["image"], cached["text"])
    assert bought == images + texts
    assert charged == paid == images * 100_000 + texts * 10_000
    assert shop.count_holds() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_of_the_vendor_lose_nothing_and_charge_nothing_twice(shop, pictures, tmp_path):
    rng, held = random.Random(0), 0
    for seed in range(KILLS):
        data = tmp_path / f"data-{seed}"
        pictures(data, per_class=PER_CLASS, seed=seed)
        shop.start()
        fetch = _start_fetch(shop, data)
        _wait_for_hold(shop, fetch, rng)
        shop.kill()
        held += shop.count_holds() > 0
        shop.start()
        fetch.wait(120)  # it may have given up, or have found the vendor back
        _finish_fetch(shop, data)
        assert shop.stop() == 0
    _check_books(shop)
    assert held >= WITH_A_HOLD


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_of_fetch_lose_nothing_and_charge_nothing_twice(shop, pictures, tmp_path):
    rng, held = random.Random(1), 0
    shop.start()
    for seed in range(KILLS):
        data = tmp_path / f"data-{seed}"
        pictures(data, per_class=PER_CLASS, seed=1000 + seed)
        fetch = _start_fetch(shop, data)
        _wait_for_hold(shop, fetch, rng)
        held += shop.count_holds() > 0
        fetch.kill()
        fetch.wait()
        _finish_fetch(shop, data)
    _check_books(shop)
    assert held >= WITH_A_HOLD
