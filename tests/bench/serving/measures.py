"""One figure of the bench each: load in, numbers out."""

import asyncio
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from shared.frames import FRAMES, pack_frames
from tests.bench.serving.bare import make_text
from tests.bench.serving.load import Answer, Run, Wire, run_closed, run_once
from tests.bench.serving.pictures import HUGE, Pictures
from tests.bench.serving.servers import MODEL, Contender

_numbers = itertools.count(1_000_000, 1_000_000)
"""Where each run starts to count, so that no picture is sent twice."""

__all__ = [
    "Overload",
    "measure_added_latency",
    "measure_bare",
    "measure_commit",
    "measure_images",
    "measure_mixed",
    "measure_overload",
    "measure_payloads",
    "measure_poison",
    "measure_texts",
    "read_metric",
    "read_timing",
]


def measure_images(one: Contender, *, callers: int, seconds: float) -> Run:
    """Pictures a second, one a request, each new; after a short warm-up."""
    pictures = Pictures()

    def make(number: int) -> bytes:
        return one.write(pictures.take(number))

    asyncio.run(run_closed(one.port, make, callers=callers, seconds=3, first=next(_numbers)))
    return asyncio.run(
        run_closed(one.port, make, callers=callers, seconds=seconds, first=next(_numbers))
    )


def measure_texts(one: Contender, *, callers: int, seconds: float, items: int = 32) -> Run:
    """Texts a second, `items` new ones a request, framed in and float16 octets out."""
    server = one.server(f"/v1/embed/text?model={MODEL}&dtype=float16", content_type=FRAMES)

    def make(number: int) -> bytes:
        texts = (make_text(number * items + row).encode() for row in range(items))
        return server.write(pack_frames(texts))

    start = next(_numbers)
    asyncio.run(run_closed(one.port, make, callers=callers, seconds=2, first=start))
    return asyncio.run(
        run_closed(
            one.port, make, callers=callers, seconds=seconds, items=items, first=next(_numbers)
        )
    )


