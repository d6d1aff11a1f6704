"""Where models are computed: in a process of their own, in a thread of this one, or on a Ray cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import structlog

from vendor_api.engine.base import Runtime, ServedModel
from vendor_api.engine.batcher import DEFAULT_LIMITS, Batcher, BatcherLimits, BatchReport
from vendor_api.engine.crews import APART
from vendor_api.engine.cuda_plan import DEFAULT_PLAN, CudaPlan, CudaReport, announce, suit_limits
from vendor_api.engine.ray_engine import RayEngine, load_ray
from vendor_api.engine.trial import measure_item_ms
from vendor_api.refusal import Refusal
from vendor_api.settings import DEFAULT_RAY_ADDRESS, VendorSettings

if TYPE_CHECKING:
    from vendor_api.engine.clip import ClipModel

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16", "auto"]
"""`auto`: bf16 where it is kept that this processor may, see `vendor_api.engine.verdicts`."""
Place = Literal["process", "thread", "ray"]

__all__ = [
    "Manner",
    "ModelSpec",
    "Place",
    "Runtime",
    "close_served",
    "load_clip",
    "load_served",
    "parse_models",
    "read_manner",
    "settle_precision",
]

_log = structlog.get_logger("vendor")


@dataclass(frozen=True, slots=True)
class Manner:
    """How models are computed."""

    precision: Precision = "fp32"
    runtime: Runtime = "torch"
    """Of images in fp32; texts are torch's."""
    device: Device = "cpu"
    threads: int | None = None
    place: Place = "process"
    address: str = DEFAULT_RAY_ADDRESS
    """Of the Ray cluster, where the place is one."""
    cuda: CudaPlan = DEFAULT_PLAN
    """What is prepared on a GPU."""


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


def read_manner(settings: VendorSettings) -> Manner:
    """How these settings want models computed."""
    return Manner(
        settings.precision,
        settings.runtime,
        settings.device,
        settings.threads,
        settings.engine,
        settings.ray_address,
        CudaPlan(settings.cuda_batch, settings.cuda_graphs),
    )


def load_clip(model: ModelSpec, manner: Manner) -> "ClipModel":
    """Load a model. Raises Refusal when it cannot be had."""
    from shared.openclip import ModelNotFound
    from vendor_api.engine.clip import ClipModel

    try:
        return ClipModel.load(
            model.id,
            model.spec,
            manner.precision,
            manner.runtime,
            manner.threads,
            manner.device,
            manner.cuda,
        )
    except ModelNotFound as error:
        raise Refusal(str(error)) from error


def load_served(
    model: ModelSpec,
    *,
    manner: Manner,
    limits: BatcherLimits = DEFAULT_LIMITS,
    observe: Callable[[str, BatchReport], None] = lambda model_id, report: None,
) -> ServedModel:
    """Load a model and start its engine. Raises Refusal when it cannot be had."""
    report = partial(observe, model.id)
    if manner.place == "ray":
        served = load_ray(model, manner.address, limits=limits, observe=report)
    else:
        load = _load_thread if manner.place == "thread" else _load_process
        served = load(model, manner, limits, report)
    info = served.info
    _log.info(
        "model_loaded",
        model=info.id,
        revision=info.revision,
        precision=info.precision,
        **({"says": info.settled} if info.settled else {}),
    )
    return served


def settle_precision(model: ModelSpec, manner: Manner) -> tuple[Manner, str]:
    """With `auto` settled for this model on this machine, and why; empty when it was not `auto`.

    Raises Refusal when the model cannot be had here.
    """
    if manner.precision != "auto":
        return manner, ""
    info = load_clip(model, manner).info
    return replace(manner, precision=cast("Precision", info.precision)), info.settled


def _load_thread(
    model: ModelSpec,
    manner: Manner,
    limits: BatcherLimits,
    report: Callable[[BatchReport], None],
) -> ServedModel:
    from shared.openclip import limit_threads

    clip = load_clip(model, manner)
    threads, cuda = manner.threads, clip.cuda.report if clip.cuda else None
    engine = Batcher(
        clip,
        limits=_suit(model, limits, manner, cuda),
        item_ms=cuda.item_ms if cuda else measure_item_ms(clip),
        prepare_thread=lambda: limit_threads(threads) if threads else None,
        observe=report,
        find_trouble=clip.find_trouble,
    )
    return ServedModel(clip.info, clip, engine)


def _load_process(
    model: ModelSpec,
    manner: Manner,
    limits: BatcherLimits,
    report: Callable[[BatchReport], None],
) -> ServedModel:
    from vendor_api.engine.preparation import ClipPreparation
    from vendor_api.engine.process import ModelProcess, WorkerOrder

    worker = ModelProcess(
        WorkerOrder(
            model.id,
            model.spec,
            manner.precision,
            manner.runtime,
            manner.device,
            manner.threads,
            manner.cuda,
        )
    )
    try:
        preparation = ClipPreparation(model.spec, worker.info, worker.fill)
        item_ms = worker.cuda.item_ms if worker.cuda else measure_item_ms(worker)
    except Exception:
        worker.close()
        raise
    engine = Batcher(
        worker,
        limits=_suit(model, replace(limits, crews=APART), manner, worker.cuda),
        item_ms=item_ms,
        stack=list if worker.cuda else np.stack,
        observe=report,
        find_trouble=worker.find_trouble,
        close_model=worker.close,
    )
    return ServedModel(worker.info, preparation, engine)


def _suit(
    model: ModelSpec, limits: BatcherLimits, manner: Manner, report: CudaReport | None
) -> BatcherLimits:
    if report is None:
        return limits
    announce(model.id, report)
    return suit_limits(limits, manner.cuda)


def close_served(models: Mapping[str, ServedModel]) -> None:
    """Let each local engine finish what waits, then stop it; leave the cluster that others are on."""
    for model in models.values():
        if isinstance(model.engine, Batcher | RayEngine):
            model.engine.close()


def _parse_model(text: str) -> ModelSpec:
    model_id, separator, spec = text.partition("=")
    if not separator:
        model_id, spec = text, text
    if not model_id or not spec or "@" in model_id:
        raise Refusal(f"{text!r} is not a model: write --model ID=SPEC, with no @ in ID")
    return ModelSpec(model_id, spec)
