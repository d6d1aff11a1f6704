"""`vl2v-vendor serve`: sell a model's embeddings over HTTP."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from shared.migrating import PendingMigrations, pending
from shared.wire import Modality
from vendor_api.cli.shell import Shell, read_settings
from vendor_api.db import open_database, read_clock
from vendor_api.ledger.commands import Price
from vendor_api.ledger.prices import current_prices
from vendor_api.people.invitations import SETUP
from vendor_api.refusal import Refusal
from vendor_api.settings import VendorSettings

ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="ID=SPEC or SPEC, may repeat; SPEC is ARCHITECTURE/TAG or local-dir:PATH. Else VENDOR_MODELS.",
        show_default=False,
    ),
]

__all__ = [
    "ModelOption",
    "describe_start",
    "find_prices",
    "merge_settings",
    "missing_price",
    "register",
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(  # noqa: PLR0913, PLR0917  (each is an option)
    ctx: typer.Context,
    model: ModelOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one [8000].")] = None,
    database_url: Annotated[str | None, typer.Option(help="Else VENDOR_DATABASE_URL.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads the model computes with.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, bf16 or auto [fp32].")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Where models compute: process, thread or ray [process].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log and print JSON.")] = False,
) -> None:
    """Sell embeddings until stopped; SIGTERM finishes the requests under way first.

    Example: vl2v-vendor serve --model icon-clip=local-dir:teacher --port 8000
    """
    shell = Shell.of(ctx)
    settings = merge_settings(
        shell.settings,
        models=tuple(model) if model else None,
        host=host,
        port=port,
        database_url=database_url,
        threads=threads,
        precision=precision,
        engine=engine,
        log_json=True if as_json or shell.as_json else None,
    )
    try:
        _serve(settings)
    except KeyboardInterrupt:
        _leave(130)
    _leave(0)


def merge_settings(settings: VendorSettings, **flags: object) -> VendorSettings:
    """The settings with every flag that was given on top. Raises Refusal for a value that cannot be."""
    given = {name: value for name, value in flags.items() if value is not None}
    return read_settings(**{**settings.model_dump(), **given})


def find_prices(settings: VendorSettings, model: str) -> dict[Modality, Price]:
    """The model's current prices, by modality."""
    with closing(open_database(settings.database_url)) as database, database.read() as connection:
        return current_prices(connection, read_clock(connection), model)


def missing_price(model: str) -> str:
    """The sentence for a model that nobody can buy yet."""
    return (
        f"{model} has no price for images and texts: run "
        f"`vl2v-vendor prices set {model} --image 0.0001 --text 0.00001` (dollars each) first"
    )


def _serve(settings: VendorSettings) -> None:
    from vendor_api import exposition, failpoints
    from vendor_api.app import create_app, load_engines
    from vendor_api.auth import open_pepper
    from vendor_api.auth.service import Authenticator
    from vendor_api.db.lock import ServerLock
    from vendor_api.engine.local import close_served, parse_models
    from vendor_api.ledger.ledger import Ledger
    from vendor_api.logs import configure_logs
    from vendor_api.metrics import Metrics
    from vendor_api.redaction import hide
    from vendor_api.server import bind, run_server, url_of

    configure_logs(json=settings.log_json, level=settings.log_level)
    logging.captureWarnings(True)  # a library's warning is a line like any other
    failpoints.arm()
    models = parse_models(settings.models)
    _check_shop(settings, [model.id for model in models])
    with ExitStack() as stack:
        lock = stack.enter_context(ServerLock(settings.database_url))
        listening = stack.enter_context(closing(bind(settings.host, settings.port)))
        exposition.prepare_folder()
        stack.callback(exposition.leave_folder)
        metrics = Metrics()
        ledger = Ledger.open(
            settings.database_url,
            busy_timeout_s=settings.busy_timeout_s,
            on_commit=metrics.observe_commit,
        )
        stack.callback(lambda: asyncio.run(ledger.close()))
        if lock.exclusive:
            asyncio.run(ledger.expire_orphans())
        pepper = open_pepper(settings.database_url, settings.key_pepper_file)
        hide(pepper, *settings.secrets())
        token_file = _offer_first_admin(settings)
        authenticator = Authenticator.open(settings.database_url, pepper)
        stack.callback(lambda: asyncio.run(authenticator.close()))
        engines = load_engines(settings, metrics)
        stack.callback(close_served, engines)
        app = create_app(
            settings, engines=engines, ledger=ledger, authenticator=authenticator, metrics=metrics
        )
        url = url_of(listening)
        run_server(app, listening, lambda: _announce(url, settings.log_json, token_file))


def _check_shop(settings: VendorSettings, models: Sequence[str]) -> None:
    """Everything that can be known before a model is loaded, which may take minutes."""
    if not models:
        raise Refusal("name a model to sell: vl2v-vendor serve --model ID=local-dir:PATH")
    if pending("vendor", settings.database_url):
        raise PendingMigrations("vendor")
    for model in models:
        if not {"image", "text"} <= find_prices(settings, model).keys():
            raise Refusal(missing_price(model))


def _leave(code: int) -> NoReturn:
    """End the process at once: everything is closed, and torch takes seconds to be taken down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _offer_first_admin(settings: VendorSettings) -> Path | None:
    from vendor_api.people.founding import offer_first_admin

    try:
        return offer_first_admin(settings.database_url, settings.key_pepper_file)
    except OSError as error:
        typer.echo(
            f"no admin yet, and no file for a first one's token ({error}): "
            "run `vl2v-vendor people create NAME --role admin`",
            err=True,
        )
        return None


def describe_start(url: str, token_file: Path | None) -> tuple[dict[str, str | int], str]:
    """What a server says once it is ready: as JSON, and what a person has to do first, if anything."""
    document: dict[str, str | int] = {"url": url, "pid": os.getpid()}
    if token_file is None:
        return document, ""
    setup = f"{url}{SETUP}"
    document |= {"first_admin": setup, "first_admin_token_file": str(token_file)}
    return document, f"no admin yet: open {setup} within 24 hours with the token in {token_file}"


def _announce(url: str, as_json: bool, token_file: Path | None) -> None:
    document, sentence = describe_start(url, token_file)
    if sentence and not as_json:
        typer.echo(sentence, err=True)
    ready = f"vl2v-vendor ready at {url} (pid {document['pid']})"
    typer.echo(json.dumps(document) if as_json else ready)
