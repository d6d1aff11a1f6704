"""A vendor on a GPU beside the GPU alone: random ViT-B/32, SQLite, metering on, every item new.

    python -m tests.bench.serving.gpu [--device cuda|cpu] [--seconds S] [--dir FOLDER] [--only PART]
        [--batch N] [--callers N] [--processes N] [--json]

`bare`: what the device does with no server, eager, as CUDA graphs, and with two batches under way.
`served`: the same weights behind `vl2v-vendor serve`, asked by several processes at once; also what
each part of the server kept busy, so that the narrowest can be seen.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from shared.money import parse_usd
from tests.bench.serving.load import Line
from tests.bench.serving.loaders import Load, make_requests, open_loaders, run_load
from tests.bench.serving.measures import read_metric, read_timing
from tests.bench.serving.servers import Contender, serve_ours
from tests.bench.serving.weights import make_openclip

LOADS = (
    *(Load("jpeg", callers) for callers in (1, 32, 256)),
    *(Load("jpegs", callers, 16) for callers in (1, 32)),
    *(Load("pixels", callers, 64) for callers in (1, 8, 32)),
    *(Load("text", callers) for callers in (1, 32, 256)),
    *(Load("texts", callers, 64) for callers in (1, 8, 32)),
)
PRICES = {"image": 100_000, "text": 10_000}
"""As the bench's shop asks."""
SPLIT = 21
"""Lone requests that are asked where their time went."""
TICKS = os.sysconf("SC_CLK_TCK")

Report = dict[str, Any]


