"""`vl2v reconcile`: this client's journal against the vendor's charges."""

from functools import partial
from typing import Annotated, Any

import typer

from client.cli import options
from client.cli.screen import JsonFlag, errors, print_json, print_table, results
from client.cli.times import read_time_ns
from client.cli.training import open_store
from shared.money import format_usd, show_usd

SHOWN = 20
"""Differences listed before the rest is only counted."""

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reconcile)


def reconcile(
    *,
    since: Annotated[
        str | None, typer.Option(help="First day or instant, ISO 8601, UTC unless it says.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last instant, not included.")] = None,
    as_json: JsonFlag = False,
    cache: options.Cache = None,
) -> None:
    """Compare every request of the journal with the vendor's charges; exit code 1 on a difference.

    Requests are matched by their idempotency keys: missing on either side, other costs, other states.
    Nothing is changed, and nothing is paid.

    Example: vl2v reconcile --since 2026-11-01
    """
    from client.api import VendorClient
    from client.budget.reconciliation import has_metered
    from client.budget.reconciliation import reconcile as compare_all
    from client.settings import ClientSettings

    with open_store(cache) as store, errors().status("reading the vendor's charges"):
        unmetered = {one.name for one in store.list_models() if not one.metered}
        compare = partial(
            compare_all,
            store.database,
            since_ns=read_time_ns(since),
            until_ns=read_time_ns(until),
            unmetered=unmetered,
        )
        if ClientSettings.load().api_key or has_metered(store.database, unmetered):
            with VendorClient() as client:
                found = compare(client.charges.iterate(), client.charges.get)
        else:
            # Whoever asks no vendor has no key to ask one with.
            found = compare((), lambda _key: None)
    if as_json:
        print_json(_describe(found))
    else:
        _show(found)
    if found.differences:
        raise typer.Exit(1)


def _describe(found: Any) -> dict[str, Any]:
    return {
        "requests": found.requests,
        "charges": found.charges,
        "journal_usd": format_usd(found.journal_nanousd),
        "vendor_usd": format_usd(found.vendor_nanousd),
        "unmetered": found.unmetered,
        "unmetered_usd": format_usd(found.unmetered_nanousd),
        "differences": [_describe_difference(one) for one in found.differences],
    }


def _describe_difference(one: Any) -> dict[str, Any]:
    line, charge = one.line, one.charge
    here: dict[str, str | None] = {"run": None, "journal_state": None, "journal_cost_usd": None}
    if line is not None:
        cost = line.cost_nanousd
        here = {
            "run": line.run,
            "journal_state": line.state,
            "journal_cost_usd": None if cost is None else format_usd(cost),
        }
    there = {
        "charge_id": charge and charge.id,
        "charge_state": charge and charge.state,
        "charge_cost_usd": charge and charge.cost_usd,
    }
    return (
        {"kind": one.kind, "idempotency_key": one.idempotency_key}
        | here
        | there
        | {"said": one.said}
    )


def _show(found: Any) -> None:
    if found.differences:
        print_table(
            ["difference", "run", "request", "what"],
            [
                (
                    one.kind,
                    one.line.run if one.line else "–",
                    f"{one.idempotency_key[:18]}…",
                    one.said,
                )
                for one in found.differences[:SHOWN]
            ],
        )
    if len(found.differences) > SHOWN:
        errors().print(f"… and {len(found.differences) - SHOWN} more (--json lists all)")
    results().print(
        f"{found.requests} requests here for {show_usd(found.journal_nanousd)}, {found.charges} "
        f"charges there for {show_usd(found.vendor_nanousd)}; {len(found.differences)} differences"
    )
    if found.unmetered:
        results().print(
            f"{found.unmetered} more for {show_usd(found.unmetered_nanousd)} went to teachers that "
            "keep no books: there is nothing to reconcile them with"
        )
