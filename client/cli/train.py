"""`vl2v train`: distil what was bought into a small model."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli import options
from client.cli.options import DEFAULTS
from client.cli.screen import errors
from client.cli.training import (
    open_store,
    require_torch,
    show_progress,
    stopping,
)
from client.settings import ClientSettings
from client.train.config import TrainConfig
from client.train.recipes import resolve_config

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)


def train(  # noqa: PLR0913  (one parameter an option)
    context: typer.Context,
    data: options.Data,
    *,
    out: Annotated[Path, typer.Option(help="Run folder; with several methods, their parent.")],
    model: options.Model = "",
    method: options.Methods = ["adip"],  # noqa: B006  (typer copies it)
    target: Annotated[
        list[str] | None,
        typer.Option(help="Domain kept out of training and tested; may be repeated."),
    ] = None,
    test_envs: Annotated[
        list[int] | None,
        typer.Option(
            "--test-envs", "--test_envs", help="The same by DomainBed's sorted domain index."
        ),
    ] = None,
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
    lr: options.Lr = DEFAULTS.lr,
    image_weight: options.Lambda = DEFAULTS.image_weight,
    temperature: options.Temperature = DEFAULTS.temperature,
    kd_weight: options.KdWeight = DEFAULTS.kd_weight,
    prompts: options.Prompts = DEFAULTS.prompts,
    teacher_weights: options.TeacherWeights = DEFAULTS.teacher_weights,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = DEFAULTS.weight_decay,
    warmup: Annotated[int, typer.Option(help="Steps of linear warm-up.")] = DEFAULTS.warmup,
    align_views: options.AlignViews = DEFAULTS.align_views,
    shots: options.Shots = DEFAULTS.shots,
    queries: options.Queries = DEFAULTS.queries,
    selection: options.Select = DEFAULTS.selection,
    scored_by: options.ScoredBy = DEFAULTS.scored_by,
    views: options.BoughtViews = DEFAULTS.bought_views,
    fresh_views: options.FreshViews = DEFAULTS.fresh_views,
    averaging: Annotated[
        float, typer.Option(help="Decay of the weight average; 0 switches it off.")
    ] = DEFAULTS.averaging,
    update_batchnorm: Annotated[
        bool, typer.Option("--update-batchnorm", help="Let BatchNorm statistics move.")
    ] = False,
    holdout: Annotated[float, typer.Option(help="Validation share.")] = DEFAULTS.holdout,
    descriptions: options.Descriptions = None,
    captions: options.Captions = None,
    li_temperature: options.LiTemperature = DEFAULTS.li_temperature,
    li_neighbours: options.LiNeighbours = DEFAULTS.li_neighbours,
    li_filter: options.LiFilter = DEFAULTS.li_filter,
    caption_temperature: options.CaptionTemperature = DEFAULTS.caption_temperature,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    choice: Annotated[
        Path | None,
        typer.Option(
            help="Take learning rate and λ from a file of `vl2v tune`, or from a folder's METHOD.json."
        ),
    ] = None,
    recipe: options.Recipe = DEFAULTS.recipe,
    sampling: options.Sampling = DEFAULTS.sampling,
    schedule: options.Schedule = DEFAULTS.schedule,
    align: options.Align = DEFAULTS.align,
    averaging_kind: options.AveragingKind = DEFAULTS.averaging_kind,
    evaluations: options.Evaluations = DEFAULTS.evaluations,
    precision: options.Precision = DEFAULTS.precision,
    accumulate: options.Accumulate = DEFAULTS.accumulate,
    device: options.Device = DEFAULTS.device,
    pixel_cache: options.PixelCache = True,
    threads: options.Threads = None,
    cache: options.Cache = None,
    resume: options.Resume = True,
    as_json: options.Json = False,
) -> None:
    """Train a student by one or more methods, then test it on the target domain.

    Example: vl2v train DATA --method adip --target sketch --model icon-clip --out runs/adip-sketch
    """
    require_torch(threads)
    shared: dict[str, Any] = {
        "targets": tuple(target or ()),
        "student": student,
        "weights": weights,
        "model": model,
        "image_size": image_size,
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "image_weight": image_weight,
        "temperature": temperature,
        "kd_weight": kd_weight,
        "prompts": prompts,
        "teacher_weights": options.locate_weights(teacher_weights),
        "weight_decay": weight_decay,
        "warmup": warmup,
        "align_views": align_views,
        "shots": shots,
        "queries": queries,
        "selection": selection,
        "scored_by": scored_by,
        "bought_views": views,
        "fresh_views": fresh_views,
        "averaging": averaging,
        "holdout": holdout,
        "split_seed": split_seed,
        "trial_seed": trial_seed,
        "sampling": sampling,
        "schedule": schedule,
        "align": align,
        "averaging_kind": averaging_kind,
        "evaluations": evaluations,
        "precision": precision,
        "accumulate": accumulate,
        "device": device,
        "descriptions": str(descriptions or ""),
        "captions": str(captions or ""),
        "li_temperature": li_temperature,
        "li_neighbours": li_neighbours,
        "li_filter": li_filter,
        "caption_temperature": caption_temperature,
    }
    given = options.pick_given(context, shared)
    if update_batchnorm:
        given["batchnorm"] = "updated"
    configs = [resolve_config(recipe, method=name, **given) for name in dict.fromkeys(method)]
    configs = [_apply_choice(config, choice) for config in configs]
    pixels = ClientSettings.load().pixel_cache if pixel_cache else None
    from client.train.distributed import join_world

    with join_world(device) as world:
        lines = _train_all(data, out, configs, test_envs or [], cache, pixels, world, resume=resume)
        for line in lines if world.leads else ():
            typer.echo(json.dumps(line) if as_json else _describe(line))


def _apply_choice(config: TrainConfig, choice: Path | None) -> TrainConfig:
    from client.train.selection import apply_choice

    return apply_choice(config, choice)


def _train_all(
    data: Path,
    out: Path,
    configs: list[TrainConfig],
    test_envs: list[int],
    cache: str | None,
    pixels: Path | None,
    world: Any,
    *,
    resume: bool,
) -> list[dict[str, Any]]:
    from client.train.experiment import open_experiment
    from client.train.student import check_student

    check_student(configs[0].student)
    with open_store(cache) as store:
        with errors().status("reading the data folder") if world.leads else nullcontext():
            experiment = open_experiment(data, configs[0], store, pixels)
        configs = [_add_targets(c, experiment.manifest.domains, test_envs) for c in configs]
        for config in configs:
            experiment.require_vectors(config, [experiment.fold(config.targets, config)])
        lines = []
        for config in configs:
            folder = out / config.method if len(configs) > 1 else out
            lines.append(_train_one(experiment, config, folder, world, resume=resume))
    return lines


def _train_one(
    experiment: Any, config: TrainConfig, out: Path, world: Any, *, resume: bool
) -> dict[str, Any]:
    from client.train.recipe import run_training

    with stopping() as stop, show_progress(config.method, shown=world.leads) as report:
        job = experiment.job(config, out, report=report, stop=stop, world=world)
        line = run_training(job, resume=resume)
    if world.leads and line["weights"] == "random" and config.weights == "auto":
        errors().print(
            f"no ImageNet weights of {config.student} are on this machine: it started from random "
            "ones. Give --weights FILE.safetensors for better.",
            style="yellow",
        )
    return line


def _add_targets(
    config: TrainConfig, domains: tuple[str, ...], test_envs: list[int]
) -> TrainConfig:
    from dataclasses import replace

    from client.train.errors import UnknownName

    for index in test_envs:
        if not 0 <= index < len(domains):
            raise UnknownName(
                f"--test-envs {index} names no domain: {', '.join(domains)} are 0 to "
                f"{len(domains) - 1}"
            )
    named = dict.fromkeys((*config.targets, *(domains[i] for i in test_envs)))
    return replace(config, targets=tuple(named))


def _describe(line: dict[str, Any]) -> str:
    ood = line["ood_class_acc"]
    outside = f", out of domain {ood:.1%} ({', '.join(line['targets'])})" if ood is not None else ""
    return (
        f"{line['method']}: mean per-class accuracy in domain {line['in_domain_class_acc']:.1%}"
        f"{outside}; {line['seconds']:.0f} s"
    )
