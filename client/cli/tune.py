"""`vl2v tune`: choose a method's settings without seeing the target."""

import json
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from client.cli import options
from client.cli.options import DEFAULTS
from client.cli.screen import errors
from client.cli.training import open_data, open_store, require_torch, show_progress, stopping
from client.errors import UsageError
from client.train.config import TrainConfig

__all__ = ["read_numbers", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)


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
    lambdas: Annotated[
        str, typer.Option(help="Values of λ to try with each rate, with commas.")
    ] = "",
    temperatures: Annotated[
        str, typer.Option(help="Values of kd's τ to try with each rate, with commas.")
    ] = "",
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
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
) -> None:
    """Choose learning rate and λ or τ by source validation; the target domain is never looked at.

    Example: vl2v tune DATA --target sketch --model icon-clip --lrs 1e-4,3e-4 --out tuned
    """
    require_torch(threads)
    from client.train.selection import select

    config = TrainConfig(
        method=method,
        targets=tuple(target or ()),
        student=student,
        weights=weights,
        model=model,
        image_size=image_size,
        steps=steps,
        batch=batch,
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
    with open_store(cache) as store:
        experiment = open_data(data, config, store)
        with stopping() as stop, show_progress("tune") as report:
            choice = select(
                experiment,
                config,
                out,
                _list_points(method, lrs, lambdas, temperatures),
                report=report,
                stop=stop,
            )
    typer.echo(json.dumps(choice.document()))
    errors().print(f"use it with: vl2v train … --choice {out / 'choice.json'}", markup=False)


def _list_points(method: str, rates: str, lambdas: str, taus: str) -> list[dict[str, float]]:
    """Every rate with every value of the method's own setting: one method alone needs no budget."""
    from client.train import selection
    from client.train.methods import find_method

    learning_rates = read_numbers("--lrs", rates) or selection.LEARNING_RATES
    weights = read_numbers("--lambdas", lambdas) or selection.IMAGE_WEIGHTS
    temperatures = read_numbers("--temperatures", taus) or selection.TEMPERATURES
    own = selection.find_own_setting(method)
    values = temperatures if own == "temperature" else weights
    if not find_method(method).distils:
        return [{own: value} for value in values] if own else []
    if own is None:
        return [{"lr": rate} for rate in learning_rates]
    return [{"lr": rate, own: value} for rate, value in product(learning_rates, values)]


def read_numbers(option: str, text: str) -> tuple[float, ...]:
    """Numbers with commas between; empty for none. Raises UsageError naming the option."""
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no list of numbers: write it like 1e-4,3e-4"
        ) from error
