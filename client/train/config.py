"""Everything that decides a training, checked at once and written beside its result."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from client.data.choosing import SELECTIONS, Selection
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
    align_views: int = 4
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
    """Decides sampling, augmentation, initial weights, and which shots and queries are drawn."""
    shots: int | None = None
    """Labelled pictures of each class × source domain; None: all of the training part."""
    queries: float = 1.0
    """Share of the training pictures whose image vectors may be read."""
    selection: Selection = "random"
    """How that share is chosen: random, stratified, k-center or uncertainty."""
    scored_by: str = ""
    """Run folder of a text-only student that says which pictures it is unsure of (uncertainty)."""
    bought_views: int = 0
    """Bought views of each picture that are taught instead of the file; 0: the file itself."""
    fresh_views: str = ""
    """The teacher's own weights, ARCHITECTURE/TAG or local-dir:PATH: every view is asked about anew,
    unmetered, as the published code does; empty: vectors are bought once."""

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
                (self.align_views < 1, "--align-views must be at least 1"),
                (not 0 <= self.averaging < 1, "--averaging must lie in [0, 1)"),
                (not 0 < self.holdout < 1, "--holdout must lie between 0 and 1"),
                (self.shots is not None and self.shots < 1, "--shots must be at least 1"),
                *self._check_queries(),
            )
            if wrong
        ]
        if problems:
            raise UsageError("; ".join(problems))

    def _check_queries(self) -> list[tuple[bool, str]]:
        names = ", ".join(SELECTIONS)
        unscored = self.selection == "uncertainty" and self.queries < 1 and not self.scored_by
        return [
            (not 0 < self.queries <= 1, "--queries is a share above 0, at most 1"),
            (self.selection not in SELECTIONS, f"--selection is one of {names}"),
            (unscored, "--selection uncertainty needs --scored-by RUN of a text-only student"),
            (self.bought_views < 0, "--views cannot be negative"),
            (
                bool(self.fresh_views) and (self.queries < 1 or self.bought_views > 0),
                "--fresh-views asks about every view: leave out --queries and --views",
            ),
        ]

    def document(self) -> dict[str, Any]:
        """The config as JSON carries it."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def from_run(cls, document: dict[str, Any]) -> "TrainConfig":
        """The config in a run folder's config.json; what was resolved beside it is left out.

        A run of an earlier version has the defaults of the settings that it did not know.
        """
        old = {"align_views": document["views"]} if "views" in document else {}
        document = old | document
        names = [field.name for field in fields(cls) if field.name in document]
        known = {name: document[name] for name in names}
        return cls(**{**known, "targets": tuple(document["targets"])})
