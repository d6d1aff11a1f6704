"""`vl2v-vendor ledger`: are the books right?"""

from dataclasses import asdict

import typer

from shared.money import format_usd, show_usd
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.ledger.audit import Audit, audit

ledger = typer.Typer(help="Check the books.", no_args_is_help=True)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(ledger, name="ledger")


@ledger.callback()
def group() -> None:
    """Check the books."""


@ledger.command()
def verify(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """Check every rule of the books over every row; exit code 1 when one is broken.

    Example: vl2v-vendor ledger verify --json
    """
    shell = Shell.of(ctx)
    with shell.database() as database:
        found = audit(database)
    shell.show(_document(found), _summarise(found), as_json=as_json)
    for violation in found.violations:
        typer.echo(f"{violation.rule}: {violation.subject} {violation.detail}", err=True)
    if not found.ok:
        raise typer.Exit(1)


def _summarise(found: Audit) -> str:
    verdict = "ok" if found.ok else f"{len(found.violations)} rules broken"
    return (
        f"ledger {verdict}: {found.captured} captured of {found.charges} charges in "
        f"{found.accounts} accounts, credited {show_usd(found.credited_nanousd)}, charged "
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
