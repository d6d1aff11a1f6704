"""One run from end to end: align, distil, evaluate, write down."""

from typing import Any

import numpy as np

from client.train.answers import Answers, save_answers
from client.train.building import make_student, require_teacher
from client.train.checkpoint import restore_student, save_student
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.evaluate import evaluate_fold, score_pictures
from client.train.fold import Fold
from client.train.fresh import count_queries
from client.train.job import Job
from client.train.lesson import Lesson, open_lesson
from client.train.loop import start_state
from client.train.methods import Method, find_method
from client.train.mixing import blend_backbones
from client.train.plus_methods import find_switches
from client.train.results import describe_result
from client.train.scale import find_scale
from client.train.spending import count_spending
from client.train.stages import align, distill, open_notes
from client.train.student import Student
from client.train.tasks import Task
from client.train.teacher import Teacher
from client.train.whitebox import mix_weights

__all__ = ["Job", "run_training"]


def run_training(job: Job, *, resume: bool = True) -> dict[str, Any]:
    """Make the run, or go on with it, and return its result line.

    A finished run is returned as it is. Raises MissingVectors, TrainingError, Interrupted.
    """
    config, folder, world = job.config, job.folder, job.world
    method = find_method(config.method)
    _check_machine(job)
    if world.leads:
        folder.claim(_describe_run(job), resume=resume, defaults=TrainConfig().document())
    world.wait()
    if folder.is_done:
        return folder.result()
    if method.trains:
        lesson = open_lesson(job)
        student, facts = _train(job, method, lesson)
        if world.leads:
            _save_finished(job, lesson.task, student)
            _write_down(job, _answer(job, lesson.task, student), facts)
    elif world.leads:
        answers = _ask_teacher(require_teacher(config, job.teacher), job.fold)
        _write_down(job, answers, {"seconds": 0.0, "parameters": None, "weights": None})
    world.wait()
    return folder.result()


def _train(job: Job, method: Method, lesson: Lesson) -> tuple[Student, dict[str, Any]]:
    """Align, distil, and the averaged student with what there is to say about it."""
    config = job.config
    notes = open_notes(job)
    student, origin = make_student(config, lesson.task.head_width)
    if job.start is not None:
        restore_student(job.start, student)
    student.to(job.device)
    if method.start == "fitted" and job.start is None and notes.stage != "distill":
        align(job, lesson, student, notes)
    state = start_state(student, lesson.task, config)
    averaged = distill(job, lesson, state, notes) if method.distils else {}
    _go_back(job, method, state.average)
    facts = {
        "step": state.step,
        "epoch": state.step * job.sampler.size / len(job.fold.training),
        "seconds": notes.seconds,
        "penalty": notes.penalty,
        "parameters": sum(p.numel() for p in state.average.parameters()),
        "weights": origin,
    }
    if config.fresh_views:
        facts["unmetered_queries"] = count_queries(config, job.fold)
    return state.average, facts | averaged


def _go_back(job: Job, method: Method, student: Student) -> None:
    """Interpolate with the weights that the run began with, where the method does that."""
    kept = find_switches(method.name).kept
    if not method.start_share and kept == 1:
        return
    start, _ = make_student(job.config, student.spec.head_width)
    start.to(job.device)
    if method.start_share:
        mix_weights(student, start, method.start_share)
    else:
        blend_backbones(student, start, kept)


def _answer(job: Job, task: Task, student: Student) -> Answers:
    """What the student says to every picture."""
    everything = np.arange(len(job.pixels))
    scores = score_pictures(student, task.classes, job.pixels, everything)
    return Answers(scores if task.classes is None else job.logit_scale * scores)


def _ask_teacher(teacher: Teacher, fold: Fold) -> Answers:
    """The teacher's own answers where evaluating it needs them."""
    images, texts = teacher.read_images(fold, fold.asked, "evaluation"), teacher.read_texts(fold)
    scores = np.full((len(fold.manifest.pictures), len(texts)), np.nan, dtype=np.float32)
    scores[fold.asked] = find_scale(teacher, fold) * images @ texts.T
    return Answers(scores)


def _save_finished(job: Job, task: Task, student: Student) -> None:
    """The student with what it needs to answer by itself: classes and their texts."""
    header = {
        "classes": list(job.fold.manifest.classes),
        "texts": None if task.classes is None else task.classes.tolist(),
        "logit_scale": job.logit_scale,
        "head_width": task.head_width,
    }
    save_student(job.folder.student, student, header)


def _write_down(job: Job, answers: Answers, facts: dict[str, Any]) -> None:
    """Answers and result line; the run is then done."""
    save_answers(job.folder, answers)
    evaluation = evaluate_fold(job.fold, answers.classes)
    spending = count_spending(find_method(job.config.method), [job.fold], job.teacher)
    job.folder.finish(describe_result(job.config, job.fold, evaluation, spending, facts))


def _check_machine(job: Job) -> None:
    """Refuse what cannot be done here. Raises TrainingError."""
    if job.config.precision == "fp16" and job.device.type == "cpu":
        raise TrainingError("fp16 needs a CUDA device: give --precision bf16, or --device cuda")
    if job.config.batchnorm == "updated" and job.world.size > 1:
        raise TrainingError(
            "BatchNorm statistics that move need a single process: leave out --update-batchnorm, "
            "or start without torchrun"
        )
    parts = job.world.size * job.config.accumulate
    if job.sampler.size < parts:
        raise TrainingError(
            f"a batch of {job.sampler.size} cannot be split into {parts} parts: raise --batch, or "
            "take fewer processes or a smaller --accumulate"
        )


def _describe_run(job: Job) -> dict[str, Any]:
    """config.json: the config with what it was resolved against."""
    manifest = job.fold.manifest
    return {
        **job.config.document(),
        "data": str(manifest.data),
        "classes": list(manifest.classes),
        "domains": list(manifest.domains),
        "pictures": len(manifest.pictures),
        # The id alone, also when the user named the revision, or its space, with it.
        "model": job.teacher.document.id if job.teacher else job.config.model,
        "revision": job.teacher.document.revision if job.teacher else None,
        **_describe_words(job),
    }


def _describe_words(job: Job) -> dict[str, Any]:
    """What the files of descriptions and captions said; nothing without such files."""
    found: dict[str, Any] = {}
    if job.teacher and job.teacher.descriptions:
        found["class_texts"] = job.teacher.descriptions.texts(job.fold.manifest.classes)
    if job.teacher and job.teacher.captions:
        found["captions_digest"] = job.teacher.captions.digest
    return found
