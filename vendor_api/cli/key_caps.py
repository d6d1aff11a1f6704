"""`vl2v-vendor keys caps`: how much a key may buy."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shared.money import MAX_NANOUSD, parse_usd
from vendor_api.admin import keyring
from vendor_api.admin.documents import CapDocument
from vendor_api.admin.holdings import describe_key
from vendor_api.cli.keys import KeyArgument, keys
from vendor_api.cli.shell import JsonFlag, Shell, key_id_of, name_actor
from vendor_api.ledger.commands import CapKind, CapWindow

NONE = "none"

_Spend = Annotated[str | None, typer.Option(help="Dollars, like 2.50; none takes the cap away.")]
_Count = Annotated[str | None, typer.Option(help="Items, like 10000; none takes the cap away.")]

__all__ = ["register"]


def register(_app: typer.Typer) -> None:
    """Add the command to its group."""
    keys.command("caps")(set_caps)


def set_caps(  # noqa: PLR0913, PLR0917
    ctx: typer.Context,
    key: KeyArgument,
    spend_per_day: _Spend = None,
    spend_per_month: _Spend = None,
    spend_ever: _Spend = None,
    items_per_day: _Count = None,
    items_per_month: _Count = None,
    items_ever: _Count = None,
    as_json: JsonFlag = False,
) -> None:
    """Set a key's caps, leaving those that are not named; show them all. Days and months are UTC's.

    Example: vl2v-vendor keys caps key_0a1B2c3D4e5F --spend-per-day 2.50 --items-per-month none
    """
    asked: dict[tuple[CapKind, CapWindow], str | None] = {
        ("spend", "day"): spend_per_day,
        ("spend", "month"): spend_per_month,
        ("spend", "ever"): spend_ever,
        ("items", "day"): items_per_day,
        ("items", "month"): items_per_month,
        ("items", "ever"): items_ever,
    }
    caps = {place: _parse(place[0], text) for place, text in asked.items() if text is not None}
    key_id = key_id_of(key)

    def work(connection: Connection, now: int) -> list[CapDocument]:
        if caps:
            keyring.change_caps(connection, now, name_actor(), key_id, caps)
        return describe_key(connection, now, key_id).caps

    shell = Shell.of(ctx)
    found = shell.change(work) if caps else shell.read(work)
    rows = [{name: None if value is None else str(value) for name, value in cap} for cap in found]
    documents = [cap.model_dump() for cap in found]
    shell.list(rows, f"{key_id} has no caps", as_json=as_json, documents=documents)


def _parse(kind: CapKind, text: str) -> int | None:
    if text == NONE:
        return None
    try:
        cap = parse_usd(text) if kind == "spend" else _parse_count(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not 0 <= cap <= MAX_NANOUSD:
        raise typer.BadParameter("a cap is zero or more")
    return cap


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ValueError(f"{text!r} is not a number of items: write it like 10000, or none")
    return int(text)
