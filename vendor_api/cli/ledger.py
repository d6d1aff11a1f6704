"""`vl2v-vendor ledger`: are the books right? Take them away; make the roll-ups again."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from sqlalchemy import Connection

from shared.money import format_usd, show_usd
from vendor_api.admin.log import record_action
from vendor_api.admin.sheets import Form, write_rows
from vendor_api.cli.shell import JsonFlag, Shell, name_actor, read_instant
from vendor_api.cli.sinks import open_sink
from vendor_api.db import Database, format_instant, read_clock
from vendor_api.db.engine import AUDIT_TIMEOUT_S
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.audit import Audit, audit
from vendor_api.ledger.exports import COLUMNS, What, export_rows
from vendor_api.ledger.rollups import Change, Counts, rebuild

ledger = typer.Typer(help="Check the books, export them.", no_args_is_help=True)

__all__ = ["register", "report_audit"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(ledger, name="ledger")


@ledger.command()
def verify(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """Check every rule of the books over every row; exit code 1 when one is broken.

    Example: vl2v-vendor ledger verify --json
    """
    shell = Shell.of(ctx)
    with shell.database() as database:
        found = audit(database)
    report_audit(shell, found, as_json=as_json)


def report_audit(shell: Shell, found: Audit, *, as_json: bool) -> None:
    """Print what a check found; ends the command with exit code 1 when a rule is broken."""
    shell.show(_document(found), _summarise(found), as_json=as_json)
    for violation in found.violations:
        typer.echo(f"{violation.rule}: {violation.subject} {violation.detail}", err=True)
    if not found.ok:
        raise typer.Exit(1)


@ledger.command()
def export(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(get_args(What))}.")],
    form: Annotated[
        str, typer.Option("--format", help="csv, or ndjson (an object a line).")
    ] = "csv",
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    since: Annotated[str | None, typer.Option(help="From this instant on: 2027-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this instant.")] = None,
    out: Annotated[Path | None, typer.Option(help="A file; stdout unless said.")] = None,
) -> None:
    """Write rows for a spreadsheet or a program, all of one instant; amounts in dollars and nano-dollars.

    Example: vl2v-vendor ledger export journal --format csv --out journal.csv
    """
    if what not in get_args(What):
        raise typer.BadParameter(f"WHAT is one of {', '.join(get_args(What))}")
    if form not in get_args(Form):
        raise typer.BadParameter("--format is csv or ndjson")
    chosen, columns = cast("What", what), COLUMNS[cast("What", what)]
    start, end = read_instant(since), read_instant(until)
    shell = Shell.of(ctx)
    with shell.database() as database, database.snapshot() as connection:
        owner = None if account is None else find_account(connection, account).id
        rows = export_rows(connection, chosen, account_id=owner, since=start, until=end)
        with open_sink(out) as file:
            count = write_rows(rows, columns, cast("Form", form), file)
    typer.echo(f"{count} rows", err=True)


@ledger.command("rebuild-rollups")
def rebuild_rollups(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what is different.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the hourly usage again from the charges, and show each hour that was different.

    Example: vl2v-vendor ledger rebuild-rollups --dry-run
    """
    shell = Shell.of(ctx)
    with shell.database() as database:
        changes = _rebuild(database, dry_run=dry_run)
    documents = [_describe(change) for change in changes]
    rows = [{name: str(value) for name, value in document.items()} for document in documents]
    shell.list(rows, "every hour is what the charges say", as_json=as_json, documents=documents)
    if changes:
        verb = "would be set right" if dry_run else "were set right"
        typer.echo(f"{len(changes)} hours {verb}", err=True)


def _rebuild(database: Database, *, dry_run: bool) -> list[Change]:
    if dry_run:
        with database.snapshot() as connection:
            return rebuild(connection, dry_run=True)

    def work(connection: Connection) -> list[Change]:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{AUDIT_TIMEOUT_S}s'")
        changes = rebuild(connection, dry_run=False)
        if changes:
            record_action(
                connection,
                read_clock(connection),
                actor=name_actor(),
                action="rollups.rebuild",
                subject="usage_rollup",
                detail={"hours": [_describe(change) for change in changes]},
            )
        return changes

    return database.change(work)


def _describe(change: Change) -> dict[str, Any]:
    return {
        "account_id": change.account_id,
        "hour": format_instant(change.hour),
        "key_id": change.key_id,
        "model": change.model,
        "modality": change.modality,
        **_count("was", change.was),
        **_count("becomes", change.becomes),
    }


def _count(prefix: str, counts: Counts) -> dict[str, Any]:
    return {
        f"{prefix}_items": counts.items,
        f"{prefix}_items_free": counts.items_free,
        f"{prefix}_cost_usd": format_usd(counts.cost_nanousd),
    }


def _summarise(found: Audit) -> str:
    verdict = "ok" if found.ok else f"{len(found.violations)} rules broken"
    return (
        f"ledger {verdict}: {found.captured} captured of {found.charges} charges in "
        f"{found.accounts} accounts, credited {show_usd(found.credited_nanousd)}, debited "
        f"{show_usd(found.debited_nanousd)}, held {show_usd(found.held_nanousd)}"
    )


def _document(found: Audit) -> dict[str, object]:
    return {
        "ok": found.ok,
        "violations": [asdict(violation) for violation in found.violations],
        "accounts": found.accounts,
        "charges": found.charges,
        "captured": found.captured,
        "credited_usd": format_usd(found.credited_nanousd),
        "debited_usd": format_usd(found.debited_nanousd),
        "held_usd": format_usd(found.held_nanousd),
        "revenue_usd": format_usd(found.revenue_nanousd),
    }
