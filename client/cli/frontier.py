"""`vl2v frontier` and `vl2v shots`: accuracy against paid queries, and against labelled pictures."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli import options
from client.cli.options import DEFAULTS
from client.cli.screen import errors
from client.cli.training import open_data, open_store, require_torch, show_progress, stopping
from client.data.choosing import SELECTIONS, Selection
from client.errors import UsageError
from client.train.config import TrainConfig

Targets = Annotated[
    list[str] | None, typer.Option("--target", help="Domain to leave out; again for more; all.")
]
Seeds = Annotated[int, typer.Option(min=1, help="Trials of each setting and target.")]
Holdout = Annotated[float, typer.Option(help="Validation share.")]
Out = Annotated[Path, typer.Option(help="Folder of all runs, tables and figures.")]

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(frontier)
    app.command()(shots)


def frontier(  # noqa: PLR0913  (one parameter an option)
    data: options.Data,
    *,
    out: Out,
    model: options.Model,
    method: Annotated[str, typer.Option(help="A method that reads image vectors.")] = "adip",
    target: Targets = None,
    shares: Annotated[
        str, typer.Option(help="Shares of the pictures to ask about, with commas.")
    ] = "0,0.1,0.25,0.5,1",
    selections: Annotated[
        str, typer.Option(help=f"How a share is chosen, with commas: {', '.join(SELECTIONS)}.")
    ] = "random,stratified",
    views: Annotated[
        str, typer.Option(help="Bought views a picture, with commas; 0 is the file itself.")
    ] = "0",
    fresh_views: options.FreshViews = "",
    seeds: Seeds = 1,
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
    lr: options.Lr = DEFAULTS.lr,
    image_weight: options.Lambda = DEFAULTS.image_weight,
    align_views: options.AlignViews = DEFAULTS.align_views,
    shots_: options.Shots = None,
    holdout: Holdout = DEFAULTS.holdout,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Draw accuracy on unseen domains against paid image queries. Resumes where it stopped.

    Example: vl2v frontier DATA --model icon-clip --target solid --seeds 3 --out frontier
    """
    require_torch(threads)
    from client.train.economy import FrontierPlan, run_frontier

    config = TrainConfig(
        student=student,
        weights=weights,
        model=model,
        image_size=image_size,
        steps=steps,
        batch=batch,
        lr=lr,
        image_weight=image_weight,
        align_views=align_views,
        shots=shots_,
        holdout=holdout,
        split_seed=split_seed,
        trial_seed=trial_seed,
    )
    asked = _read_shares(shares)
    rules = _read_selections(selections)
    crops = tuple(_whole("--views", word) for word in _words(views))
    with open_store(cache) as store:
        experiment = open_data(data, config, store)
        targets = tuple(target or experiment.manifest.domains)
        plan = FrontierPlan(config, method, asked, rules, crops, targets, seeds, fresh_views)
        with stopping() as stop, show_progress("frontier") as report:
            study = run_frontier(experiment, plan, out, report=report, stop=stop)
    _tell(study, "frontier", out, as_json=as_json)


def shots(  # noqa: PLR0913  (one parameter an option)
    data: options.Data,
    *,
    out: Out,
    model: options.Model = "",
    shots_: Annotated[
        str, typer.Option("--shots", help="Pictures a class and domain, with commas; all for all.")
    ] = "2,4,8,16,all",
    methods: Annotated[
        str, typer.Option(help="Methods to compare, with commas.")
    ] = "text-only,erm,kd,adip",
    target: Targets = None,
    seeds: Seeds = 1,
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
    lr: options.Lr = DEFAULTS.lr,
    image_weight: options.Lambda = DEFAULTS.image_weight,
    temperature: options.Temperature = DEFAULTS.temperature,
    align_views: options.AlignViews = DEFAULTS.align_views,
    holdout: Holdout = DEFAULTS.holdout,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Draw accuracy on unseen domains against labelled pictures, for each method. Resumes.

    Example: vl2v shots DATA --model icon-clip --shots 2,8,all --methods erm,adip --out shots
    """
    require_torch(threads)
    from client.train.economy import ShotsPlan, run_shots
    from client.train.methods import find_method

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
        align_views=align_views,
        holdout=holdout,
        split_seed=split_seed,
        trial_seed=trial_seed,
    )
    names = tuple(find_method(name).name for name in _words(methods))
    counts = tuple(None if w == "all" else _whole("--shots", w) for w in _words(shots_))
    with open_store(cache) as store:
        experiment = open_data(data, config, store)
        targets = tuple(target or experiment.manifest.domains)
        plan = ShotsPlan(config, names, counts, targets, seeds)
        with stopping() as stop, show_progress("shots") as report:
            study = run_shots(experiment, plan, out, report=report, stop=stop)
    _tell(study, "shots", out, as_json=as_json)


def _tell(study: Any, name: str, out: Path, *, as_json: bool) -> None:
    from client.train.points import write_study

    write_study(study, name, out)
    if as_json:
        for point in study.points:
            typer.echo(json.dumps(point.document()))
        for claim in study.claims:
            typer.echo(json.dumps(claim))
        return
    typer.echo((out / "table.md").read_text(encoding="utf-8"), nl=False)
    errors().print(f"in {out}: {name}.json, {name}.svg, {name}.png, table.md, table.csv")


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _whole(option: str, word: str) -> int:
    if not word.isdigit():
        raise UsageError(f"{option}: {word!r} is no whole number; write them like 2,4,8")
    return int(word)


def _read_shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(word) for word in _words(text))
    except ValueError as error:
        raise UsageError(f"--shares {text!r} is no list of shares: write 0,0.25,1") from error
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise UsageError("--shares lie between 0 and 1: write them like 0,0.1,0.25,0.5,1")
    return shares


def _read_selections(text: str) -> tuple[Selection, ...]:
    from client.train.errors import check_name

    return tuple(
        s for w in _words(text) for s in SELECTIONS if s == check_name("selection", w, SELECTIONS)
    )
