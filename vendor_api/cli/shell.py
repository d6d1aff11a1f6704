"""What every command shares: settings, the database, output, and errors as one sentence."""

import json
import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

import typer
from pydantic import ValidationError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from typer.core import TyperGroup

from shared.migrating import PendingMigrations, UnknownRevision
from shared.money import parse_usd, show_usd
from vendor_api.admin.keyring import UnknownKey
from vendor_api.auth.keys import parse_key
from vendor_api.db import Database, open_database, read_clock
from vendor_api.instants import parse_duration, parse_future, parse_instant
from vendor_api.ledger.accounts import AccountExists
from vendor_api.ledger.commands import (
    AccountClosed,
    CreditLimitInUse,
    InsufficientCredit,
    LedgerError,
    OverRefund,
    ReferenceReused,
    UnknownAccount,
    UnknownCharge,
)
from vendor_api.people.roster import UnknownPerson
from vendor_api.redaction import redact
from vendor_api.refusal import Refusal
from vendor_api.settings import VendorSettings

T = TypeVar("T")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Do everything, then undo it; nothing changes.")
]
RefOption = Annotated[
    str, typer.Option("--ref", help="Its own reference; the same one is booked once.")
]

_INTERRUPTED = 130

__all__ = [
    "Commands",
    "DryRunFlag",
    "JsonFlag",
    "RefOption",
    "Shell",
    "explain",
    "key_id_of",
    "name_actor",
    "parse_amount",
    "read_duration",
    "read_future",
    "read_instant",
    "read_settings",
    "require_text",
]


class Commands(TyperGroup):
    """Turns what an operator can put right into a sentence on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Exit codes: 1 failure, 2 usage, 130 interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
        except (Refusal, PendingMigrations, UnknownRevision, LedgerError, DBAPIError) as error:
            typer.echo(f"vl2v-vendor: {redact(explain(error))}", err=True)
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

    def change(self, work: Callable[[Connection, int], T], *, dry_run: bool = False) -> T:
        """`work(connection, now)`'s result after its commit; a dry run undoes it instead."""
        with self.database() as database:
            if not dry_run:
                return database.change(lambda connection: work(connection, read_clock(connection)))
            with database.writing.connect() as connection:  # closing it without commit undoes all
                return work(connection, read_clock(connection))

    def read(self, query: Callable[[Connection, int], T]) -> T:
        """`query(connection, now)`'s result over one state of the database."""
        with self.database() as database, database.read() as connection:
            return query(connection, read_clock(connection))

    def show(self, document: Mapping[str, Any], sentence: str, *, as_json: bool = False) -> None:
        """One result on stdout: the sentence, or the document as JSON."""
        typer.echo(json.dumps(document, indent=2) if self.as_json or as_json else sentence)

    def list(
        self,
        rows: Sequence[Mapping[str, str | None]],
        empty: str,
        *,
        as_json: bool = False,
        documents: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Rows on stdout in columns, or as JSON (the fuller `documents`, when there are some).

        `empty` on stderr when there are none.
        """
        if self.as_json or as_json:
            typer.echo(json.dumps(list(rows if documents is None else documents), indent=2))
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


def require_text(text: str, option: str, what: str) -> str:
    """The option's text without spaces around it; a usage error when nothing is left."""
    stripped = text.strip()
    if not stripped or not stripped.isprintable():
        raise typer.BadParameter(f"{option} is empty or not printable: {what}")
    return stripped


def read_instant(text: str | None) -> int | None:
    """Microseconds of a date or time that an operator typed, None for none."""
    return None if text is None else _read(parse_instant, text)


def read_future(text: str | None, now: int) -> int | None:
    """Microseconds of a later instant that an operator typed, also as `90d`; None for none."""
    return None if text is None else _read(lambda given: parse_future(given, now), text)


def read_duration(text: str) -> int:
    """Microseconds of a duration that an operator typed."""
    return _read(parse_duration, text)


def key_id_of(text: str) -> str:
    """The id of a key, given by its id or by itself; the secret goes no further."""
    for kind in ("live", "admin"):
        parts = parse_key(text, kind)
        if parts is not None:
            return parts.key_id
    return text[:24]


def name_actor() -> str:
    """How the audit log calls whoever runs this command."""
    user = os.getuid()
    try:
        return f"cli:{pwd.getpwuid(user).pw_name}"
    except KeyError:  # a container's user need not have a name
        return f"cli:{user}"


def _read(parse: Callable[[str], int], text: str) -> int:
    try:
        return parse(text)
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
        case AccountClosed():
            sentence = f"the account {error} is closed for ever: open another one"
        case UnknownKey():
            sentence = f"there is no key {error}: see `vl2v-vendor keys list`"
        case UnknownPerson():
            sentence = f"there is nobody called {error}: see `vl2v-vendor people list`"
        case UnknownCharge():
            sentence = f"there is no charge {error}: see `vl2v-vendor charges list`"
        case ReferenceReused():
            sentence = (
                f"the reference {error} belongs to another movement of money: nothing was booked; "
                "give this one its own --ref"
            )
        case OverRefund():
            left = show_usd(error.left_nanousd)
            sentence = f"the charge has {left} left to refund: nothing was refunded"
        case InsufficientCredit():
            available = show_usd(error.available_nanousd)
            sentence = f"the account has only {available} available: nothing was booked"
        case CreditLimitInUse():
            least = show_usd(error.least_nanousd)
            sentence = f"the account has spent or holds more: its limit can be {least} at least"
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
