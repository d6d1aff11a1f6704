"""Unseen classes: class splits × methods × trials × shots, resumable, each run tested as it ends.

A run without shots learns from the seen classes. A run with shots goes on from it: as published, the
pictures of the unseen classes are added to the training pictures and the student is trained further.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from client.train.building import build_task, require_teacher
from client.train.config import TrainConfig
from client.train.errors import MissingVectors, TrainingError
from client.train.experiment import Experiment
from client.train.job import label_report
from client.train.li_evaluation import answer_unseen, describe_answers, describe_unseen
from client.train.li_folds import ClassFold, make_class_fold
from client.train.methods import find_method
from client.train.recipe import Job, run_training
from client.train.runs import RunFolder

SUFFIX = "+descriptions"
"""After a method's name: its class texts carry the descriptions."""
SHOT_SHARE = 0.25
"""Steps with shots, as a share of the steps before: 20 of 90 epochs in the paper."""

ABLE = "li, li-naive, adip or text-only"

Line = dict[str, Any]
Progress = Callable[[str, int, int], None]

__all__ = ["SUFFIX", "UnseenPlan", "run_unseen"]


@dataclass(frozen=True)
class UnseenPlan:
    """What to compare."""

    config: TrainConfig
    """Settings of every run; method, class split, shots, descriptions and seed are replaced."""
    methods: tuple[str, ...]
    """Names of methods, each perhaps with `+descriptions`; the first is what others are held against."""
    splits: int = 3
    shots: tuple[int, ...] = (0,)
    seeds: int = 1
    descriptions: str = ""
    """The file that `+descriptions` reads."""
    shot_steps: int | None = None
    """Further steps with shots; None: a quarter of the steps."""
    shot_lr: float | None = None
    """Their peak learning rate; None: the same as before."""

    def settings(self, method: str, split: int, seed: int, shots: int) -> TrainConfig:
        """One run's config."""
        config = replace(
            self.config,
            method=method.removesuffix(SUFFIX),
            descriptions=self.descriptions if method.endswith(SUFFIX) else "",
            class_split=split,
            class_shots=shots,
            trial_seed=self.config.trial_seed + seed,
        )
        if not shots:
            return config
        steps = self.shot_steps or max(1, round(SHOT_SHARE * config.steps))
        return replace(config, steps=steps, lr=self.shot_lr or config.lr)

    def folder(self, out: Path, method: str, split: int, seed: int, shots: int) -> RunFolder:
        """Where one run is kept."""
        trial = f"seed{self.config.trial_seed + seed}"
        return RunFolder(out / f"split{split}" / method / trial / f"shots{shots}")

    def check(self) -> None:
        """Raises TrainingError for a method that cannot answer in classes it never saw."""
        for name in self.methods:
            method = find_method(name.removesuffix(SUFFIX))
            if not (method.trains and method.reads_texts):
                raise TrainingError(
                    f"{method.name} trains no student that compares pictures with class texts: "
                    f"name {ABLE}"
                )
            if name.endswith(SUFFIX) and not self.descriptions:
                raise TrainingError(f"{name} needs a file: give --descriptions FILE")


def run_unseen(
    experiment: Experiment,
    plan: UnseenPlan,
    out: Path,
    *,
    announce: Callable[[Line], None] = lambda line: None,
    report: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Line]:
    """Make every run that is not there yet under OUT/split<s>/<method>/seed<k>/shots<n>.

    Returns the teacher's own lines (method `zero-shot`), where its vectors were bought, then the
    runs'. Raises MissingVectors before the first training.
    """
    plan.check()
    for split in range(plan.splits):
        _require_vectors(experiment, plan, split)
    lines = list(ask_teacher(experiment, plan))
    for seed in range(plan.seeds):
        for split in range(plan.splits):
            for method in plan.methods:
                for line in _run_trial(experiment, plan, out, (method, split, seed), report, stop):
                    announce(line)
                    lines.append(line)
    return lines


def ask_teacher(experiment: Experiment, plan: UnseenPlan) -> Iterator[Line]:
    """How the teacher itself tells the unseen classes apart, by each kind of class text."""
    for described in (False, True):
        like = [name for name in plan.methods if name.endswith(SUFFIX) == described]
        for split in range(plan.splits if like else 0):
            fold = make_class_fold(experiment.manifest, experiment.split, split)
            config = plan.settings(like[0], split, 0, 0)
            teacher = require_teacher(config, experiment.teacher(config))
            try:
                images = teacher.read_images(fold.whole, fold.tested, "evaluation")
            except MissingVectors:
                continue
            answers = answer_unseen(fold, images, teacher.read_texts(fold.whole))
            yield {
                "variant": f"zero-shot{SUFFIX if described else ''}",
                "class_split": split,
                "class_shots": 0,
                "trial_seed": plan.config.trial_seed,
                "imitation": None,
                **describe_answers(fold, answers),
            }


def _run_trial(
    experiment: Experiment,
    plan: UnseenPlan,
    out: Path,
    trial: tuple[str, int, int],
    report: Progress,
    stop: Callable[[], bool],
) -> Iterator[Line]:
    """The run without shots, which is always made, and those that go on from it."""
    method, split, seed = trial
    for shots in sorted({0, *plan.shots}):
        config = plan.settings(method, split, seed, shots)
        fold = _fold(experiment, config)
        teacher = require_teacher(config, experiment.teacher(config))
        pixels = experiment.pixels(config.image_size)
        job = Job(
            config=config,
            fold=fold.training,
            pixels=pixels[fold.rows],
            teacher=teacher,
            folder=plan.folder(out, method, split, seed, shots),
            report=label_report(report, f"split {split} · {method} · {shots} shots"),
            stop=stop,
            start=plan.folder(out, method, split, seed, 0).student if shots else None,
        )
        line = run_training(job)
        if "ood_all_class_acc" not in line:
            line |= {"variant": method, "class_split": split, "class_shots": shots}
            line |= describe_unseen(job.folder, fold, pixels, teacher)
            job.folder.finish(line)
        if shots in plan.shots:
            yield line


def _require_vectors(experiment: Experiment, plan: UnseenPlan, split: int) -> None:
    """Read all that training will read and the texts that testing will. Raises MissingVectors."""
    draws = [(0, 0), *((seed, k) for k in plan.shots if k for seed in range(plan.seeds))]
    for method in plan.methods:
        for seed, shots in draws:
            config = plan.settings(method, split, seed, shots)
            fold, teacher = (
                _fold(experiment, config),
                require_teacher(config, experiment.teacher(config)),
            )
            task = build_task(config, fold.training, teacher)
            if task.classes is None:
                raise TrainingError(
                    f"{config.method} answers in the classes that it was trained on and knows no "
                    f"other: name {ABLE}"
                )
            teacher.read_texts(fold.whole)


def _fold(experiment: Experiment, config: TrainConfig) -> ClassFold:
    return make_class_fold(
        experiment.manifest,
        experiment.split,
        config.class_split or 0,
        config.class_shots,
        seed=config.trial_seed,
    )
