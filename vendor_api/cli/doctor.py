"""`vl2v-vendor doctor`: what stands between this machine and a running vendor."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import typer
from sqlalchemy.exc import DBAPIError

from shared.cores import count_cores
from shared.migrating import pending
from vendor_api.cli.serve import ModelOption, find_prices, merge_settings, missing_price
from vendor_api.cli.shell import JsonFlag, Shell, explain
from vendor_api.embeddings.decoding import choose_threads
from vendor_api.engine.local import ModelSpec, load_clip, parse_models, read_manner
from vendor_api.refusal import Refusal
from vendor_api.settings import VendorSettings

__all__ = ["register"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome."""

    check: str
    healthy: bool
    says: str
    """What was found, or what to type next."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(ctx: typer.Context, model: ModelOption = None, as_json: JsonFlag = False) -> None:
    """Check everything `serve` needs and say what to type next; exit code 1 when something is missing.

    Example: vl2v-vendor doctor --model icon-clip=local-dir:teacher
    """
    shell = Shell.of(ctx)
    settings = merge_settings(shell.settings, models=tuple(model) if model else None)
    findings = list(_examine(settings))
    rows = [
        {"check": found.check, "state": "ok" if found.healthy else "FAIL", "says": found.says}
        for found in findings
    ]
    shell.list(rows, "", as_json=as_json)
    if not all(found.healthy for found in findings):
        raise typer.Exit(1)


def _examine(settings: VendorSettings) -> Iterator[Finding]:
    database = _check("database", partial(_look_at_database, settings))
    yield database
    if database.healthy:
        yield _check("key pepper", partial(_look_at_pepper, settings))
    models = parse_models(settings.models)
    if not models:
        yield Finding("model", False, "name one: --model ID=local-dir:PATH, or set VENDOR_MODELS")
    for spec in models:
        yield _check(f"model {spec.id}", partial(_look_at_model, settings, spec))
        if database.healthy:
            yield _check(f"price {spec.id}", partial(_look_at_price, settings, spec.id))
    yield _check("port", partial(_look_at_port, settings))
    yield _look_at_threads(settings)


def _check(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (Refusal, DBAPIError, OSError) as error:
        return Finding(name, False, explain(error))


def _look_at_database(settings: VendorSettings) -> str:
    if pending("vendor", settings.database_url):
        raise Refusal("it has pending migrations: run `vl2v-vendor migrate`")
    return "up to date"


def _look_at_pepper(settings: VendorSettings) -> str:
    from vendor_api.auth.pepper import open_pepper, pepper_file

    path = pepper_file(settings.database_url, settings.key_pepper_file)
    open_pepper(settings.database_url, settings.key_pepper_file)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Refusal(f"others may read {path}: run `chmod 600 {path}`")
    return f"{path} is this database's"


def _look_at_model(settings: VendorSettings, spec: ModelSpec) -> str:
    info = load_clip(spec, read_manner(settings)).info
    settled = f" ({info.settled})" if info.settled else ""
    return (
        f"loads: revision {info.revision}, {info.dimension} dimensions, {info.precision}{settled}"
    )


def _look_at_price(settings: VendorSettings, model: str) -> str:
    if not {"image", "text"} <= find_prices(settings, model).keys():
        raise Refusal(missing_price(model))
    return "set for images and texts"


def _look_at_port(settings: VendorSettings) -> str:
    from vendor_api.server import bind

    with closing(bind(settings.host, settings.port)):
        return f"{settings.host} port {settings.port} is free"


def _look_at_threads(settings: VendorSettings) -> Finding:
    cores = count_cores()
    model, decode = settings.threads or cores, settings.decode_threads or choose_threads()
    says = f"{model} for the model and {decode} for decoding, on {cores} cores"
    if model > cores:
        return Finding("threads", False, f"{says}: set VENDOR_THREADS={cores} or less")
    return Finding("threads", True, says)
