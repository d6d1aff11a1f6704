"""A real CUDA device: the processor's vectors, whatever the batch; run only where there is one."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.openclip import load_openclip
from vendor_api.engine.base import ItemFailure
from vendor_api.engine.batcher import DEFAULT_LIMITS, Batcher
from vendor_api.engine.clip import ClipModel
from vendor_api.engine.cuda_clip import CudaClip
from vendor_api.engine.cuda_device import CudaDevice
from vendor_api.engine.cuda_plan import CudaPlan, suit_limits
from vendor_api.engine.local import Manner, ModelSpec, load_served
from vendor_api.engine.process import ModelProcess, WorkerOrder
from vendor_api.refusal import Refusal

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="this machine has no CUDA device"
)
COUNTS = (1, 2, 3, 7, 16, 33, 64, 70)
TEXTS = ("a dog", "", "one two three four five six seven", "Ünïcödé 🙂", "a " * 100)


@pytest.fixture(scope="module")
def spec(clip_folder: Path) -> str:
    return f"local-dir:{clip_folder}"


@pytest.fixture(scope="module")
def twin(spec: str) -> ClipModel:
    return ClipModel.load("m", spec, threads=1)


@pytest.fixture(scope="module")
def model(spec: str) -> ClipModel:
    return ClipModel.load("m", spec, device="cuda", cuda=CudaPlan(batch=64))


def read(outcomes: list[Any]) -> Any:
    assert not any(isinstance(outcome, ItemFailure) for outcome in outcomes)
    return np.stack(outcomes)


def pictures(model: Any, count: int) -> Any:
    side = model.info.preprocessing.image_size
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def tokens(model: ClipModel, count: int) -> Any:
    return model.tokenize([TEXTS[row % len(TEXTS)] for row in range(count)]).tokens


@pytest.mark.parametrize("count", COUNTS)
def test_fp32_is_what_the_processor_says(model: ClipModel, twin: ClipModel, count: int) -> None:
    assert model.info.revision == twin.info.revision
    given = pictures(twin, count)
    np.testing.assert_allclose(model.encode_images(given), twin.encode_images(given), atol=1e-4)
    words = tokens(twin, count)
    np.testing.assert_allclose(model.encode_texts(words), twin.encode_texts(words), atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphs_say_what_single_kernels_say(spec: str, precision: Any) -> None:
    both = [
        ClipModel.load("m", spec, precision, device="cuda", cuda=CudaPlan(batch=16, graphs=graphs))
        for graphs in (True, False)
    ]
    for count in (1, 5, 16):
        one, other = (clip.encode_images(pictures(clip, count)) for clip in both)
        np.testing.assert_array_equal(one, other)
        one, other = (clip.encode_texts(tokens(clip, count)) for clip in both)
        np.testing.assert_array_equal(one, other)


def test_bf16_is_near_fp32(spec: str, twin: ClipModel) -> None:
    clip = ClipModel.load("m", spec, "bf16", device="cuda", cuda=CudaPlan(batch=64))
    given = pictures(twin, 64)
    cosines = (clip.encode_images(given) * twin.encode_images(given)).sum(axis=1)
    assert cosines.min() > 0.998
    words = tokens(twin, 64)
    cosines = (clip.encode_texts(words) * twin.encode_texts(words)).sum(axis=1)
    assert cosines.min() > 0.998


def test_batches_from_many_threads_keep_apart_and_take_no_more_memory(
    model: ClipModel, twin: ClipModel
) -> None:
    counts = [1 + (13 * number) % 64 for number in range(64)]
    expected = {count: twin.encode_images(pictures(twin, count)) for count in set(counts)}
    device = CudaDevice()
    before = device.count_bytes()

    def check(count: int) -> float:
        model.encode_texts(tokens(model, count))
        found = model.encode_images(pictures(model, count))
        return float(np.abs(found - expected[count]).max())

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(check, counts)) < 1e-4
    assert device.count_bytes() == before


def test_memory_that_runs_out_says_what_to_set(spec: str) -> None:
    clip = load_openclip(spec, device="cuda")
    assert clip.dimension  # which takes what the libraries need at first use
    torch.cuda.empty_cache()
    _, whole = torch.cuda.mem_get_info()
    # A little more than what is taken by now, and less than what a batch needs.
    room = torch.cuda.memory_reserved() + (64 << 20)
    torch.cuda.set_per_process_memory_fraction(room / whole)
    try:
        with pytest.raises(Refusal, match="VENDOR_CUDA_BATCH=32768"):
            CudaClip(clip, CudaDevice(), CudaPlan(batch=65536))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


async def test_a_process_serves_it_by_the_desk(spec: str, twin: ClipModel) -> None:
    manner = Manner(device="cuda", cuda=CudaPlan(batch=64))
    served = load_served(ModelSpec("m", spec), manner=manner)
    given = pictures(twin, 70)
    words = tokens(twin, 9)
    items = [*given, *words]
    found = await served.engine.embed(items, time.monotonic() + 30)
    expected = np.concatenate([twin.encode_images(given), twin.encode_texts(words)])
    np.testing.assert_allclose(read(found), expected, atol=1e-4)
    served.engine.close()  # type: ignore[attr-defined]


async def test_a_process_that_is_killed_is_back_with_the_same_vectors(
    spec: str, twin: ClipModel
) -> None:
    worker = ModelProcess(WorkerOrder("m", spec, device="cuda", cuda=CudaPlan(batch=8)))
    assert worker.cuda is not None
    limits = suit_limits(DEFAULT_LIMITS, CudaPlan(batch=8))
    engine = Batcher(worker, limits=limits, stack=list, find_trouble=worker.find_trouble)
    given = list(pictures(twin, 8))
    before = read(await engine.embed(given, time.monotonic() + 30))
    pid = worker.pid
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while worker.pid == pid or worker.find_trouble() is not None:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    after = read(await engine.embed(given, time.monotonic() + 30))
    np.testing.assert_array_equal(after, before)
    engine.close()
    worker.close()
