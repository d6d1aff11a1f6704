"""`vl2v account export`: what the vendor keeps about this account."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from client.cli.screen import JsonFlag, errors, print_json, print_table, results
from client.errors import ClientError, UsageError

account = typer.Typer(help="The account as the vendor keeps it.", no_args_is_help=True)

__all__ = ["BadExport", "register"]


class BadExport(ClientError):
    """The vendor's file is not what it says it is; nothing was written."""


@account.callback()
def _keep_group() -> None:
    """The account as the vendor keeps it."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(account, name="account")


@account.command()
def export(
    out: Annotated[Path, typer.Option(help="The ZIP file to write; it must not exist.")],
    as_json: JsonFlag = False,
) -> None:
    """Write all that the vendor keeps about the account to a ZIP of JSON lines, checked whole.

    Keys without their secrets, credits, charges, journal, usage, digests of what was bought, and what
    operators changed.

    Example: vl2v account export --out account.zip
    """
    from client.api import VendorClient

    if out.exists():
        raise UsageError(f"{out} exists already: name a new file")
    with VendorClient() as client, errors().status("asking the vendor"):
        data = client.account.export()
    manifest = _check(data)
    partial = out.with_name(f"{out.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    if as_json:
        print_json({"file": str(out), **manifest})
        return
    rows = [(each["name"], each["rows"], each["sha256"]) for each in manifest["files"]]
    print_table(["file", "rows", "sha256"], rows)
    results().print(f"{out}, as of {manifest['as_of']}", markup=False)


def _check(data: bytes) -> dict[str, Any]:
    """The manifest, once every file has its rows and checksum. Raises BadExport."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
            for file in manifest["files"]:
                content = archive.read(file["name"])
                said = (file["rows"], file["sha256"])
                if said != (content.count(b"\n"), hashlib.sha256(content).hexdigest()):
                    raise BadExport(f"{file['name']} is not what the vendor's manifest says: retry")
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise BadExport(f"the vendor's file is damaged ({error}): run the same again") from error
    return manifest
