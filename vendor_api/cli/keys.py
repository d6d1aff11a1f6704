"""`vl2v-vendor keys`: what a customer proves itself with."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from vendor_api.admin import keyring
from vendor_api.admin.documents import IssuedKeyDocument, KeyDocument
from vendor_api.admin.holdings import describe_issued, describe_key, describe_keys
from vendor_api.auth.pepper import open_pepper
from vendor_api.auth.repository import DEFAULT_SCOPES, KeyLimits, KeySettings, read_scopes
from vendor_api.auth.repository import list_keys as read_keys
from vendor_api.cli.announcing import announce_keys
from vendor_api.cli.shell import (
    JsonFlag,
    Shell,
    key_id_of,
    name_actor,
    read_duration,
    read_future,
)
from vendor_api.ledger.accounts import find_account
from vendor_api.refusal import Refusal

keys = typer.Typer(help="Create, list, rotate, limit, revoke API keys.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(help="The key's id (key_…), or the key itself.")]
_Requests = Annotated[int | None, typer.Option(min=1, help="Requests a minute at most.")]
_Items = Annotated[int | None, typer.Option(min=1, help="Items a minute at most.")]
_Bytes = Annotated[int | None, typer.Option(min=1, help="Body bytes a minute at most.")]
_Concurrency = Annotated[int | None, typer.Option(min=1, help="Requests at once at most.")]
_KEEP = "keep it now, it cannot be shown again: export VL2V_API_KEY=…"

__all__ = ["KeyArgument", "keys", "register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(keys, name="keys")


@keys.command()
def create(  # noqa: PLR0913, PLR0917
    ctx: typer.Context,
    account: Annotated[str, typer.Option(help="The account's id or name.")],
    name: Annotated[str, typer.Option(help="A name to know the key by.")] = "",
    scopes: Annotated[
        str, typer.Option(help="What it may do: embed (buy), read (its own books).")
    ] = " ".join(DEFAULT_SCOPES),
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 90d or 2027-01-31; never unless said.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Models it may buy from, comma-separated; all unless said.")
    ] = None,
    requests_per_minute: _Requests = None,
    items_per_minute: _Items = None,
    bytes_per_minute: _Bytes = None,
    concurrency: _Concurrency = None,
    as_json: JsonFlag = False,
) -> None:
    """Create an API key and print it, once: only a hash of it is kept.

    Example: vl2v-vendor keys create --account ada --name laptop --expires 90d
    """
    wanted = _parse_scopes(scopes)
    chosen = None if models is None else _split(models)
    if chosen is not None and not chosen:
        raise typer.BadParameter("--models is empty: name a model, or leave it out")
    limits = KeyLimits(requests_per_minute, items_per_minute, bytes_per_minute, concurrency)
    shell, pepper = Shell.of(ctx), _open_pepper(ctx)

    def work(connection: Connection, now: int) -> IssuedKeyDocument:
        found = find_account(connection, account)
        settings = KeySettings(name, wanted, read_future(expires, now), chosen, limits)
        key = keyring.create_key(connection, now, name_actor(), pepper, found.id, settings)
        return describe_issued(connection, now, key)

    issued = shell.change(work)
    shell.show(issued.model_dump(exclude={"object"}), issued.api_key, as_json=as_json)
    typer.echo(_KEEP, err=True)


@keys.command()
def rotate(
    ctx: typer.Context,
    key: KeyArgument,
    overlap: Annotated[
        str, typer.Option(help="How long the old key goes on: 30m, 24h, 7d; 0m ends it now.")
    ] = "24h",
    as_json: JsonFlag = False,
) -> None:
    """Print a new key with the same settings and caps; the old one ends after the overlap.

    Example: vl2v-vendor keys rotate key_0a1B2c3D4e5F --overlap 24h
    """
    key_id, duration = key_id_of(key), read_duration(overlap)
    shell, pepper = Shell.of(ctx), _open_pepper(ctx)

    def work(connection: Connection, now: int) -> tuple[IssuedKeyDocument, str | None]:
        new = keyring.replace_key(connection, now, name_actor(), pepper, key_id, duration)
        old = describe_key(connection, now, key_id)
        return describe_issued(connection, now, new), old.expires_at

    issued, ends_at = shell.change(work)
    announce_keys(shell, [key_id])
    document = issued.model_dump(exclude={"object"}) | {"old_expires_at": ends_at}
    shell.show(document, issued.api_key, as_json=as_json)
    typer.echo(f"{_KEEP}; {key_id} ends at {ends_at}", err=True)


@keys.command("list")
def list_all(
    ctx: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List API keys, ended ones too, without their secrets.

    Example: vl2v-vendor keys list --account ada
    """

    def query(connection: Connection, now: int) -> list[KeyDocument]:
        account_id = None if account is None else find_account(connection, account).id
        return describe_keys(connection, now, read_keys(connection, account_id))

    shell = Shell.of(ctx)
    found = shell.read(query)
    shell.list(
        [_row(key) for key in found],
        "no keys yet: vl2v-vendor keys create --account NAME",
        as_json=as_json,
        documents=[key.model_dump(exclude={"object"}) for key in found],
    )


