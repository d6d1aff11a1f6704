"""What an item costs a model, tried before its first customer comes.

Admission trusts this until batches of customers have been measured; an engine that is twenty times
faster than what is usual would else turn its first customers away.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from shared.wire import Modality
from vendor_api.engine.base import Model
from vendor_api.refusal import Refusal

IMAGES, TEXTS = 8, 16
"""Items of a trial."""
TOKENS = 16
"""Of each text: a sentence, where the model takes as many."""
SLOW_S = 0.5
"""A single item that takes longer says enough."""

__all__ = ["measure_item_ms"]


def measure_item_ms(
    model: Model, clock: Callable[[], float] = time.perf_counter
) -> Mapping[Modality, float]:
    """Milliseconds that an item of a small batch takes, by modality. Raises Refusal when the model fails."""
    side, context = model.info.preprocessing.image_size, model.info.context_length
    pixels = np.zeros((IMAGES, side, side, 3), np.uint8)
    tokens = np.zeros((TEXTS, context), np.int32)
    tokens[:, :TOKENS] = 1
    try:
        return {
            "image": _time(lambda count: model.encode_images(pixels[:count]), IMAGES, clock),
            "text": _time(lambda count: model.encode_texts(tokens[:count]), TEXTS, clock),
        }
    except Exception as error:
        raise Refusal(
            f"{model.info.id} was loaded but computes nothing ({type(error).__name__}: {error}): free "
            "memory on this machine, or name other weights with --model"
        ) from error


def _time(encode: Callable[[int], object], items: int, clock: Callable[[], float]) -> float:
    # The first call of all also makes room and lays weights out.
    for count in (1, 1, items):
        took = _measure(partial(encode, count), clock) / count
        if took > SLOW_S:
            break
    return 1000 * took


def _measure(call: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began
