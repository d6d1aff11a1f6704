"""`vl2v train`: distil what was bought into a small model."""

import json
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
from client.train.config import TrainConfig

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)


def train(  # noqa: PLR0913  (one parameter an option)
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
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = DEFAULTS.weight_decay,
    warmup: Annotated[int, typer.Option(help="Steps of linear warm-up.")] = DEFAULTS.warmup,
    views: Annotated[
        int, typer.Option(help="Augmented views an image that Align sees.")
    ] = DEFAULTS.views,
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
        "weight_decay": weight_decay,
        "warmup": warmup,
        "views": views,
        "averaging": averaging,
        "batchnorm": "updated" if update_batchnorm else "frozen",
        "holdout": holdout,
        "split_seed": split_seed,
        "trial_seed": trial_seed,
        "descriptions": str(descriptions or ""),
        "captions": str(captions or ""),
        "li_temperature": li_temperature,
        "li_neighbours": li_neighbours,
        "li_filter": li_filter,
        "caption_temperature": caption_temperature,
    }
    lines = _train_all(data, out, method, shared, choice, test_envs or [], cache, resume=resume)
    for line in lines:
        typer.echo(json.dumps(line) if as_json else _describe(line))


def _train_all(
    data: Path,
    out: Path,
    methods: list[str],
    shared: dict[str, Any],
    choice: Path | None,
    test_envs: list[int],
    cache: str | None,
    *,
    resume: bool,
) -> list[dict[str, Any]]:
    from client.train.experiment import open_experiment
    from client.train.selection import apply_choice
    from client.train.student import check_student

    configs = [TrainConfig(**{**shared, "method": name}) for name in dict.fromkeys(methods)]
    configs = [apply_choice(config, choice) for config in configs]
    check_student(configs[0].student)
    with open_store(cache) as store:
        with errors().status("reading the data folder"):
            experiment = open_experiment(data, configs[0], store)
        configs = [_add_targets(c, experiment.manifest.domains, test_envs) for c in configs]
        fold = experiment.fold(configs[0].targets)
        for config in configs:
            experiment.require_vectors(config, [fold])
        lines = []
        for config in configs:
            folder = out / config.method if len(configs) > 1 else out
            lines.append(_train_one(experiment, config, folder, resume=resume))
    return lines


def _train_one(experiment: Any, config: TrainConfig, out: Path, *, resume: bool) -> dict[str, Any]:
    from client.train.recipe import Job, run_training
    from client.train.runs import RunFolder

    with stopping() as stop, show_progress(config.method) as report:
        job = Job(
            config=config,
            fold=experiment.fold(config.targets),
            pixels=experiment.pixels(config.image_size),
            teacher=experiment.teacher(config),
            folder=RunFolder(out),
            report=report,
            stop=stop,
        )
        line = run_training(job, resume=resume)
    if line["weights"] == "random" and config.weights == "auto":
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
