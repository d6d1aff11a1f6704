"""`vl2v models`, `balance` and `usage`: what the vendor says."""

from typing import Annotated

import typer

from client.cli.screen import JsonFlag, print_json, print_table
from client.cli.times import read_time

__all__ = ["balance", "models", "register", "usage"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(models)
    app.command()(balance)
    app.command()(usage)


def models(as_json: JsonFlag = False) -> None:
    """The models on sale and their prices.

    Example: vl2v models
    """
    from client.api import VendorClient
    from shared.money import parse_usd, show_usd

    with VendorClient() as client:
        answer = client.models.list()
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    print_table(
        ["model", "revision", "dimension", "pixels", "per image", "per text"],
        [
            (
                model.id,
                model.revision,
                model.dimension,
                model.preprocessing.image_size,
                show_usd(parse_usd(model.price_per_image_usd)),
                show_usd(parse_usd(model.price_per_text_usd)),
            )
            for model in answer.data
        ],
    )


def balance(as_json: JsonFlag = False) -> None:
    """The account's money at the vendor.

    Example: vl2v balance --json
    """
    from client.api import VendorClient
    from shared.money import parse_usd, show_usd

    with VendorClient() as client:
        answer = client.balance.get()
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    amounts = {
        "credited": answer.credited_usd,
        "debited": answer.debited_usd,
        "held": answer.held_usd,
        "credit limit": answer.credit_limit_usd,
        "available": answer.available_usd,
    }
    print_table(
        ["account", answer.account_id],
        [(name, show_usd(parse_usd(amount))) for name, amount in amounts.items()],
    )


def usage(
    since: Annotated[
        str | None, typer.Option(help="First day or instant, ISO 8601, UTC unless it says.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last instant, not included.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """What was embedded, hour by hour, by the vendor's books.

    Example: vl2v usage --since 2026-11-01
    """
    from client.api import VendorClient
    from shared.money import parse_usd, show_usd

    with VendorClient() as client:
        answer = client.usage.get(since=read_time(since), until=read_time(until))
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    rows: list[tuple[object, ...]] = [
        (
            row.hour,
            row.model,
            row.modality,
            row.items,
            row.items_free,
            row.items_failed,
            show_usd(parse_usd(row.cost_usd)),
        )
        for row in answer.data
    ]
    total = show_usd(parse_usd(answer.total_cost_usd))
    rows.append(("total", "", "", answer.total_items, "", "", total))
    print_table(["hour", "model", "modality", "items", "free", "failed", "cost"], rows)
