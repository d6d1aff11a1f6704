"""`vl2v doctor`: whether this machine is ready to buy and to train."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import typer

from client.cli.screen import JsonFlag, print_json, print_table

__all__ = ["doctor", "register"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome."""

    check: str
    ok: bool
    said: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: JsonFlag = False) -> None:
    """Check the settings, the cache, its books, the vendor and the extras; exit 1 if one fails.

    Example: vl2v doctor
    """
    findings = list(_examine())
    if as_json:
        print_json([{"check": one.check, "ok": one.ok, "said": one.said} for one in findings])
    else:
        print_table(
            ["check", "", "found"],
            [(one.check, "ok" if one.ok else "FAILED", one.said) for one in findings],
        )
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[Finding]:
    for name, check in (
        ("settings", _check_settings),
        ("cache", _check_cache),
        ("books", _check_books),
        ("vendor", _check_vendor),
    ):
        yield _attempt(name, check)
    missing = [name for name in ("torch", "timm", "matplotlib") if not _installed(name)]
    yield Finding(
        "training",
        True,
        f"needs pip install 'vl2v[train]' ({', '.join(missing)} missing)" if missing else "ready",
    )


def _attempt(name: str, check: Callable[[], str]) -> Finding:
    from client.errors import ClientError

    try:
        return Finding(name, True, check())
    except ClientError as error:
        return Finding(name, False, str(error))


def _check_settings() -> str:
    from client.settings import ClientSettings, config_file

    settings = ClientSettings.load()
    key = f"key from the {settings.source('api_key')}" if settings.api_key else "no key"
    return f"{settings.base_url}, {key}, {config_file()}"


def _check_cache() -> str:
    from client.cache import EmbeddingStore, check_integrity
    from client.settings import ClientSettings

    with EmbeddingStore.open(ClientSettings.load().cache, busy_seconds=2) as store:
        check_integrity(store.database)
        return f"{store.count()} vectors in {ClientSettings.load().cache}"


def _check_books() -> str:
    from client.budget import check_books
    from client.cache import open_database
    from client.settings import ClientSettings

    database = open_database(ClientSettings.load().cache, busy_seconds=2)
    try:
        return check_books(database)
    finally:
        database.close()


def _check_vendor() -> str:
    from client.api import VendorClient
    from client.cache.documents import VENDOR
    from client.settings import ClientSettings
    from shared.money import parse_usd, show_usd

    settings = ClientSettings.load()
    if settings.teacher != VENDOR and not settings.api_key:
        return f"not asked: the teacher is {settings.teacher}"

    with VendorClient(max_retries=0, timeout=10) as client:
        balance = client.balance.get()
        names = ", ".join(model.id for model in client.models.list().data) or "no model"
        left = show_usd(parse_usd(balance.available_usd))
        return f"{client.base_url} serves {names}; {left} available"


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
