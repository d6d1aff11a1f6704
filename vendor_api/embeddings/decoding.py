"""The threads that decode pictures: apart from all other work, and second to it."""

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from shared.cores import count_cores
from shared.errors import ErrorCode
from shared.wire import ItemError
from vendor_api.embeddings.images import ImageRefused, open_image
from vendor_api.engine.base import ItemFailure, Pixels, Preparation

NICENESS = 5
"""Above the process's own: a decoder yields to the model and to whoever answers; both leave it a share."""
LOWEST = 19
SMALLEST = 100_000
"""Pixels: what a smaller picture takes is not in its pixels."""

__all__ = ["Decoder", "Drawn", "choose_threads"]

Drawn = Pixels | ItemError | ItemFailure


class Decoder:
    """Pictures to pixels in threads of their own; knows about how long a picture will take.

    At most `threads` pictures are decoded at a time, which bounds what that takes of memory; of one
    request's, `share` are asked for at a time, so that no request keeps others waiting for all of it.
    """

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: those of `choose_threads` when None."""
        self.threads = threads or choose_threads()
        self._pool = ThreadPoolExecutor(self.threads, "decode", _prepare_thread)
        self._ms_per_pixel = 10.0 / 1e6

    def estimate(self, area: int) -> float:
        """Milliseconds that a picture of so many pixels adds to a queue, all threads at work."""
        return max(area, SMALLEST) * self._ms_per_pixel / self.threads

    def share(self) -> asyncio.Semaphore:
        """What one request passes each of its pictures through."""
        return asyncio.Semaphore(self.threads)

    async def decode(self, preparation: Preparation, data: bytes, area: int) -> Drawn:
        """The picture as the model reads it, or why it cannot be had; `area` as its header says."""
        loop = asyncio.get_running_loop()
        drawn, seconds = await loop.run_in_executor(self._pool, _time, preparation, data)
        # Thread time: what others did meanwhile is no cost of this picture.
        found = 1000 * seconds / max(area, SMALLEST)
        self._ms_per_pixel += 0.1 * (found - self._ms_per_pixel)
        return drawn

    def close(self) -> None:
        """Finish what is under way, then end the threads."""
        self._pool.shutdown()


def choose_threads() -> int:
    """How many pictures are decoded at a time unless the settings say: one for each core but the model's."""
    return max(1, count_cores() - 1)


def _prepare_thread() -> None:
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        thread = threading.get_native_id()
        with suppress(OSError):
            own = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(own + NICENESS, LOWEST))
    # One thread of torch a decoder: several would only fight the model for the cores. Torch is there
    # when a local model was loaded; no other preparation uses it.
    if "torch" in sys.modules:
        from shared.openclip import limit_threads

        limit_threads(1)


def _time(preparation: Preparation, data: bytes) -> tuple[Drawn, float]:
    began = time.thread_time()
    drawn = _draw(preparation, data)
    return drawn, time.thread_time() - began


def _draw(preparation: Preparation, data: bytes) -> Drawn:
    try:
        with open_image(data) as image:
            return preparation.preprocess(image)
    except ImageRefused as error:
        return ItemError(code=ErrorCode.INVALID_IMAGE, message=str(error))
    except MemoryError:
        return ItemFailure("memory ran out while an image was decoded", "engine")
    except Exception as error:  # a picture that only the resize chokes on is still its sender's
        return ItemError(code=ErrorCode.INVALID_IMAGE, message=f"the image cannot be used: {error}")
