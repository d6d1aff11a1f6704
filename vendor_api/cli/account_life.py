"""`vl2v-vendor accounts space | close | export`: an account as a whole."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from shared.money import parse_usd, show_usd
from vendor_api.admin import life
from vendor_api.admin.account_export import write_account
from vendor_api.admin.documents import ClosureDocument, SpaceDocument
from vendor_api.admin.life import SpaceChange
from vendor_api.admin.life_routes import describe_closure, describe_space
from vendor_api.auth import open_pepper
from vendor_api.auth.repository import list_keys
from vendor_api.cli.accounts import AccountArgument, ReasonOption, accounts
from vendor_api.cli.announcing import announce_keys
from vendor_api.cli.bars import show_count
from vendor_api.cli.shell import DryRunFlag, JsonFlag, Shell, name_actor, require_text
from vendor_api.cli.sinks import open_sink
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.closing import Close
from vendor_api.refusal import Refusal
from vendor_api.spaces import Spaces
from vendor_api.spaces.repository import read_space

__all__ = ["register"]


def register(_app: typer.Typer) -> None:
    """Add the commands to the group of accounts."""
    for command in (space, close, export):
        accounts.command()(command)


def space(
    ctx: typer.Context,
    account: AccountArgument,
    *,
    on: Annotated[bool, typer.Option("--on", help="Answer it in its private space.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Answer it in everybody's space.")] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Give it a private space that it never had.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show or change the space of an account's vectors: a secret rotation of its own, or everybody's.

    Vectors of two spaces do not compare: the account's cache must not mix them. It hides nothing
    from the account itself, and whoever has the same pictures from two accounts can undo it.

    Example: vl2v-vendor accounts space ada --on
    """
    wanted = _choose(on=on, off=off, new=new)
    shell = Shell.of(ctx)
    if wanted is None:
        found = shell.read(lambda c, _now: _read_space(c, account))
        _show_space(shell, found, as_json=as_json)
        return
    settings = shell.settings
    spaces = Spaces(open_pepper(settings.database_url, settings.key_pepper_file))

    def work(connection: Connection, now: int) -> SpaceDocument:
        account_id = find_account(connection, account).id
        stored = life.change_space(connection, now, name_actor(), spaces, account_id, wanted)
        return describe_space(account_id, stored)

    changed = shell.change(work)
    _announce(shell, changed.account_id)
    _show_space(shell, changed, as_json=as_json)


def close(
    ctx: typer.Context,
    account: AccountArgument,
    reason: ReasonOption,
    refund_ref: Annotated[
        str | None,
        typer.Option(
            "--refund-external-ref",
            help="Of the payment that gives back what is left of money paid in; else it is forfeited.",
        ),
    ] = None,
    dry_run: DryRunFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Close an account for ever: its keys end, its balance is booked to zero.

    Refused while a request is under way or money is owed. Its digests and names are erased later
    (`vl2v-vendor retention`); its money rows are kept.

    Example: vl2v-vendor accounts close ada --reason "asked for it" --refund-external-ref wire-17
    """
    why = require_text(reason, "--reason", "say why")
    ref = (
        None
        if refund_ref is None
        else require_text(refund_ref, "--refund-external-ref", "name the payment")
    )

    def work(connection: Connection, now: int) -> ClosureDocument:
        account_id = find_account(connection, account).id
        closure = life.end_account(connection, now, name_actor(), Close(account_id, why, ref))
        return describe_closure(closure)

    shell = Shell.of(ctx)
    closed = shell.change(work, dry_run=dry_run)
    if not dry_run:
        _announce(shell, closed.account_id)
    document = closed.model_dump(exclude={"object"}) | {"dry_run": dry_run}
    shell.show(document, _tell_closure(closed, dry_run=dry_run), as_json=as_json)


def export(
    ctx: typer.Context,
    account: AccountArgument,
    out: Annotated[Path, typer.Option(help="The ZIP file to write; it must not exist.")],
    as_json: JsonFlag = False,
) -> None:
    """Write all that is kept about an account to a ZIP of JSON lines, with counts and checksums.

    Example: vl2v-vendor accounts export ada --out ada.zip
    """
    if out.exists():
        raise Refusal(f"{out} exists already: name a new file")
    shell = Shell.of(ctx)
    with (
        shell.database() as database,
        open_sink(out) as file,
        database.snapshot() as connection,
        show_count("rows", None) as advance,
    ):
        account_id = find_account(connection, account).id
        manifest = write_account(connection, account_id, file, progress=advance)
    rows = ", ".join(f"{each['rows']} {each['name']}" for each in manifest["files"])
    shell.show(
        {"file": str(out), **manifest}, f"{out}, as of {manifest['as_of']}: {rows}", as_json=as_json
    )


def _choose(*, on: bool, off: bool, new: bool) -> SpaceChange | None:
    if on + off + new > 1:
        raise typer.BadParameter("give one of --on, --off and --new")
    return "on" if on else "off" if off else "new" if new else None


def _read_space(connection: Connection, account: str) -> SpaceDocument:
    account_id = find_account(connection, account).id
    return describe_space(account_id, read_space(connection, account_id))


def _show_space(shell: Shell, document: SpaceDocument, *, as_json: bool) -> None:
    where = (
        f"its private space {document.space_id}" if document.status == "on" else "everybody's space"
    )
    sentence = f"{document.account_id} is answered in {where}"
    shell.show(document.model_dump(exclude={"object"}), sentence, as_json=as_json)


def _tell_closure(closed: ClosureDocument, *, dry_run: bool) -> str:
    if not closed.new:
        return f"{closed.account_id} was closed at {closed.closed_at}"
    refunded, forfeited = (
        show_usd(parse_usd(usd)) for usd in (closed.refunded_usd, closed.forfeited_usd)
    )
    paid = (
        f"{refunded} to pay back under {closed.refund_ref}"
        if closed.refund_ref is not None
        else "nothing to pay back"
    )
    verb = "would be closed" if dry_run else "is closed"
    return f"{closed.account_id} {verb}: {paid}, {forfeited} forfeited"


def _announce(shell: Shell, account_id: str) -> None:
    announce_keys(shell, shell.read(lambda c, _now: [key.id for key in list_keys(c, account_id)]))
