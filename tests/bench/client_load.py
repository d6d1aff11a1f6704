"""A bare load generator: requests made beforehand, sent as fast as they are answered, nothing kept.

    python -m tests.bench.client_load URL KEY BODIES --at-once N

asyncio streams without an HTTP library; an answer is read to its end and thrown away. A vendor that has
too much to do is asked again when it says. Prints JSON.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from client.api.calls import EMBED_PATHS
from shared.frames import FRAMES
from shared.wire import Modality
from tests.ledger.tiny import MODEL

TRIES = 5

__all__ = ["read_bodies", "write_bodies"]


def write_bodies(file: Path, bodies: Iterable[tuple[Modality, bytes]]) -> None:
    """Keep request bodies, each behind what it holds and its length."""
    with file.open("wb") as out:
        for modality, body in bodies:
            out.write(modality.encode().ljust(8) + len(body).to_bytes(8, "big") + body)


def read_bodies(file: Path) -> Iterator[tuple[Modality, bytes]]:
    """What `write_bodies` kept."""
    with file.open("rb") as source:
        while named := source.read(8):
            length = int.from_bytes(source.read(8), "big")
            yield ("text" if named.strip() == b"text" else "image"), source.read(length)


async def send_all(
    url: str, key: str, bodies: Sequence[tuple[Modality, bytes]], at_once: int
) -> float:
    """Seconds from the first byte sent to the last received."""
    waiting = iter(list(enumerate(bodies)))
    place = urlsplit(url)
    lanes = [await asyncio.open_connection(place.hostname, place.port) for _ in range(at_once)]
    head = (
        f"?model={MODEL}&dtype=float16 HTTP/1.1\r\nhost: {place.netloc}\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: {FRAMES}\r\n"
    )

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, (modality, body) in waiting:
            more = f"idempotency-key: load-{number}\r\ncontent-length: {len(body)}\r\n\r\n"
            request = f"POST {EMBED_PATHS[modality]}{head}{more}".encode() + body
            for _ in range(TRIES):
                if (wait_s := await _ask(reader, writer, request)) is None:
                    break
                await asyncio.sleep(wait_s)
            else:
                raise SystemExit(f"request {number} was refused {TRIES} times")

    began = time.perf_counter()
    await asyncio.gather(*(work(*lane) for lane in lanes))
    seconds = time.perf_counter() - began
    for _, writer in lanes:
        writer.close()
    return seconds


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> float | None:
    """None: it was answered; else the seconds that an overloaded vendor asks for."""
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(fields["content-length"]))
    if " 503 " in head[0]:
        return int(fields["retry-after-ms"]) / 1000
    assert " 200 " in head[0], head[0]
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Send all, and print how long it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client_load")
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--at-once", type=int, required=True)
    wanted = parser.parse_args(arguments)
    bodies = list(read_bodies(wanted.bodies))
    began = time.process_time()
    seconds = asyncio.run(send_all(wanted.url, wanted.key, bodies, wanted.at_once))
    cpu = time.process_time() - began
    print(json.dumps({"seconds": seconds, "requests": len(bodies), "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
