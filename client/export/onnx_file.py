"""One ONNX file that answers alone: pictures in, scores and embedding out, held against the student."""

import json
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from client.data.folders import find_images
from client.export.evidence import spread_out
from client.train.augment import to_unit_range
from client.train.errors import TrainingError
from client.train.finished import FinishedStudent, load_finished
from client.train.pixels import decode_picture
from client.train.runs import RunFolder

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
FILE_NAME = "student.onnx"
"""Under the folder that is named instead of a file."""
OPSET = 18
TOLERANCE = 1e-4
"""Largest difference from the student, in units of the largest number of its answer."""
RANDOM_PICTURES = 5
REAL_PICTURES = 16
"""Of the run's own data folder, evenly spread, where it is still there."""

__all__ = ["OPSET", "TOLERANCE", "AnsweringStudent", "export_onnx", "require_packages"]

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]


class AnsweringStudent(nn.Module):
    """float[n, 3, s, s] in [0, 1] → (scores float[n, k], embedding float[n, d]).

    The softmax of the scores are probabilities. The embedding is the unit vector in the teacher's
    space; of a student that answers in classes, its features.
    """

    def __init__(self, finished: FinishedStudent):
        super().__init__()
        self.student = finished.student
        self.logit_scale = finished.logit_scale
        self.register_buffer("texts", finished.texts)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.texts is None:
            features = self.student.features(images)
            return self.student.head(features), features
        embedding = F.normalize(self.student(images), dim=-1)
        return self.logit_scale * embedding @ self.get_buffer("texts").T, embedding


def export_onnx(run: RunFolder, out: Path, *, tolerance: float = TOLERANCE) -> Path:
    """Write one .onnx file (`out`, or student.onnx in the folder `out`) and return where it is.

    Input `images` float32[n, 3, s, s] in [0, 1], any n, normalised inside; outputs `scores` and
    `embedding` as AnsweringStudent gives them; the class names are in the metadata. Onnxruntime
    answers random and real pictures with it before it takes its place. Raises TrainingError when a
    package is missing or an answer differs.
    """
    require_packages()
    finished = load_finished(run)
    model = AnsweringStudent(finished).eval()
    file = out if out.suffix == ".onnx" else out / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    _write(model, partial, _describe(run, finished))
    try:
        for pictures in _find_pictures(run, finished.config.image_size):
            _compare(model, partial, pictures, tolerance)
    except TrainingError:
        partial.unlink()
        raise
    partial.replace(file)
    return file


def require_packages(names: Iterable[str] = PACKAGES) -> None:
    """Raises TrainingError, with the command that installs them, when one is missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"exporting to ONNX needs {', '.join(missing)}: type `pip install 'vl2v[export]'`"
        )


def _write(model: AnsweringStudent, file: Path, facts: dict[str, str]) -> None:
    side = model.student.spec.image_size
    with warnings.catch_warnings():
        # The exporter warns of what it works around; whether it succeeded, the comparison says.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (torch.rand(2, 3, side, side),),
            dynamo=True,
            input_names=["images"],
            output_names=["scores", "embedding"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            opset_version=OPSET,
            verbose=False,
        )
        if program is None:
            raise TrainingError("torch returned no ONNX program: install the torch of vl2v[export]")
        program.model.metadata_props.update(facts)
        program.save(file, external_data=False)


def _describe(run: RunFolder, finished: FinishedStudent) -> dict[str, str]:
    """The file's metadata: whatever is needed to use it, as texts."""
    config = run.read_config()
    return {
        "classes": json.dumps(finished.classes),
        "image_size": str(finished.config.image_size),
        "input": "images: RGB squashed to a square, float32 in [0, 1]; normalised inside",
        "scores": "one a class; their softmax are probabilities",
        "embedding": "class features" if finished.texts is None else "unit, in the teacher's space",
        "student": finished.config.student_name,
        "method": finished.config.method,
        "teacher": f"{config['model']}@{config['revision']}" if config["revision"] else "none",
    }


def _find_pictures(run: RunFolder, side: int) -> list[Tensor]:
    """Batches of several sizes to compare on: random pictures, one alone, and real ones."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(RANDOM_PICTURES, 3, side, side, generator=generator)
    found = list(find_images(Path(run.read_config()["data"])))
    pixels = [decode_picture(found[i], side) for i in spread_out(len(found), REAL_PICTURES)]
    return [drawn, drawn[:1], *([to_unit_range(np.stack(pixels))] if pixels else [])]


@torch.no_grad()
def _compare(model: AnsweringStudent, file: Path, pictures: Tensor, tolerance: float) -> None:
    """Raises TrainingError when the file's answers are not the student's."""
    wanted = [part.numpy() for part in model(pictures)]
    for name, ours, theirs in zip(
        ("scores", "embedding"), wanted, _ask(file, pictures.numpy()), strict=True
    ):
        worst = float(np.abs(ours - theirs).max() / np.abs(ours).max())
        if not worst <= tolerance:
            raise TrainingError(
                f"the ONNX file's {name} differ from the student's by {worst:.1e} of the largest, "
                f"more than {tolerance:.0e}: nothing was written; export with `--to timm`, and "
                "report this with the versions of torch and onnxscript"
            )


def _ask(file: Path, pictures: NDArray[np.float32]) -> Answer:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    scores, embedding = session.run(["scores", "embedding"], {"images": pictures})
    return scores, embedding
