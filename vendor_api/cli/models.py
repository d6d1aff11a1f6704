"""`vl2v-vendor models`: what would be served."""

import typer

from shared.money import format_usd
from vendor_api.cli.serve import ModelOption, find_prices, merge_settings
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.engine.local import load_clip, parse_models, read_manner
from vendor_api.refusal import Refusal

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models")(list_models)


def list_models(ctx: typer.Context, model: ModelOption = None, as_json: JsonFlag = False) -> None:
    """Load each model and print its revision, dimension, context length and prices.

    Example: vl2v-vendor models --model icon-clip=local-dir:teacher
    """
    shell = Shell.of(ctx)
    settings = merge_settings(shell.settings, models=tuple(model) if model else None)
    if not settings.models:
        raise Refusal(
            "name a model: vl2v-vendor models --model ID=local-dir:PATH, or set VENDOR_MODELS"
        )
    rows = []
    for spec in parse_models(settings.models):
        info = load_clip(spec, read_manner(settings)).info
        prices = find_prices(settings, spec.id)
        rows.append(
            {
                "id": info.id,
                "revision": info.revision,
                "dimension": str(info.dimension),
                "context": str(info.context_length),
                "precision": info.precision,
                "image_usd": format_usd(prices["image"].unit_nanousd)
                if "image" in prices
                else None,
                "text_usd": format_usd(prices["text"].unit_nanousd) if "text" in prices else None,
                "says": info.settled or None,
            }
        )
    shell.list(rows, "", as_json=as_json)
