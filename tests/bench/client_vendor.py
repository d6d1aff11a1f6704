"""A real vendor in a process of its own whose model costs next to nothing: the client is what is measured.

    python -m tests.bench.client_vendor FOLDER [--items-per-minute N] [--weights local-dir:PATH]

Real server, real SQLite ledger with synchronous=FULL, real batcher; only the model is a projection of
the pixels, unless `--weights` names a real one. Prints one JSON line with its address and a customer's
key, and serves until it is killed.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector
from shared.migrating import upgrade
from shared.money import parse_usd
from tests.ledger.tiny import CONTEXT, INFO, MODEL, SIDE, TinyPreparation
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.auth.repository import issue_key
from vendor_api.db import open_database, read_clock
from vendor_api.engine.base import ModelInfo, ServedModel
from vendor_api.engine.batcher import Batcher
from vendor_api.engine.local import Manner, ModelSpec, load_served
from vendor_api.engine.trial import measure_item_ms
from vendor_api.ledger import Ledger
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.prices import set_prices
from vendor_api.logs import configure_logs
from vendor_api.server import bind, run_server, url_of
from vendor_api.settings import VendorSettings

DIMENSION = 512
PEPPER = bytes(32)

__all__ = ["MODEL", "Vendor", "start_vendor"]


class Projection:
    """Unit vectors by one matrix product."""

    info: ModelInfo = replace(INFO, dimension=DIMENSION)

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._images = rng.normal(size=(SIDE * SIDE * 3, DIMENSION)).astype(np.float32)
        self._texts = rng.normal(size=(CONTEXT, DIMENSION)).astype(np.float32)

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """float32[n, d] of uint8[n, h, w, 3]."""
        return _unit(pixels.reshape(len(pixels), -1).astype(np.float32) @ self._images)

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        """float32[n, d] of int32[n, context]."""
        return _unit(tokens.astype(np.float32) @ self._texts)


def _unit(vectors: Vector) -> Vector:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), dtype=np.float32)


@dataclass(frozen=True)
class Vendor:
    """A vendor that answers."""

    url: str
    key: str
    pid: int


@contextmanager
def start_vendor(folder: Path, *arguments: str) -> Iterator[Vendor]:
    """Serve from a fresh database below `folder` until the block ends."""
    command = [sys.executable, "-m", "tests.bench.client_vendor", str(folder), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Vendor(ready["url"], ready["key"], process.pid)
    finally:
        process.kill()
        process.communicate()


def load_model(weights: str | None) -> ServedModel:
    """The projection, or a real model as a vendor serves it."""
    if weights is not None:
        return load_served(ModelSpec(MODEL, weights), manner=Manner())
    model = Projection()
    return ServedModel(
        model.info, TinyPreparation(), Batcher(model, item_ms=measure_item_ms(model))
    )


def open_shop(url: str) -> str:
    """The key of a customer whose credit does not run out, on a fresh database."""
    upgrade("vendor", url)
    database = open_database(url)
    with database.write() as connection:
        now = read_clock(connection)
        account = create_account(connection, now, "bench")
        set_prices(
            connection, now, MODEL, {"image": parse_usd("0.0001"), "text": parse_usd("0.00001")}
        )
        key = issue_key(connection, now, PEPPER, account.id, name="bench")
    database.close()
    asyncio.run(_fund(url, account.id))
    return key.text


async def _fund(url: str, account_id: str) -> None:
    ledger = Ledger.open(url)
    await ledger.credit(account_id, parse_usd("1000000"), "bench")
    await ledger.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client_vendor")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items-per-minute", type=int, default=0, help="0: no limit")
    parser.add_argument("--requests-per-minute", type=int, default=0, help="0: no limit")
    parser.add_argument("--weights", help="an open_clip model instead of the projection")
    wanted = parser.parse_args(arguments)
    wanted.folder.mkdir(parents=True)
    configure_logs(json=False, level="error")
    url = f"sqlite:///{wanted.folder}/vendor.db"
    key = open_shop(url)
    settings = VendorSettings(
        items_per_minute=wanted.items_per_minute,
        requests_per_minute=wanted.requests_per_minute,
        bytes_per_minute=0,
        audit_seconds=0,
    )
    served = {MODEL: load_model(wanted.weights)}
    ledger, authenticator = Ledger.open(url), Authenticator.open(url, PEPPER)
    app = create_app(settings, engines=served, ledger=ledger, authenticator=authenticator)
    listening = bind("127.0.0.1", 0)

    def announce() -> None:
        print(json.dumps({"url": url_of(listening), "key": key}), flush=True)

    run_server(app, listening, announce)
    os._exit(0)


if __name__ == "__main__":
    main()
