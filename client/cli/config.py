"""`vl2v config`: what is set, and where it comes from."""

import typer

from client.cli.screen import JsonFlag, print_json, print_table

__all__ = ["config", "redact", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(config)


def config(as_json: JsonFlag = False) -> None:
    """The settings as they are resolved: argument > environment > config file > default.

    Example: vl2v config --json
    """
    from client.settings import ClientSettings, config_file

    settings = ClientSettings.load()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    values = {
        "api_key": redact(key),
        "base_url": settings.base_url,
        "home": str(settings.home),
        "cache_url": settings.cache,
        "insecure": settings.insecure,
    }
    rows = [
        {"name": name, "value": value, "source": settings.source(name)}
        for name, value in values.items()
    ]
    if as_json:
        print_json({"config_file": str(config_file()), "settings": rows})
        return
    print_table(
        ["setting", "value", "source"],
        [
            (row["name"], "–" if row["value"] is None else row["value"], row["source"])
            for row in rows
        ],
    )


def redact(key: str | None) -> str | None:
    """Enough of a key to tell it from another, never enough to use it."""
    if key is None:
        return None
    return f"{key[:14]}…" if len(key) > 28 else "…"
