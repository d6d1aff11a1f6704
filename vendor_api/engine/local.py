"""Models computed in this process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import DEFAULT_LIMITS, Batcher, BatcherLimits, BatchReport
from vendor_api.refusal import Refusal

if TYPE_CHECKING:
    from vendor_api.engine.clip import ClipModel

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]

__all__ = ["ModelSpec", "close_served", "load_clip", "load_served", "parse_models"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to sell: the name it is sold under and where its weights are."""

    id: str
    spec: str
    """`architecture/pretrained-tag` or `local-dir:PATH`."""


def parse_models(texts: Sequence[str]) -> tuple[ModelSpec, ...]:
    """`ID=SPEC` or `SPEC` each; a bare SPEC is its own id. Raises Refusal."""
    models = tuple(_parse_model(text) for text in texts)
    ids = [model.id for model in models]
    if len(set(ids)) != len(ids):
        raise Refusal(
            "two models have the same id: give each --model its own, as in --model ID=SPEC"
        )
    return models


def load_clip(
    model: ModelSpec, precision: Precision = "fp32", device: Device = "cpu"
) -> "ClipModel":
    """Load a model. Raises Refusal when it cannot be had."""
    from shared.openclip import ModelNotFound
    from vendor_api.engine.clip import ClipModel

    try:
        return ClipModel.load(model.id, model.spec, precision, device)
    except ModelNotFound as error:
        raise Refusal(str(error)) from error


def load_served(
    model: ModelSpec,
    *,
    precision: Precision = "fp32",
    device: Device = "cpu",
    threads: int | None = None,
    limits: BatcherLimits = DEFAULT_LIMITS,
    observe: Callable[[str, BatchReport], None] = lambda model_id, report: None,
) -> ServedModel:
    """Load a model and start its engine. Raises Refusal when it cannot be had."""
    from shared.openclip import limit_threads

    clip = load_clip(model, precision, device)
    engine = Batcher(
        clip,
        limits=limits,
        prepare_thread=lambda: limit_threads(threads) if threads else None,
        observe=lambda report: observe(model.id, report),
    )
    return ServedModel(clip.info, clip, engine)


def close_served(models: Mapping[str, ServedModel]) -> None:
    """Let each local engine finish what waits, then stop it."""
    for model in models.values():
        if isinstance(model.engine, Batcher):
            model.engine.close()


def _parse_model(text: str) -> ModelSpec:
    model_id, separator, spec = text.partition("=")
    if not separator:
        model_id, spec = text, text
    if not model_id or not spec or "@" in model_id:
        raise Refusal(f"{text!r} is not a model: write --model ID=SPEC, with no @ in ID")
    return ModelSpec(model_id, spec)
