"""What choosing on the target domain would read: a column of its own, and part of no other figure."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from client.train.answers import load_answers
from client.train.evaluate import measure
from client.train.experiment import Experiment
from client.train.finished import load_finished
from client.train.fold import Fold
from client.train.runs import RunFolder, find_runs, read_json, write_json

__all__ = ["read_oracle"]

Reading = tuple[float, float]
"""(mean per-class accuracy on the target's validation part, on all of the target)."""


def read_oracle(
    experiment: Experiment, fold: Fold, runs: Sequence[RunFolder], trials: Path
) -> float | None:
    """Mean over `runs` (one a seed) of what the target's own validation part would have chosen
    between that run and every finished trial of the method; None when no trial was made.

    DomainBed's oracle, among students that exist: no further one is trained. The choice reads the
    part of the target that DomainBed calls `out`; the figure is of the whole target, like the column
    beside it. Each trial's reading is kept beside it as oracle.json.
    """
    tried = [_read_trial(experiment, fold, folder) for folder in find_runs(trials)]
    if not tried or not len(_held(fold)):
        return None
    # Of equals the run itself: max keeps the first.
    chosen = [max([_read_run(fold, run), *tried], key=lambda seen: seen[0]) for run in runs]
    return float(np.mean([whole for _, whole in chosen]))


def _read_run(fold: Fold, folder: RunFolder) -> Reading:
    answers = load_answers(folder).classes
    held, whole = _held(fold), fold.tested
    return (
        measure(answers[held], fold.labels[held]).per_class,
        measure(answers[whole], fold.labels[whole]).per_class,
    )


def _read_trial(experiment: Experiment, fold: Fold, folder: RunFolder) -> Reading:
    file = folder.path / "oracle.json"
    if not file.is_file():
        write_json(file, dict(zip(("held", "whole"), _ask(experiment, fold, folder), strict=True)))
    kept = read_json(file)
    return float(kept["held"]), float(kept["whole"])


def _ask(experiment: Experiment, fold: Fold, folder: RunFolder) -> Reading:
    student, tested = load_finished(folder), fold.tested
    pixels = experiment.pixels(student.config.image_size)
    answers = student.scores(pixels[tested]).argmax(axis=1)
    held = np.isin(tested, _held(fold))
    labels = fold.labels[tested]
    return (
        measure(answers[held], labels[held]).per_class,
        measure(answers, labels).per_class,
    )


def _held(fold: Fold) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    parts = [fold.part(domain, "out") for domain in fold.targets]
    return np.sort(np.concatenate(parts))
