"""`vl2v bench` and `vl2v tune`: compare methods, choose settings without seeing the target."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli import options
from client.cli.options import DEFAULTS
from client.cli.screen import errors
from client.cli.training import open_store, require_torch, show_progress, stopping
from client.train.config import TrainConfig
from client.train.methods import METHODS

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(bench)
    app.command()(tune)


def bench(  # noqa: PLR0913  (one parameter an option)
    data: options.Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder of all runs and the tables.")],
    model: options.Model = "",
    seeds: Annotated[int, typer.Option(min=1, help="Trials of each method and target.")] = 1,
    targets: Annotated[
        list[str] | None, typer.Option("--targets", help="Domains to leave out; default each.")
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help=f"Default {', '.join(METHODS)}.")
    ] = None,
    select: Annotated[
        bool, typer.Option("--select", help="First choose learning rate and λ in each fold.")
    ] = False,
    select_lrs: Annotated[
        str, typer.Option(help="With --select: learning rates to try, with commas.")
    ] = "",
    select_lambdas: Annotated[
        str, typer.Option(help="With --select: values of λ to try, with commas.")
    ] = "",
    select_steps: Annotated[
        int | None, typer.Option(min=1, help="With --select: steps of a trial; default --steps.")
    ] = None,
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
    lr: options.Lr = DEFAULTS.lr,
    image_weight: options.Lambda = DEFAULTS.image_weight,
    temperature: options.Temperature = DEFAULTS.temperature,
    shots: options.Shots = DEFAULTS.shots,
    queries: options.Queries = DEFAULTS.queries,
    selection: options.Select = DEFAULTS.selection,
    scored_by: options.ScoredBy = DEFAULTS.scored_by,
    views: options.BoughtViews = DEFAULTS.bought_views,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Leave each domain out in turn and compare the methods there. Resumes where it stopped.

    Example: vl2v bench DATA --model icon-clip --seeds 3 --out bench
    """
    require_torch(threads)
    from client.train.bench import BenchPlan, Grid, run_bench
    from client.train.methods import find_method

    names = tuple(find_method(name).name for name in _split(methods) or METHODS)
    config = TrainConfig(
        student=student,
        weights=weights,
        model=model,
        image_size=image_size,
        steps=steps,
        batch=batch,
        lr=lr,
        image_weight=image_weight,
        temperature=temperature,
        shots=shots,
        queries=queries,
        selection=selection,
        scored_by=scored_by,
        bought_views=views,
        split_seed=split_seed,
        trial_seed=trial_seed,
    )
    grid = Grid(
        learning_rates=_numbers("--select-lrs", select_lrs) or Grid.learning_rates,
        image_weights=_numbers("--select-lambdas", select_lambdas) or Grid.image_weights,
        steps=select_steps,
    )
    with open_store(cache) as store:
        experiment = _open(data, config, store)
        chosen = tuple(_split(targets)) or experiment.manifest.domains
        plan = BenchPlan(config, names, chosen, seeds, grid if select else None)
        with stopping() as stop, show_progress("bench") as report:
            rows = run_bench(experiment, plan, out, report=report, stop=stop)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row.document()))
        return
    typer.echo((out / "table.md").read_text(encoding="utf-8"), nl=False)
    errors().print(f"tables in {out}: table.md, table.csv, runs.csv", markup=False)


def tune(  # noqa: PLR0913  (one parameter an option)
    data: options.Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the trials; the choice is choice.json.")],
    model: options.Model = "",
    method: Annotated[str, typer.Option(help="A method that trains.")] = "adip",
    target: Annotated[
        list[str] | None, typer.Option(help="Domain left out of the data altogether.")
    ] = None,
    lrs: Annotated[str, typer.Option(help="Learning rates to try, with commas.")] = "",
    lambdas: Annotated[str, typer.Option(help="Values of λ to try, with commas.")] = "",
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
    shots: options.Shots = DEFAULTS.shots,
    queries: options.Queries = DEFAULTS.queries,
    selection: options.Select = DEFAULTS.selection,
    scored_by: options.ScoredBy = DEFAULTS.scored_by,
    views: options.BoughtViews = DEFAULTS.bought_views,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    threads: options.Threads = None,
    cache: options.Cache = None,
) -> None:
    """Choose learning rate and λ by source validation; the target domain is never looked at.

    Example: vl2v tune DATA --target sketch --model icon-clip --lrs 1e-4,3e-4 --out tuned
    """
    require_torch(threads)
    from client.train.selection import IMAGE_WEIGHTS, LEARNING_RATES, select

    config = TrainConfig(
        method=method,
        targets=tuple(target or ()),
        student=student,
        weights=weights,
        model=model,
        image_size=image_size,
        steps=steps,
        batch=batch,
        shots=shots,
        queries=queries,
        selection=selection,
        scored_by=scored_by,
        bought_views=views,
        split_seed=split_seed,
        trial_seed=trial_seed,
    )
    with open_store(cache) as store:
        experiment = _open(data, config, store)
        with stopping() as stop, show_progress("tune") as report:
            choice = select(
                experiment,
                config,
                out,
                learning_rates=_numbers("--lrs", lrs) or LEARNING_RATES,
                image_weights=_numbers("--lambdas", lambdas) or IMAGE_WEIGHTS,
                report=report,
                stop=stop,
            )
    typer.echo(json.dumps(asdict(choice)))
    errors().print(f"use it with: vl2v train … --choice {out / 'choice.json'}", markup=False)


def _open(data: Path, config: TrainConfig, store: Any) -> Any:
    from client.train.experiment import open_experiment
    from client.train.student import check_student

    check_student(config.student)
    with errors().status("reading the data folder"):
        experiment = open_experiment(data, config, store)
    experiment.fold(config.targets)
    return experiment


def _split(values: list[str] | None) -> list[str]:
    """Names given one by one, or several with commas."""
    return [name for value in values or [] for name in value.split(",") if name]


def _numbers(option: str, text: str) -> tuple[float, ...]:
    from client.errors import UsageError

    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no list of numbers: write it like 1e-4,3e-4"
        ) from error
