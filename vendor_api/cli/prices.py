"""`vl2v-vendor prices`: what an embedding costs."""

from typing import Annotated

import typer

from shared.money import MAX_NANOUSD, format_usd
from shared.wire import MAX_ITEMS, Modality
from vendor_api.cli.shell import JsonFlag, Shell, parse_amount
from vendor_api.db import read_clock
from vendor_api.ledger.commands import Price
from vendor_api.ledger.prices import list_prices, set_prices

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
    as_json: JsonFlag = False,
) -> None:
    """Sell a model at these prices from now on; requests under way keep the price they began with.

    Example: vl2v-vendor prices set icon-clip --image 0.0001 --text 0.00001
    """
    asked: dict[Modality, str | None] = {"image": image, "text": text}
    units = {modality: parse_amount(value) for modality, value in asked.items() if value}
    if not units:
        raise typer.BadParameter("say at least one price: --image 0.0001 or --text 0.00001")
    if not all(0 <= unit <= MAX_NANOUSD // MAX_ITEMS for unit in units.values()):
        raise typer.BadParameter("a price is zero or more, and less than 36 million dollars")
    shell = Shell.of(ctx)
    with shell.database() as database:
        current = database.change(lambda c: set_prices(c, read_clock(c), model, units))
    rows = [_document(price) for price in current.values()]
    shell.list(rows, "", as_json=as_json)
    missing = [modality for modality in asked if modality not in current]
    if missing:
        typer.echo(f"not for sale yet: {missing[0]}s of {model}", err=True)


@prices.command("list")
def list_all(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """List the current prices.

    Example: vl2v-vendor prices list
    """
    shell = Shell.of(ctx)
    with shell.database() as database, database.read() as connection:
        rows = [_document(price) for price in list_prices(connection, read_clock(connection))]
    shell.list(rows, "no prices yet: vl2v-vendor prices set MODEL --image USD", as_json=as_json)


def _document(price: Price) -> dict[str, str]:
    return {
        "model": price.model,
        "modality": price.modality,
        "price_usd": format_usd(price.unit_nanousd),
        "id": price.id,
    }
