"""One run from end to end: align, distil, evaluate, write down."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from client.train.align import align_head
from client.train.answers import Answers, save_answers
from client.train.building import build_task, require_teacher
from client.train.checkpoint import restore_state, save_state, save_student
from client.train.config import TrainConfig
from client.train.errors import Interrupted
from client.train.evaluate import evaluate_fold, measure, score_pictures
from client.train.fold import Fold
from client.train.loop import TrainState, start_state, train_student
from client.train.methods import find_method
from client.train.mixing import blend_backbones
from client.train.pixels import Pixels
from client.train.plus_methods import find_switches
from client.train.results import describe_result
from client.train.runs import RunFolder
from client.train.sampling import DomainSampler
from client.train.spending import count_spending
from client.train.student import StudentSpec, build_student
from client.train.tasks import Task
from client.train.teacher import Teacher

CURVE_POINTS = 40
"""Rows that the loss leaves in metrics.jsonl."""
VALIDATIONS = 4
"""Times a run looks at source validation, evenly spaced, for the curves alone."""
SAVE_EVERY = 100
"""Steps between checkpoints."""

__all__ = ["Job", "run_training"]


@dataclass(frozen=True)
class Job:
    """One run to be made."""

    config: TrainConfig
    fold: Fold
    pixels: Pixels
    """Every picture of the manifest, decoded at the config's image size."""
    teacher: Teacher | None
    """None for a method that reads no vectors."""
    folder: RunFolder
    report: Callable[[str, int, int], None] = field(default=lambda stage, done, total: None)
    """Hears (stage, steps done, steps in all)."""
    stop: Callable[[], bool] = field(default=lambda: False)
    """Asked between steps; True saves the state and ends with Interrupted."""


def run_training(job: Job, *, resume: bool = True) -> dict[str, Any]:
    """Make the run, or go on with it, and return its result line.

    A finished run is returned as it is. Raises MissingVectors, TrainingError, Interrupted.
    """
    config, folder = job.config, job.folder
    method = find_method(config.method)
    folder.claim(_describe_run(job), resume=resume)
    if folder.is_done:
        return folder.result()
    if method.trains:
        answers, facts = _train(job, build_task(config, job.fold, job.teacher))
    else:
        answers = _ask_teacher(require_teacher(config, job.teacher), job.fold)
        facts = {"seconds": 0.0, "parameters": None, "weights": None}
    save_answers(folder, answers)
    evaluation = evaluate_fold(job.fold, answers.classes)
    spending = count_spending(method, [job.fold], job.teacher)
    line = describe_result(config, job.fold, evaluation, spending, facts)
    folder.finish(line)
    return line


def _train(job: Job, task: Task) -> tuple[Answers, dict[str, Any]]:
    """Align, distil, and answer every picture with the averaged student."""
    config, fold, folder = job.config, job.fold, job.folder
    began = time.monotonic()
    spec = StudentSpec(config.student, config.image_size, task.head_width)
    student, origin = build_student(spec, weights=config.weights, seed=config.trial_seed)
    state, header = _open_state(job, task, start_state(student, task, config))
    spent = float(header["seconds"])

    def save(current: TrainState) -> None:
        save_state(folder.checkpoint, current, {**header, "seconds": spent + _since(began)})

    if not train_student(
        state,
        task,
        job.pixels[fold.training],
        DomainSampler(fold.domains[fold.training], config.batch, config.trial_seed),
        config,
        after_step=lambda current, row: _after_step(job, task, current, row, save),
        stop=job.stop,
    ):
        save(state)
        raise Interrupted(
            f"stopped after step {state.step} of {config.steps}, and {folder.path} is saved: "
            "run the same command again to go on"
        )
    kept = find_switches(config.method).kept
    if kept < 1:
        aligned, _ = build_student(spec, weights=config.weights, seed=config.trial_seed)
        blend_backbones(state.average, aligned, kept)
    everything = np.arange(len(job.pixels))
    scores = score_pictures(state.average, task.classes, job.pixels, everything)
    _save_finished(job, task, state)
    parameters = sum(p.numel() for p in state.average.parameters())
    facts = {"seconds": spent + _since(began), "penalty": header["penalty"]}
    scale = 1.0 if task.classes is None else _logit_scale(job)
    return Answers(scale * scores), {"parameters": parameters, "weights": origin, **facts}


def _open_state(job: Job, task: Task, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
    """The state as it was saved, or a fresh one after Align."""
    folder = job.folder
    if folder.checkpoint.is_file():
        header = restore_state(folder.checkpoint, state)
        folder.cut_log(state.step)
        return state, header
    began = time.monotonic()
    fit = align_head(
        state.student,
        task,
        job.pixels,
        job.fold,
        job.config,
        report=lambda done, total: job.report("align", done, total),
    )
    state.average.load_state_dict(state.student.state_dict())
    folder.cut_log(-1)
    folder.log({"step": 0, "stage": "align", "validation": fit.score, "penalty": fit.penalty})
    header = {"seconds": 0.0, "penalty": fit.penalty}
    save_state(folder.checkpoint, state, {**header, "seconds": _since(began)})
    return state, header


def _after_step(
    job: Job,
    task: Task,
    state: TrainState,
    row: dict[str, float],
    save: Callable[[TrainState], None],
) -> None:
    steps = job.config.steps
    job.report("distill", state.step, steps)
    validate = state.step % max(1, steps // VALIDATIONS) == 0
    if validate:
        rows = job.fold.validation
        scores = score_pictures(state.average, task.classes, job.pixels, rows)
        row["validation"] = measure(scores.argmax(axis=1), job.fold.labels[rows]).per_class
    if validate or state.step % max(1, steps // CURVE_POINTS) == 0:
        job.folder.log({"step": state.step, "stage": "distill", **row})
    if state.step % SAVE_EVERY == 0:
        save(state)


def _save_finished(job: Job, task: Task, state: TrainState) -> None:
    """The averaged student with what it needs to answer by itself: classes and their texts."""
    header = {
        "classes": list(job.fold.manifest.classes),
        "texts": None if task.classes is None else task.classes.tolist(),
        "logit_scale": _logit_scale(job),
        "head_width": task.head_width,
    }
    save_student(job.folder.student, state.average, header)


def _logit_scale(job: Job) -> float:
    return job.teacher.document.logit_scale if job.teacher else 1.0


def _ask_teacher(teacher: Teacher, fold: Fold) -> Answers:
    """The teacher's own answers where evaluating it needs them."""
    images, texts = teacher.read_images(fold, fold.asked, "evaluation"), teacher.read_texts(fold)
    scores = np.full((len(fold.manifest.pictures), len(texts)), np.nan, dtype=np.float32)
    scores[fold.asked] = teacher.document.logit_scale * images @ texts.T
    return Answers(scores)


def _describe_run(job: Job) -> dict[str, Any]:
    """config.json: the config with what it was resolved against."""
    manifest = job.fold.manifest
    return {
        **job.config.document(),
        "data": str(manifest.root),
        "classes": list(manifest.classes),
        "domains": list(manifest.domains),
        "pictures": len(manifest.pictures),
        "revision": job.teacher.document.revision if job.teacher else None,
    }


def _since(began: float) -> float:
    return time.monotonic() - began
