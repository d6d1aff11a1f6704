"""A model on a device: the processor's vectors, and plain words when the device is too small."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from shared.openclip import OpenClip
from tests.vendor_api.engine.lazy_device import LazyDevice
from vendor_api.engine.base import EngineLost
from vendor_api.engine.batcher import BatcherLimits
from vendor_api.engine.clip import ClipModel
from vendor_api.engine.cuda_clip import CudaClip
from vendor_api.engine.cuda_plan import CUDA_CREWS, CudaPlan, suit_limits
from vendor_api.refusal import Refusal

TEXTS = ["a dog", "two cats and a bird that sleeps under a tree", "", "a " * 200]


def load(folder: Path) -> ClipModel:
    return ClipModel.load("m", f"local-dir:{folder}", threads=1)


@pytest.fixture(scope="module")
def twin(clip_folder: Path) -> ClipModel:
    return load(clip_folder)


@pytest.fixture(scope="module")
def model(clip_folder: Path) -> ClipModel:
    clip = load(clip_folder)
    clip.use_device(LazyDevice(), CudaPlan(batch=8))
    return clip


def pictures(model: ClipModel, count: int) -> Any:
    side = model.info.preprocessing.image_size
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3, 8, 19])
def test_images_are_what_the_processor_says(model: ClipModel, twin: ClipModel, count: int) -> None:
    given = pictures(twin, count)
    np.testing.assert_allclose(model.encode_images(given), twin.encode_images(given), atol=1e-5)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_every_length_are_what_the_processor_says(
    model: ClipModel, twin: ClipModel, text: str
) -> None:
    tokens = twin.tokenize([text, "a cat", text]).tokens
    np.testing.assert_allclose(model.encode_texts(tokens), twin.encode_texts(tokens), atol=1e-5)


def test_memory_pinned_later_is_in_its_report_and_copied_from_where_it_is(
    clip_folder: Path, twin: ClipModel
) -> None:
    device, clip = LazyDevice(), load(clip_folder)
    clip.use_device(device, CudaPlan(batch=2))
    assert clip.cuda is not None
    before = clip.cuda.report.pinned_bytes
    given = pictures(twin, 2)
    clip.cuda.pin(given.reshape(-1))
    assert clip.cuda.report.pinned_bytes == before + given.nbytes
    device.sources.clear()
    np.testing.assert_allclose(clip.encode_images(given), twin.encode_images(given), atol=1e-5)
    assert device.sources[0] == given.ctypes.data


def make_longer() -> OpenClip:
    """A model of random weights whose texts have up to 20 tokens."""
    torch.manual_seed(0)
    text = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 32}
    cfg = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    model = open_clip.CLIP(**cfg).eval().requires_grad_(False)
    preprocess = {"size": 32, "mean": (0.5,) * 3, "std": (0.2,) * 3}
    preprocess |= {"interpolation": "bicubic", "resize_mode": "shortest"}
    open_clip.set_model_preprocess_cfg(model, preprocess)
    tokenizer = open_clip.SimpleTokenizer(context_length=20)
    return OpenClip(model, tokenizer, {"model_cfg": cfg}, "fp32")


def test_texts_are_computed_at_the_next_prepared_length() -> None:
    plain, device = make_longer(), LazyDevice()
    clip = CudaClip(make_longer(), device, CudaPlan(batch=2))
    assert clip.report.text_sizes == 2 * len((8, 16, 20))
    for words in (1, 5, 6, 7, 13, 14, 15, 30):
        tokens = plain.tokenize(["dog " * words, "a cat"]).tokens
        np.testing.assert_allclose(clip.encode_texts(tokens), plain.encode_texts(tokens), atol=1e-5)


def test_texts_go_before_pictures_on_streams_of_their_own(clip_folder: Path) -> None:
    device = LazyDevice()
    load(clip_folder).use_device(device, CudaPlan(batch=1))
    assert device.urgent == [False] * 3 + [True] * 3  # a tower's own, and one for each slot


def test_its_report_says_what_it_has_taken_and_how_to_batch(model: ClipModel) -> None:
    assert model.cuda is not None
    report = model.cuda.report
    side, context = model.info.preprocessing.image_size, model.info.context_length
    assert report.image_sizes == 4
    assert report.text_sizes % 4 == 0
    pixels, tokens, vectors = 8 * side * side * 3, 8 * context * 4, 8 * model.info.dimension * 4
    assert report.image_batch_bytes == pixels
    assert report.pinned_bytes == 2 * (pixels + tokens + 2 * vectors)
    assert report.device_bytes == 3 * (pixels + tokens + 2 * vectors)
    limits = suit_limits(BatcherLimits(max_queued_ms=7), CudaPlan(batch=8))
    assert (limits.max_images, limits.max_texts, limits.max_queued_ms) == (8, 8, 7)
    assert limits.crews == CUDA_CREWS
    assert all(0 < report.item_ms[modality] < 1000 for modality in ("image", "text"))


@pytest.mark.parametrize(("batch", "advice"), [(64, "VENDOR_CUDA_BATCH=32"), (1, "PRECISION=bf16")])
def test_a_device_that_is_too_small_says_what_to_set(
    clip_folder: Path, batch: int, advice: str
) -> None:
    with pytest.raises(Refusal, match=advice):
        load(clip_folder).use_device(LazyDevice(capacity=100), CudaPlan(batch=batch))


def test_a_model_that_cannot_be_captured_says_what_to_set(
    clip_folder: Path, twin: ClipModel
) -> None:
    clip = load(clip_folder)
    with pytest.raises(Refusal, match="VENDOR_CUDA_GRAPHS=false"):
        clip.use_device(LazyDevice(capturable=False), CudaPlan(batch=2))
    clip.use_device(LazyDevice(capturable=False), CudaPlan(batch=2, graphs=False))
    given = pictures(twin, 2)
    np.testing.assert_allclose(clip.encode_images(given), twin.encode_images(given), atol=1e-5)


def test_a_device_that_is_lost_is_trouble_for_good(clip_folder: Path) -> None:
    device = LazyDevice()
    clip = load(clip_folder)
    clip.use_device(device, CudaPlan(batch=2))
    assert clip.find_trouble() is None
    assert clip.cuda is not None
    device.lost = True
    device.failing = True
    with pytest.raises(EngineLost):
        clip.encode_images(pictures(clip, 1))
    assert "restart the server" in str(clip.find_trouble())
