"""The seam between the API and whatever computes vectors: numpy in, vectors or per-item failures out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.codecs import Vector
from shared.tokens import TokenizedTexts
from shared.wire import Modality, Preprocessing
from vendor_api.stopwatch import Stopwatch

Pixels = NDArray[np.uint8]
"""uint8[h, w, 3], already resized and cropped to the model's image size."""
Tokens = NDArray[np.int32]
"""int32[context], padded with zeros."""
Item = Pixels | Tokens
Fault = Literal["item", "engine"]
Runtime = Literal["torch", "onnx"]
"""What computes images in fp32."""


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why one item has no vector; its neighbours are unaffected."""

    reason: str
    fault: Fault = "item"
    """Whether the same item could succeed later: then it was the engine's fault."""


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What waits of one modality, in estimated milliseconds."""

    queued_ms: float
    item_ms: float
    """What one more item adds."""


USUAL_ITEM_MS: Mapping[Modality, float] = {"text": 5.0, "image": 20.0}
"""Where nothing has been measured yet."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """What `/readyz` and admission need to know."""

    alive: bool
    queued_ms: float
    """Estimated work ahead of a new item."""
    revision: str
    waiting: int = 0
    """Items that no batch has begun with."""
    lanes: Mapping[Modality, LaneLoad] = field(default_factory=dict)
    """By modality, of an engine that keeps them apart."""

    def load_of(self, modality: Modality) -> LaneLoad:
        """What an item of that modality waits behind."""
        whole = LaneLoad(self.queued_ms, USUAL_ITEM_MS[modality])
        return self.lanes.get(modality, whole)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model publishes about itself; prices are added by the vendor's price book."""

    id: str
    revision: str
    dimension: int
    context_length: int
    precision: str
    logit_scale: float
    preprocessing: Preprocessing
    prompt_templates: tuple[str, ...]
    created: int
    """Unix seconds."""
    pixel_probe: str = ""
    """`shared.pixels.hash_probe` of its preprocessing."""
    settled: str = ""
    """Why it is that precision, where the vendor left it to the machine; its own affair, not published."""


class Model(Protocol):
    """Batched, synchronous encoding; each method is called from one thread at a time, and both at the
    same time only by a batcher that was told so.

    Both methods raise ValueError for an item that can never be encoded; anything else that they
    raise is taken for a failure of the machine.
    """

    info: ModelInfo

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """float32[n, d] unit vectors of uint8[n, h, w, 3]."""
        ...

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        """float32[n, d] unit vectors of int32[n, context]."""
        ...


class Preparation(Protocol):
    """From what a client sends to what a model reads; any thread may call."""

    def preprocess(self, image: Image.Image) -> Pixels:
        """uint8[size, size, 3] of a decoded image of any mode."""
        ...

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Tokens of each text, cut to the model's context."""
        ...


class Engine(Protocol):
    """Asynchronous embedding of single items; batching is its own affair."""

    async def embed(
        self, items: Sequence[Item], deadline: float, watch: Stopwatch | None = None
    ) -> list[Vector | ItemFailure]:
        """One float32[d] or failure per item, in order; `watch` is told of `queue` and `model`.

        `deadline` is a `time.monotonic()` instant. An engine that stops half-way answers what it has,
        and failures of its own for the rest. Raises EngineUnavailable when it is down, overloaded, or
        cannot finish in time, and has nothing; then nothing was computed that need be paid for.
        """
        ...

    def state(self) -> EngineState:
        """A snapshot, cheap enough for every request."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model on offer: what it publishes, how inputs are prepared for it, what computes."""

    info: ModelInfo
    preparation: Preparation
    engine: Engine


class EngineLost(Exception):
    """The machine behind a model is gone; trying its items one by one is of no use."""


class EngineUnavailable(Exception):
    """The engine cannot answer now; the same request may be sent again later."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


__all__ = [
    "USUAL_ITEM_MS",
    "Engine",
    "EngineLost",
    "EngineState",
    "EngineUnavailable",
    "Fault",
    "Item",
    "ItemFailure",
    "LaneLoad",
    "Model",
    "ModelInfo",
    "Pixels",
    "Preparation",
    "Runtime",
    "ServedModel",
    "Tokens",
]
