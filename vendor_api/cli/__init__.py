"""`vl2v-vendor`: run the vendor and keep its books."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated

import typer

from shared import DISTRIBUTION
from vendor_api.cli.shell import Commands, Shell, read_settings

MODULES = (
    "serve",
    "migrate",
    "accounts",
    "account_life",
    "credit",
    "corrections",
    "charges",
    "prices",
    "keys",
    "key_caps",
    "operators",
    "people",
    "models",
    "precision",
    "engine",
    "ledger",
    "audit_log",
    "retention",
    "backup",
    "alerts",
    "doctor",
    "demo_teacher",
)
"""Each has `register(app)`; heavy imports stay inside its commands."""

app = typer.Typer(
    cls=Commands,
    name="vl2v-vendor",
    help="Sell CLIP embeddings: serve a model, keep accounts, keys, prices and the ledger.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

__all__ = ["app"]


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"vl2v-vendor {version(DISTRIBUTION)}")
        except PackageNotFoundError:
            typer.echo("vl2v-vendor (not installed)")
        raise typer.Exit


@app.callback()
def prepare(
    ctx: typer.Context,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="sqlite:///PATH or postgresql://…; else VENDOR_DATABASE_URL, else ./vendor.db.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    _show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Settings come from VENDOR_* in the environment; these flags override them."""
    overrides = {} if database_url is None else {"database_url": database_url}
    ctx.obj = Shell(read_settings(**overrides), as_json)


for _module in MODULES:
    if find_spec(f"vendor_api.cli.{_module}") is not None:
        import_module(f"vendor_api.cli.{_module}").register(app)
