"""`vl2v diagnose`: what the bought vectors say before any training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli import options
from client.cli.screen import JsonFlag, errors, print_json, print_table
from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from client.train.diagnose import Diagnosis, Reading

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diagnose)


def diagnose(
    data: options.Data,
    *,
    model: options.Model = "",
    target: Annotated[
        list[str] | None,
        typer.Option(help="Domain that is to be unseen; default each in turn."),
    ] = None,
    split_seed: options.SplitSeed = options.DEFAULTS.split_seed,
    holdout: Annotated[float, typer.Option(help="Validation share.")] = options.DEFAULTS.holdout,
    cache: options.Cache = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge the teacher by what is in the cache: per domain, as text and as pictures. Buys nothing.

    E1 to E6 are classifiers of the teacher's vectors; those called oracle use the target's own labels
    and no student may. The estimate at the end follows the rule printed with it.

    Example: vl2v diagnose DATA --model icon-clip --target solid
    """
    from client.cli.training import open_store
    from client.data import scan_folders, split_pictures
    from client.train.diagnose import diagnose as read_vectors

    if not model:
        raise UsageError("say which teacher to judge: --model ID, as it was bought")
    with open_store(cache) as store:
        document = store.model(model)
        with errors().status("reading the data folder and the cache"):
            manifest = scan_folders(data, memo=store.digests)
            split = split_pictures(manifest, seed=split_seed, holdout=holdout)
            found = read_vectors(manifest, split, store, document, tuple(target or ()))
    if as_json:
        print_json(found.document())
        return
    _print(found, data)


def _print(found: "Diagnosis", data: Path) -> None:
    from shared.money import show_usd

    print_table(
        ("domain", "zero-shot", "pictures with a vector"),
        [(z.domain, _percent(z.accuracy), f"{z.held} of {z.pictures}") for z in found.zero_shot],
    )
    targets = list(dict.fromkeys(reading.target for reading in found.readings))
    typer.echo(f"{found.model}@{found.revision} on {data}: mean per-class accuracy, %")
    rows = []
    for name in dict.fromkeys(reading.name for reading in found.readings):
        mine = {r.target: r for r in found.readings if r.name == name}
        first = mine[targets[0]]
        label = f"{name} {first.classifier}" + (" (oracle)" if first.oracle else "")
        rows.append(
            (label, *(_percent(mine[target].accuracy) for target in targets), _mean(mine.values()))
        )
    print_table(("classifier", *targets, "mean"), rows)
    typer.echo(f"mean cosine of two class texts: {_number(found.text_cosine)}")
    typer.echo(f"modality gap (mean image to mean text vector): {_number(found.modality_gap)}")
    for part in found.missing:
        cost = f", {show_usd(part.cost_nanousd)} at the price last seen" if part.vectors else ""
        typer.echo(f"not in the cache: {part.vectors} {part.what}{cost}")
    estimate = found.estimate
    lead = (
        "" if estimate.text_lead is None else f" (E1 − E3: {100 * estimate.text_lead:+.1f} points)"
    )
    typer.echo(f"will distilling pay? an estimate: {estimate.verdict}{lead}")
    cost = show_usd(estimate.training_cost_nanousd)
    if estimate.break_even_predictions is not None:
        typer.echo(
            f"training vectors cost {cost} in all: as much as asking the vendor about "
            f"{estimate.break_even_predictions:,} pictures"
        )
    errors().print(f"rule: {estimate.rule}", markup=False)


def _mean(readings: "Iterable[Reading]") -> str:
    known = [r.accuracy for r in readings if r.accuracy is not None]
    return _percent(sum(known) / len(known)) if known else "–"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
