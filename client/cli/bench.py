"""`vl2v bench`: compare methods where each domain is left out in turn."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli import options
from client.cli.options import DEFAULTS
from client.cli.screen import errors
from client.cli.training import open_data, open_store, require_torch, show_progress, stopping
from client.cli.tune import read_numbers
from client.errors import UsageError
from client.train.config import TrainConfig
from client.train.presets import PRESETS, find_preset

DEFAULT_PRESET = "core"

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(  # noqa: PLR0913  (one parameter an option)
    data: options.Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder of all runs, the tables and figures.")],
    model: options.Model = "",
    preset: Annotated[
        str, typer.Option(help=f"One of {', '.join(PRESETS)}; options given beside it win.")
    ] = DEFAULT_PRESET,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trials of each method and target.")
    ] = None,
    targets: Annotated[
        list[str] | None, typer.Option("--targets", help="Domains to leave out; default each.")
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="Default the preset's.")
    ] = None,
    select: Annotated[
        bool,
        typer.Option("--select", help="First choose each method's settings in each fold."),
    ] = False,
    select_lrs: Annotated[
        str,
        typer.Option(
            help="With --select: learning rates, likeliest first; as many trials for each method."
        ),
    ] = "",
    select_lambdas: Annotated[
        str, typer.Option(help="With --select: values of λ to try, with commas.")
    ] = "",
    select_temperatures: Annotated[
        str, typer.Option(help="With --select: values of kd's τ to try, with commas.")
    ] = "",
    select_steps: Annotated[
        int | None, typer.Option(min=1, help="With --select: steps of a trial; default --steps.")
    ] = None,
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle", help="With --select: a column of what choosing on the target would read."
        ),
    ] = False,
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps of the second stage; default the preset's.")
    ] = None,
    batch: options.Batch = DEFAULTS.batch,
    lr: options.Lr = DEFAULTS.lr,
    image_weight: options.Lambda = DEFAULTS.image_weight,
    rate: Annotated[
        list[str] | None,
        typer.Option(help="A method's own learning rate, like erm=3e-4; instead of --lr."),
    ] = None,
    temperature: options.Temperature = DEFAULTS.temperature,
    kd_weight: options.KdWeight = DEFAULTS.kd_weight,
    prompts: options.Prompts = DEFAULTS.prompts,
    teacher_weights: options.TeacherWeights = DEFAULTS.teacher_weights,
    shots: options.Shots = DEFAULTS.shots,
    queries: options.Queries = DEFAULTS.queries,
    selection: options.Select = DEFAULTS.selection,
    scored_by: options.ScoredBy = DEFAULTS.scored_by,
    views: options.BoughtViews = DEFAULTS.bought_views,
    holdout: Annotated[float, typer.Option(help="Validation share.")] = DEFAULTS.holdout,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Leave each domain out in turn and compare the methods there. Resumes where it stopped.

    Settings are chosen by the sources' validation parts, never by the target. Intervals are of a
    paired bootstrap over drawings.

    Example: vl2v bench DATA --model icon-clip --preset core --select --out bench
    """
    require_torch(threads)
    from client.train.bench import BenchPlan, run_bench
    from client.train.methods import find_method

    chosen = find_preset(preset)
    names = tuple(find_method(name).name for name in _split(methods) or chosen.methods)
    config = TrainConfig(
        student=student,
        weights=weights,
        model=model,
        image_size=image_size,
        steps=steps or chosen.steps or DEFAULTS.steps,
        batch=batch,
        lr=lr,
        image_weight=image_weight,
        temperature=temperature,
        kd_weight=kd_weight,
        prompts=prompts,
        teacher_weights=options.locate_weights(teacher_weights),
        shots=shots,
        queries=queries,
        selection=selection,
        scored_by=scored_by,
        bought_views=views,
        holdout=holdout,
        split_seed=split_seed,
        trial_seed=trial_seed,
    )
    rates = _read_rates(_split(rate), names)
    if rates and select:
        raise UsageError(
            "--select chooses each method's learning rate: leave --rate or --select out"
        )
    grid = _make_grid(select_lrs, select_lambdas, select_temperatures, select_steps)
    with open_store(cache) as store:
        experiment = open_data(data, config, store)
        plan = BenchPlan(
            config=config,
            methods=names,
            targets=tuple(_split(targets)) or experiment.manifest.domains,
            seeds=seeds or chosen.seeds,
            grid=grid if select else None,
            oracle=oracle,
            rates=rates,
        )
        with stopping() as stop, show_progress("bench") as report:
            found = run_bench(experiment, plan, out, report=report, stop=stop, hear=_tell)
    _show(out, found, as_json=as_json)


def _tell(standing: Any) -> None:
    errors().print(standing.sentence, markup=False)


def _show(folder: Path, comparison: Any, *, as_json: bool) -> None:
    """The tables, and a figure beside them."""
    from client.train.charts import draw_bars, make_bars

    title = f"out of domain, {len(comparison.lines)} runs"
    drawn = draw_bars(make_bars(comparison.rows), title, folder / "accuracy")
    if as_json:
        for row in (*comparison.rows, *comparison.differences):
            typer.echo(json.dumps(row.document()))
        return
    typer.echo((folder / "table.md").read_text(encoding="utf-8"), nl=False)
    files = ", ".join(["table.md", "table.csv", "runs.csv", *(file.name for file in drawn)])
    errors().print(f"tables and figures in {folder}: {files}", markup=False)


def _make_grid(rates: str, lambdas: str, temperatures: str, steps: int | None) -> Any:
    from client.train.selection import IMAGE_WEIGHTS, LEARNING_RATES, TEMPERATURES, Grid

    learning_rates = read_numbers("--select-lrs", rates) or LEARNING_RATES
    # Defaults give way to a shorter list of rates; values that were asked for do not.
    most = len(learning_rates)
    return Grid(
        learning_rates=learning_rates,
        image_weights=read_numbers("--select-lambdas", lambdas) or IMAGE_WEIGHTS[:most],
        temperatures=read_numbers("--select-temperatures", temperatures) or TEMPERATURES[:most],
        steps=steps,
    )


def _read_rates(texts: list[str], methods: tuple[str, ...]) -> dict[str, float]:
    """Method → rate. Raises UsageError."""
    from client.train.methods import find_method

    rates = {}
    for text in texts:
        name, _, number = text.partition("=")
        values = read_numbers("--rate", number)
        if len(values) != 1:
            raise UsageError(f"--rate {text!r} is no method with its rate: write it like erm=3e-4")
        method = find_method(name).name
        if method not in methods:
            raise UsageError(f"--rate {text!r}: {method} is not compared; add it to --methods")
        rates[method] = values[0]
    return rates


def _split(values: list[str] | None) -> list[str]:
    """Names given one by one, or several with commas."""
    return [name for value in values or [] for name in value.split(",") if name]
