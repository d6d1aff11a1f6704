"""What Align and a Distill step cost beside the published stage and a bare training step.

    python -m tests.bench.distill DATA --model ID --target DOMAIN [--image-size S] [--threads N] [--json]

Align: features of each training picture and its stored views, then the head (`search` on the loss
itself, `exact` the ridge solution). Beside it
5,001 steps of 96 pictures through the backbone, forward alone, which is the least that the published
stage does; a few hundred are measured and the time is scaled. Its accuracy is compared with the
published optimiser (Adam at 5e-5, 5,001 steps, best of 50 evaluations) on the same stored features.

Distill: a step of the product's own loop for adip, beside forward, backward and optimiser of the
same student on the same augmented batches. The two take turns (A B A B …), so that a machine that
slows down slows both.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from client.cache.store import EmbeddingStore
from client.settings import ClientSettings
from client.train.align import align_head
from client.train.augment import augment, to_unit_range
from client.train.building import build_task
from client.train.config import DEFAULT_STUDENT, TrainConfig
from client.train.evaluate import BATCH, measure
from client.train.experiment import open_experiment
from client.train.fold import Fold
from client.train.job import Job
from client.train.loop import draw_views, start_state, train_student
from client.train.pixels import PixelRows, Pixels, PixelSelection
from client.train.runs import RunFolder
from client.train.search import search_head
from client.train.student import Student, StudentSpec, build_student
from client.train.tasks import Task, read_scores

PUBLISHED_STEPS = 5001
PUBLISHED_BATCH = 96
PUBLISHED_RATE = 5e-5
EVALUATIONS = 50
Fit = Callable[[Student, Task, Pixels, Fold, TrainConfig], Any]
ALIGN_GOAL = 20.0
ACCURACY_GOAL = 0.005
STEP_GOAL = 1.2


def measure_align(job: Job, task: Task, published_steps: int, measured: int) -> dict[str, Any]:
    """Seconds and source-validation accuracy of Align as it is and as it was published."""
    student = make_student(job, task)
    pixels = PixelSelection(job.pixels, job.fold.training)
    batch = to_unit_range(pixels[np.arange(PUBLISHED_BATCH) % len(pixels)])
    per_step = time_forward(student, batch, measured)
    published = per_step * published_steps
    return {
        "pictures": len(pixels),
        "views": job.config.align_views,
        "published_seconds": published,
        "published_steps": published_steps,
        "measured_steps": measured,
        "published_accuracy": align_by_steps(job, task, student, published_steps),
        "fits": {
            name: time_fit(fit, job, task, published)
            for name, fit in (("search", search_head), ("exact", align_head))
        },
    }


def time_fit(fit: Fit, job: Job, task: Task, published: float) -> dict[str, float]:
    """Seconds and source-validation accuracy of one way to align, from a fresh student."""
    student = make_student(job, task)
    began = time.perf_counter()
    found = fit(student, task, job.pixels, job.fold, job.config)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "ratio": published / seconds, "accuracy": found.score}


@torch.no_grad()
def time_forward(student: Student, batch: Tensor, steps: int) -> float:
    """Seconds of one pass of the batch through the backbone; the mean of `steps`."""
    student.eval()
    student.features(batch)
    began = time.perf_counter()
    for _ in range(steps):
        student.features(batch)
    return (time.perf_counter() - began) / steps


def align_by_steps(job: Job, task: Task, student: Student, steps: int) -> float:
    """The published optimiser on stored features; accuracy of its best evaluated head."""
    fold, views = job.fold, job.config.align_views + 1
    pixels = PixelSelection(job.pixels, fold.training)
    stored = torch.stack([extract(student, pixels, view) for view in range(views)])
    seen = extract(student, PixelSelection(job.pixels, fold.validation), 0)
    torch.manual_seed(job.config.trial_seed)
    head = torch.nn.Linear(stored.shape[-1], task.head_width)
    optimizer = torch.optim.Adam(head.parameters(), lr=PUBLISHED_RATE)
    rng, best = np.random.default_rng(job.config.trial_seed), 0.0
    for step in range(steps):
        rows = job.sampler.draw(step)
        features = stored[rng.integers(views, size=len(rows)), rows]
        optimizer.zero_grad()
        task.loss(head(features), torch.from_numpy(rows))["loss"].backward()
        optimizer.step()
        if (step + 1) % max(1, steps // EVALUATIONS) == 0:
            with torch.no_grad():
                answers = read_scores(head(seen), task.classes).argmax(dim=1).numpy()
            best = max(best, measure(answers, fold.labels[fold.validation]).per_class)
    return best


@torch.no_grad()
def extract(student: Student, pixels: PixelRows, view: int) -> Tensor:
    """float32[n, dS] of one view of each picture; view 0 is the picture as it is."""
    student.eval()
    generator, parts = torch.Generator().manual_seed(view), []
    for start in range(0, len(pixels), BATCH):
        images = to_unit_range(pixels[start : start + BATCH])
        parts.append(student.features(augment(images, generator) if view else images))
    return torch.cat(parts)


def measure_step(job: Job, task: Task, rounds: int) -> dict[str, Any]:
    """Milliseconds of a Distill step and of a bare one; medians over the rounds."""
    turns = {"distill": make_distill(job, task), "bare": make_bare(job, task)}
    for turn in turns.values():
        turn()
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            began = time.perf_counter()
            turn()
            found[name].append(1000 * (time.perf_counter() - began) / job.config.steps)
    return {
        "batch": job.sampler.size,
        "steps": job.config.steps,
        "distill_ms": median(found["distill"]),
        "bare_ms": median(found["bare"]),
        "ratio": median(a / b for a, b in zip(found["distill"], found["bare"], strict=True)),
        "rounds": found,
    }


def make_distill(job: Job, task: Task) -> Callable[[], None]:
    """A turn of the product's own loop."""
    state = start_state(make_student(job, task), task, job.config)
    pixels = PixelSelection(job.pixels, job.fold.training)

    def turn() -> None:
        state.step = 0
        train_student(
            state, task, pixels, job.sampler, job.config, after_step=lambda state, row: None
        )

    return turn


