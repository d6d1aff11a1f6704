"""The trial of a model: what an item of a batch costs, without the first call's price."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ledger.tiny import CONTEXT, INFO, SIDE
from vendor_api.engine.batcher import Batcher
from vendor_api.engine.trial import measure_item_ms
from vendor_api.refusal import Refusal


class Priced:
    """A model that takes what it is told to, by a clock of its own."""

    info = INFO

    def __init__(self, call_s: float, image_s: float, text_s: float) -> None:
        self.now, self.first = 0.0, 5.0
        self.shapes: list[tuple[int, ...]] = []
        self._call_s, self._image_s, self._text_s = call_s, image_s, text_s

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._spend(pixels, self._image_s)

    def encode_texts(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        return self._spend(tokens, self._text_s)

    def _spend(self, items: NDArray[Any], each_s: float) -> NDArray[np.float32]:
        self.shapes.append(items.shape)
        self.now += self._call_s + len(items) * each_s + self.first
        self.first = 0.0
        return np.zeros((len(items), 2), np.float32)


def test_items_cost_what_they_take_in_a_batch_that_is_not_the_first() -> None:
    model = Priced(call_s=0.008, image_s=0.002, text_s=0.0005)
    model.first = 0.1
    found = measure_item_ms(model, lambda: model.now)
    assert found["image"] == pytest.approx(3.0)
    assert found["text"] == pytest.approx(1.0)
    assert {shape[1:] for shape in model.shapes} == {(SIDE, SIDE, 3), (CONTEXT,)}


def test_a_slow_model_is_asked_for_single_items_only() -> None:
    model = Priced(call_s=0.0, image_s=2.0, text_s=0.7)
    assert measure_item_ms(model, lambda: model.now)["text"] == pytest.approx(700.0)
    assert {len(shape) and shape[0] for shape in model.shapes} == {1}


def test_a_model_that_fails_is_refused_with_its_reason() -> None:
    model = Priced(0, 0, 0)
    model.encode_texts = lambda tokens: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(Refusal, match=r"computes nothing \(ZeroDivisionError.*name other weights"):
        measure_item_ms(model)


def test_a_batcher_believes_the_trial() -> None:
    batcher = Batcher(Priced(0, 0, 0), item_ms={"image": 0.5, "text": 0.25})
    try:
        assert batcher.state().load_of("image").item_ms == 0.5
        assert batcher.state().load_of("text").item_ms == 0.25
    finally:
        batcher.close()