def main(arguments: list[str] | None = None) -> None:
    """Run the parts and print what they measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--dir", type=Path, default=Path("demo-out/bench-gpu"))
    parser.add_argument("--only", nargs="+", choices=("bare", "served"))
    parser.add_argument("--batch", type=int, default=256, help="the largest batch")
    parser.add_argument("--callers", type=int, default=256, help="leave out loads of more")
    parser.add_argument("--processes", type=int, default=6, help="that the load comes from")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    chosen = parser.parse_args(arguments)
    home = chosen.dir.resolve()
    weights = home / "ViT-B-32"
    if not (weights / "open_clip_config.json").exists():
        make_openclip(weights)
    cores = len(os.sched_getaffinity(0))
    when = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {cores} cores"
    print(when)
    found: Report = {"when": when}
    parts = chosen.only or ("bare", "served")
    if "bare" in parts:
        found["bare"] = run_bare(weights, chosen)
    if "served" in parts:
        found["served"] = run_served(weights, home, chosen)
    if chosen.json:
        print(json.dumps(found))


def run_bare(weights: Path, chosen: argparse.Namespace) -> Report:
    """The device alone, in a process of its own."""
    words = [sys.executable, "-m", "tests.bench.serving.gpu_bare", str(weights)]
    words += ["--device", chosen.device, "--batch", str(chosen.batch)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    *said, last = done.stdout.splitlines()
    found: Report = json.loads(last)
    print(f"{found['device']}, torch {found['torch']}; {'; '.join(said)}")
    for threads, rate in found["decode"].items():
        print(f"  JPEGs/s decoded and resized, threads {threads:>3}: {rate:,.0f}")
    for precision in ("fp32", "bf16"):
        if alone := found.get(f"{precision} alone"):
            rates = "  ".join(f"{size}: {rate:,.0f}" for size, rate in alone["images/s"].items())
            print(
                f"  images/s on the device alone, {precision}: {rates}; to it {alone['GB/s']:.1f} GB/s"
            )
    for kind in ("images/s", "texts/s"):
        for way, row in found["ways"].items():
            rates = "  ".join(f"{size}: {rate:9,.0f}" for size, rate in row[kind].items())
            print(f"  {kind} {way:36} {rates}")
    for way, row in found["ways"].items():
        for kind, apart in zip(("images", "texts"), row["agreement"], strict=True):
            print(
                f"  {kind:6} {way:36} from fp32 on the processor: {apart['difference']:.1e}, "
                f"least cosine {apart['least cosine']:.7f}, mean {apart['mean cosine']:.7f}"
            )
    return found


def run_served(weights: Path, home: Path, chosen: argparse.Namespace) -> Report:
    """The device behind a server."""
    folder = Path(tempfile.mkdtemp(prefix="shop-", dir=home))
    settings = {"VENDOR_DEVICE": chosen.device, "VENDOR_CUDA_BATCH": str(chosen.batch)}
    rows: list[Report] = []
    tag, owed = 0, 0
    warm = ""
    began = time.perf_counter()
    with (
        open_loaders(chosen.processes) as pool,
        serve_ours(weights, folder, name="vl2v", precision="bf16", **settings) as one,
    ):
        print(f"  ready after {time.perf_counter() - began:.1f} s")
        for load in LOADS:
            if load.callers > chosen.callers:
                continue
            price = PRICES["text" if load.kind.startswith("text") else "image"]
            for seconds in (chosen.seconds,) if warm == load.kind else (0.7, chosen.seconds):
                timed = Load(load.kind, load.callers, load.items, seconds)
                before = _Busy(one.pid), _read_batches(one)
                run = run_load(pool, one, timed, tag=tag, many=chosen.processes)
                after = _Busy(one.pid), _read_batches(one)
                tag += chosen.processes
                owed += run.items * price
            warm = load.kind
            rows.append(
                {
                    "load": load.kind,
                    "callers": load.callers,
                    "items": load.items,
                    "items/s": run.rate,
                    "p50 ms": 1000 * run.median,
                    "p99 ms": 1000 * run.percentile(0.99),
                    "statuses": run.statuses,
                    "batch": _divide(after[1], before[1]),
                    **after[0].since(before[0], run.seconds),
                    "split ms": _split(one, load, tag) if load.callers == 1 else {},
                }
            )
            tag += 1
            owed += SPLIT * load.items * price * (load.callers == 1)
            print(_write(rows[-1]))
        hits = read_metric(one, "vl2v_results_total")
        billed = _read_bill(one)
    print(f"  cache hits {hits:.0f}; billed {billed}, delivered {owed} nano-USD")
    return {"loads": rows, "cache hits": hits, "billed": billed, "delivered": owed}


def _write(row: Report) -> str:
    return (
        f"  {row['load']:6} {row['callers']:4} callers × {row['items']:3}: {row['items/s']:9,.0f} items/s"
        f"  p50 {row['p50 ms']:8.2f}  p99 {row['p99 ms']:8.2f} ms  batch {row['batch']:6.1f}"
        f"  cores: loop {row['loop']:.2f}, server {row['server']:.2f}, engine {row['engine']:.2f}"
        f"  {row['statuses']}"
        + "".join(f"\n      {name} {took:.2f} ms" for name, took in row["split ms"].items())
    )


def _split(one: Contender, load: Load, tag: int) -> dict[str, float]:
    """Where the time of lone requests goes: medians of `server-timing`."""
    make = make_requests(one, load, tag)

    async def ask() -> list[dict[str, float]]:
        line = Line(one.port)
        answers = [await line.ask(make(number)) for number in range(SPLIT)]
        line.close()
        return [read_timing(answer) for answer in answers]

    spans = asyncio.run(ask())
    return {name: median(span.get(name, 0.0) for span in spans) for name in spans[0]}


class _Busy:
    """Seconds of processor time so far: of the server's event loop, all of the server, its engine."""

    def __init__(self, pid: int) -> None:
        self.loop = _read_seconds(Path(f"/proc/{pid}/task/{pid}/stat"))
        self.server = _read_seconds(Path(f"/proc/{pid}/stat"))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.engine = sum(_read_seconds(Path(f"/proc/{child}/stat")) for child in children)

    def since(self, before: "_Busy", seconds: float) -> Report:
        """Cores that each kept busy."""
        spans = {name: vars(self)[name] - vars(before)[name] for name in vars(self)}
        return {name: span / seconds if seconds else 0.0 for name, span in spans.items()}


def _read_seconds(stat: Path) -> float:
    words = stat.read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def _read_batches(one: Contender) -> tuple[float, float]:
    """Items in all batches so far, and batches."""
    name = "vl2v_embed_batch_size"
    return read_metric(one, f"{name}_sum"), read_metric(one, f"{name}_count")


def _divide(after: tuple[float, float], before: tuple[float, float]) -> float:
    return (after[0] - before[0]) / max(after[1] - before[1], 1)


def _read_bill(one: Contender) -> int:
    address = f"http://127.0.0.1:{one.port}/v1/balance"
    with urllib.request.urlopen(urllib.request.Request(address, headers=one.headers)) as answer:
        return parse_usd(json.load(answer)["debited_usd"])


if __name__ == "__main__":
    main()
