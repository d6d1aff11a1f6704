"""An engine in a process of its own: the same vectors, and nothing that happens to it lasts."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vendor_api.engine.base import EngineLost, ItemFailure
from vendor_api.engine.batcher import Batcher
from vendor_api.engine.clip import ClipModel
from vendor_api.engine.preparation import ClipPreparation
from vendor_api.engine.process import ModelProcess, Patience, WorkerOrder
from vendor_api.refusal import Refusal


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def spec(clip_folder: Path) -> str:
    return f"local-dir:{clip_folder}"


@pytest.fixture(scope="module")
def model(spec: str) -> Iterator[ModelProcess]:
    process = ModelProcess(WorkerOrder("m", spec, threads=1), patience=Patience(halt=1.0))
    yield process
    process.close()


@pytest.fixture(scope="module")
def twin(spec: str) -> ClipModel:
    return ClipModel.load("m", spec)


@pytest.fixture
def healthy(model: ModelProcess) -> ModelProcess:
    wait_until(lambda: model.find_trouble() is None)
    return model


def pictures(model: Any, count: int = 3) -> Any:
    side = model.info.preprocessing.image_size
    return np.random.default_rng(1).integers(0, 255, (count, side, side, 3), dtype=np.uint8)


def test_it_is_the_model_itself(healthy: ModelProcess, twin: ClipModel) -> None:
    assert healthy.info.revision == twin.info.revision
    assert healthy.info.preprocessing == twin.info.preprocessing
    assert healthy.info.prompt_templates == twin.info.prompt_templates
    assert np.allclose(
        healthy.encode_images(pictures(twin)), twin.encode_images(pictures(twin)), atol=1e-6
    )
    tokens = twin.tokenize(["a dog", "a cat that sleeps"]).tokens
    assert np.allclose(healthy.encode_texts(tokens), twin.encode_texts(tokens), atol=1e-6)


def test_images_and_texts_are_computed_at_the_same_time(
    healthy: ModelProcess, twin: ClipModel
) -> None:
    shown, tokens = pictures(twin, 40), twin.tokenize(["a dog", "a cat that sleeps"]).tokens
    expected = twin.encode_images(shown), twin.encode_texts(tokens)
    with ThreadPoolExecutor(1) as beside:
        drawn = beside.submit(healthy.encode_images, shown)
        told = [healthy.encode_texts(tokens) for _ in range(5)]
        assert np.allclose(drawn.result(), expected[0], atol=1e-6)
    assert all(np.allclose(vectors, expected[1], atol=1e-6) for vectors in told)


def test_pixels_and_tokens_need_no_weights(
    healthy: ModelProcess, twin: ClipModel, spec: str
) -> None:
    own = ClipPreparation(spec, healthy.info, healthy.fill)
    assert np.array_equal(own.tokenize(["a dog"]).tokens, twin.tokenize(["a dog"]).tokens)


def test_what_the_model_raises_is_raised_here(healthy: ModelProcess) -> None:
    with pytest.raises(RuntimeError):
        healthy.encode_images(np.zeros((1, 3, 3, 7), dtype=np.uint8))
    assert healthy.encode_images(pictures(healthy)).shape[0] == 3


def test_a_killed_worker_is_started_again(healthy: ModelProcess) -> None:
    before = healthy.pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: healthy.find_trouble() is not None, 1.0)
    with pytest.raises(EngineLost):
        healthy.encode_images(pictures(healthy))
    wait_until(lambda: healthy.find_trouble() is None)
    assert healthy.pid != before
    assert healthy.encode_images(pictures(healthy)).shape[0] == 3


def test_a_stopped_worker_is_down_within_a_second_and_replaced(healthy: ModelProcess) -> None:
    before = healthy.pid
    os.kill(before, signal.SIGSTOP)
    wait_until(lambda: healthy.find_trouble() is not None, 5.0)
    wait_until(lambda: healthy.find_trouble() is None)
    assert healthy.pid != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


async def test_a_batch_that_is_lost_is_the_engines_failure_of_every_item(
    healthy: ModelProcess,
) -> None:
    engine = Batcher(healthy, find_trouble=healthy.find_trouble)
    os.kill(healthy.pid, signal.SIGSTOP)
    # It is still believed to be alive, takes the batch, and is then killed as hanging.
    outcomes = await engine.embed(list(pictures(healthy)), time.monotonic() + 30)
    assert [isinstance(o, ItemFailure) and o.fault for o in outcomes] == ["engine"] * 3
    assert not engine.state().alive
    wait_until(lambda: engine.state().alive)
    again = await engine.embed(list(pictures(healthy)), time.monotonic() + 30)
    assert not any(isinstance(outcome, ItemFailure) for outcome in again)
    engine.close()


def test_a_model_that_cannot_be_loaded_is_refused_in_the_workers_words(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no model folder"):
        ModelProcess(WorkerOrder("m", f"local-dir:{tmp_path}"))


def test_a_worker_ends_with_its_server(spec: str) -> None:
    process = ModelProcess(WorkerOrder("m", spec, threads=1))
    pid = process.pid
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
