"""Whether this client's journal and the vendor's charges tell the same story, request by request."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from client.budget.history import HistoryFilter, HistoryLine, read_history
from client.cache.database import Database
from shared.money import parse_usd, show_usd
from shared.wire import ChargeDocument

Kind = Literal["not charged", "not here", "other cost", "other state", "open"]
"""not charged: paid here, unknown there; not here: charged there, unknown here; open: no end here."""

CONFIRMED = 200
"""So many differences are looked at twice, for both sides go on while they are compared."""

FindCharge = Callable[[str], ChargeDocument | None]

__all__ = [
    "Difference",
    "Kind",
    "Reconciliation",
    "compare",
    "has_metered",
    "reconcile",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """One request that the two sides tell differently."""

    kind: Kind
    idempotency_key: str
    line: HistoryLine | None
    charge: ChargeDocument | None
    said: str


@dataclass(slots=True)
class Reconciliation:
    """What was compared and what differs."""

    requests: int = 0
    """Of the journal."""
    charges: int = 0
    """Of the vendor."""
    journal_nanousd: int = 0
    vendor_nanousd: int = 0
    """Captured."""
    differences: list[Difference] = field(default_factory=list)
    unmetered: int = 0
    """Requests of the journal that nobody else keeps books of."""
    unmetered_nanousd: int = 0


def reconcile(
    database: Database,
    charges: Iterable[ChargeDocument],
    find_charge: FindCharge,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    unmetered: Collection[str] = (),
) -> Reconciliation:
    """Compare every request of the journal with the charge under its key, and the other way round.

    `charges` are all of the account, from `VendorClient.charges.iterate`; `find_charge` is
    `charges.get`. With instants, in nanoseconds since 1970, only what was planned or charged from the
    one up to the other. Requests to models of `unmetered`, each `id@revision`, are only counted.
    Changes nothing. Raises what the two raise.
    """
    span = (since_ns, until_ns)
    found = Reconciliation()
    # The vendor first: what the journal settles meanwhile is looked at a second time.
    known = {charge.idempotency_key: charge for charge in charges}
    for line, charge in _pair(database, known):
        if not _within(span, line, charge):
            continue
        if line is not None and charge is None and f"{line.model_id}@{line.revision}" in unmetered:
            found.unmetered += 1
            found.unmetered_nanousd += _paid(line)
            continue
        found.requests += line is not None
        found.charges += charge is not None
        found.journal_nanousd += _paid(line)
        found.vendor_nanousd += _captured(charge)
        difference = compare(line, charge)
        if difference is not None:
            found.differences.append(difference)
    if len(found.differences) <= CONFIRMED:
        found.differences = list(_confirm(database, found.differences, find_charge))
    return found


def has_metered(database: Database, unmetered: Collection[str]) -> bool:
    """Whether somebody else keeps books of a request of the journal, or the journal is empty."""
    asked = {f"{line.model_id}@{line.revision}" for line in read_history(database)}
    return not asked or not asked <= set(unmetered)


def compare(line: HistoryLine | None, charge: ChargeDocument | None) -> Difference | None:
    """How the two sides of one request differ; None when they agree."""
    if line is not None:
        return _compare_line(line, charge)
    if charge is None or not _stands(charge):
        return None
    said = f"the vendor has {_tell(charge)} that is not in this journal: another program or machine"
    return Difference("not here", charge.idempotency_key, None, charge, said)


def _compare_line(line: HistoryLine, charge: ChargeDocument | None) -> Difference | None:
    told: tuple[Kind, str] | None = None
    if line.state in ("sent", "unknown"):
        told = ("open", f"its end is not known here: run the fetch of {line.run} again")
    elif charge is None or not _stands(charge):
        if _paid(line):
            there = "no charge" if charge is None else _tell(charge)
            told = ("not charged", f"{show_usd(_paid(line))} booked here, the vendor has {there}")
    elif charge.state == "held":
        told = ("other state", f"{line.state} here, the vendor still holds money for it")
    elif line.cost_nanousd is None:
        told = ("other state", f"{line.state} here, the vendor has {_tell(charge)}")
    elif line.cost_nanousd != _captured(charge):
        here = show_usd(line.cost_nanousd)
        told = ("other cost", f"{here} booked here, the vendor has {_tell(charge)}")
    return (
        None if told is None else Difference(told[0], line.idempotency_key, line, charge, told[1])
    )


def _pair(
    database: Database, known: dict[str, ChargeDocument]
) -> Iterator[tuple[HistoryLine | None, ChargeDocument | None]]:
    for line in read_history(database):
        yield line, known.pop(line.idempotency_key, None)
    for charge in known.values():
        yield None, charge


def _confirm(
    database: Database, differences: Iterable[Difference], find_charge: FindCharge
) -> Iterator[Difference]:
    for difference in differences:
        key = difference.idempotency_key
        line = next(read_history(database, HistoryFilter(idempotency_key=key)), None)
        again = compare(line, find_charge(key))
        if again is not None:
            yield again


def _within(
    span: tuple[int | None, int | None], line: HistoryLine | None, charge: ChargeDocument | None
) -> bool:
    since, until = span
    times = [] if line is None else [line.planned_ns]
    if charge is not None:
        times.append(round(datetime.fromisoformat(charge.created_at).timestamp() * 1e6) * 1000)
    return any(
        (since is None or time >= since) and (until is None or time < until) for time in times
    )


def _stands(charge: ChargeDocument) -> bool:
    """Whether money is taken, or may still be."""
    return charge.state in ("held", "captured")


def _paid(line: HistoryLine | None) -> int:
    return 0 if line is None or line.cost_nanousd is None else line.cost_nanousd


def _captured(charge: ChargeDocument | None) -> int:
    return parse_usd(charge.cost_usd) if charge and charge.state == "captured" else 0


def _tell(charge: ChargeDocument) -> str:
    amount = charge.cost_usd if charge.state == "captured" else charge.reserved_usd
    return f"charge {charge.id}, {charge.state}, {show_usd(parse_usd(amount))}"
