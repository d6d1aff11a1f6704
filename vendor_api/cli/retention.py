"""`vl2v-vendor retention`: what is kept and for how long, and the erasing of what is not."""

from dataclasses import asdict

import typer

from vendor_api.admin.life_routes import describe_retention
from vendor_api.cli.bars import show_count
from vendor_api.cli.shell import DryRunFlag, JsonFlag, Shell
from vendor_api.db import read_clock
from vendor_api.retention import accounts_to_erase, erase_due

retention = typer.Typer(
    help="Show what is kept and for how long; erase what closed accounts need not keep.",
    no_args_is_help=True,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(retention, name="retention")


@retention.command()
def show(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """Show every kind of thing that is stored, until when, and why.

    Example: vl2v-vendor retention show
    """
    shell = Shell.of(ctx)
    found = shell.read(lambda c, _now: describe_retention(c, shell.settings.erase_days))
    lines = [f"{each.what}\n  until: {each.until}\n  why: {each.why}" for each in found.kept]
    lines.append(f"closed accounts to erase now: {', '.join(found.due) or 'none'}")
    shell.show(found.model_dump(exclude={"object"}), "\n".join(lines), as_json=as_json)


@retention.command()
def erase(ctx: typer.Context, dry_run: DryRunFlag = False, as_json: JsonFlag = False) -> None:
    """Erase digests and names of the accounts closed longer ago than VENDOR_ERASE_DAYS.

    A server does the same every hour (VENDOR_ERASE_SECONDS). Money rows and the audit log stay.

    Example: vl2v-vendor retention erase --dry-run
    """
    shell = Shell.of(ctx)
    days = shell.settings.erase_days
    found = shell.read(lambda c, _now: accounts_to_erase(c, read_clock(c), days=days))
    if not dry_run:
        total = sum(each.purchases for each in found)
        with shell.database() as database, show_count("erasing", total) as advance:
            found = erase_due(database, days=days, progress=advance)
    documents = [asdict(each) for each in found]
    rows = [{name: str(value) for name, value in each.items()} for each in documents]
    shell.list(rows, "nothing to erase", as_json=as_json, documents=documents)
    if found:
        verb = "would be erased" if dry_run else "were erased"
        typer.echo(f"{len(found)} accounts {verb}", err=True)
