"""`vl2v unseen` and `vl2v imitation`: classes that no student was trained on."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli import options
from client.cli.options import DEFAULTS
from client.cli.screen import errors
from client.cli.training import open_store, require_torch, show_progress, stopping
from client.errors import UsageError
from client.train.config import TrainConfig

METHODS = "li-naive,li"

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(unseen)
    app.command()(imitation)


def unseen(  # noqa: PLR0913  (one parameter an option)
    data: options.Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder of all runs and the tables.")],
    model: options.Model = "",
    methods: Annotated[
        str, typer.Option(help="With commas; NAME+descriptions reads class descriptions too.")
    ] = METHODS,
    splits: Annotated[int, typer.Option(min=1, help="Halvings into seen and unseen classes.")] = 3,
    class_shots: Annotated[
        str, typer.Option(help="Labelled pictures of each unseen class to add, with commas.")
    ] = "0",
    seeds: Annotated[int, typer.Option(min=1, help="Trials of each method and split.")] = 1,
    domains: Annotated[str, typer.Option(help="Domains to use, with commas; default all.")] = "",
    descriptions: Annotated[
        Path | None,
        typer.Option(
            help="JSON of class → sentence for NAME+descriptions; default DATA/descriptions.json."
        ),
    ] = None,
    captions: options.Captions = None,
    shot_steps: Annotated[
        int | None, typer.Option(min=1, help="Further steps with shots; default a quarter.")
    ] = None,
    shot_lr: Annotated[
        float | None, typer.Option(help="Their peak learning rate; default that of --lr.")
    ] = None,
    student: options.Student = DEFAULTS.student,
    weights: options.Weights = DEFAULTS.weights,
    image_size: options.ImageSize = DEFAULTS.image_size,
    steps: options.Steps = DEFAULTS.steps,
    batch: options.Batch = DEFAULTS.batch,
    lr: options.Lr = DEFAULTS.lr,
    li_temperature: options.LiTemperature = DEFAULTS.li_temperature,
    li_neighbours: options.LiNeighbours = DEFAULTS.li_neighbours,
    li_filter: options.LiFilter = DEFAULTS.li_filter,
    caption_temperature: options.CaptionTemperature = DEFAULTS.caption_temperature,
    update_batchnorm: Annotated[
        bool | None,
        typer.Option(
            "--update-batchnorm/--freeze-batchnorm",
            help="Whether BatchNorm statistics move; default only with --weights random.",
        ),
    ] = None,
    split_seed: options.SplitSeed = DEFAULTS.split_seed,
    trial_seed: options.TrialSeed = DEFAULTS.trial_seed,
    holdout: Annotated[float, typer.Option(help="Validation share.")] = DEFAULTS.holdout,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Train on half of the classes, tell the other half apart by their texts. Resumes where it stopped.

    The student starts from ImageNet weights where they are on this machine; the published one
    (Li et al. 2023) starts from --weights random.

    Example: vl2v unseen DATA --model icon-clip --methods li-naive,li --class-shots 0,5 --out unseen
    """
    require_torch(threads)
    moves = weights == "random" if update_batchnorm is None else update_batchnorm
    config = TrainConfig(
        method="li",
        student=student,
        weights=weights,
        model=model,
        image_size=image_size,
        steps=steps,
        batch=batch,
        lr=lr,
        li_temperature=li_temperature,
        li_neighbours=li_neighbours,
        li_filter=li_filter,
        caption_temperature=caption_temperature,
        captions=str(captions or ""),
        batchnorm="updated" if moves else "frozen",
        holdout=holdout,
        split_seed=split_seed,
        trial_seed=trial_seed,
    )
    from client.train.li_study import UnseenPlan

    plan = UnseenPlan(
        config,
        methods=tuple(dict.fromkeys(name for name in methods.split(",") if name)),
        splits=splits,
        shots=_read_shots(class_shots),
        seeds=seeds,
        descriptions=_find_descriptions(data, descriptions),
        shot_steps=shot_steps,
        shot_lr=shot_lr,
    )
    tables = _run(data, plan, out, tuple(name for name in domains.split(",") if name), cache)
    _show(tables, as_json=as_json)
    errors().print(f"tables in {out}: {', '.join(f'{t.name}.md' for t in tables)}", markup=False)


def imitation(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `vl2v unseen --out` wrote.")],
    *,
    as_json: options.Json = False,
) -> None:
    """Which measure of imitating the teacher goes with accuracy on unseen classes: rank correlations.

    Example: vl2v imitation unseen
    """
    require_torch(None)
    from client.train.li_tables import collect_lines, tabulate_imitation

    _show([tabulate_imitation(collect_lines(runs))], as_json=as_json)


def _run(
    data: Path, plan: Any, out: Path, domains: tuple[str, ...], cache: str | None
) -> list[Any]:
    from client.train.experiment import open_experiment
    from client.train.li_comparison import tabulate_differences
    from client.train.li_study import run_unseen
    from client.train.li_tables import (
        describe_line,
        tabulate_accuracy,
        tabulate_imitation,
        write_tables,
    )
    from client.train.student import check_student

    check_student(plan.config.student)
    with open_store(cache) as store:
        with errors().status("reading the data folder"):
            experiment = _keep_domains(open_experiment(data, plan.config, store), domains)
        with stopping() as stop, show_progress("unseen") as report:
            lines = run_unseen(
                experiment,
                plan,
                out,
                announce=lambda line: errors().print(describe_line(line), markup=False),
                report=report,
                stop=stop,
            )
        tables = [tabulate_accuracy(lines), tabulate_differences(experiment, plan, out)]
        tables.append(tabulate_imitation(lines))
        write_tables(tables, lines, out)
    return tables


def _keep_domains(experiment: Any, domains: tuple[str, ...]) -> Any:
    from client.train.errors import check_name

    for domain in domains:
        check_name("domain", domain, experiment.manifest.domains)
    left_out = tuple(d for d in experiment.manifest.domains if domains and d not in domains)
    return experiment.without(left_out) if left_out else experiment


def _show(tables: list[Any], *, as_json: bool) -> None:
    for table in tables:
        if as_json:
            for row in table.rows:
                typer.echo(json.dumps({"table": table.name, **row}))
        elif table.rows:
            typer.echo(table.markdown())


def _find_descriptions(data: Path, named: Path | None) -> str:
    from client.data.descriptions import DESCRIPTIONS_FILE

    if named is not None:
        return str(named)
    usual = data / DESCRIPTIONS_FILE
    return str(usual) if usual.is_file() else ""


def _read_shots(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() for part in parts):
        raise UsageError(f"--class-shots {text!r} is no list of counts: write it like 0,5")
    return tuple(sorted({int(part) for part in parts}))
