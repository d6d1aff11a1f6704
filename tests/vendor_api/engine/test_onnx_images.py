"""Images by ONNX Runtime: torch's vectors, from a graph that is made once."""

from pathlib import Path

import numpy as np
import pytest

from shared.openclip import load_openclip
from vendor_api.engine.clip import ClipModel
from vendor_api.engine.onnx_images import OnnxImages
from vendor_api.refusal import Refusal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def test_the_graph_gives_the_models_vectors_at_every_batch_size(
    clip_folder: Path, folder: Path
) -> None:
    clip = load_openclip(f"local-dir:{clip_folder}")
    encode = OnnxImages(clip, 1, folder)
    (graph,) = folder.iterdir()
    assert clip.revision in graph.name
    side = clip.preprocessing.image_size
    for count in (1, 2, 7):
        pixels = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), np.uint8)
        assert np.allclose(encode(pixels), clip.encode_images(pixels), atol=1e-5)
    made = graph.stat().st_mtime_ns
    OnnxImages(clip, 1, folder)
    assert [graph.stat().st_mtime_ns, len(list(folder.iterdir()))] == [made, 1]


def test_another_models_graph_is_refused(clip_folder: Path, folder: Path) -> None:
    clip = load_openclip(f"local-dir:{clip_folder}")
    assert clip.revision  # known from now on, whatever becomes of the weights
    clip.model.visual.proj.data.neg_()  # type: ignore[union-attr, operator]
    with pytest.raises(Refusal, match="leave VENDOR_RUNTIME out"):
        OnnxImages(clip, 1, folder)


def test_bf16_is_torchs_alone(clip_folder: Path) -> None:
    with pytest.raises(Refusal, match="VENDOR_PRECISION"):
        ClipModel.load("m", f"local-dir:{clip_folder}", "bf16", "onnx")
