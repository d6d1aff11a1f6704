"""`vl2v config`: what is set, and where it comes from."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from client.cli.screen import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["config", "redact", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(config)


def config(
    teacher: Annotated[
        str | None,
        typer.Option(help="Store who is asked from now on: vendor, openai:URL or local:WEIGHTS."),
    ] = None,
    upload: Annotated[
        Literal["original", "pixels"] | None,
        typer.Option(help="Store how `vl2v fetch` sends pictures from now on."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """The settings as they are resolved: argument > environment > config file > default.

    Example: vl2v config --json
    """
    from client.settings import ClientSettings, config_file, store_settings

    if teacher is not None:
        from client.teachers.choosing import check_spec

        store_settings(teacher=check_spec(teacher))
    if upload is not None:
        store_settings(upload=upload)

    settings = ClientSettings.load()
    values = {
        "api_key": _show_key(settings.api_key),
        "base_url": settings.base_url,
        "home": str(settings.home),
        "cache_url": settings.cache,
        "insecure": settings.insecure,
        "teacher": settings.teacher,
        "teacher_api_key": _show_key(settings.teacher_api_key),
        "upload": settings.upload,
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


def _show_key(key: "SecretStr | None") -> str | None:
    return redact(key.get_secret_value() if key else None)


def redact(key: str | None) -> str | None:
    """Enough of a key to tell it from another, never enough to use it."""
    if key is None:
        return None
    return f"{key[:14]}…" if len(key) > 28 else "…"
