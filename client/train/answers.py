"""What a run says to every picture: kept beside its result, for statistics that come later."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from client.train.errors import TrainingError
from client.train.runs import RunFolder

__all__ = ["Answers", "load_answers", "save_answers"]


@dataclass(frozen=True)
class Answers:
    """Scores of every picture of the data folder, in the manifest's order."""

    scores: NDArray[np.float32]
    """float32[n, k]: logits, or cosines times the teacher's scale; NaN rows were not asked about."""

    @property
    def asked(self) -> NDArray[np.bool_]:
        """bool[n]: which pictures have an answer."""
        return np.asarray(np.isfinite(self.scores).all(axis=1))

    @property
    def classes(self) -> NDArray[np.int64]:
        """int64[n]: the likeliest class; −1 where nothing was asked."""
        filled = np.nan_to_num(self.scores, nan=-np.inf)
        best: NDArray[np.int64] = np.where(self.asked, filled.argmax(axis=1), -1)
        return best

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """float32[n, k]: the softmax of the scores; NaN where nothing was asked."""
        powers = np.exp(self.scores - self.scores.max(axis=1, keepdims=True))
        shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return shares


def save_answers(folder: RunFolder, answers: Answers) -> None:
    """Write `answers.safetensors` beside its place, then rename it."""
    partial = folder.answers.with_suffix(".partial")
    save_file({"scores": np.ascontiguousarray(answers.scores, dtype=np.float32)}, partial)
    partial.replace(folder.answers)


def load_answers(folder: RunFolder) -> Answers:
    """The answers of a finished run. Raises TrainingError when there are none."""
    folder.require_done()
    try:
        return Answers(load_file(folder.answers)["scores"])
    except (OSError, SafetensorError, KeyError) as error:
        raise TrainingError(
            f"{folder.answers} cannot be read ({error}): train again with --no-resume"
        ) from error
