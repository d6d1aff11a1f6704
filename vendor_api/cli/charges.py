"""`vl2v-vendor charges`: what was asked for, and what became of it."""

from typing import Annotated, get_args

import typer
from sqlalchemy import Connection

from shared.wire import ChargeState
from vendor_api.admin.books import ChargeFilter, Span, find_charge, list_charges
from vendor_api.admin.documents import ChargeRecord
from vendor_api.cli.shell import JsonFlag, Shell, read_instant
from vendor_api.ledger.accounts import find_account

charges = typer.Typer(help="List and show charges.", no_args_is_help=True)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(charges, name="charges")


@charges.command("list")
def list_all(  # noqa: PLR0913, PLR0917
    ctx: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    state: Annotated[
        str | None, typer.Option(help=f"Only these: {', '.join(get_args(ChargeState))}.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this instant on: 2027-01-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this instant.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Of this request (req_…).")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Of this idempotency key.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List charges, the newest first.

    Example: vl2v-vendor charges list --account ada --state captured
    """
    if state is not None and state not in get_args(ChargeState):
        raise typer.BadParameter(f"--state is one of {', '.join(get_args(ChargeState))}")
    start, end = read_instant(since), read_instant(until)

    def query(connection: Connection, _now: int) -> list[ChargeRecord]:
        owner = None if account is None else find_account(connection, account).id
        wanted = ChargeFilter(Span(owner, start, end), state, request_id, idempotency_key)
        return list_charges(connection, wanted, limit=limit, newest=True).data

    shell = Shell.of(ctx)
    found = shell.read(query)
    rows = [_row(charge) for charge in found]
    documents = [charge.model_dump() for charge in found]
    shell.list(rows, "no such charges", as_json=as_json, documents=documents)


@charges.command()
def show(
    ctx: typer.Context,
    charge: Annotated[str, typer.Argument(help="The charge's id (chg_…).")],
    as_json: JsonFlag = False,
) -> None:
    """Show one charge.

    Example: vl2v-vendor charges show chg_0190…
    """
    shell = Shell.of(ctx)
    document = shell.read(lambda c, _now: find_charge(c, charge)).model_dump()
    lines = [f"{name}: {value}" for name, value in document.items() if name != "object"]
    shell.show(document, "\n".join(lines), as_json=as_json)


def _row(charge: ChargeRecord) -> dict[str, str | None]:
    return {
        "id": charge.id,
        "account_id": charge.account_id,
        "state": charge.state,
        "items": str(charge.images + charge.texts),
        "cost_usd": charge.cost_usd,
        "refunded_usd": charge.refunded_usd,
        "created_at": charge.created_at,
        "idempotency_key": charge.idempotency_key,
    }
