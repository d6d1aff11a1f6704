"""Everything that decides a training, checked at once and written beside its result."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from client.errors import UsageError
from client.train.methods import find_method

DEFAULT_STUDENT = "tf_efficientnet_lite0"

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
    """Optimiser steps of Distill."""
    batch: int = 64
    """Images a step, drawn uniformly over the source domains."""
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
    li_temperature: float = 0.07
    """τ of the li methods: of L_cls, L_im-cst and L_vlprox."""
    li_neighbours: int = 256
    """k of L_vlprox: the teacher's nearest class texts that it is compared on."""
    li_filter: bool = True
    """Whether L_vlprox leaves out pictures that the teacher gets wrong."""
    caption_temperature: float = 1.0
    """Divides the cosines of L_cap; published without."""
    captions: str = ""
    """JSON lines of picture path and caption, for li-cap."""
    descriptions: str = ""
    """JSON file of class → sentence that replaces the class prompts; empty: the vendor's prompts."""
    class_split: int | None = None
    """Number of the split whose unseen classes stay out of training; None: every class trains."""
    class_shots: int = 0
    """Labelled pictures of each unseen class that are added after all."""

    def __post_init__(self) -> None:
        find_method(self.method)
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
                (not self.li_temperature > 0, "--li-temperature must be positive"),
                (self.li_neighbours < 1, "--li-neighbours must be at least 1"),
                (not self.caption_temperature > 0, "--caption-temperature must be positive"),
                (self.class_shots < 0, "--class-shots cannot be negative"),
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
