"""`vl2v budget set | show | history`: what may be spent, what is left, and where it went."""

from itertools import islice
from typing import Annotated, Any

import typer

from client.budget import DEFAULT_PROJECT, Budget, Budgets, Caps, Project, State
from client.budget.history import HistoryFilter, HistoryLine, count_history, read_history
from client.cli import options
from client.cli.screen import JsonFlag, errors, print_json, print_table
from client.cli.sheets import print_csv, print_lines
from client.cli.times import read_time_ns, show_time
from client.cli.training import open_store
from client.errors import UsageError
from shared.money import format_usd, parse_usd, show_usd

SHOWN = 50
"""Requests that `history` shows to a person unless told."""
NO_CAP = "none"

RunName = Annotated[
    str | None, typer.Option("--run", help="A run: the name that `vl2v fetch` prints or was given.")
]
ProjectName = Annotated[
    str | None,
    typer.Option("--project", help=f"A project; `{DEFAULT_PROJECT}` has every run of no other."),
]

budget = typer.Typer(
    help="Caps for runs and for projects of runs, and what they have spent.", no_args_is_help=True
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(budget, name="budget")


@budget.command(name="set")
def set_budget(
    run: RunName = None,
    project: ProjectName = None,
    usd: Annotated[
        str | None, typer.Option(help="Dollars in all, like 20.00; `none` takes the cap away.")
    ] = None,
    items: Annotated[
        str | None, typer.Option(help="Images and texts in all; `none` takes the cap away.")
    ] = None,
    as_json: JsonFlag = False,
    cache: options.Cache = None,
) -> None:
    """Cap a run, or a project whose runs share the cap; with both, move the run into the project.

    What was spent before counts. A request is held against both caps before it is sent.

    Example: vl2v budget set --project thesis --usd 20.00 --items 200000
    """
    caps = _read_caps(usd, items)
    if run is None and project is None:
        raise UsageError("say whose budget: --run NAME or --project NAME")
    if not caps and (run is None or project is None):
        raise UsageError("say how much: --usd 20.00, --items 1000 or both")
    if run is not None and caps.get("cap_nanousd", 0) is None:
        raise UsageError("a run always has a cap in dollars: --usd 2.50")
    with open_store(cache) as store:
        budgets = Budgets(store.database)
        if run is not None:
            if "cap_nanousd" not in caps and budgets.get(run) is None:
                raise UsageError(f"run {run} is new: say how many dollars it may spend, --usd 2.50")
            changed = [_describe_run(run, budgets.change_run(run, caps, into=project))]
        else:
            changed = [_describe_project(budgets.change_project(project or "", caps))]
    _print(changed, as_json=as_json)


@budget.command(name="show")
def show_budgets(as_json: JsonFlag = False, cache: options.Cache = None) -> None:
    """Every project and run: cap, spent, held and left, in dollars and items.

    Held is what planned and open requests may still cost. Left of a run minds its project's cap.

    Example: vl2v budget show --json
    """
    with open_store(cache) as store:
        budgets = Budgets(store.database)
        rows = [_describe_project(project) for project in budgets.list_projects()]
        rows += [_describe_run(name, found) for name, found in budgets.list_runs().items()]
    _print(rows, as_json=as_json)


@budget.command()
def history(  # noqa: PLR0913  (one parameter an option)
    *,
    run: RunName = None,
    project: ProjectName = None,
    state: Annotated[State | None, typer.Option(help="How far the request came.")] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's id.")] = None,
    since: Annotated[
        str | None, typer.Option(help="First day or instant, ISO 8601, UTC unless it says.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last instant, not included.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"The newest so many; default {SHOWN} on a screen, else all."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, oldest first.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document a line, oldest first.")
    ] = False,
    cache: options.Cache = None,
) -> None:
    """The journal: every paid request with its time, run, items, cost, state and request id.

    Example: vl2v budget history --run data-1a2b3c4d --since 2026-11-01 --csv
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json are two ways to print: choose one")
    which = HistoryFilter(
        run=run,
        project=project,
        state=state,
        model_id=model,
        since_ns=read_time_ns(since),
        until_ns=read_time_ns(until),
    )
    with open_store(cache) as store:
        count = count_history(store.database, which)
        if as_csv or as_json:
            # The newest ones, oldest of them first.
            lines = islice(
                read_history(store.database, which), max(0, count - (limit or count)), None
            )
            rows = map(describe_line, lines)
            print_lines(rows) if as_json else print_csv(COLUMNS, rows)
            return
        newest = read_history(store.database, which, newest_first=True)
        _show_history(list(islice(newest, limit or SHOWN)), count)


COLUMNS = (
    "planned_at",
    "closed_at",
    "run",
    "project",
    "state",
    "model",
    "revision",
    "modality",
    "view",
    "purpose",
    "items",
    "refused",
    "held_usd",
    "cost_usd",
    "charge_id",
    "request_id",
    "idempotency_key",
    "problem",
)
"""What `history --csv` prints."""


def describe_line(line: HistoryLine) -> dict[str, Any]:
    """A request of the journal as JSON; money as decimal dollars with nine places."""
    return {
        "planned_at": show_time(line.planned_ns),
        "closed_at": show_time(line.closed_ns) if line.closed_ns is not None else None,
        "run": line.run,
        "project": line.project,
        "state": line.state,
        "model": line.model_id,
        "revision": line.revision,
        "modality": line.modality,
        "view": line.view,
        "purpose": line.purpose,
        "items": line.items,
        "refused": line.refused,
        "held_usd": format_usd(line.held_nanousd),
        "cost_usd": None if line.cost_nanousd is None else format_usd(line.cost_nanousd),
        "charge_id": line.charge_id,
        "request_id": line.request_id,
        "idempotency_key": line.idempotency_key,
        "problem": line.problem,
    }


def _show_history(newest: list[HistoryLine], count: int) -> None:
    print_table(
        ["planned", "run", "state", "what", "items", "refused", "cost", "request"],
        [
            (
                show_time(line.planned_ns),
                line.run,
                line.state,
                f"{line.modality}s for {line.purpose}",
                line.items,
                line.refused,
                "–" if line.cost_nanousd is None else show_usd(line.cost_nanousd),
                line.request_id or "–",
            )
            for line in reversed(newest)
        ],
    )
    if count > len(newest):
        errors().print(f"{count - len(newest)} older ones: --limit {count}, or --csv for all")


def _read_caps(usd: str | None, items: str | None) -> Caps:
    money: Caps = {} if usd is None else {"cap_nanousd": None if usd == NO_CAP else _read_usd(usd)}
    count: Caps = (
        {} if items is None else {"cap_items": None if items == NO_CAP else _read_items(items)}
    )
    return {**money, **count}


def _read_usd(text: str) -> int:
    try:
        amount = parse_usd(text.removeprefix("$"))
    except ValueError as error:
        raise UsageError(f"--usd: {error}") from error
    if amount < 0:
        raise UsageError("--usd: a budget is not negative")
    return amount


def _read_items(text: str) -> int:
    plain = text.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit() and len(plain) <= 15):
        raise UsageError(f"--items: {text!r} is not a number of items: write it like 1000")
    return int(plain)


def _describe_project(project: Project) -> dict[str, Any]:
    return {"project": project.name, "run": None} | _describe_sums(project)


def _describe_run(name: str, found: Budget) -> dict[str, Any]:
    return {"project": found.project.name, "run": name} | _describe_sums(found)


def _describe_sums(found: Project | Budget) -> dict[str, Any]:
    money = (found.cap_nanousd, found.spent_nanousd, found.held_nanousd, found.left_nanousd)
    items = (found.cap_items, found.spent_items, found.held_items, found.left_items)
    names = ("cap", "spent", "held", "left")
    return {
        f"{name}_usd": None if amount is None else format_usd(amount)
        for name, amount in zip(names, money, strict=True)
    } | {f"{name}_items": count for name, count in zip(names, items, strict=True)}


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    columns = [
        (name, unit) for unit in ("usd", "items") for name in ("cap", "spent", "held", "left")
    ]
    print_table(
        ["project", "run", *(name if unit == "usd" else f"{name} items" for name, unit in columns)],
        [
            (
                row["project"],
                row["run"] or "(all runs)",
                *(_show_cell(row[f"{name}_{unit}"]) for name, unit in columns),
            )
            for row in rows
        ],
    )


def _show_cell(value: str | int | None) -> str:
    if value is None:
        return "–"
    return show_usd(parse_usd(value)) if isinstance(value, str) else str(value)
