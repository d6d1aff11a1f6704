"""Load from several processes, as one could not keep up with a GPU: bodies whose every item is new."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from shared.frames import FRAMES, TENSOR, pack_frames
from tests.bench.serving.bare import WORDS, make_text
from tests.bench.serving.load import Run, Server, run_closed
from tests.bench.serving.pictures import Pictures
from tests.bench.serving.servers import MODEL, Contender

APART = 10**7
"""Between the numbers of two processes, of which each item has one."""
KINDS = ("jpeg", "jpegs", "pixels", "text", "texts")

__all__ = ["KINDS", "Load", "make_requests", "open_loaders", "run_load"]


@dataclass(frozen=True)
class Load:
    """What is asked, by how many."""

    kind: str
    """jpeg and text: one a request; jpegs and texts: framed; pixels: a tensor of pictures, ready-made."""
    callers: int
    items: int = 1
    """Of a request."""
    seconds: float = 3.0
    side: int = 224


@dataclass(frozen=True)
class _Share:
    """What one process does of a load."""

    load: Load
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    callers: int = 1
    tag: int = 0
    """No other process has it; names the items together with a number."""
    starts: float = 0.0
    """By the machine's clock."""


@contextmanager
def open_loaders(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that loads come from, ready to start at once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        list(pool.map(_warm, range(processes)))
        yield pool


def run_load(pool: ProcessPoolExecutor, one: Contender, load: Load, *, tag: int, many: int) -> Run:
    """The load on a server, from `many` processes; no other has one of the tags from `tag` on, of which
    each process takes one."""
    many = min(many, load.callers)
    starts = time.time() + 0.3
    shares = [
        _Share(
            load,
            one.port,
            one.headers,
            load.callers // many + (number < load.callers % many),
            tag + number,
            starts,
        )
        for number in range(many)
    ]
    runs = list(pool.map(_drive, shares))
    statuses: dict[int, int] = {}
    for run in runs:
        for status, count in run.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    latencies = [seconds for run in runs for seconds in run.latencies]
    return Run(max(run.seconds for run in runs), sum(r.items for r in runs), latencies, statuses)


def make_requests(one: Contender, load: Load, tag: int) -> Callable[[int], bytes]:
    """What makes request `number` of a load that no process has a part in."""
    make = _choose(_Share(load, one.port, one.headers, tag=tag))
    return lambda number: make(tag * APART + number)


@cache
def _draw() -> Pictures:
    pictures = Pictures()
    pictures.take(0)
    return pictures


def _warm(_number: int) -> None:
    _draw()
    time.sleep(1)  # so that each process gets one of these


def _drive(share: _Share) -> Run:
    load = share.load
    make = _choose(share)
    time.sleep(max(0.0, share.starts - time.time()))
    return asyncio.run(
        run_closed(
            share.port,
            make,
            callers=share.callers,
            seconds=load.seconds,
            items=load.items,
            first=share.tag * APART,
        )
    )


def _choose(share: _Share) -> Callable[[int], bytes]:
    """Request `number` of the load; its items are numbered from there in steps of a request."""
    load = share.load
    path = "text" if load.kind.startswith("text") else "image"
    types = {
        "jpeg": "image/jpeg",
        "jpegs": FRAMES,
        "pixels": TENSOR,
        "text": "text/plain",
        "texts": FRAMES,
    }
    given = {"content-type": types[load.kind]}
    if load.kind == "pixels":
        shape = f"{load.items},{load.side},{load.side},3"
        given |= {"x-shape": shape, "x-dtype": "uint8"}
    address = f"/v1/embed/{path}?model={MODEL}&dtype=float16"
    server = Server(share.port, address, share.headers | given)
    return {
        "jpeg": lambda: _make_files(server, load, framed=False),
        "jpegs": lambda: _make_files(server, load, framed=True),
        "pixels": lambda: _make_pixels(server, load),
        "text": lambda: _make_texts(server, share, framed=False),
        "texts": lambda: _make_texts(server, share, framed=True),
    }[load.kind]()


def _make_files(server: Server, load: Load, *, framed: bool) -> Callable[[int], bytes]:
    pictures = _draw()

    def make(number: int) -> bytes:
        files = [pictures.take(number * load.items + row) for row in range(load.items)]
        return server.write(pack_frames(files) if framed else files[0])

    return make


def _make_pixels(server: Server, load: Load) -> Callable[[int], bytes]:
    shape = (load.items, load.side * load.side * 3)
    drawn = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def make(number: int) -> bytes:
        numbers = number * load.items + np.arange(load.items, dtype=np.int64)
        drawn[:, :8] = numbers[:, None].view(np.uint8)
        return server.write(drawn.tobytes())

    return make


def _make_texts(server: Server, share: _Share, *, framed: bool) -> Callable[[int], bytes]:
    items = share.load.items
    ending = f"{WORDS[share.tag % 16]} {WORDS[share.tag // 16 % 16]}"

    def make(number: int) -> bytes:
        first = number % APART * items
        texts = [f"{make_text(first + row)} {ending}".encode() for row in range(items)]
        return server.write(pack_frames(texts) if framed else texts[0])

    return make
