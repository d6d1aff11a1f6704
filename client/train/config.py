"""Everything that decides a training, checked at once and written beside its result."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from client.errors import UsageError
from client.train.errors import check_name
from client.train.methods import find_method

DEFAULT_STUDENT = "tf_efficientnet_lite0"
SWAD_MINIMUM = 30
"""Evaluations that SWAD needs to find the bottom of a loss."""
CHOICES = {
    "recipe": ("fast", "paper"),
    "sampling": ("uniform", "per-domain"),
    "schedule": ("cosine", "constant"),
    "align": ("exact", "search", "steps"),
    "averaging_kind": ("ema", "swad", "none"),
    "precision": ("fp32", "bf16", "fp16"),
    "device": ("auto", "cpu", "cuda"),
}
"""Settings that are one of a few words."""

__all__ = ["DEFAULT_STUDENT", "TrainConfig"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run. The same config on the same data and cache gives the same student."""

    method: str = "adip"
    """zero-shot, erm, text-only, kd or adip."""
    targets: tuple[str, ...] = ()
    """Domains kept out of training and tested at the end."""
    student: str = DEFAULT_STUDENT
    """Any timm model name."""
    weights: str = "auto"
    """Where the student starts: auto (ImageNet weights if they are on this machine), random, or a
    safetensors file."""
    model: str = ""
    """The teacher's id, as on the vendor's price list."""
    image_size: int = 224
    """Pixels a side that the student sees."""
    steps: int = 400
    """Optimiser steps of Distill, and of Align where that takes steps."""
    batch: int = 64
    """Images a step (`uniform` sampling), or a step and source domain (`per-domain`)."""
    lr: float = 3e-4
    """Peak learning rate of AdamW."""
    warmup: int = 20
    """Steps of linear warm-up before the cosine fall."""
    weight_decay: float = 0.01
    """Of AdamW, on matrices and kernels only."""
    image_weight: float = 0.5
    """λ of adip: the image term's share; 1 − λ goes to the class text."""
    temperature: float = 2.0
    """τ of kd: softens teacher and student."""
    views: int = 4
    """Augmented views an image whose student features Align is solved on."""
    averaging: float = 0.99
    """Decay a step of the weight average that is evaluated; 0 evaluates the last weights."""
    batchnorm: Literal["frozen", "updated"] = "frozen"
    """Whether BatchNorm keeps its ImageNet statistics."""
    holdout: float = 0.2
    """Share of each domain kept for validation."""
    split_seed: int = 0
    """Decides the split alone, so that one purchase serves every trial."""
    trial_seed: int = 0
    """Decides sampling, augmentation and initial weights."""
    recipe: Literal["fast", "paper"] = "fast"
    """The table of settings (`recipes.py`) that the others were resolved from."""
    sampling: Literal["uniform", "per-domain"] = "uniform"
    """What a batch is: `batch` images of domains drawn uniformly, or `batch` of each domain."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The learning rate after the warm-up."""
    align: Literal["exact", "search", "steps"] = "exact"
    """How Align finds the head: solved on fixed features, searched there on the loss itself, or by
    `steps` gradient steps."""
    averaging_kind: Literal["ema", "swad", "none"] = "ema"
    """Which weights are kept: a running average with decay `averaging`, SWAD's mean, or the last."""
    evaluations: int = 4
    """Times a stage looks at source validation, evenly spaced; SWAD and gradient Align choose by
    them."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the student's forward pass computes in; weights and losses stay float32."""
    accumulate: int = 1
    """Parts that a batch is computed in: less memory for the same step."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the student computes; auto is a CUDA device if there is one."""

    def __post_init__(self) -> None:
        find_method(self.method)
        for name, words in CHOICES.items():
            check_name(f"--{name.replace('_', '-')}", getattr(self, name), words)
        problems = [
            text
            for wrong, text in (
                (self.steps < 1, "--steps must be at least 1"),
                (self.batch < 1, "--batch must be at least 1"),
                (self.image_size < 16, "--image-size must be at least 16 pixels"),
                (not 0 < self.lr < 1, "--lr must lie between 0 and 1"),
                (not self.warmup >= 0, "--warmup cannot be negative"),
                (not 0 <= self.image_weight <= 1, "--lambda must lie between 0 and 1"),
                (not self.temperature > 0, "--temperature must be positive"),
                (self.views < 1, "--views must be at least 1"),
                (not 0 <= self.averaging < 1, "--averaging must lie in [0, 1)"),
                (not 0 < self.holdout < 1, "--holdout must lie between 0 and 1"),
                (self.evaluations < 1, "--evaluations must be at least 1"),
                (not 1 <= self.accumulate <= self.batch, "--accumulate must lie in 1 … --batch"),
                (
                    self.averaging_kind == "swad" and self.evaluations < SWAD_MINIMUM,
                    f"SWAD needs --evaluations {SWAD_MINIMUM} or more",
                ),
            )
            if wrong
        ]
        if problems:
            raise UsageError("; ".join(problems))

    def document(self) -> dict[str, Any]:
        """The config as JSON carries it."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def from_run(cls, document: dict[str, Any]) -> "TrainConfig":
        """The config in a run folder's config.json; what was resolved beside it is left out."""
        known = {field.name: document[field.name] for field in fields(cls)}
        return cls(**{**known, "targets": tuple(document["targets"])})
