"""`vl2v-vendor audit-log`: who changed what."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from vendor_api.admin.log import list_actions
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.db import format_instant

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit-log")(show_log)


def show_log(
    ctx: typer.Context,
    subject: Annotated[
        str | None, typer.Option(help="Only about this account, key, charge.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Only by this operator (opk_… or cli:…).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List what operators changed, the newest first.

    Example: vl2v-vendor audit-log --subject acct_0190…
    """
    shell = Shell.of(ctx)
    found = shell.read(
        lambda c, _now: list_actions(c, actor=actor, subject=subject, limit=limit, newest=True)
    )
    documents = [{**asdict(each), "at": format_instant(each.at)} for each in found]
    rows = [
        {**document, "detail": json.dumps(document["detail"], ensure_ascii=False)}
        for document in documents
    ]
    shell.list(rows, "nothing was changed yet", as_json=as_json, documents=documents)
