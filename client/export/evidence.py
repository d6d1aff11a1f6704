"""What a report and a card are made from: finished runs, and their answers beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from client.data.folders import scan_folders
from client.data.manifest import DataError, DigestMemo, Manifest
from client.data.splits import split_pictures
from client.train.answers import Answers, load_answers
from client.train.calibration import Calibration, calibrate
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.evaluate import measure
from client.train.fold import Fold, Rows
from client.train.runs import RunFolder, find_runs

__all__ = [
    "Evidence",
    "ReportedRun",
    "load_evidence",
    "read_runs",
    "scan_again",
    "spread_out",
]

Document = dict[str, Any]


@dataclass(frozen=True)
class ReportedRun:
    """A finished run's own words."""

    folder: RunFolder
    config: Document
    result: Document

    @classmethod
    def read(cls, folder: RunFolder) -> "ReportedRun":
        """The run in a folder. Raises TrainingError when it is not finished."""
        return cls(folder, folder.read_config(), folder.result())

    @property
    def method(self) -> str:
        return str(self.result["method"])

    @property
    def seed(self) -> int:
        return int(self.result["trial_seed"])

    @property
    def student_name(self) -> str:
        """The timm model, or the teacher's weights that were copied."""
        return TrainConfig.from_run(self.config).student_name

    @property
    def target(self) -> str:
        """Its target domains in one text; empty without any."""
        return ", ".join(self.result["targets"])

    def accuracy(self, domain: str) -> float | None:
        """Mean per-class accuracy: of all of a target domain, of a source's validation part."""
        index = self.config["domains"].index(domain)
        part = "" if domain in self.result["targets"] else "_out"
        value = self.result.get(f"env{index}{part}_class_acc")
        return None if value is None else float(value)


@dataclass(frozen=True)
class Evidence:
    """A run's answers to every picture of its data folder, with the labels."""

    run: ReportedRun
    fold: Fold
    answers: Answers

    def rows(self, domain: str) -> Rows:
        """The pictures of a domain that were asked about: all of a target, a source's validation."""
        inside = [self.fold.part(domain, "in")] if domain in self.fold.targets else []
        rows: Rows = np.sort(np.concatenate([self.fold.part(domain, "out"), *inside]))
        kept: Rows = rows[self.answers.asked[rows]]
        return kept

    @cached_property
    def tested(self) -> Rows:
        """All asked pictures of the targets."""
        return self._all(self.fold.targets)

    @cached_property
    def validated(self) -> Rows:
        """All asked pictures of the sources' validation parts."""
        return self._all(self.fold.sources)

    def agrees(self, domain: str) -> bool:
        """Whether answers and labels give the accuracy that the run wrote down.

        They do not when pictures were exchanged, or grouped anew, since.
        """
        rows, noted = self.rows(domain), self.run.accuracy(domain)
        if noted is None or not len(rows):
            return True
        seen = measure(self.answers.classes[rows], self.fold.labels[rows]).per_class
        return abs(seen - noted) < 1e-6

    def calibration(self, rows: Rows) -> Calibration | None:
        """The calibration on these pictures; None when there are none."""
        if not len(rows):
            return None
        return calibrate(self.answers.probabilities[rows], self.fold.labels[rows])

    def _all(self, domains: Sequence[str]) -> Rows:
        parts = [self.rows(domain) for domain in domains]
        return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))


def read_runs(places: Sequence[Path]) -> list[ReportedRun]:
    """The finished runs at or below these folders; what a selection tried is no result of its own.

    Raises TrainingError when there is none.
    """
    folders = [folder for place in places for folder in find_runs(place)]
    runs = [ReportedRun.read(folder) for folder in folders if "selection" not in folder.path.parts]
    if not runs:
        raise TrainingError(
            f"no finished run in {', '.join(map(str, places))}: make one with `vl2v train`"
        )
    return runs


def scan_again(run: ReportedRun, memo: DigestMemo | None = None) -> Manifest | None:
    """The run's data folder as it is now; None when it has moved, or holds other pictures."""
    root = Path(run.config["data"])
    if not root.exists():
        return None
    try:
        manifest = scan_folders(root, memo=memo)
    except DataError:
        return None
    now = (list(manifest.classes), list(manifest.domains), len(manifest.pictures))
    then = (run.config["classes"], run.config["domains"], run.config["pictures"])
    return manifest if now == then else None


def load_evidence(run: ReportedRun, manifest: Manifest | None) -> Evidence | None:
    """The run's answers on the folder; None where either is not there, or is not what it was."""
    if manifest is None:
        return None
    try:
        answers = load_answers(run.folder)
    except TrainingError:
        return None
    if answers.scores.shape != (len(manifest.pictures), len(manifest.classes)):
        return None
    config = run.config
    split = split_pictures(manifest, seed=config["split_seed"], holdout=config["holdout"])
    found = Evidence(run, Fold(manifest, split, tuple(config["targets"])), answers)
    return found if all(map(found.agrees, manifest.domains)) else None


def spread_out(count: int, wanted: int) -> list[int]:
    """Up to `wanted` places among `count`, evenly spread from the first to the last."""
    if not count:
        return []
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))]
