"""`vl2v login`: keep a vendor's address and key on this machine."""

from typing import Annotated

import typer

from client.cli.screen import JsonFlag, print_json, results
from client.errors import UsageError

__all__ = ["login", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(login)


def login(
    key: Annotated[
        str | None, typer.Option(help="API key; asked for without an echo when left out.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The vendor's address.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow plain http to another machine.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a key with the vendor and store both for the next commands, readable by you alone.

    Example: vl2v login --url https://vendor.example
    """
    from client.api import VendorClient
    from client.settings import ClientSettings, store_settings
    from shared.money import parse_usd, show_usd

    entered = key or typer.prompt("API key", hide_input=True)
    if not entered.strip():
        raise UsageError("the key is empty: type `vl2v login` again and paste the whole key")
    settings = ClientSettings.load(api_key=entered.strip(), base_url=url)
    with VendorClient(
        api_key=entered.strip(), base_url=settings.base_url, insecure=insecure or None
    ) as client:
        balance = client.balance.get()
    file = store_settings(
        api_key=entered.strip(), base_url=settings.base_url, insecure=insecure or None
    )
    if as_json:
        print_json(
            {
                "account_id": balance.account_id,
                "available_usd": balance.available_usd,
                "base_url": settings.base_url,
                "file": str(file),
            }
        )
        return
    left = show_usd(parse_usd(balance.available_usd))
    results().print(f"logged in to {settings.base_url}: {left} available; stored in {file}")
