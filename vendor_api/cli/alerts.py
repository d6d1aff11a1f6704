"""`vl2v-vendor alerts`: what somebody should look at now, for a person or for cron."""

import json
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from vendor_api.alerts.alert import Alert, raise_alert
from vendor_api.alerts.books import find_book_alerts
from vendor_api.alerts.surroundings import look_at_disk
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.db import open_database, read_clock, sqlite_path
from vendor_api.refusal import Refusal
from vendor_api.settings import VendorSettings

TIMEOUT_S = 10.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (where to ask one that listens there)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(alerts)


def alerts(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(help="Where the server answers; else VENDOR_HOST and VENDOR_PORT."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask the database and the disk alone, no server.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List what somebody should look at now; exit code 1 when something critical is on.

    Example: vl2v-vendor alerts || mail -s "vl2v" operator@example.com
    """
    shell = Shell.of(ctx)
    settings = shell.settings
    found = _ask_books(settings) if offline else _ask_server(settings, url or _url_of(settings))
    rows = [{"alert": a.name, "severity": a.severity, "summary": a.summary} for a in found]
    shell.list(
        rows, "nothing to look at", as_json=as_json, documents=[asdict(alert) for alert in found]
    )
    if any(alert.severity == "critical" for alert in found):
        raise typer.Exit(1)


def _url_of(settings: VendorSettings) -> str:
    host = ANYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _ask_server(settings: VendorSettings, url: str) -> list[Alert]:
    """What the server says or, when none answers, that and what can be known without one."""
    if not url.startswith(("http://", "https://")):
        raise Refusal(f"--url {url} is no web address: write it like http://127.0.0.1:8000")
    token = settings.metrics_token
    headers = {} if token is None else {"authorization": f"Bearer {token.get_secret_value()}"}
    request = urllib.request.Request(f"{url.rstrip('/')}/metrics/alerts", headers=headers)  # noqa: S310
    try:
        with closing(urllib.request.urlopen(request, timeout=TIMEOUT_S)) as answer:  # noqa: S310
            return [Alert(**document) for document in json.load(answer)]
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (401, 403):
                raise Refusal(
                    f"{url} wants the token of its VENDOR_METRICS_TOKEN: set the same one here"
                ) from error
            silence = f"answers {error.code}"
    except (OSError, ValueError, TypeError) as error:
        silence = f"does not answer ({getattr(error, 'reason', error)})"
    down = raise_alert("service_down", f"{url} {silence}: start the server, or correct --url.")
    return [down, *_ask_books(settings)]


def _ask_books(settings: VendorSettings) -> list[Alert]:
    database = open_database(settings.database_url, busy_timeout_s=settings.busy_timeout_s)
    with closing(database), database.read() as connection:
        found = find_book_alerts(connection, read_clock(connection), settings)
    found += look_at_disk(sqlite_path(settings.database_url), settings)
    return sorted(found, key=lambda alert: (alert.severity, alert.name))
