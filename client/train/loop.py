"""The training loop of both stages; every step is a pure function of state, seed and step."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from client.train.augment import to_unit_range
from client.train.averaging import BestHead, Ema, LastWeights, WeightAverage
from client.train.config import TrainConfig
from client.train.distributed import SOLO, World
from client.train.errors import TrainingError
from client.train.mixing import Blend, blend_pictures, drop_blocks, mix_statistics
from client.train.pixels import PixelRows
from client.train.plus_methods import Switches, find_switches
from client.train.sampling import DomainSampler
from client.train.student import Student
from client.train.swad import Swad
from client.train.tasks import Task
from client.train.views import FileViews, Shown, Views

Stage = Literal["align", "distill"]

__all__ = [
    "Stage",
    "TrainState",
    "draw_views",
    "is_evaluation",
    "learning_rate",
    "set_stage_mode",
    "start_state",
    "train_student",
]

Row = dict[str, float]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class TrainState:
    """All that a resumed stage needs."""

    student: Student
    averaging: WeightAverage
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Keeps float16 gradients in range; does nothing at other precisions."""
    stage: Stage = "distill"
    step: int = 0

    @property
    def average(self) -> Student:
        """The weights that the stage leaves behind."""
        return self.averaging.model

    @property
    def moved(self) -> list[nn.Parameter]:
        """What the optimiser changes."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def start_state(
    student: Student, task: Task, config: TrainConfig, stage: Stage = "distill"
) -> TrainState:
    """A fresh state of a stage. Align moves the head alone; a head that Distill leaves as it is, is
    in no optimiser and gets no gradient."""
    student.head.requires_grad_(stage == "align" or task.trains_head)
    trained = student.head if stage == "align" else student
    moved = [p for p in trained.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in moved if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in moved if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
    scaler = torch.amp.GradScaler(moved[0].device.type, enabled=config.precision == "fp16")
    return TrainState(student, _start_average(student, config, stage), optimizer, scaler, stage)


def _start_average(student: Student, config: TrainConfig, stage: Stage) -> WeightAverage:
    if stage == "align":
        return BestHead(student)
    if config.averaging_kind == "ema":
        return Ema(student, config.averaging)
    return Swad(student) if config.averaging_kind == "swad" else LastWeights(student)


def train_student(  # noqa: PLR0913  (each is a seam of its own)
    state: TrainState,
    task: Task,
    pixels: PixelRows,
    sampler: DomainSampler,
    config: TrainConfig,
    *,
    views: Views = FileViews(),  # noqa: B008  (it has no state)
    after_step: Callable[[TrainState, Row], None],
    stop: Callable[[], bool] = lambda: False,
    world: World = SOLO,
) -> bool:
    """Train until `config.steps`, or until the average has ended; False when `stop` came first.

    `pixels`: uint8[n, s, s, 3], the training part, in the order of the task's rows.
    """
    set_stage_mode(state, config)
    switches = find_switches(config.method)
    if switches.drop and state.stage == "distill":
        drop_blocks(state.student, switches.drop)
    while state.step < config.steps and not state.averaging.ended:
        if world.any(stop()):
            return False
        rate = learning_rate(state.step, config)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        # Dropout, where a student has some, draws from the global generator.
        torch.manual_seed(
            _mix(config.trial_seed, state.step, *([world.rank] if world.rank else []))
        )
        # Align's batches come after Distill's in the stream, so that the two differ.
        tick = state.step + (config.steps if state.stage == "align" else 0)
        images, taught = draw_views(
            tick, pixels, sampler, config, state.moved[0].device, views=views
        )
        blend = _blend(images, switches, _mix(config.trial_seed + 2, tick))
        state.optimizer.zero_grad(set_to_none=True)
        losses = world.sum_values(_add_gradients(state, task, blend, taught, config, world))
        if not math.isfinite(losses["loss"]):
            raise TrainingError(f"the loss is not finite at step {state.step}: lower --lr")
        world.sum_gradients(state.moved)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.averaging.update()
        state.step += 1
        after_step(state, {"lr": rate} | losses)
    return True


def draw_views(
    tick: int,
    pixels: PixelRows,
    sampler: DomainSampler,
    config: TrainConfig,
    device: torch.device,
    *,
    views: Views = FileViews(),  # noqa: B008  (it has no state)
) -> Shown:
    """Batch number `tick`: float32[b, 3, s, s] views in [0, 1] on the device, and the task's rows
    int64[b] that they are taught by. What is drawn depends on seed and tick alone."""
    generator = torch.Generator().manual_seed(_mix(config.trial_seed + 1, tick))
    rows = sampler.draw(tick)
    return views.show(to_unit_range(pixels[rows]).to(device), rows, generator)


def set_stage_mode(state: TrainState, config: TrainConfig) -> None:
    """Training or evaluation mode of the layers, as the stage wants it; evaluating changes it."""
    if state.stage == "align":
        state.student.eval()
    else:
        state.student.set_mode(training=True, batchnorm=config.batchnorm)


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine fall that ends just above zero, or a constant."""
    warmup = min(config.warmup, config.steps // 2)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    done = (step - warmup) / (config.steps - warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


def is_evaluation(step: int, config: TrainConfig) -> bool:
    """Whether source validation is looked at after `step` steps: at ⌈k·steps/evaluations⌉, k = 1, 2 …"""
    done = step * config.evaluations // config.steps
    return done > (step - 1) * config.evaluations // config.steps


def _add_gradients(
    state: TrainState,
    task: Task,
    blend: Blend,
    taught: Tensor,
    config: TrainConfig,
    world: World,
) -> Row:
    """Add this process's share of the batch's gradient, and return its share of the losses.

    The loss is computed beside the cached vectors, in memory; outputs are small.
    """
    total: Row = {}
    for part in world.parts(config.accumulate):
        with _autocast(blend.images.device, config):
            outputs = _forward(state, blend.images[part], config)
        if outputs.dtype in _DTYPES.values():
            outputs = outputs.float()
        losses = _blended_loss(task, outputs.cpu(), blend, taught, part)
        share = len(outputs) / len(blend.images)
        state.scaler.scale(losses["loss"] * share).backward()  # type: ignore[no-untyped-call]
        for name, value in losses.items():
            total[name] = total.get(name, 0.0) + float(value.detach()) * share
    return total


def _blend(images: Tensor, switches: Switches, seed: int) -> Blend:
    """The batch as the student sees it: blended where the method does that."""
    if not switches.blend:
        return Blend(images, torch.arange(len(images)), 1.0)
    return blend_pictures(images, torch.Generator().manual_seed(seed), switches.blend)


def _blended_loss(
    task: Task, outputs: Tensor, blend: Blend, taught: Tensor, part: slice
) -> dict[str, Tensor]:
    """The task's loss; of blended pictures their own share of it and the rest of their partners'."""
    losses = task.loss(outputs, taught[part])
    if blend.own == 1:
        return losses
    others = task.loss(outputs, taught[blend.partners[part]])
    return {name: blend.own * v + (1 - blend.own) * others[name] for name, v in losses.items()}


def _forward(state: TrainState, images: Tensor, config: TrainConfig) -> Tensor:
    if state.stage == "distill":
        with mix_statistics(state.student, find_switches(config.method).mixing):
            outputs: Tensor = state.student(images)
        return outputs
    with torch.no_grad():
        features = state.student.features(images)
    aligned: Tensor = state.student.head(features)
    return aligned


def _autocast(device: torch.device, config: TrainConfig) -> AbstractContextManager[object]:
    dtype = _DTYPES.get(config.precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def _mix(*seeds: int) -> int:
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))
