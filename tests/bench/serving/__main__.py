"""The vendor beside its peers: same random ViT-B/32, same pictures, same cores, metering on.

    python -m tests.bench.serving [--seconds S] [--dir FOLDER] [--pictures DEMO] [--only PART …] [--json]

Every picture is new. The precision gate reads the demo's pictures, and renders them where `make demo`
has not. Peers are installed into environments of their own under FOLDER at first use; the machine should
be idle.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.serving import measures
from tests.bench.serving.precision import measure_precision, render_pictures
from tests.bench.serving.servers import serve_infinity, serve_litserve, serve_ours
from tests.bench.serving.uploads import measure_uploads
from tests.bench.serving.weights import make_openclip

CALLERS = 32
BATCHES = (8, 32)

Report = dict[str, Any]


class Bench:
    """Weights, folders and times that the parts share."""

    def __init__(self, home: Path, seconds: float, pictures: Path) -> None:
        self.home = home
        self.seconds = seconds
        self.pictures = pictures
        """The demo's, for the precision gate."""
        self.weights = home / "ViT-B-32"
        if not (self.weights / "open_clip_config.json").exists():
            make_openclip(self.weights)
        self._shops = 0

    def ours(self, precision: str, runtime: str = "torch", **settings: str) -> Any:
        """A fresh vendor."""
        self._shops += 1
        folder = Path(tempfile.mkdtemp(prefix=f"shop{self._shops}-", dir=self.home))
        name = f"vl2v {precision}" + (f" {runtime}" if runtime != "torch" else "")
        return serve_ours(
            self.weights, folder, name=name, precision=precision, runtime=runtime, **settings
        )

    def peers(self) -> list[Any]:
        """Every peer at every batch size."""
        venvs = self.home / "venvs"
        return [
            serve(self.weights, self.home, venvs=venvs, batch=batch)
            for serve in (serve_infinity, serve_litserve)
            for batch in BATCHES
        ]


def run_images(bench: Bench) -> Report:
    """Pictures a second at 32 callers."""
    found: Report = {}
    contenders = [bench.ours("bf16"), bench.ours("fp32", "onnx"), *bench.peers()]
    for contender in contenders:
        with contender as one:
            run = measures.measure_images(one, callers=CALLERS, seconds=bench.seconds)
            row: Report = {"images/s": run.rate, "p50 s": run.median, "p99 s": run.percentile(0.99)}
            row["statuses"] = run.statuses
            if one.name.startswith("vl2v"):
                row["cache hits"] = measures.read_metric(one, "vl2v_results_total")
            found[one.name] = row
            print(
                f"  {one.name:32} {run.rate:8.1f} images/s  p50 {run.median:.2f} s  {run.statuses}"
            )
    for precision, runtime in (("bf16", "torch"), ("fp32", "onnx")):
        bare = measures.measure_bare(
            "images", bench.weights, precision=precision, runtime=runtime, seconds=bench.seconds
        )
        found[f"bare loop {precision} {runtime}"] = {"images/s": bare["rate"]}
        print(f"  bare loop {precision} {runtime:22} {bare['rate']:8.1f} images/s")
    return found | {"ratios": _compare(found)}


def _compare(found: Report) -> Report:
    rates = {name: row["images/s"] for name, row in found.items()}
    best = {
        peer: max(rate for name, rate in rates.items() if name.startswith(peer))
        for peer in ("infinity", "LitServe")
    }
    ratios = {
        f"{ours} / {peer}": rates[ours] / rate
        for ours in ("vl2v bf16", "vl2v fp32 onnx")
        for peer, rate in best.items()
    }
    ratios["vl2v bf16 / bare loop"] = rates["vl2v bf16"] / rates["bare loop bf16 torch"]
    ratios["vl2v fp32 onnx / bare loop"] = rates["vl2v fp32 onnx"] / rates["bare loop fp32 onnx"]
    for name, ratio in ratios.items():
        print(f"  {name:40} {ratio:6.2f} x")
    return ratios


def run_texts(bench: Bench) -> Report:
    """Texts a second, beside open_clip's own padded loop in fp32."""
    with bench.ours("fp32") as one:
        run = measures.measure_texts(one, callers=8, seconds=bench.seconds)
    bare = measures.measure_bare(
        "texts", bench.weights, precision="fp32", runtime="torch", seconds=bench.seconds
    )
    ratio = run.rate / bare["rate"]
    print(f"  {run.rate:.0f} texts/s, open_clip's loop {bare['rate']:.0f}: {ratio:.1f} x (goal 6)")
    print(f"  largest difference of a coordinate {bare['difference']:.1e} (goal 1e-5)")
    return {"texts/s": run.rate, "loop": bare["rate"], "ratio": ratio, **bare}


