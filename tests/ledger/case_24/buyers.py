"""A client process with as many threads as a test wants: the command's own parts, put together."""

import json
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from client.acquire import hold_run
from client.api import VendorClient
from client.cache import EmbeddingStore
from shared.digests import digest_image
from tests.client.shop import Shop
from tests.ledger.conftest import House
from tests.ledger.tiny import MODEL

THREADS = 8


@dataclass(frozen=True)
class Order:
    """What a process is to buy, and how."""

    url: str
    key: str
    home: Path
    folder: Path
    run: str
    cap_nanousd: int


@dataclass
class RealVendor:
    """What a shop needs of a vendor, over HTTP."""

    order: Order
    rebuy_free_days: int = 0

    def client(self, **options: Any) -> VendorClient:
        """A client of the account."""
        return VendorClient(api_key=self.order.key, base_url=self.order.url, **options)

    def model_document(self) -> dict[str, Any]:
        """What the vendor says of its model."""
        with self.client() as client:
            document = client.models.get(MODEL)
        self.rebuy_free_days = document.rebuy_free_days
        return dict(json.loads(document.model_dump_json()))


def buy(order: Order, ended: Connection) -> None:
    """Buy every picture of the folder; sends what the receipt says."""
    with EmbeddingStore.open(order.home / "client.db") as store:
        shop = Shop(RealVendor(order), store, order.folder, run=order.run, sleep=time.sleep)  # type: ignore[arg-type]
        shop.cap, shop.threads = order.cap_nanousd, THREADS
        shop.images = {digest_image(p.read_bytes()): p for p in order.folder.rglob("*.png")}
        with hold_run(store.database, order.run):
            receipt = shop.fetch()
    ended.send((receipt.items["image"], receipt.cost_nanousd, str(receipt.stopped or "")))


@dataclass
class Buyer:
    """A client process under way."""

    process: BaseProcess
    ended: Connection

    def end(self) -> tuple[int, int, str]:
        """Images, nano-dollars and why it stopped, by its receipt."""
        with self.ended:
            assert self.ended.poll(120)
            images, cost, stopped = self.ended.recv()
        self.process.join(20)
        return images, cost, stopped


def start_buyer(
    house: House, home: Path, folder: Path, run: str, *, cap_nanousd: int = 10**9
) -> Buyer:
    """Let a process with eight threads buy every picture of a folder."""
    context = multiprocessing.get_context("forkserver")
    mine, theirs = context.Pipe(duplex=False)
    order = Order(house.running[-1].url, house.key, home, folder, run, cap_nanousd)
    process = context.Process(target=buy, args=(order, theirs))
    process.start()
    theirs.close()
    return Buyer(process, mine)