def measure_bare(
    kind: str, weights: Path, *, precision: str, runtime: str, seconds: float
) -> dict[str, float]:
    """Items a second with no server, in a process of its own."""
    words = [sys.executable, "-m", "tests.bench.serving.bare", kind, weights, precision, runtime]
    done = subprocess.run(
        [*map(str, words), str(seconds)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_added_latency(one: Contender, *, requests: int) -> tuple[dict[str, float], float]:
    """Of lone requests, the medians of `server-timing`, and of all that is not decoding or the model."""
    pictures, first = Pictures(), next(_numbers)
    made = [one.write(pictures.take(first + number)) for number in range(requests)]
    with closing(Wire(one.port)) as wire:
        answers = [wire.ask(request) for request in made][5:]
    spans = [read_timing(answer) for answer in answers]
    split = {name: median(row[name] for row in spans) for name in spans[0]}
    added = [
        1000 * answer.seconds - row["decode"] - row["model"]
        for answer, row in zip(answers, spans, strict=True)
    ]
    return split, median(added)


def measure_commit(folder: Path, rounds: int = 200) -> float:
    """Milliseconds of one bare durable commit: a row into SQLite, WAL, synchronous=FULL."""
    connection = sqlite3.connect(folder / "commit.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS t (x BLOB)")
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (?)", (os.urandom(200),))
        took.append(1000 * (time.perf_counter() - began))
    connection.close()
    return median(took)


@dataclass(frozen=True)
class Overload:
    """What became of callers who came four times as fast as they could be served."""

    goodput: float
    """Pictures a second."""
    refused: int
    """Answers with 503 or 429."""
    at_once: int
    first_retry: int
    """Requests that succeeded after one honoured Retry-After, and after two or three."""
    later: int
    failed: int


def measure_overload(one: Contender, *, rate: float, seconds: float) -> Overload:
    """An open loop at four times `rate`, every caller honouring `retry-after-ms`, up to three times."""
    pictures, first = Pictures(), next(_numbers)
    tries: list[int | None] = []
    refused = 0

    async def call(number: int) -> None:
        nonlocal refused
        request = one.write(pictures.take(first + number))
        for attempt in range(4):
            answer = await run_once(one.port, request, 90)
            if answer.status == 200:
                tries.append(attempt)
                return
            refused += 1
            await asyncio.sleep(int(answer.headers.get("retry-after-ms", "1000")) / 1000)
        tries.append(None)

    async def drive() -> float:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(4 * rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / (4 * rate) - time.perf_counter()))
                group.create_task(call(number))
        return time.perf_counter() - began

    took = asyncio.run(drive())
    done = [attempt for attempt in tries if attempt is not None]
    return Overload(
        len(done) / took,
        refused,
        done.count(0),
        done.count(1),
        sum(attempt > 1 for attempt in done),
        tries.count(None),
    )


def measure_mixed(one: Contender, *, seconds: float) -> tuple[Run, Run]:
    """Lone texts, and the same beside a stream of 12-megapixel pictures."""
    server = one.server(f"/v1/embed/text?model={MODEL}&dtype=float16", content_type="text/plain")
    huge = Pictures(HUGE, kinds=2)
    huge.take(0)

    def write_text(number: int) -> bytes:
        return server.write(make_text(number).encode())

    def write_picture(number: int) -> bytes:
        return one.write(huge.take(number))

    alone = asyncio.run(
        run_closed(one.port, write_text, callers=1, seconds=seconds, first=next(_numbers))
    )

    async def both() -> Run:
        stream = asyncio.create_task(
            run_closed(
                one.port, write_picture, callers=4, seconds=seconds + 2, first=next(_numbers)
            )
        )
        await asyncio.sleep(1)
        texts = await run_closed(
            one.port, write_text, callers=1, seconds=seconds, first=next(_numbers)
        )
        await stream
        return texts

    return alone, asyncio.run(both())


def measure_payloads(one: Contender) -> dict[str, int]:
    """Bytes of answers: of one vector by kind, and what JSON adds to 64 of them."""
    texts = [make_text(next(_numbers) + row) for row in range(64)]
    server = one.server("/v1/embeddings", content_type="application/json")

    def ask(given: list[str], **options: str) -> Answer:
        body = json.dumps({"model": MODEL, "input": given, **options}).encode()
        return asyncio.run(run_once(one.port, server.write(body)))

    def measure(**options: str) -> int:
        answer = ask(texts[:1], **options)
        row = json.loads(answer.body)["data"][0]["embedding"]
        return len(row)

    many = ask(texts, encoding_format="base64", embed_dtype="float16")
    vectors = sum(len(row["embedding"]) for row in json.loads(many.body)["data"])
    octets = ask(texts[:1], encoding_format="bytes_only", embed_dtype="float16")
    return {
        "float16 octets": len(octets.body),
        "base64 float16": measure(encoding_format="base64", embed_dtype="float16"),
        "base64 float32": measure(encoding_format="base64", embed_dtype="float32"),
        "JSON beside 64 vectors": len(many.body) - vectors,
    }


def measure_poison(one: Contender, seconds: float = 8) -> str:
    """Good picture, truncated picture, good picture: the three statuses; 0 is no answer in time."""
    pictures, first = Pictures(), next(_numbers)
    good, other = (pictures.take(first + number) for number in range(2))
    sent = (good, pictures.take(first + 2)[:-9000], other)
    return " ".join(str(_ask_patiently(one, one.write(data), seconds)) for data in sent)


def _ask_patiently(one: Contender, request: bytes, seconds: float) -> int:
    try:
        return asyncio.run(run_once(one.port, request, seconds)).status
    except (TimeoutError, OSError, EOFError):
        return 0


def read_metric(one: Contender, starts: str) -> float:
    """The sum of a metric's lines in our `/metrics`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{one.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(starts))


def read_timing(answer: Answer) -> dict[str, float]:
    """Milliseconds by name, of an answer's `server-timing`."""
    parts = (part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    return {name: float(took) for name, took in parts}
