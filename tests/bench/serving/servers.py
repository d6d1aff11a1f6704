"""The servers that are compared, each in processes of its own."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.migrating import upgrade
from shared.money import parse_usd
from tests.bench.serving.environments import find_program
from tests.bench.serving.load import Server
from vendor_api.auth.repository import issue_key
from vendor_api.db import open_database, read_clock
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.commands import Credit
from vendor_api.ledger.credits import add_credit
from vendor_api.ledger.prices import set_prices

MODEL = "clip"
PEPPER = b"a pepper for a bench, 32 bytes .."

__all__ = ["MODEL", "Contender", "serve_infinity", "serve_litserve", "serve_ours"]


@dataclass(frozen=True)
class Contender:
    """A running server, and how a picture is put to it."""

    name: str
    port: int
    write: Callable[[bytes], bytes]
    """A file → a whole request for its vector."""
    pid: int
    headers: dict[str, str] = field(default_factory=dict)

    def server(self, path: str, **headers: str) -> Server:
        """Another route of it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Server(self.port, path, self.headers | named)


@contextmanager
def serve_ours(
    weights: Path,
    folder: Path,
    *,
    name: str,
    precision: str,
    runtime: str = "torch",
    **settings: str,
) -> Iterator[Contender]:
    """The vendor with SQLite, metering on, limits off; pictures as raw bodies, float16 octets back."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'vendor.db'}"
    key = _open_shop(url, folder)
    port = _find_port()
    limits = ("REQUESTS_PER_MINUTE", "ITEMS_PER_MINUTE", "BYTES_PER_MINUTE", "CONCURRENCY")
    given = {f"VENDOR_{limit}": "0" for limit in limits}
    given |= {
        "VENDOR_DATABASE_URL": url,
        "VENDOR_KEY_PEPPER_FILE": str(folder / "pepper"),
        "VENDOR_MODELS": f"{MODEL}=local-dir:{weights}",
        "VENDOR_PRECISION": precision,
        "VENDOR_RUNTIME": runtime,
        "VENDOR_LOG_LEVEL": "warning",
    }
    words = [sys.executable, "-m", "vendor_api.cli", "serve", "--port", str(port)]
    headers = {"authorization": f"Bearer {key}", "content-type": "image/jpeg"}
    server = Server(port, f"/v1/embed/image?model={MODEL}&dtype=float16", headers)
    with _run(
        words, given | settings, folder / "server.log", f"http://127.0.0.1:{port}/readyz"
    ) as pid:
        yield Contender(name, port, server.write, pid, {"authorization": f"Bearer {key}"})


@contextmanager
def serve_infinity(weights: Path, folder: Path, *, venvs: Path, batch: int) -> Iterator[Contender]:
    """infinity 0.0.78 on the same weights in transformers' format."""
    program = find_program("infinity", "infinity_emb", venvs)
    theirs = folder / "transformers"
    if not theirs.exists():
        python = find_program("infinity", "python", venvs)
        script = Path(__file__).with_name("weights.py")
        subprocess.run([python, script, weights, theirs], check=True, cwd=folder)
    port = _find_port()
    words = [program, "v2", "--model-id", theirs, "--served-model-name", MODEL, "--engine", "torch"]
    words += ["--device", "cpu", "--dtype", "float32", "--batch-size", str(batch)]
    words += ["--no-bettertransformer", "--no-model-warmup", "--host", "127.0.0.1", "--port", port]
    server = Server(port, "/embeddings", {"content-type": "application/json"})

    def write(data: bytes) -> bytes:
        uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
        body = {"model": MODEL, "modality": "image", "input": [uri], "encoding_format": "base64"}
        return server.write(json.dumps(body).encode())

    quiet = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    log = folder / f"infinity-{batch}.log"
    with _run([str(word) for word in words], quiet, log, f"http://127.0.0.1:{port}/models") as pid:
        yield Contender(f"infinity 0.0.78, batch {batch}", port, write, pid)


@contextmanager
def serve_litserve(weights: Path, folder: Path, *, venvs: Path, batch: int) -> Iterator[Contender]:
    """LitServe 0.2.19 around open_clip on the same weights."""
    python = find_program("litserve", "python", venvs)
    port = _find_port()
    script = Path(__file__).with_name("litserve_app.py")
    words = [str(word) for word in (python, script, weights, port, batch)]
    server = Server(port, "/predict", {"content-type": "application/json"})

    def write(data: bytes) -> bytes:
        return server.write(json.dumps({"image_data": base64.b64encode(data).decode()}).encode())

    log = folder / f"litserve-{batch}.log"
    with _run(words, {}, log, f"http://127.0.0.1:{port}/health") as pid:
        yield Contender(f"LitServe 0.2.19, batch {batch}", port, write, pid)


@contextmanager
def _run(words: list[str], settings: dict[str, str], log: Path, ready: str) -> Iterator[int]:
    cores = str(len(os.sched_getaffinity(0)))
    with log.open("w") as file:
        process = subprocess.Popen(
            words,
            env={"OMP_NUM_THREADS": cores, **os.environ, **settings},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        _await_ready(process, ready, log)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_ready(
    process: "subprocess.Popen[bytes]", url: str, log: Path, seconds: float = 180
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"{process.args!r} did not start:\n{log.read_text()[-3000:]}")


def _open_shop(url: str, folder: Path) -> str:
    (folder / "pepper").write_bytes(PEPPER)
    upgrade("vendor", url)
    database = open_database(url)
    with database.write() as connection:
        now = read_clock(connection)
        set_prices(connection, now, MODEL, {"image": 100_000, "text": 10_000})
        customer = create_account(connection, now, "bench")
        add_credit(connection, now, Credit(customer.id, parse_usd("1000000.00"), "opening"))
        key = issue_key(connection, now, PEPPER, customer.id, name="bench")
    database.close()
    return key.text


def _find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
