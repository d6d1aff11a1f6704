"""One run to be made: its settings, its data, its folder, and who hears of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from client.train.config import TrainConfig
from client.train.distributed import SOLO, World, choose_device
from client.train.fold import Fold
from client.train.pixels import Pixels, Report
from client.train.runs import RunFolder
from client.train.sampling import DomainSampler
from client.train.scale import find_scale
from client.train.teacher import Teacher

__all__ = ["Job", "label_report"]


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
    report: Report = field(default=lambda stage, done, total: None)
    """Hears (stage, steps done, steps in all)."""
    stop: Callable[[], bool] = field(default=lambda: False)
    """Asked between steps; True saves the state and ends with Interrupted."""
    start: Path | None = None
    """A finished student to go on from, head and all, instead of fresh weights and Align."""
    world: World = SOLO
    """The processes that make it together, each with the same job."""

    @cached_property
    def device(self) -> torch.device:
        """Where the student computes. Raises TrainingError for CUDA where there is none."""
        return choose_device(self.config.device, self.world.local_rank)

    @cached_property
    def sampler(self) -> DomainSampler:
        """What its batches are made of."""
        fold, config = self.fold, self.config
        groups = fold.domains[fold.training]
        if fold.lends and config.sampling == "uniform":
            # Of each domain, pictures with a label count as much as those without.
            groups = 2 * groups + np.isin(fold.training, fold.labelled)
        return DomainSampler(groups, config.batch, config.trial_seed, config.sampling)

    @cached_property
    def logit_scale(self) -> float:
        """The teacher's multiplier of cosines on this fold; 1 without a teacher."""
        return find_scale(self.teacher, self.fold) if self.teacher else 1.0


def label_report(report: Report, label: str, between: str = " · ") -> Report:
    """`report`, with a label before each stage."""
    return lambda stage, done, total: report(f"{label}{between}{stage}", done, total)
