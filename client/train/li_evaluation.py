"""What a finished student makes of classes that it never saw, and how it imitates the teacher there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from client.train.errors import MissingVectors, TrainingError
from client.train.evaluate import Accuracy, measure, score_pictures
from client.train.finished import load_finished
from client.train.fold import Rows
from client.train.imitation import measure_imitation
from client.train.li_folds import ClassFold
from client.train.pixels import Pixels
from client.train.runs import RunFolder
from client.train.teacher import Teacher
from shared.codecs import Vector

UNSEEN_FILE = "unseen.safetensors"

__all__ = ["UnseenAnswers", "answer_unseen", "describe_unseen", "load_unseen", "save_unseen"]


@dataclass(frozen=True)
class UnseenAnswers:
    """Cosines of pictures of unseen classes to the text of every class."""

    rows: Rows
    """int64[m] places in the manifest."""
    scores: NDArray[np.float32]
    """float32[m, k], classes in the manifest's order."""

    def answers(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64[m]: the likeliest of the classes in these columns, as a place in the manifest's."""
        best: NDArray[np.int64] = columns[self.scores[:, columns].argmax(axis=1)]
        return best


def answer_unseen(fold: ClassFold, outputs: Vector, texts: Vector) -> UnseenAnswers:
    """Compare float32[m, d] outputs for `fold.tested` with float32[k, d] unit texts of all classes."""
    unit = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return UnseenAnswers(fold.tested, np.asarray(unit @ texts.T, dtype=np.float32))


def describe_unseen(
    folder: RunFolder, fold: ClassFold, pixels: Pixels, teacher: Teacher
) -> dict[str, Any]:
    """What the result line of a finished run gains; the answers are kept in the run's folder.

    pixels: every picture of `fold.manifest`. Imitation is None where the teacher's vectors of the
    pictures were not bought: measuring it never asks for a purchase.
    """
    student = load_finished(folder).student
    texts = teacher.read_texts(fold.whole)
    outputs = {
        "train": score_pictures(student, None, pixels, fold.learnt),
        "ood": score_pictures(student, None, pixels, fold.tested),
    }
    answers = answer_unseen(fold, outputs["ood"], texts)
    save_unseen(folder.path / UNSEEN_FILE, answers)
    labels = {"train": fold.classes.seen, "ood": fold.classes.unseen}
    rows = {"train": fold.learnt, "ood": fold.tested}
    return {
        **describe_answers(fold, answers),
        "unseen_classes": list(fold.classes.unseen),
        "imitation": {
            part: _imitate(fold, rows[part], outputs[part], texts[fold.columns(names)], teacher)
            for part, names in labels.items()
        },
    }


def describe_answers(fold: ClassFold, answers: UnseenAnswers) -> dict[str, Any]:
    """`ood_*`: unseen pictures among the unseen labels; `ood_all_*`: among all labels."""
    labels = fold.labels(answers.rows)
    among = answers.answers(fold.columns(fold.classes.unseen))
    among_all = answers.answers(np.arange(len(fold.manifest.classes)))
    return {
        "ood_pictures": len(labels),
        **_pair("ood", measure(among, labels)),
        **_pair("ood_all", measure(among_all, labels)),
    }


def save_unseen(file: Path, answers: UnseenAnswers) -> None:
    """Write beside its place, then rename."""
    partial = file.with_suffix(".partial")
    save_file({"rows": answers.rows, "scores": np.ascontiguousarray(answers.scores)}, partial)
    partial.replace(file)


def load_unseen(folder: RunFolder) -> UnseenAnswers:
    """The answers of a finished run of `vl2v unseen`. Raises TrainingError when there are none."""
    file = folder.path / UNSEEN_FILE
    try:
        tensors = load_file(file)
        return UnseenAnswers(tensors["rows"], tensors["scores"])
    except (OSError, SafetensorError, KeyError) as error:
        raise TrainingError(
            f"{file} cannot be read ({error}): remove {folder.path} and run `vl2v unseen` again"
        ) from error


def _imitate(
    fold: ClassFold, rows: Rows, outputs: Vector, texts: Vector, teacher: Teacher
) -> dict[str, float] | None:
    try:
        vectors = teacher.read_images(fold.whole, rows, "evaluation")
    except MissingVectors:
        return None
    return measure_imitation(outputs, vectors, texts).document()


def _pair(name: str, accuracy: Accuracy) -> dict[str, float]:
    return {f"{name}_acc": accuracy.plain, f"{name}_class_acc": accuracy.per_class}
