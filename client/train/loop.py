"""The training loop: one screen, one process; every step is a pure function of state, seed and step."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from client.train.augment import augment, to_unit_range
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.mixing import blend_pictures, drop_blocks, mix_statistics
from client.train.pixels import Pixels
from client.train.plus_methods import find_switches
from client.train.sampling import DomainSampler
from client.train.student import Student
from client.train.tasks import Task

__all__ = ["TrainState", "learning_rate", "start_state", "train_student"]

Row = dict[str, float]


@dataclass
class TrainState:
    """All that a resumed run needs."""

    student: Student
    average: Student
    """The running average of the weights; this is what is evaluated."""
    optimizer: torch.optim.Optimizer
    step: int = 0


def start_state(student: Student, task: Task, config: TrainConfig) -> TrainState:
    """A fresh state from an aligned student. A frozen head is in no optimiser and gets no gradient."""
    student.head.requires_grad_(task.trains_head)
    moved = [p for p in student.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in moved if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in moved if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
    average = copy.deepcopy(student).requires_grad_(False)
    return TrainState(student, average, optimizer)


def train_student(
    state: TrainState,
    task: Task,
    pixels: Pixels,
    sampler: DomainSampler,
    config: TrainConfig,
    *,
    after_step: Callable[[TrainState, Row], None],
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until `config.steps`; False when `stop` ended it earlier, between two steps.

    `pixels`: uint8[n, s, s, 3], the training part, in the order of the task's rows.
    """
    state.student.set_mode(training=True, batchnorm=config.batchnorm)
    switches = find_switches(config.method)
    if switches.drop:
        drop_blocks(state.student, switches.drop)
    while state.step < config.steps:
        if stop():
            return False
        rate = learning_rate(state.step, config)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        # Dropout, where a student has some, draws from the global generator.
        torch.manual_seed(_mix(config.trial_seed, state.step))
        generator = torch.Generator().manual_seed(_mix(config.trial_seed + 1, state.step))
        rows = sampler.draw(state.step)
        images = augment(
            to_unit_range(pixels[rows]),
            generator,
            switches.styles,
            rounds=switches.rounds,
            strong=switches.strong,
        )
        blend = blend_pictures(images, generator, switches.blend) if switches.blend else None
        with mix_statistics(state.student, switches.mixing):
            outputs = state.student(images if blend is None else blend.images)
        losses = task.loss(outputs, torch.from_numpy(rows))
        if blend is not None and blend.own < 1:
            others = task.loss(outputs, torch.from_numpy(rows)[blend.partners])
            losses = {k: blend.own * v + (1 - blend.own) * others[k] for k, v in losses.items()}
        if not torch.isfinite(losses["loss"]):
            raise TrainingError(f"the loss is not finite at step {state.step}: lower --lr")
        state.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        _average(state, config.averaging)
        state.step += 1
        after_step(state, {"lr": rate} | {k: float(v.detach()) for k, v in losses.items()})
    return True


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine fall that ends just above zero."""
    warmup = min(config.warmup, config.steps // 2)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    done = (step - warmup) / (config.steps - warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _average(state: TrainState, decay: float) -> None:
    """average ← d·average + (1−d)·student, d growing to `decay` so that early weights fade."""
    d = min(decay, (1 + state.step) / (10 + state.step))
    ours: dict[str, Tensor] = state.average.state_dict()
    for name, value in state.student.state_dict().items():
        if value.is_floating_point():
            ours[name].lerp_(value, 1 - d)  # exact where nothing moved
        else:
            ours[name].copy_(value)


def _mix(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))
