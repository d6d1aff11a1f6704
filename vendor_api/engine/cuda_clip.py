"""Both towers of an open_clip model on a GPU, each with batches and streams of its own.

Heavy: imports torch.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.codecs import Vector
from shared.openclip import OpenClip
from vendor_api.engine.buckets import list_lengths, list_sizes, pick_size
from vendor_api.engine.cuda_plan import DEFAULT_PLAN, CudaPlan, CudaReport
from vendor_api.engine.cuda_seam import Device
from vendor_api.engine.cuda_tower import SLOTS, Tower, TowerPlan
from vendor_api.refusal import Refusal

TIMED = 3
"""Full batches, of which the fastest says what an item takes."""

__all__ = ["CudaClip"]


class CudaClip:
    """`Model`'s encoders on a device; any thread may call."""

    def __init__(
        self,
        clip: OpenClip,
        device: Device,
        plan: CudaPlan = DEFAULT_PLAN,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare every size of batch: when this returns, the first request is as fast as the last.

        `clip` must be on the device. Raises Refusal when memory runs out, or when the model cannot be
        captured.
        """
        self._clip = clip
        self._device = device
        self._plan = plan
        self._clock = clock
        self._sizes = list_sizes(plan.batch)
        self._lengths = list_lengths(clip.context_length, cut=_can_cut(clip))
        try:
            clip.fuse_attention()
            self.images, self.texts = self._make_images(), self._make_texts()
            self.report = self._measure()
        except MemoryError as error:
            raise Refusal(_say_full(device, plan, error)) from error
        except RuntimeError as error:
            if not plan.graphs:
                raise
            reason = str(error).splitlines()[0]
            raise Refusal(
                f"the model cannot be captured as CUDA graphs ({reason}): "
                "set VENDOR_CUDA_GRAPHS=false"
            ) from error

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        """See `Model`."""
        return self.images(pixels)

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        """See `Model`; texts are cut, or padded, to the next prepared length."""
        length = pick_size(self._lengths, self._clip.measure_tokens(tokens))
        return self.texts(np.ascontiguousarray(tokens[:, :length]))

    @property
    def trouble(self) -> str | None:
        """Why nothing can be computed any more; None while all is well."""
        lost = self.images.lost or self.texts.lost
        return f"{self._device.name} failed ({lost}): restart the server" if lost else None

    def pin(self, memory: NDArray[np.uint8]) -> None:
        """Let pixels in `memory` be copied to the device from where they are. Raises Refusal."""
        try:
            self._device.pin(memory)
        except MemoryError as error:
            raise Refusal(
                f"{error}: set VENDOR_ENGINE=thread, or less VENDOR_CUDA_BATCH"
            ) from error
        pinned = self.report.pinned_bytes + memory.nbytes
        self.report = replace(self.report, pinned_bytes=pinned)

    @torch.inference_mode()
    def _embed_pixels(self, pixels: Tensor) -> Tensor:
        return self._clip.embed_pixels(pixels)

    @torch.inference_mode()
    def _embed_tokens(self, tokens: Tensor) -> Tensor:
        return self._clip.embed_tokens(tokens.long())

    def _make_images(self) -> Tower:
        side = self._clip.preprocessing.image_size
        plan = TowerPlan(
            ((side, side, 3),), self._sizes, torch.uint8, self._clip.dimension, self._plan.graphs
        )
        return Tower(self._device, self._embed_pixels, plan)

    def _make_texts(self) -> Tower:
        forms = tuple((length,) for length in self._lengths)
        # A text is short work, and whoever sends one is waiting for it.
        plan = TowerPlan(
            forms, self._sizes, torch.int32, self._clip.dimension, self._plan.graphs, urgent=True
        )
        return Tower(self._device, self._embed_tokens, plan)

    def _measure(self) -> CudaReport:
        side, most = self._clip.preprocessing.image_size, self._sizes[-1]
        pictures = np.random.default_rng(0).integers(0, 256, (most, side, side, 3), dtype=np.uint8)
        words = np.ones((most, self._lengths[len(self._lengths) // 2]), dtype=np.int32)
        vectors = 4 * SLOTS * most * self._clip.dimension
        return CudaReport(
            device=self._device.name,
            image_sizes=len(self._sizes),
            text_sizes=len(self._sizes) * len(self._lengths),
            device_bytes=self._device.count_bytes(),
            pinned_bytes=SLOTS * (self.images.batch_bytes + self.texts.batch_bytes) + 2 * vectors,
            item_ms={
                "image": self._time(self.images, pictures),
                "text": self._time(self.texts, words),
            },
            image_batch_bytes=pictures.nbytes,
        )

    def _time(self, tower: Tower, items: NDArray[Any]) -> float:
        """Milliseconds an item of a full batch takes."""
        found = []
        for _ in range(TIMED):
            began = self._clock()
            tower(items)
            found.append(self._clock() - began)
        return max(1000 * min(found) / len(items), 0.001)


def _can_cut(clip: OpenClip) -> bool:
    """Whether a short text is the same without its padding."""
    shortest = np.zeros((1, clip.context_length), dtype=np.int32)
    shortest[:, 0] = 1
    return clip.measure_tokens(shortest) < clip.context_length


def _say_full(device: Device, plan: CudaPlan, error: MemoryError) -> str:
    what = f"the memory of {device.name} ran out with batches of {plan.batch} ({error})"
    if plan.batch == 1:
        return f"{what}: set VENDOR_PRECISION=bf16, or stop what else computes on it"
    return f"{what}: set VENDOR_CUDA_BATCH={plan.batch // 2}, or stop what else computes on it"
