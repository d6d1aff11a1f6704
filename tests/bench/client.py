"""What `vl2v fetch` costs beside the vendor: time of a cached re-run, items/s, requests at once, memory.

    python -m tests.bench.client [--only cached throughput teacher trace memory] [--dir FOLDER]
        [--quick] [--json]

- cached: the whole command in a process of its own, interpreter start included, over a folder of which
  everything was bought.
- throughput: items/s of a cold fetch while it buys, over those of a bare load generator (asyncio
  streams, requests made beforehand, at the number in flight that was fastest for it) that sends the
  same bytes, class texts and pictures, to the same vendor. Each begins with a vendor and a cache of
  its own; they take turns.
- teacher: the same ratio with the demo's real CLIP, as a user meets it.
- trace: how many requests a fetch has in flight when the vendor limits the key's items a minute.
- memory: the most that a cold fetch ever holds, with a hundred times the pictures.

The vendor is the real one, with its SQLite ledger, in a process of its own; its model alone is a matrix
product, but for `teacher`. Vendor, fetch and generator share the machine's cores: with a model that costs
nothing the ratio is that of what each computes, with a real one what a user waits for. Pictures are PNGs
of noise, all different.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.client_bodies import make_bodies
from tests.bench.client_pictures import write_pictures
from tests.bench.client_vendor import MODEL, Vendor, start_vendor

CACHED_GOAL_S = 2.0
RATIO_GOAL = 0.95
GROWTH_GOAL_MB = 20.0
TEACHER = f"local-dir:{Path(__file__).parents[2] / 'vendor_api' / 'demo' / 'teacher'}"
FETCH = """
import sys
from client.cli import app
try:
    app(sys.argv[2:])
finally:
    with open(sys.argv[1], "w") as out, open("/proc/self/status") as status:
        out.write(status.read())
"""
"""What the `vl2v` script does, and then the process's own peak of memory: what the system says of a child
begins with what its parent held."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    cached: int = 10_000
    throughput: int = 12_000
    side: int = 48
    """Pixels a side of the pictures of which the rate is measured: 7 kB each."""
    teacher: int = 6_000
    trace: int = 5_000
    limited_to: int = 3_000
    """Items a minute that the vendor of the trace allows."""
    memory: tuple[int, int] = (1_000, 100_000)
    rounds: int = 5
    at_once: tuple[int, ...] = (2, 3, 4, 6, 8, 16)
    """Requests that the load generator has in flight, the best of which counts."""


QUICK = Sizes(120, 200, 8, 100, 300, 6_000, (50, 300), 1, (2,))


@dataclass(frozen=True)
class Done:
    """A command that has ended well."""

    document: dict[str, Any]
    seconds: float
    peak_mb: float
    """Of resident memory."""