def make_bare(job: Job, task: Task) -> Callable[[], None]:
    """The same batches, augmented; forward, backward, optimiser, and nothing else."""
    state = start_state(make_student(job, task), task, job.config)
    student, config = state.student, job.config
    pixels = PixelSelection(job.pixels, job.fold.training)
    aim = F.normalize(torch.ones(task.head_width), dim=0)

    def turn() -> None:
        student.set_mode(training=True, batchnorm=config.batchnorm)
        for step in range(config.steps):
            images, _ = draw_views(step, pixels, job.sampler, config, torch.device("cpu"))
            state.optimizer.zero_grad(set_to_none=True)
            loss = -(F.normalize(student(images), dim=-1) @ aim).mean()
            loss.backward()
            state.optimizer.step()

    return turn


def make_student(job: Job, task: Task) -> Student:
    """A fresh student for the task."""
    spec = StudentSpec(job.config.student, job.config.image_size, task.head_width)
    return build_student(spec, weights=job.config.weights, seed=job.config.trial_seed)[0]


def run_bench(job: Job, *, published_steps: int, measured: int, rounds: int) -> dict[str, Any]:
    """Both comparisons and the machine they were made on."""
    task = build_task(job.config, job.fold, job.teacher)
    machine = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    return {
        "machine": f"{machine}, torch {torch.__version__}",
        "student": job.config.student,
        "image_size": job.config.image_size,
        "align": measure_align(job, task, published_steps, measured),
        "step": measure_step(job, task, rounds),
    }


def show(report: dict[str, Any]) -> str:
    """The report as a Markdown table."""
    align, step = report["align"], report["step"]
    rows = [("", "ours", "beside it", "ratio", "goal"), ("---",) * 5]
    for name, fit in align["fits"].items():
        change = fit["accuracy"] - align["published_accuracy"]
        rows += [
            (
                f"Align ({name}), {align['pictures']} pictures × {align['views'] + 1}, s",
                f"{fit['seconds']:.2f}",
                f"{align['published_seconds']:.1f}",
                f"{fit['ratio']:.1f} ×",
                f"≥ {ALIGN_GOAL:g} ×",
            ),
            (
                f"Align ({name}), source validation, %",
                f"{100 * fit['accuracy']:.1f}",
                f"{100 * align['published_accuracy']:.1f}",
                f"{100 * change:+.1f}",
                f"± {100 * ACCURACY_GOAL:g}",
            ),
        ]
    rows += [
        (
            f"Distill step of {step['batch']}, ms",
            f"{step['distill_ms']:.1f}",
            f"{step['bare_ms']:.1f}",
            f"{step['ratio']:.2f} ×",
            f"≤ {STEP_GOAL:g} ×",
        ),
    ]
    scaled = (
        f"{report['machine']}; {report['student']} at {report['image_size']} px. The published stage "
        f"is {align['measured_steps']} measured steps of {PUBLISHED_BATCH}, scaled to "
        f"{align['published_steps']}."
    )
    return "\n".join([scaled, "", *("| " + " | ".join(row) + " |" for row in rows)])


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", required=True, help="the teacher's id, all bought")
    parser.add_argument("--target", required=True, help="the domain left out")
    parser.add_argument("--cache", help="cache path or URL; default VL2V_CACHE_URL")
    parser.add_argument("--student", default=DEFAULT_STUDENT)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=TrainConfig().batch)
    parser.add_argument("--holdout", type=float, default=TrainConfig().holdout)
    parser.add_argument("--views", type=int, default=4, help="stored beside each picture")
    parser.add_argument("--published-steps", type=int, default=PUBLISHED_STEPS)
    parser.add_argument("--measured", type=int, default=200, help="forward steps to measure")
    parser.add_argument("--steps", type=int, default=20, help="Distill steps in a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = read_arguments(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    config = TrainConfig(
        model=given.model,
        targets=(given.target,),
        student=given.student,
        image_size=given.image_size,
        batch=given.batch,
        holdout=given.holdout,
        align_views=given.views,
        steps=given.steps,
        device="cpu",
    )
    with EmbeddingStore.open(given.cache or ClientSettings.load().cache) as store:
        experiment = open_experiment(given.data, config, store)
        job = Job(
            config=config,
            fold=experiment.fold(config.targets),
            pixels=experiment.pixels(config.image_size),
            teacher=experiment.teacher(config),
            folder=RunFolder(Path("unused")),
        )
        report = run_bench(
            job,
            published_steps=given.published_steps,
            measured=given.measured,
            rounds=given.rounds,
        )
    print(json.dumps(report) if given.json else show(report))


if __name__ == "__main__":
    main()
