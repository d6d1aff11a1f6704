"""A stage of a run: its steps with their evaluations, curves and checkpoints."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from client.train.align import align_head
from client.train.averaging import Reading, estimate_batchnorm
from client.train.checkpoint import read_header, restore_state, save_state
from client.train.errors import Interrupted
from client.train.evaluate import measure, score_pictures
from client.train.job import Job
from client.train.lesson import Lesson
from client.train.loop import (
    TrainState,
    draw_views,
    is_evaluation,
    set_stage_mode,
    start_state,
    train_student,
)
from client.train.pixels import PixelSelection
from client.train.search import search_head
from client.train.student import Student
from client.train.tasks import Task

CURVE_POINTS = 40
"""Rows that the loss leaves in metrics.jsonl."""
SAVE_EVERY = 100
"""Steps between checkpoints."""

__all__ = ["Notes", "align", "distill", "open_notes", "validate"]


@dataclass
class Notes:
    """What a run knows of itself beside its weights; every checkpoint carries it."""

    seconds_before: float = 0.0
    """Of the earlier processes, as far as their work was kept."""
    penalty: float | None = None
    """The L2 penalty that Align chose."""
    stage: str | None = None
    """The stage that the checkpoint belongs to; None without one."""
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Of all processes up to now."""
        return self.seconds_before + time.monotonic() - self.began


def open_notes(job: Job) -> Notes:
    """The notes of the checkpoint, or fresh ones. Raises TrainingError for a damaged one."""
    if not job.folder.checkpoint.is_file():
        return Notes()
    header = read_header(job.folder.checkpoint)
    return Notes(float(header["seconds"]), header["penalty"], header.get("stage", "distill"))


def align(job: Job, lesson: Lesson, student: Student, notes: Notes) -> None:
    """Stage 1: find the head, on stored features or by gradient steps; the backbone stays as it is.

    Raises Interrupted between two steps.
    """
    if job.config.align == "steps":
        run_stage(job, lesson, start_state(student, lesson.task, job.config, "align"), notes)
        return
    if job.world.leads:
        job.folder.cut_log("align", -1)
        job.folder.log({"step": 0, "stage": "align", **_fit_head(job, lesson, student, notes)})
    job.world.share_weights(student)


def _fit_head(job: Job, lesson: Lesson, student: Student, notes: Notes) -> dict[str, Any]:
    """Fit the head on stored features, in place; what there is to log about it."""
    given = (student, lesson.task, job.pixels, job.fold, job.config)

    def report(done: int, total: int) -> None:
        job.report("align", done, total)

    if job.config.align == "search":
        found = search_head(*given, report, lesson.views)
        return {"validation": found.score, "iterations": found.iterations}
    fit = align_head(*given, report, lesson.views)
    notes.penalty = fit.penalty
    return {"validation": fit.score, "penalty": fit.penalty}


def distill(job: Job, lesson: Lesson, state: TrainState, notes: Notes) -> dict[str, Any]:
    """Stage 2: move the backbone, then average; what there is to say about the average.

    Raises Interrupted between two steps.
    """
    facts = run_stage(job, lesson, state, notes)
    if job.config.batchnorm == "updated" and job.config.averaging_kind != "none":
        _estimate_batchnorm(job, state.average)
    if facts and job.world.leads:
        job.folder.log({"step": state.step, "stage": "average", **facts})
    return facts


def run_stage(job: Job, lesson: Lesson, state: TrainState, notes: Notes) -> dict[str, Any]:
    """Go on with a stage from its checkpoint, or begin it; `state` is then the stage's outcome."""
    _enter(job, state, notes)
    done = train_student(
        state,
        lesson.task,
        PixelSelection(job.pixels, job.fold.training),
        job.sampler,
        job.config,
        views=lesson.views,
        after_step=lambda current, row: _after_step(job, lesson.task, current, row, notes),
        stop=job.stop,
        world=job.world,
    )
    if not done:
        _save(job, state, notes)
        place = f"step {state.step} of {job.config.steps}"
        raise Interrupted(
            f"stopped after {place}{' of Align' if state.stage == 'align' else ''}, and "
            f"{job.folder.path} is saved: run the same command again to go on"
        )
    return state.averaging.finish()


def _enter(job: Job, state: TrainState, notes: Notes) -> None:
    """Take up the stage's checkpoint; or write the first, so that what came before is kept."""
    if notes.stage == state.stage:
        restore_state(job.folder.checkpoint, state)
    if job.world.leads:
        job.folder.cut_log(state.stage, state.step if notes.stage == state.stage else -1)
        if notes.stage != state.stage:
            _save(job, state, notes)
    notes.stage = state.stage
    job.world.wait()


def _after_step(
    job: Job, task: Task, state: TrainState, row: dict[str, float], notes: Notes
) -> None:
    steps = job.config.steps
    job.report(state.stage, state.step, steps)
    looked = is_evaluation(state.step, job.config)
    if looked:
        row |= _look(job, task, state)
    if job.world.leads and (looked or state.step % max(1, steps // CURVE_POINTS) == 0):
        job.folder.log({"step": state.step, "stage": state.stage, **row})
    if state.step % SAVE_EVERY == 0:
        _save(job, state, notes)


def _look(job: Job, task: Task, state: TrainState) -> dict[str, float]:
    """Evaluate on source validation, and let the average hear of it."""
    found = (0.0, 0.0)
    if job.world.leads:
        found = validate(job, task, state.averaging.candidate)
        set_stage_mode(state, job.config)
    accuracy, loss = job.world.agree(found)
    state.averaging.evaluate(Reading(state.step, accuracy, loss))
    return {"validation": accuracy, "validation_loss": loss}


def validate(job: Job, task: Task, student: Student) -> tuple[float, float]:
    """(mean per-class accuracy, cross-entropy) on source validation.

    The cross-entropy is of softmax(logits), or of softmax(logit_scale · cosines), each source
    domain counting alike.
    """
    fold, rows = job.fold, job.fold.validation
    scores = score_pictures(student, task.classes, job.pixels, rows)
    accuracy = measure(scores.argmax(axis=1), fold.labels[rows]).per_class
    scale = 1.0 if task.classes is None else job.logit_scale
    losses = F.cross_entropy(
        torch.from_numpy(scale * scores).double(),
        torch.from_numpy(fold.labels[rows]),
        reduction="none",
    ).numpy()
    domains = fold.domains[rows]
    return accuracy, float(np.mean([losses[domains == d].mean() for d in np.unique(domains)]))


def _estimate_batchnorm(job: Job, student: Student) -> None:
    """BatchNorm statistics of the averaged weights on about one pass of the training stream."""
    pixels, config = PixelSelection(job.pixels, job.fold.training), job.config
    count = -(-len(pixels) // job.sampler.size)
    estimate_batchnorm(
        student,
        (draw_views(t, pixels, job.sampler, config, job.device)[0] for t in range(count)),
    )


def _save(job: Job, state: TrainState, notes: Notes) -> None:
    if job.world.leads:
        header = {"seconds": notes.seconds, "penalty": notes.penalty}
        save_state(job.folder.checkpoint, state, header)
