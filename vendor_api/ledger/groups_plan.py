"""Decides a group's commands in order, as if each ran by itself, and collects what they write."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.money import MAX_NANOUSD
from shared.wire import Modality
from vendor_api.db.clock import DAY, HOUR
from vendor_api.ledger.capture import count_lines, tally
from vendor_api.ledger.commands import (
    REBUY_FREE_DAYS,
    Hold,
    HoldLost,
    InsufficientCredit,
    Receipt,
    Reserve,
)
from vendor_api.ledger.groups_books import CHARGE_COLUMNS, Account, Books, Charge
from vendor_api.ledger.ids import new_id
from vendor_api.ledger.jobs import Capture, Command, Release
from vendor_api.ledger.lines import Paid, Sorted, price_lines, sort_digests
from vendor_api.ledger.lots import NewLot, Shelf
from vendor_api.ledger.reservation import held_values, refuse

__all__ = ["Plan", "RollUp", "Unusual"]


class RollUp(NamedTuple):
    """A row of the usage statement."""

    account_id: str
    hour: int
    key_id: str
    model: str
    modality: Modality


class Unusual(Exception):
    """The command needs more than the books hold: it must run by itself."""


@dataclass(slots=True)
class Plan:
    """The rows that the decided commands write; `decide` one command after the other."""

    now: int
    books: Books
    claimed: list[dict[str, Any]] = field(default_factory=list)
    """New charges."""
    captured: list[dict[str, Any]] = field(default_factory=list)
    """Charges with a new state, each behind its fence; so are the released ones."""
    released: list[dict[str, Any]] = field(default_factory=list)
    lots: list[NewLot] = field(default_factory=list)
    """What the captured charges pay for."""
    earned: list[tuple[Charge, int]] = field(default_factory=list)
    """Charge and cost, one journal transaction each."""
    rolled_up: dict[RollUp, dict[str, int]] = field(default_factory=dict)

    def decide(self, command: Command) -> Any:
        """Its result. Raises the command's own LedgerError, and Unusual; then nothing changed."""
        match command:
            case Reserve():
                return self._reserve(command)
            case Capture():
                return self._capture(command)
            case Release():
                return self._release(command)

    def _reserve(self, command: Reserve) -> Hold:
        account = self._account(command.account_id)
        amount = sum([line.price.unit_nanousd for line in command.lines])
        if amount > MAX_NANOUSD or command.key_id in self.books.capped_keys:
            raise Unusual
        known = self.books.by_key.get((command.account_id, command.idempotency_key))
        if known is not None:
            refuse(self.now, command, known)
            raise Unusual
        if amount > account.available_nanousd:
            raise InsufficientCredit(amount, account.available_nanousd)
        charge_id = self._claim(command, held_values(self.now, command, amount))
        account.hold(amount)
        available = account.available_nanousd
        return Hold(charge_id, command.account_id, 1, amount, available, command.lines)

    def _claim(self, command: Reserve, values: dict[str, Any]) -> str:
        row = {
            "id": new_id("chg"),
            "account_id": command.account_id,
            "idempotency_key": command.idempotency_key,
            "fingerprint": command.fingerprint,
            "epoch": 1,
            "created_at": self.now,
            **values,
        }
        self.claimed.append(row)
        known = Charge(**{name: row[name] for name in CHARGE_COLUMNS if name in row})
        self.books.add(known)
        return known.id

    def _capture(self, command: Capture) -> Receipt:
        hold, delivered = command.hold, command.delivered
        if len(delivered) != len(hold.lines):
            raise Unusual
        account, known = self._account(hold.account_id), self._held(hold)
        given = [line for line, done in zip(hold.lines, delivered, strict=True) if done]
        done = sort_digests(given)
        paid = self._buy(known, done)
        costs = price_lines(hold.lines, delivered, paid)
        cost = sum(costs)
        known.state = "captured"
        settled = {"state": "captured", "captured_at": self.now, "cost_nanousd": cost}
        self.captured.append({**_fence(hold), **settled, **count_lines(done, paid)})
        self.earned.append((known, cost))
        account.debit(held_nanousd=known.reserved_nanousd, cost_nanousd=cost)
        self._roll_up(known, tally(hold, done, costs, paid, command.failed, command.repeated))
        return Receipt(known.id, cost, costs, account.available_nanousd)

    def _buy(self, known: Charge, done: Sorted) -> Paid:
        """The lines to pay for: never bought by the account, or longer ago than is free."""
        paid: dict[Modality, Collection[bytes]] = {}
        oldest = self.now - REBUY_FREE_DAYS * DAY
        for modality, asked in done.items():
            shelf = Shelf(known.account_id, known.revision, modality)
            stock = self.books.stocks[shelf]
            bought_at, fresh = stock.bought_at, asked
            if not bought_at.keys().isdisjoint(asked):
                fresh = [digest for digest in asked if bought_at.get(digest, 0) <= oldest]
            bought_at.update(dict.fromkeys(fresh, self.now))
            if fresh:
                stock.last += 1
                self.lots.append(NewLot(shelf, stock.last, known.id, fresh))
            paid[modality] = fresh
        return paid

    def _roll_up(self, known: Charge, tallied: Mapping[Modality, Mapping[str, int]]) -> None:
        hour = self.now - self.now % HOUR
        for modality, counts in tallied.items():
            key = RollUp(known.account_id, hour, known.key_id, known.model, modality)
            sums = self.rolled_up.setdefault(key, dict.fromkeys(counts, 0))
            for name, count in counts.items():
                sums[name] += count

    def _release(self, command: Release) -> None:
        account, known = self._account(command.hold.account_id), self._held(command.hold)
        known.state = "released_final" if command.final else "released"
        self.released.append({**_fence(command.hold), "state": known.state})
        account.hold(-known.reserved_nanousd)

    def _account(self, account_id: str) -> Account:
        account = self.books.accounts.get(account_id)
        if account is None:
            raise Unusual
        return account

    def _held(self, hold: Hold) -> Charge:
        """The hold's charge. Raises HoldLost when it is held no more, or by another worker."""
        known = self.books.by_id.get(hold.charge_id)
        if known is None or known.state != "held" or known.epoch != hold.epoch:
            raise HoldLost(hold.charge_id)
        if known.caps is not None or known.account_id != hold.account_id:
            raise Unusual
        return known


def _fence(hold: Hold) -> dict[str, Any]:
    return {"charge_id": hold.charge_id, "held_epoch": hold.epoch}
