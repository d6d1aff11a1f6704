"""What every command shares: settings, the database, output, and errors as one sentence."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from typer.core import TyperGroup

from shared.migrating import PendingMigrations, UnknownRevision
from shared.money import parse_usd
from vendor_api.db import Database, open_database
from vendor_api.ledger.accounts import AccountExists
from vendor_api.ledger.commands import LedgerError, ReferenceReused, UnknownAccount
from vendor_api.refusal import Refusal
from vendor_api.settings import VendorSettings

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

_INTERRUPTED = 130

__all__ = ["Commands", "JsonFlag", "Shell", "parse_amount", "read_settings"]


class Commands(TyperGroup):
    """Turns what an operator can put right into a sentence on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Exit codes: 1 failure, 2 usage, 130 interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
        except (Refusal, PendingMigrations, UnknownRevision, LedgerError, DBAPIError) as error:
            typer.echo(f"vl2v-vendor: {explain(error)}", err=True)
            raise typer.Exit(1) from error


@dataclass(frozen=True, slots=True)
class Shell:
    """The settings a command runs under; `Shell.of(ctx)` inside one."""

    settings: VendorSettings
    as_json: bool = False

    @staticmethod
    def of(ctx: typer.Context) -> "Shell":
        """The shell of the running command."""
        return cast("Shell", ctx.find_object(Shell))

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The vendor's database. Raises what `open_database` raises."""
        settings = self.settings
        database = open_database(settings.database_url, busy_timeout_s=settings.busy_timeout_s)
        try:
            yield database
        finally:
            database.close()

    def show(self, document: Mapping[str, Any], sentence: str, *, as_json: bool = False) -> None:
        """One result on stdout: the sentence, or the document as JSON."""
        typer.echo(json.dumps(document, indent=2) if self.as_json or as_json else sentence)

    def list(
        self, rows: Sequence[Mapping[str, str | None]], empty: str, *, as_json: bool = False
    ) -> None:
        """Rows on stdout, as JSON or in columns; `empty` on stderr when there are none."""
        if self.as_json or as_json:
            typer.echo(json.dumps(list(rows), indent=2))
        elif rows:
            typer.echo(_tabulate(rows))
        else:
            typer.echo(empty, err=True)


def read_settings(**overrides: Any) -> VendorSettings:
    """The vendor's settings. Raises Refusal naming the variable that is wrong."""
    try:
        return VendorSettings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        variable = "VENDOR_" + "_".join(str(part) for part in first["loc"]).upper()
        raise Refusal(f"{variable} is not usable ({first['msg']}): correct or unset it") from error


def parse_amount(text: str) -> int:
    """Nano-dollars of an amount an operator typed; a usage error says how to write one."""
    try:
        return parse_usd(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def explain(error: Exception) -> str:
    """What went wrong and what to type next, in one sentence."""
    sentence = str(error)
    match error:
        case AccountExists():
            sentence = f"there is an account {error} already: `vl2v-vendor accounts show {error}`"
        case UnknownAccount():
            sentence = f"there is no account {error}: see `vl2v-vendor accounts list`"
        case ReferenceReused():
            sentence = (
                f"the reference {error} belongs to another credit: nothing was credited; "
                "give this payment its own --ref"
            )
        case DBAPIError() if "database is locked" in str(error.orig):
            sentence = (
                "the database is locked by another process: "
                "wait until it is done, then run this again"
            )
        case DBAPIError():
            reason = str(error.orig).strip().splitlines()[0]
            sentence = f"the database refused ({reason}): check `vl2v-vendor doctor`"
    return sentence


def _tabulate(rows: Sequence[Mapping[str, str | None]]) -> str:
    table = [list(rows[0]), *([value or "-" for value in row.values()] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join(lines)
