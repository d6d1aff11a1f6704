"""The bar of a fetch: how far it is, what it has cost, what is left, how much is in flight."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from client.acquire import Bought, Fetch
from client.cli.screen import errors
from shared.money import show_usd

__all__ = ["run_with_bar"]


def run_with_bar(fetch: Fetch) -> None:
    """Run a fetch with a bar on stderr, gone when it is done."""
    budget = fetch.budgets.get(fetch.quote.run)
    left_before = budget.left_nanousd if budget else 0
    paid_before = fetch.receipt.cost_nanousd

    def describe() -> str:
        paid = fetch.receipt.cost_nanousd
        left = max(0, left_before - (paid - paid_before))
        limit = fetch.window.limit
        return f"{show_usd(paid)} paid, {show_usd(left)} left, {limit} at once"

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
        console=errors(),
        transient=True,
    ) as bar:
        pixels = fetch.quote.forms.upload == "pixels"
        task = bar.add_task(
            "buying, as pixels" if pixels else "buying", total=fetch.quote.to_buy, state=describe()
        )

        def advance(bought: Bought) -> None:
            bar.update(task, advance=len(bought.batch.digests), state=describe())

        fetch.progress = advance
        fetch.run()