def run_latency(bench: Bench) -> Report:
    """What the service adds to decoding and the model, alone."""
    commit = measures.measure_commit(bench.home)
    with bench.ours("bf16") as one:
        split, added = measures.measure_added_latency(one, requests=100)
    print(f"  added {added:.2f} ms; goal 2 ms + one durable commit of {commit:.2f} ms")
    print("  " + ", ".join(f"{name} {took:.2f}" for name, took in split.items()) + " ms")
    print("  (reserve goes on beside decode)")
    return {"added ms": added, "commit ms": commit, "split ms": split}


def run_overload(bench: Bench) -> Report:
    """Four times what can be served."""
    with bench.ours("bf16", VENDOR_MAX_QUEUED_MS="2000") as one:
        peak = measures.measure_images(one, callers=CALLERS, seconds=bench.seconds)
        found = measures.measure_overload(one, rate=peak.rate, seconds=bench.seconds)
    share = found.goodput / peak.rate
    print(
        f"  peak {peak.rate:.1f}, under 4 x load {found.goodput:.1f} images/s ({share:.0%}; goal 90 %)"
    )
    print(f"  {found}")
    return {"peak": peak.rate, "share": share, **vars(found)}


def run_mixed(bench: Bench) -> Report:
    """Texts beside large pictures."""
    with bench.ours("bf16") as one:
        alone, beside = measures.measure_mixed(one, seconds=bench.seconds)
    before, after = (1000 * run.percentile(0.99) for run in (alone, beside))
    print(
        f"  text p99 {before:.1f} ms alone, {after:.1f} ms beside 12 MP pictures: "
        f"{after / before:.1f} x (goal 4)"
    )
    return {"alone ms": before, "beside ms": after, "ratio": after / before}


def run_payloads(bench: Bench) -> Report:
    """Bytes of a 512-d answer."""
    with bench.ours("bf16") as one:
        found = measures.measure_payloads(one)
    for name, size in found.items():
        print(f"  {name:24} {size:7,} bytes")
    return dict(found)


def run_pixels(bench: Bench) -> Report:
    """Clients that decode and resize themselves, with the vendor's published transform."""
    report: Report = {}
    for precision in ("bf16", "fp32"):
        with bench.ours(precision) as one:
            found = measure_uploads(one, callers=CALLERS, seconds=bench.seconds)
        print(
            f"  {precision}: files {found.files.rate:.1f} images/s of {found.file_bytes:,} bytes, "
            f"pixels {found.pixels.rate:.1f} of {found.pixel_bytes:,}"
        )
        print(
            f"        {found.identical} of {found.pictures} vectors the same to the bit, "
            f"least cosine {found.least_cosine:.7f} (goal 0.99999)"
        )
        report[precision] = {
            "files/s": found.files.rate,
            "pixels/s": found.pixels.rate,
            "file bytes": found.file_bytes,
            "pixel bytes": found.pixel_bytes,
            "least cosine": found.least_cosine,
            "identical": found.identical,
            "pictures": found.pictures,
        }
    return report


def run_poison(bench: Bench) -> Report:
    """Good, truncated, good: statuses, 0 for no answer within 8 s."""
    found = {}
    for contender in [bench.ours("bf16"), *bench.peers()[::2]]:
        with contender as one:
            found[one.name] = measures.measure_poison(one)
            print(f"  {one.name:32} {found[one.name]}")
    return found


def run_precision(bench: Bench) -> Report:
    """May the demo's teacher be sold in bf16: 1,000 of the demo's pictures, all concepts and styles."""
    render_pictures(bench.pictures)
    found: Report = measure_precision(bench.pictures)
    print(
        f"  {found['pictures']:,} pictures: mean cosine {found['mean_cosine']:.6f} (goal 0.9999), least "
        f"{found['least_cosine']:.6f} (0.9995), the same top-1 {found['top1']:.2%} (99.5 %): "
        f"{'bf16 may be sold' if found['passes'] else 'fp32'}"
    )
    return found


PARTS: dict[str, Callable[[Bench], Report]] = {
    "images": run_images,
    "texts": run_texts,
    "latency": run_latency,
    "overload": run_overload,
    "mixed": run_mixed,
    "payloads": run_payloads,
    "pixels": run_pixels,
    "poison": run_poison,
    "precision": run_precision,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the parts and print what they measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--dir", type=Path, default=Path("demo-out/bench-serving"))
    parser.add_argument("--pictures", type=Path, default=Path("demo-out/data"))
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    chosen = parser.parse_args(arguments)
    chosen.dir.mkdir(parents=True, exist_ok=True)
    bench = Bench(chosen.dir.resolve(), chosen.seconds, chosen.pictures.resolve())
    cores = len(os.sched_getaffinity(0))
    when = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.processor() or platform.machine()}, {cores} cores"
    )
    print(f"{when}, {chosen.seconds:g} s each")
    found: Report = {"when": when}
    for part in chosen.only:
        print(f"{part}: {PARTS[part].__doc__}")
        found[part] = PARTS[part](bench)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
