"""Turns a hold into money earned: what was delivered, less what the account had bought before."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, update

from shared.wire import Modality
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.tables import charge, purchase, usage_rollup
from vendor_api.db.upsert import insert
from vendor_api.ledger import balance, caps, credits, journal
from vendor_api.ledger.commands import REBUY_FREE_DAYS, Hold, HoldLost, Line, Receipt

Counts = int | Mapping[Modality, int]
"""Items by modality; a bare number means images unless the request holds only texts."""

MODALITIES: tuple[Modality, ...] = ("image", "text")

__all__ = ["Counts", "capture"]


def capture(
    connection: Connection,
    now: int,
    hold: Hold,
    delivered: Sequence[bool],
    *,
    failed: Counts = 0,
    repeated: Counts = 0,
) -> Receipt:
    """Charge the delivered lines, in one transaction with the journal and the roll-ups.

    Raises HoldLost when the hold expired or belongs to a later epoch: then nothing is charged and
    nothing may be delivered.
    """
    if len(delivered) != len(hold.lines):
        raise ValueError(f"{len(hold.lines)} lines were held, {len(delivered)} outcomes given")
    fenced = _pass_fence(connection, now, hold)
    given = [line for line, done in zip(hold.lines, delivered, strict=True) if done]
    bought = _buy(connection, now, fenced, given)
    costs = tuple(
        line.price.unit_nanousd if done and (line.modality, line.digest) in bought else 0
        for line, done in zip(hold.lines, delivered, strict=True)
    )
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
    _settle(connection, fenced, given, bought, cost)
    _roll_up(connection, now, fenced, _tally(hold, delivered, costs, bought, failed, repeated))
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
    connection: Connection, now: int, fenced: Row[Any], given: Sequence[Line]
) -> set[tuple[Modality, bytes]]:
    """The lines to pay for: never bought by the account, or longer ago than is free."""
    if not given:
        return set()
    statement = insert(connection, purchase)
    renewed = statement.on_conflict_do_update(
        index_elements=["account_id", "revision", "modality", "digest"],
        set_={"charge_id": statement.excluded.charge_id, "bought_at": now},
        where=purchase.c.bought_at <= now - REBUY_FREE_DAYS * DAY,
    ).returning(purchase.c.modality, purchase.c.digest)
    rows = [
        {
            "account_id": fenced.account_id,
            "revision": fenced.revision,
            "modality": line.modality,
            "digest": line.digest,
            "charge_id": fenced.id,
            "bought_at": now,
        }
        for line in given
    ]
    return {(row.modality, bytes(row.digest)) for row in connection.execute(renewed, rows)}


def _settle(
    connection: Connection,
    fenced: Row[Any],
    given: Sequence[Line],
    bought: set[tuple[Modality, bytes]],
    cost: int,
) -> None:
    counts: dict[str, int] = {}
    for modality in MODALITIES:
        of_kind = [line for line in given if line.modality == modality]
        paid = sum((modality, line.digest) in bought for line in of_kind)
        counts[f"{modality}s"] = len(of_kind)
        counts[f"{modality}s_free"] = len(of_kind) - paid
    windows = caps.use(
        connection, fenced.key_id, caps.parse(fenced.caps), {"items": len(given), "spend": cost}
    )
    statement = update(charge).where(charge.c.id == fenced.id)
    connection.execute(statement.values(cost_nanousd=cost, caps=caps.encode(windows), **counts))


def _tally(
    hold: Hold,
    delivered: Sequence[bool],
    costs: Sequence[int],
    bought: set[tuple[Modality, bytes]],
    failed: Counts,
    repeated: Counts,
) -> dict[Modality, dict[str, int]]:
    extra_failed, extra_free = _by_modality(failed, hold), _by_modality(repeated, hold)
    tally: dict[Modality, dict[str, int]] = {}
    for modality in MODALITIES:
        row = {
            "items": 0,
            "items_free": extra_free.get(modality, 0),
            "items_failed": extra_failed.get(modality, 0),
            "cost_nanousd": 0,
        }
        for line, done, cost in zip(hold.lines, delivered, costs, strict=True):
            if line.modality == modality:
                paid = done and (modality, line.digest) in bought
                row["items" if paid else "items_free" if done else "items_failed"] += 1
                row["cost_nanousd"] += cost
        if any(row.values()):
            tally[modality] = row
    return tally


def _by_modality(count: Counts, hold: Hold) -> Mapping[Modality, int]:
    if not isinstance(count, int):
        return count
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
