"""Turns a hold into money earned: what was delivered, less what the account had bought before."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, update

from shared.wire import Modality
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.tables import charge, usage_rollup
from vendor_api.db.upsert import insert
from vendor_api.ledger import balance, caps, credits, journal
from vendor_api.ledger.commands import REBUY_FREE_DAYS, Hold, HoldLost, Receipt
from vendor_api.ledger.lines import (
    MODALITIES,
    Paid,
    Sorted,
    count_modalities,
    price_lines,
    sort_digests,
    sum_costs,
)
from vendor_api.ledger.lots import NewLot, Shelf, write_lots
from vendor_api.ledger.shelves import Shelves

Counts = int | Mapping[Modality, int]
"""Items by modality; a bare number means images unless the request holds only texts."""

__all__ = ["Counts", "capture", "count_lines", "tally"]


def capture(
    connection: Connection,
    now: int,
    hold: Hold,
    delivered: Sequence[bool],
    *,
    failed: Counts = 0,
    repeated: Counts = 0,
    shelves: Shelves | None = None,
) -> Receipt:
    """Charge the delivered lines, in one transaction with the journal and the roll-ups.

    `shelves` knows where to look for what was bought; without it, every lot is looked through.
    Raises HoldLost when the hold expired or belongs to a later epoch: then nothing is charged and
    nothing may be delivered.
    """
    if len(delivered) != len(hold.lines):
        raise ValueError(f"{len(hold.lines)} lines were held, {len(delivered)} outcomes given")
    fenced = _pass_fence(connection, now, hold)
    given = [line for line, done in zip(hold.lines, delivered, strict=True) if done]
    done = sort_digests(given)
    paid = _buy(connection, now, fenced, done, shelves or Shelves())
    costs = price_lines(hold.lines, delivered, paid)
    cost = sum(costs)
    available = balance.debit(
        connection, hold.account_id, held_nanousd=fenced.reserved_nanousd, cost_nanousd=cost
    )
    books = {
        journal.customer_book(hold.account_id): -cost,
        journal.revenue_book(fenced.model): cost,
    }
    journal.record(
        connection, now, kind="capture", ref=hold.charge_id, account_id=hold.account_id, legs=books
    )
    available -= credits.expire_due(
        connection, now, hold.account_id, spent_nanousd=cost, held_at=fenced.held_at
    )
    _settle(connection, fenced, done, paid, cost)
    _roll_up(connection, now, fenced, tally(hold, done, costs, paid, failed, repeated))
    return Receipt(hold.charge_id, cost, costs, available)


def _pass_fence(connection: Connection, now: int, hold: Hold) -> Row[Any]:
    statement = (
        update(charge)
        .where(charge.c.id == hold.charge_id, charge.c.state == "held")
        .where(charge.c.epoch == hold.epoch)
        .values(state="captured", captured_at=now)
        .returning(charge)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise HoldLost(hold.charge_id)
    return row


def _buy(
    connection: Connection, now: int, fenced: Row[Any], done: Sorted, shelves: Shelves
) -> Paid:
    """The lines to pay for: never bought by the account, or longer ago than is free."""
    paid: dict[Modality, Collection[bytes]] = {}
    oldest = now - REBUY_FREE_DAYS * DAY
    for modality, digests in done.items():
        shelf = Shelf(fenced.account_id, fenced.revision, modality)
        last, bought_at = shelves.find(connection, shelf, digests)
        fresh = [digest for digest in digests if bought_at.get(digest, 0) <= oldest]
        if fresh:
            write_lots(connection, now, [NewLot(shelf, last + 1, fenced.id, fresh)])
        paid[modality] = fresh
    return paid


def _settle(
    connection: Connection,
    fenced: Row[Any],
    done: Sorted,
    paid: Paid,
    cost: int,
) -> None:
    items = sum(map(len, done.values()))
    windows = caps.use(
        connection, fenced.key_id, caps.parse(fenced.caps), {"items": items, "spend": cost}
    )
    counts = count_lines(done, paid)
    statement = update(charge).where(charge.c.id == fenced.id)
    connection.execute(statement.values(cost_nanousd=cost, caps=caps.encode(windows), **counts))


def count_lines(done: Sorted, paid: Paid) -> dict[str, int]:
    """The columns of a captured charge that say how many lines it delivered, and how many free."""
    counts: dict[str, int] = {}
    for modality in MODALITIES:
        items = len(done.get(modality, ()))
        counts[f"{modality}s"] = items
        counts[f"{modality}s_free"] = items - len(paid.get(modality, ()))
    return counts


def tally(
    hold: Hold,
    done: Sorted,
    costs: Sequence[int],
    paid: Paid,
    failed: Counts,
    repeated: Counts,
) -> dict[Modality, dict[str, int]]:
    """What the request adds to the usage statement, by modality; nothing where all is zero."""
    extra_failed, extra_free = _by_modality(failed, hold), _by_modality(repeated, hold)
    asked = count_modalities(hold.lines)
    rows: dict[Modality, dict[str, int]] = {}
    for modality in MODALITIES:
        items, delivered = len(paid.get(modality, ())), len(done.get(modality, ()))
        row = {
            "items": items,
            "items_free": delivered - items + extra_free.get(modality, 0),
            "items_failed": asked[modality] - delivered + extra_failed.get(modality, 0),
            "cost_nanousd": sum_costs(hold.lines, costs, modality) if items else 0,
        }
        if any(row.values()):
            rows[modality] = row
    return rows


def _by_modality(count: Counts, hold: Hold) -> Mapping[Modality, int]:
    if not isinstance(count, int):
        return count
    if not count:
        return {}
    only_texts = {line.modality for line in hold.lines} == {"text"}
    return {"text" if only_texts else "image": count}


def _roll_up(
    connection: Connection, now: int, fenced: Row[Any], tally: dict[Modality, dict[str, int]]
) -> None:
    for modality, counts in tally.items():
        key = {
            "account_id": fenced.account_id,
            "hour": now - now % HOUR,
            "key_id": fenced.key_id,
            "model": fenced.model,
            "modality": modality,
        }
        statement = insert(connection, usage_rollup).values(**key, **counts)
        added = {name: usage_rollup.c[name] + statement.excluded[name] for name in counts}
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=added))
