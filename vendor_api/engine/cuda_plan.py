"""How an engine on a GPU batches, and what it says of itself when it is ready."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from shared.wire import Modality
from vendor_api.engine.batcher import BatcherLimits
from vendor_api.engine.cuda_tower import SLOTS
from vendor_api.engine.lanes import LaneName
from vendor_api.engine.lines import Group

CUDA_CREWS: tuple[tuple[LaneName, ...], ...] = (("text",),) * SLOTS + (("image",),) * SLOTS
"""A thread for each batch under way: texts never wait for pictures."""

CUDA_LINES: tuple[Group, ...] = ((("images",), SLOTS), (("texts",), SLOTS))
"""A line to the engine's process for each of them."""

__all__ = [
    "CUDA_CREWS",
    "CUDA_LINES",
    "DEFAULT_PLAN",
    "CudaPlan",
    "CudaReport",
    "announce",
    "suit_limits",
]

_log = structlog.get_logger("vendor")


@dataclass(frozen=True, slots=True)
class CudaPlan:
    """What is prepared on the device."""

    batch: int = 256
    """Items at most; what a batch of them needs is allocated at the start."""
    graphs: bool = True
    """Whether a batch is launched as one CUDA graph."""


DEFAULT_PLAN = CudaPlan()


@dataclass(frozen=True, slots=True)
class CudaReport:
    """What has been prepared."""

    device: str
    image_sizes: int
    """Sizes of batches."""
    text_sizes: int
    device_bytes: int
    """All that this engine will ever take of the device's memory, weights included, CUDA's own aside."""
    pinned_bytes: int
    """The same of the host's, that cannot be swapped out."""
    item_ms: Mapping[Modality, float]
    """What an item of a full batch takes."""
    image_batch_bytes: int
    """Of the pixels of the largest batch."""


def suit_limits(limits: BatcherLimits, plan: CudaPlan) -> BatcherLimits:
    """The same limits for an engine that has been prepared so."""
    return replace(limits, max_images=plan.batch, max_texts=plan.batch, crews=CUDA_CREWS)


def announce(model_id: str, report: CudaReport) -> None:
    """Write to the log what the engine has taken."""
    said: dict[str, Any] = {
        "device": report.device,
        "image_sizes": report.image_sizes,
        "text_sizes": report.text_sizes,
        "device_mib": report.device_bytes >> 20,
        "pinned_mib": report.pinned_bytes >> 20,
    }
    _log.info("engine_on_cuda", model=model_id, **said)