@keys.command()
def show(ctx: typer.Context, key: KeyArgument, as_json: JsonFlag = False) -> None:
    """Show a key's settings, last use, and caps with what is used and held of them.

    Example: vl2v-vendor keys show key_0a1B2c3D4e5F
    """
    shell = Shell.of(ctx)
    found = shell.read(lambda c, now: describe_key(c, now, key_id_of(key)))
    document = found.model_dump(exclude={"object"})
    lines = [f"{name}: {value}" for name, value in document.items() if name != "caps"]
    lines += [
        f"cap {cap.kind} per {cap.window}: {cap.used} used and {cap.held} held of {cap.cap}"
        for cap in found.caps
    ]
    shell.show(document, "\n".join(lines), as_json=as_json)


@keys.command()
def limits(
    ctx: typer.Context,
    key: KeyArgument,
    requests_per_minute: _Requests = None,
    items_per_minute: _Items = None,
    bytes_per_minute: _Bytes = None,
    concurrency: _Concurrency = None,
    as_json: JsonFlag = False,
) -> None:
    """Set how fast a key may ask; what is not named is as fast as the vendor's settings allow.

    Example: vl2v-vendor keys limits key_0a1B2c3D4e5F --requests-per-minute 60 --concurrency 4
    """
    wanted = KeyLimits(requests_per_minute, items_per_minute, bytes_per_minute, concurrency)
    key_id = key_id_of(key)

    def work(connection: Connection, now: int) -> KeyDocument:
        keyring.change_limits(connection, now, name_actor(), key_id, wanted)
        return describe_key(connection, now, key_id)

    shell = Shell.of(ctx)
    document = shell.change(work).model_dump(exclude={"object"})
    announce_keys(shell, [key_id])
    shell.show(document, f"limits of {key_id} set", as_json=as_json)


@keys.command()
def revoke(ctx: typer.Context, key: KeyArgument, as_json: JsonFlag = False) -> None:
    """End a key for ever; a running server follows at once with Redis, else within half a minute.

    Example: vl2v-vendor keys revoke key_0a1B2c3D4e5F
    """
    key_id = key_id_of(key)
    shell = Shell.of(ctx)
    try:
        revoked = shell.change(lambda c, now: keyring.end_key(c, now, name_actor(), key_id))
    except keyring.UnknownKey:
        revoked = False
    if not revoked:
        raise Refusal(f"there is no active key {key_id}: see `vl2v-vendor keys list`")
    announce_keys(shell, [key_id])
    shell.show({"id": key_id, "revoked": True}, f"revoked {key_id}", as_json=as_json)


def _open_pepper(ctx: typer.Context) -> bytes:
    settings = Shell.of(ctx).settings
    return open_pepper(settings.database_url, settings.key_pepper_file)


def _parse_scopes(text: str) -> frozenset[str]:
    try:
        return read_scopes(_split(text))
    except ValueError as error:
        raise typer.BadParameter(f"--scopes: {error}") from error


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _row(key: KeyDocument) -> dict[str, str | None]:
    return {
        "id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "scopes": " ".join(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }
