"""A vendor that sells a fake model: real HTTP application, real ledger, real batcher."""

import hashlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from shared.codecs import Vector
from shared.tokens import TokenizedTexts
from shared.wire import Preprocessing
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.engine.base import ModelInfo, ServedModel
from vendor_api.engine.batcher import Batcher, BatcherLimits
from vendor_api.ledger import Ledger
from vendor_api.people.passwords import Cost
from vendor_api.settings import VendorSettings

DIMENSION = 4
CONTEXT = 6
SIDE = 8
POISON = 255
"""A picture of this one level makes the fake model raise."""

INFO = ModelInfo(
    id="icon-clip",
    revision="0123456789abcdef",
    dimension=DIMENSION,
    context_length=CONTEXT,
    precision="fp32",
    logit_scale=10.0,
    preprocessing=Preprocessing(
        image_size=SIDE,
        resize_mode="shortest",
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    prompt_templates=("{}",),
    created=1,
)


@dataclass
class FakeModel:
    """Vectors made from each item's bytes; can be held up, made to fail, and remembers its batches."""

    info: ModelInfo = INFO
    batches: list[tuple[str, int]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    """Raised by every batch while set."""

    def __post_init__(self) -> None:
        self.gate.set()

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        self._enter("image", len(pixels))
        if any((picture == POISON).all() for picture in pixels):
            raise ValueError("poisoned batch")
        return np.stack([make_vector(picture) for picture in pixels])

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        self._enter("text", len(tokens))
        return np.stack([make_vector(row) for row in tokens])

    def _enter(self, lane: str, items: int) -> None:
        self.batches.append((lane, items))
        self.entered.set()
        assert self.gate.wait(30)
        if self.failure is not None:
            raise self.failure


def make_vector(item: NDArray[Any]) -> Vector:
    """float32[4] of unit length, fixed by the item's bytes."""
    seed = int.from_bytes(hashlib.sha256(item.tobytes()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class FakePreparation:
    """Pictures shrink to 8 × 8; a word's token is the length of the word."""

    def preprocess(self, image: Image.Image) -> NDArray[np.uint8]:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE)))

    def tokenize(self, texts: Any) -> TokenizedTexts:
        words = [re.findall(r"\w+", text) for text in texts]
        tokens = np.zeros((len(words), CONTEXT), dtype=np.int32)
        for row, given in enumerate(words):
            lengths = [sum(map(ord, word)) for word in given][:CONTEXT]
            tokens[row, : len(lengths)] = lengths
        return TokenizedTexts(
            tokens,
            tuple(len(given) > CONTEXT for given in words),
            tuple(min(len(given), CONTEXT) for given in words),
        )


@pytest.fixture
def fake_model() -> FakeModel:
    """The model behind `vendor`."""
    return FakeModel()


@pytest.fixture
def batcher(fake_model: FakeModel) -> Iterator[Batcher]:
    """The engine behind `vendor`."""
    engine = Batcher(fake_model, limits=BatcherLimits(max_images=4, max_texts=4))
    yield engine
    fake_model.gate.set()
    engine.close(30)


@dataclass
class Vendor:
    """A running vendor and a customer's connection to it."""

    app: FastAPI
    http: httpx.AsyncClient
    key: str
    model: FakeModel
    batcher: Batcher

    async def embed(self, *items: Any, headers: Any = None, **options: Any) -> httpx.Response:
        """POST /v1/embeddings for the fake model."""
        body = {"model": "icon-clip", "input": list(items), **options}
        return await self.http.post("/v1/embeddings", json=body, headers=headers)

    async def available(self) -> str:
        """The account's available dollars."""
        answer = await self.http.get("/v1/balance")
        return str(answer.json()["available_usd"])

    async def held(self) -> str:
        """The account's held dollars."""
        answer = await self.http.get("/v1/balance")
        return str(answer.json()["held_usd"])


@pytest.fixture
def settings() -> VendorSettings:
    """The vendor's settings; its parts are passed in, so that most do not matter."""
    return VendorSettings(max_body_bytes=200_000, decode_threads=2, audit_seconds=0)


@pytest.fixture
async def vendor(
    vendor_database_url: str,
    api_key: Any,
    pepper: bytes,
    fake_model: FakeModel,
    batcher: Batcher,
    settings: VendorSettings,
) -> AsyncIterator[Vendor]:
    """A vendor with $1.00 of credit, images at $0.0001, texts at $0.00001."""
    ledger = Ledger.open(vendor_database_url)
    authenticator = Authenticator.open(vendor_database_url, pepper)
    served = {INFO.id: ServedModel(INFO, FakePreparation(), batcher)}
    app = create_app(
        settings,
        engines=served,
        ledger=ledger,
        authenticator=authenticator,
        password_cost=Cost(passes=1, memory_kib=8, lanes=1),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        stack.push_async_callback(authenticator.close)
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://vendor",
                headers={"authorization": f"Bearer {api_key.text}"},
            )
        )
        stack.callback(fake_model.gate.set)
        yield Vendor(app, http, api_key.text, fake_model, batcher)


@pytest.fixture
def clock(vendor: Vendor) -> Callable[[float], None]:
    """The vendor's pulse by a clock that the test lets pass."""
    pulse = vendor.app.state.shop.metrics.pulse
    now = [float(pulse.began_at)]
    pulse._clock = lambda: now[0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


@pytest.fixture
def anonymous(vendor: Vendor) -> Callable[[], httpx.AsyncClient]:
    """A connection without a key."""
    return lambda: httpx.AsyncClient(
        transport=httpx.ASGITransport(vendor.app), base_url="http://vendor"
    )
