"""One charge from its first hold to its last refund, as far as the books remember it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from vendor_api.db.tables import account, charge, ledger_entry, ledger_txn, price_version
from vendor_api.ledger.commands import UnknownCharge
from vendor_api.reports.charges import ChargeRow

__all__ = ["Event", "JournalLine", "Lines", "Story", "tell_charge"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the charge; `at` is None where no instant is kept."""

    at: int | None
    name: str
    detail: str
    amount_nanousd: int | None = None


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One entry of one transaction that moved the charge's money."""

    txn_id: str
    at: int
    kind: str
    line: int
    book: str
    amount_nanousd: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Lines:
    """The distinct items of one modality: held, while the charge is no receipt; delivered, once it is."""

    modality: str
    count: int
    free: int
    unit_nanousd: int
    cost_nanousd: int


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the books know of a charge."""

    as_of: int
    charge: ChargeRow
    account: str
    epoch: int
    expires_at: int
    lines: list[Lines]
    undelivered: int | None
    """Items held and not delivered; None where the prices of both modalities hide it."""
    events: list[Event]
    journal: list[JournalLine]
    refundable_nanousd: int


def tell_charge(connection: Connection, now: int, charge_id: str) -> Story:
    """The charge's story. Raises UnknownCharge."""
    query = select(charge, account.c.name.label("account")).join(
        account, account.c.id == charge.c.account_id
    )
    row = connection.execute(query.where(charge.c.id == charge_id)).one_or_none()
    if row is None:
        raise UnknownCharge(charge_id)
    journal = _read_journal(connection, charge_id)
    lines = _read_lines(connection, row)
    return Story(
        as_of=now,
        charge=ChargeRow(*(getattr(row, name) for name in ChargeRow.__slots__)),
        account=row.account,
        epoch=row.epoch,
        expires_at=row.expires_at,
        lines=lines,
        undelivered=_count_undelivered(row, lines),
        events=_tell(now, row, journal),
        journal=journal,
        refundable_nanousd=row.cost_nanousd - row.refunded_nanousd,
    )


def _read_journal(connection: Connection, charge_id: str) -> list[JournalLine]:
    txn, entry = ledger_txn.c, ledger_entry.c
    columns = (txn.id, txn.created_at, txn.kind, entry.line, entry.book, entry.amount_nanousd)
    query = select(*columns, txn.reason).join(ledger_entry, entry.txn_id == txn.id)
    captured = query.where(txn.kind == "capture", txn.ref == charge_id)
    corrected = query.where(txn.charge_id.is_not(None), txn.charge_id == charge_id)
    rows = [*connection.execute(captured), *connection.execute(corrected)]
    found = [JournalLine(*row) for row in rows]
    return sorted(found, key=lambda each: (each.at, each.txn_id, each.line))


def _read_lines(connection: Connection, row: Row[Any]) -> list[Lines]:
    prices = {"image": row.image_price_id, "text": row.text_price_id}
    query = select(price_version.c.id, price_version.c.unit_nanousd)
    wanted = [price for price in prices.values() if price is not None]
    found = connection.execute(query.where(price_version.c.id.in_(wanted)))
    units: dict[str | None, int] = {row.id: row.unit_nanousd for row in found}
    counts = {"image": (row.images, row.images_free), "text": (row.texts, row.texts_free)}
    return [
        Lines(modality, count, free, units[price], (count - free) * units[price])
        for modality, price in prices.items()
        for count, free in [counts[modality]]
        if price in units
    ]


def _count_undelivered(row: Row[Any], lines: list[Lines]) -> int | None:
    """What was held less what was delivered: the hold's amount still says how much that was."""
    if row.state != "captured":
        return None
    if len(lines) == 1 and lines[0].unit_nanousd > 0:
        return int(row.reserved_nanousd // lines[0].unit_nanousd - lines[0].count)
    whole = sum(each.count * each.unit_nanousd for each in lines)
    return 0 if whole == row.reserved_nanousd and lines and _all_priced(lines) else None


def _all_priced(lines: list[Lines]) -> bool:
    return all(each.unit_nanousd > 0 for each in lines)


def _tell(now: int, row: Row[Any], journal: list[JournalLine]) -> list[Event]:
    events = [Event(row.created_at, "asked", f"by request {row.request_id}")]
    if row.epoch > 1:
        events[0] = Event(row.created_at, "asked", "for the first time")
        detail = f"as hold number {row.epoch}, by request {row.request_id}"
        events.append(Event(row.held_at, "entered again", detail))
    events.append(Event(row.held_at or row.created_at, "held", "", row.reserved_nanousd))
    events.append(_end(now, row))
    if row.replays:
        events.append(Event(None, "answered again", f"{row.replays} times, free of charge"))
    customer = f"customer:{row.account_id}"
    events += [
        Event(each.at, "refunded", each.reason or "", each.amount_nanousd)
        for each in journal
        if each.kind == "refund" and each.book == customer
    ]
    return events


def _end(now: int, row: Row[Any]) -> Event:
    match row.state:
        case "captured":
            return Event(row.captured_at, "captured", "the hold became a receipt", row.cost_nanousd)
        case "released":
            return Event(None, "released", "nothing was delivered; the key may be used again", 0)
        case "released_final":
            return Event(None, "released for good", "no item was valid; the key is spent", 0)
        case "expired":
            return Event(None, "expired", "its time passed; the key may be used again", 0)
        case _ if row.expires_at <= now:
            return Event(row.expires_at, "overdue", "the sweeper will give the money back")
        case _:
            return Event(row.expires_at, "still held", "expires then, if nothing comes of it")
