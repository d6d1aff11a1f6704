"""`vl2v-vendor prices`: what an embedding costs."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shared.money import MAX_NANOUSD, format_usd
from shared.wire import MAX_ITEMS, Modality
from vendor_api.admin import actions
from vendor_api.cli.shell import JsonFlag, Shell, name_actor, parse_amount, read_future
from vendor_api.db import format_instant
from vendor_api.ledger.commands import Price
from vendor_api.ledger.prices import list_prices

prices = typer.Typer(help="Set and list prices.", no_args_is_help=True)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(prices, name="prices")


@prices.command("set")
def set_price(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model's id, as it is served.")],
    image: Annotated[str | None, typer.Option(help="Dollars an image, like 0.0001.")] = None,
    text: Annotated[str | None, typer.Option(help="Dollars a text, like 0.00001.")] = None,
    valid_from: Annotated[
        str | None,
        typer.Option("--from", help="From this instant on: 2027-01-31 or 7d; now unless said."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sell a model at these prices, from now or later; requests under way keep theirs.

    Example: vl2v-vendor prices set icon-clip --image 0.0001 --text 0.00001 --from 2027-01-31
    """
    asked: dict[Modality, str | None] = {"image": image, "text": text}
    units = {modality: parse_amount(value) for modality, value in asked.items() if value}
    if not units:
        raise typer.BadParameter("say at least one price: --image 0.0001 or --text 0.00001")
    if not all(0 <= unit <= MAX_NANOUSD // MAX_ITEMS for unit in units.values()):
        raise typer.BadParameter("a price is zero or more, and less than 36 million dollars")
    actor = name_actor()

    def work(connection: Connection, now: int) -> dict[Modality, Price]:
        begin = read_future(valid_from, now)
        return actions.change_prices(connection, now, actor, model, units, begin)

    shell = Shell.of(ctx)
    current = shell.change(work)
    rows = [_document(price) for price in current.values()]
    shell.list(rows, "", as_json=as_json)
    missing = [modality for modality in asked if modality not in current]
    if missing:
        typer.echo(f"not for sale yet: {missing[0]}s of {model}", err=True)


@prices.command("list")
def list_all(
    ctx: typer.Context,
    upcoming: Annotated[
        bool, typer.Option("--upcoming", help="Those that are still to come instead.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the current prices, or the upcoming ones.

    Example: vl2v-vendor prices list --upcoming
    """
    shell = Shell.of(ctx)
    found = shell.read(lambda c, now: list_prices(c, now, upcoming=upcoming))
    empty = (
        "no upcoming prices"
        if upcoming
        else "no prices yet: vl2v-vendor prices set MODEL --image USD"
    )
    shell.list([_document(price) for price in found], empty, as_json=as_json)


def _document(price: Price) -> dict[str, str]:
    return {
        "model": price.model,
        "modality": price.modality,
        "price_usd": format_usd(price.unit_nanousd),
        "valid_from": format_instant(price.valid_from),
        "id": price.id,
    }
