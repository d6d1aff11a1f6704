"""`vl2v cache prune`: shows what would leave the cache and what it cost; drops it on a word."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from client.cache import Purpose, Selection
from client.cli import options
from client.cli.bars import show_count
from client.cli.screen import JsonFlag, errors, print_json, print_table, results
from client.cli.times import read_span_ns
from client.cli.training import open_store
from client.errors import UsageError
from shared.money import format_usd, parse_usd, show_usd

Revision = Annotated[
    str | None,
    typer.Option(help="Only vectors of this revision of a teacher, as `stats` shows it."),
]
Purposes = Annotated[
    Purpose | None, typer.Option(help="Only vectors bought for training, or for evaluation.")
]

__all__ = ["Purposes", "Revision", "prune"]


def prune(
    *,
    revision: Revision = None,
    purpose: Purposes = None,
    older_than: Annotated[
        str | None, typer.Option(help="Only vectors that came longer ago, like 90d; h, d or w.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Drop what never cost money, not only show it.")
    ] = False,
    drop_paid: Annotated[
        bool, typer.Option("--yes-drop-paid", help="Drop what was paid for, too.")
    ] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Give the space back to the disk afterwards.")
    ] = False,
    as_json: JsonFlag = False,
    where: options.Cache = None,
) -> None:
    """Show which vectors would go and what they cost; drop them with --yes or --yes-drop-paid.

    Without either it changes nothing. Paid is what cost money here, was free because it had been paid
    for before, or came by `import`; a vendor asks its price for it again when its free days are over.

    Example: vl2v cache prune --purpose evaluation --older-than 90d
    """
    from client.cache import drop_vectors, plan_drop

    before = None if older_than is None else time.time_ns() - read_span_ns(older_than)
    selection = Selection(revision, purpose, before)
    if selection.empty:
        raise UsageError("say what may go: --revision, --purpose or --older-than")
    with open_store(where) as store:
        stacks = plan_drop(store.database, selection)
        dropped = 0
        if yes or drop_paid:
            with show_count("dropping", sum(stack.vectors for stack in stacks)) as advance:
                dropped = drop_vectors(
                    store.database, selection, drop_paid=drop_paid, progress=advance
                )
        if compact and dropped:
            store.database.compact()
    total = sum(stack.vectors for stack in stacks)
    paid = total - sum(stack.free for stack in stacks)
    if as_json:
        print_json(
            {
                "selected": total,
                "paid": paid,
                "paid_usd": format_usd(sum(stack.paid_nanousd for stack in stacks)),
                "dropped": dropped,
                "stacks": [_describe(stack) for stack in stacks],
            }
        )
        return
    _show_stacks([_describe(stack) for stack in stacks])
    if yes or drop_paid:
        results().print(f"{dropped} vectors dropped, {total - dropped} kept")
    if paid and not drop_paid:
        errors().print(f"{paid} of {total} vectors were paid for: --yes-drop-paid drops them too")
    elif total and not (yes or drop_paid):
        errors().print(f"nothing was changed: --yes drops {total} vectors")


def _describe(stack: Any) -> dict[str, Any]:
    revision, modality, purpose, view = stack.key
    return {
        "models": list(stack.models),
        "revision": revision,
        "modality": modality,
        "purpose": purpose,
        "view": view,
        "vectors": stack.vectors,
        "paid": stack.vectors - stack.free,
        "paid_usd": format_usd(stack.paid_nanousd),
    }


def _show_stacks(stacks: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["model", "revision", "what", "for", "view", "vectors", "of them paid", "paid"],
        [
            (
                ", ".join(stack["models"]) or "–",
                stack["revision"],
                f"{stack['modality']}s",
                stack["purpose"],
                stack["view"],
                stack["vectors"],
                stack["paid"],
                show_usd(parse_usd(stack["paid_usd"])),
            )
            for stack in stacks
        ],
    )