def fetch(vendor: Vendor, home: Path, data: Path) -> Done:
    """`vl2v fetch` in a process of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VL2V_")},
        "VL2V_HOME": str(home),
        "VL2V_API_KEY": vendor.key,
        "VL2V_BASE_URL": vendor.url,
    }
    command = ["fetch", str(data), "--model", MODEL, "--budget", "1000", "--json"]
    peak = home.with_suffix(".status")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(peak), *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - began
    (line,) = (line for line in peak.read_text().splitlines() if line.startswith("VmHWM"))
    return Done(json.loads(done.stdout), seconds, int(line.split()[1]) / 1024)


def measure_cached(folder: Path, sizes: Sizes) -> Iterator[tuple[str, Any]]:
    """(a): the whole command over what was bought."""
    data = write_pictures(folder / "data", sizes.cached, 4)
    with start_vendor(folder / "vendor") as vendor:
        cold = fetch(vendor, folder / "home", data)
        runs = [fetch(vendor, folder / "home", data) for _ in range(2 * sizes.rounds - 1)]
    assert all(run.document["to_buy"] == 0 for run in runs)
    yield "files", sizes.cached
    yield "cold_s", cold.seconds
    yield "seconds", median(run.seconds for run in runs)
    yield "runs_s", [run.seconds for run in runs]
    yield "goal_s", CACHED_GOAL_S


def measure_throughput(folder: Path, sizes: Sizes) -> Iterator[tuple[str, Any]]:
    """(b): a fetch and a load generator in turns, the model costing nothing."""
    return compare_rates(folder, sizes, sizes.throughput)


def measure_teacher(folder: Path, sizes: Sizes) -> Iterator[tuple[str, Any]]:
    """The same with a real model."""
    return compare_rates(folder, sizes, sizes.teacher, f"--weights={TEACHER}")


def compare_rates(
    folder: Path, sizes: Sizes, count: int, *options: str
) -> Iterator[tuple[str, Any]]:
    """A fetch and a load generator in turns, on vendors with these options."""
    data = write_pictures(folder / "data", count, sizes.side)
    bodies = folder / "bodies"
    with start_vendor(folder / "asked", *options) as vendor:
        items = make_bodies(data, bodies, vendor)
    # More than eight at once is more than a real model lets wait.
    sweep = [n for n in sizes.at_once if n <= 8 or not options]
    rates = {n: items / load(folder / f"sweep{n}", bodies, n, *options) for n in sweep}
    best = max(rates, key=lambda n: rates[n])
    bare, bought = [], []
    for turn in range(sizes.rounds):
        bare.append(items / load(folder / f"bare{turn}", bodies, best, *options))
        with start_vendor(folder / f"vendor{turn}", *options) as vendor:
            done = fetch(vendor, folder / f"home{turn}", data)
        receipt = done.document["receipt"]
        assert receipt["images"] + receipt["texts"] == items
        bought.append(receipt["items_per_second"])
    yield "items", items
    yield "bytes_a_request", bodies.stat().st_size // max(1, items // 64)
    yield "bare_by_at_once", rates
    yield "at_once", best
    yield "bare_items_s", median(bare)
    yield "fetch_items_s", median(bought)
    yield "runs", {"bare": bare, "fetch": bought}
    yield "ratio", median(bought) / median(bare)
    yield "goal", RATIO_GOAL


def load(folder: Path, bodies: Path, at_once: int, *options: str) -> float:
    """Seconds that the bare load generator takes for all bodies, on a vendor of its own."""
    with start_vendor(folder, *options) as vendor:
        command = [sys.executable, "-m", "tests.bench.client_load", vendor.url, vendor.key]
        done = subprocess.run(
            [*command, str(bodies), "--at-once", str(at_once)],
            stdout=subprocess.PIPE,
            check=True,
        )
    return float(json.loads(done.stdout)["seconds"])


def measure_trace(folder: Path, sizes: Sizes) -> Iterator[tuple[str, Any]]:
    """(c): requests in flight against a vendor with a limit."""
    data = write_pictures(folder / "data", sizes.trace, 4)
    with start_vendor(folder / "vendor", f"--items-per-minute={sizes.limited_to}") as vendor:
        receipt = fetch(vendor, folder / "home", data).document["receipt"]
    yield "items_a_minute", sizes.limited_to
    yield "items", receipt["images"] + receipt["texts"]
    yield "seconds", receipt["seconds"]
    yield "retries", receipt["retries"]
    yield "stopped", receipt["stopped"]
    yield "in_flight", receipt["in_flight"]


def measure_memory(folder: Path, sizes: Sizes) -> Iterator[tuple[str, Any]]:
    """(d): peaks of cold fetches of few and of many pictures."""
    peaks = []
    for count in sizes.memory:
        data = write_pictures(folder / f"data{count}", count, 4)
        with start_vendor(folder / f"vendor{count}") as vendor:
            peaks.append(fetch(vendor, folder / f"home{count}", data).peak_mb)
    yield "files", sizes.memory
    yield "peak_mb", peaks
    yield "growth_mb", peaks[-1] - peaks[0]
    yield "goal_mb", GROWTH_GOAL_MB


PARTS: dict[str, Callable[[Path, Sizes], Iterator[tuple[str, Any]]]] = {
    "cached": measure_cached,
    "throughput": measure_throughput,
    "teacher": measure_teacher,
    "trace": measure_trace,
    "memory": measure_memory,
}


def show(name: str, found: dict[str, Any]) -> str:
    """A part's lines for a person, each with its goal."""
    if name == "cached":
        return (
            f"cached re-run over {found['files']:,} files: {found['seconds']:.2f} s "
            f"(goal ≤ {found['goal_s']:.0f} s); the cold fetch before it took {found['cold_s']:.1f} s"
        )
    if name in ("throughput", "teacher"):
        model = "a model that costs nothing" if name == "throughput" else "the demo's teacher"
        return (
            f"{model}: cold fetch {found['fetch_items_s']:,.0f} items/s; bare load generator, "
            f"{found['at_once']} at once: {found['bare_items_s']:,.0f} items/s; "
            f"ratio {found['ratio']:.3f} (goal ≥ {found['goal']})"
        )
    if name == "trace":
        window = found["in_flight"]
        steps = [
            f"  {step['seconds']:8.3f} s  {step['limit']:3}  {'#' * step['limit']} {step['why']}"
            for step in window["trace"]
        ]
        return "\n".join(
            [
                f"{found['items']:,} items at {found['items_a_minute']:,} a minute: "
                f"{found['seconds']:.1f} s, {found['retries']} tries made again, peak "
                f"{window['peak']}, final {window['final']}; requests in flight:",
                *steps,
            ]
        )
    few, many = found["files"]
    return (
        f"memory: {found['peak_mb'][0]:.1f} MB at {few:,} pictures, {found['peak_mb'][-1]:.1f} MB at "
        f"{many:,}: {found['growth_mb']:+.1f} MB (goal ≤ {found['goal_mb']:.0f} MB)"
    )


def describe_machine() -> str:
    """Where this was measured, in a line."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print lines or a JSON document."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--quick", action="store_true", help="see that it runs; measures nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    wanted = parser.parse_args(arguments)
    machine, date = describe_machine(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if not wanted.json:
        print(f"{date}: {machine}", flush=True)
    report: dict[str, Any] = {"date": date, "machine": machine}
    for name in wanted.only:
        with tempfile.TemporaryDirectory(prefix="vl2v-bench-", dir=wanted.dir) as made:
            report[name] = dict(PARTS[name](Path(made), QUICK if wanted.quick else Sizes()))
        if not wanted.json:
            print(show(name, report[name]), flush=True)
    if wanted.json:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
