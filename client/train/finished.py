"""A finished run's student, ready to answer: its weights, classes and class texts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.train.building import make_student
from client.train.calibration import calibrate
from client.train.checkpoint import read_header, restore_student
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.evaluate import measure, score_pictures
from client.train.experiment import Experiment
from client.train.fold import Fold
from client.train.pixels import Pixels, decode_picture
from client.train.runs import RunFolder
from client.train.student import Student

__all__ = ["FinishedStudent", "PartAccuracy", "evaluate_student", "load_finished"]


@dataclass(frozen=True)
class FinishedStudent:
    """A student that needs no cache and no teacher."""

    student: Student
    config: TrainConfig
    classes: tuple[str, ...]
    texts: Tensor | None
    """float32[k, d] unit; None when the head answers in classes itself."""
    logit_scale: float

    def scores(self, pixels: Pixels) -> NDArray[np.float32]:
        """float32[n, k] of uint8[n, s, s, 3]: cosines to the class texts, or logits."""
        return score_pictures(self.student, self.texts, pixels, np.arange(len(pixels)))

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """float32[n, k]: the softmax of the scores, cosines multiplied by the teacher's scale."""
        scale = 1.0 if self.texts is None else self.logit_scale
        out: NDArray[np.float32] = torch.softmax(
            torch.from_numpy(self.scores(pixels)) * scale, dim=1
        ).numpy()
        return out

    def predict(self, files: list[Path], top: int = 5) -> list[list[tuple[str, float]]]:
        """The likeliest classes of each image file with their probabilities, best first."""
        pixels = np.stack([decode_picture(file, self.config.image_size) for file in files])
        found = self.probabilities(pixels)
        best = np.argsort(-found, axis=1, kind="stable")[:, :top]
        return [
            [(self.classes[k], float(row[k])) for k in order]
            for row, order in zip(found, best, strict=True)
        ]


def load_finished(folder: RunFolder) -> FinishedStudent:
    """The student of a finished run. Raises TrainingError for an unfinished or untrained one."""
    document = folder.require_done()
    config = TrainConfig.from_run(document)
    if not folder.student.is_file():
        raise TrainingError(
            f"{folder.path} is a {config.method} run and has no student: name a trained run"
        )
    header: dict[str, Any] = read_header(folder.student)
    student, _ = make_student(config, int(header["head_width"]), weights="random")
    restore_student(folder.student, student)
    return FinishedStudent(
        student=student.requires_grad_(False).eval(),
        config=config,
        classes=tuple(header["classes"]),
        texts=None if header["texts"] is None else torch.tensor(header["texts"]),
        logit_scale=float(header["logit_scale"]),
    )


@dataclass(frozen=True, slots=True)
class PartAccuracy:
    """One domain's part and how right a student is there."""

    domain: str
    role: str
    """`target`: kept out of this student's training; else `source`."""
    part: str
    """`training`, `validation`, or `all` of the domain."""
    pictures: int
    accuracy: float
    class_accuracy: float
    ece: float
    """Expected calibration error of the student's probabilities (`calibration`)."""


def evaluate_student(student: FinishedStudent, experiment: Experiment) -> list[PartAccuracy]:
    """Accuracy and calibration per domain and part of any data folder whose classes the student knows.

    Raises TrainingError for other classes.
    """
    manifest = experiment.manifest
    unknown = sorted(set(manifest.classes) - set(student.classes))
    if unknown:
        raise TrainingError(
            f"{manifest.data} has classes that the student does not know: {', '.join(unknown)}; "
            f"it knows {', '.join(student.classes)}"
        )
    found = student.probabilities(experiment.pixels(student.config.image_size))
    answers = found.argmax(axis=1)
    labels = np.array([student.classes.index(p.label) for p in manifest.pictures], dtype=np.int64)
    fold = Fold(manifest, experiment.split, student.config.targets)
    rows = []
    for domain in manifest.domains:
        inside, outside = fold.part(domain, "in"), fold.part(domain, "out")
        parts = {"training": inside, "validation": outside, "all": np.union1d(inside, outside)}
        role = "target" if domain in fold.targets else "source"
        for part, chosen in parts.items():
            if len(chosen):
                seen = measure(answers[chosen], labels[chosen])
                error = calibrate(found[chosen], labels[chosen]).error
                rows.append(
                    PartAccuracy(
                        domain, role, part, seen.pictures, seen.plain, seen.per_class, error
                    )
                )
    return rows
