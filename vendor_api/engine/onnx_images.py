"""An image tower as an ONNX graph: on processors without bf16 about twice as fast as torch's fp32.

Needs the extra `[onnx]`. The graph is made once and kept by the model's revision.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.codecs import Vector
from shared.openclip import OpenClip
from vendor_api.refusal import Refusal

MAX_BATCH = 256
AGREEMENT = 1e-4
"""Largest difference of a coordinate between the graph's vectors and torch's."""

__all__ = ["OnnxImages", "cache_folder"]


def cache_folder() -> Path:
    """Where graphs are kept."""
    return platformdirs.user_cache_path("vl2v") / "onnx"


class OnnxImages:
    """float32[n, d] unit vectors of uint8[n, size, size, 3], by ONNX Runtime."""

    def __init__(self, clip: OpenClip, threads: int | None, folder: Path) -> None:
        """Make the graph, or take the kept one. Raises Refusal without the libraries, or when its
        vectors are not the model's."""
        try:
            import onnxruntime
        except ImportError as error:
            raise Refusal("VENDOR_RUNTIME=onnx needs: pip install 'vl2v[onnx]'") from error
        path = folder / f"{clip.revision}-{torch.__version__}.onnx"
        if not path.exists():
            _export(clip, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._check(clip)

    def __call__(self, pixels: NDArray[np.uint8]) -> Vector:
        """The vectors."""
        vectors: Vector = self._session.run(None, {"pixels": np.ascontiguousarray(pixels)})[0]
        return vectors

    def _check(self, clip: OpenClip) -> None:
        side = clip.preprocessing.image_size
        noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
        apart = float(np.abs(self(noise) - clip.encode_images(noise)).max())
        if not apart <= AGREEMENT:
            raise Refusal(
                f"ONNX Runtime's vectors are {apart:.1e} from torch's: leave VENDOR_RUNTIME out"
            )


class _Tower(nn.Module):
    def __init__(self, clip: OpenClip) -> None:
        super().__init__()
        self._encode = clip.embed_pixels
        self.model = clip.model

    def forward(self, pixels: Tensor) -> Tensor:
        return self._encode(pixels)


def _export(clip: OpenClip, path: Path) -> None:
    """Write the graph under a temporary name, then rename it."""
    try:
        import onnxscript  # noqa: F401  (torch's exporter asks for it late and less clearly)
    except ImportError as error:
        raise Refusal("VENDOR_RUNTIME=onnx needs: pip install 'vl2v[onnx]'") from error
    side = clip.preprocessing.image_size
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Tower(clip).eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=MAX_BATCH)},),
            input_names=["pixels"],
            output_names=["vectors"],
            verbose=False,
        )
        partial = Path(folder) / path.name
        assert program is not None  # noqa: S101  (dynamo=True returns one)
        program.save(partial, external_data=False)
        partial.replace(path)
