"""Everything that decides a training, checked at once and written beside its result."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from client.data.choosing import SELECTIONS, Selection
from client.data.prompts import PromptStyle
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
    """A name in `methods.METHODS`."""
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
    """τ of kd: softens teacher and student; the teacher's logits have its published scale."""
    kd_weight: float = 1.0
    """α of kd: the weight of τ²·KL beside the cross-entropy's one."""
    prompts: PromptStyle = "vendor"
    """What a class is asked about as: vendor (synonyms × the vendor's recommended templates), plain
    ("a photo of a {class}") or domain (the mean over the source domains of "a {domain} of a {class}")."""
    teacher_weights: str = ""
    """Of white-box methods: the teacher itself, `local-dir:PATH` or an open_clip model's
    `architecture/tag`."""
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
                (not self.kd_weight >= 0, "--kd-weight cannot be negative"),
                (
                    self.batch < 2 and find_method(self.method).head == "mlp",
                    f"--batch must be at least 2 for {self.method}, whose head has BatchNorm",
                ),
                (
                    self.prompts not in get_args(PromptStyle),
                    f"--prompts must be one of {', '.join(get_args(PromptStyle))}",
                ),
                (self.align_views < 1, "--align-views must be at least 1"),
                (not 0 <= self.averaging < 1, "--averaging must lie in [0, 1)"),
                (not 0 < self.holdout < 1, "--holdout must lie between 0 and 1"),
                (self.evaluations < 1, "--evaluations must be at least 1"),
                (not 1 <= self.accumulate <= self.batch, "--accumulate must lie in 1 … --batch"),
                (
                    self.averaging_kind == "swad" and self.evaluations < SWAD_MINIMUM,
                    f"SWAD needs --evaluations {SWAD_MINIMUM} or more",
                ),
                (self.shots is not None and self.shots < 1, "--shots must be at least 1"),
                *self._check_queries(),
                (not self.li_temperature > 0, "--li-temperature must be positive"),
                (self.li_neighbours < 1, "--li-neighbours must be at least 1"),
                (not self.caption_temperature > 0, "--caption-temperature must be positive"),
                (self.class_shots < 0, "--class-shots cannot be negative"),
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

    @property
    def student_name(self) -> str:
        """What is trained: the timm model, or the teacher's weights that a white-box method copies."""
        return self.teacher_weights if find_method(self.method).white_box else self.student

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
