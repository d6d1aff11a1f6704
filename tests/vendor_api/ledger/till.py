"""One customer at the ledger's functions, each call a transaction of its own at a time we choose."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from vendor_api.db import as_microseconds
from vendor_api.db.tables import account_balance, ledger_entry, ledger_txn
from vendor_api.ledger import balance, caps, credits, reservation
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.audit import audit
from vendor_api.ledger.capture import capture
from vendor_api.ledger.commands import Adjust, Credit, Refund
from vendor_api.ledger.corrections import adjust_balance, refund_charge
from vendor_api.ledger.jobs import Capture

PRICE = 100_000
START = as_microseconds(datetime(2027, 3, 10, 12, 0, 0, tzinfo=UTC))


def capture_all(hold):
    """The job of charging for a hold of which every line was embedded."""
    return Capture(hold, (True,) * len(hold.lines))


@dataclass
class Till:
    shop: Any
    key_id: str
    now: int = START
    refs: int = 0
    account_id: str = field(default="")

    def __post_init__(self):
        self.account_id = self.run(lambda c: create_account(c, self.now, "eve")).id

    def run(self, work):
        return self.shop.database.change(work)

    def credit(self, items, lifetime=None, *, ref=None, kind="credit"):
        """Credit for that many items, expiring after so many microseconds."""
        self.refs += 1
        expires_at = None if lifetime is None else self.now + lifetime
        command = Credit(
            self.account_id, items * PRICE, ref or f"ref {self.refs}", kind, expires_at
        )
        return self.run(lambda c: credits.add_credit(c, self.now, command))

    def reserve(self, key, *names, **changes):
        values = {"account_id": self.account_id, "key_id": self.key_id, **changes}
        command = self.shop.reserve(key, *names, **values)
        return self.run(lambda c: reservation.reserve(c, self.now, command))

    def capture(self, hold, *delivered):
        outcomes = delivered or (True,) * len(hold.lines)
        return self.run(lambda c: capture(c, self.now, hold, outcomes))

    def buy(self, key, *names):
        return self.capture(self.reserve(key, *names))

    def release(self, hold):
        self.run(lambda c: reservation.release(c, hold, final=False))

    def sweep(self):
        return self.run(lambda c: reservation.expire(c, self.now, account_id=self.account_id))

    def expire(self):
        """Items whose credit expired now."""
        return self.run(lambda c: credits.expire_due(c, self.now, self.account_id)) / PRICE

    def refund(self, charge_id, amount_nanousd=None, ref="refund"):
        command = Refund(charge_id, amount_nanousd, ref, "was blurred")
        return self.run(lambda c: refund_charge(c, self.now, command))

    def adjust(self, amount_nanousd, ref="adjustment"):
        command = Adjust(self.account_id, amount_nanousd, ref, "typing error")
        return self.run(lambda c: adjust_balance(c, self.now, command))

    def cap(self, kind, window, cap):
        self.run(lambda c: caps.set_cap(c, self.key_id, kind, window, cap))

    def windows(self):
        states = self.run(lambda c: caps.list_caps(c, self.now, self.key_id))
        return {(state.kind, state.window): (state.used, state.held) for state in states}

    @property
    def left(self):
        """Items that each grant still pays for, oldest grant first."""
        grants = self.run(lambda c: credits.list_grants(c, self.account_id))
        return [grant.remaining_nanousd / PRICE for grant in grants]

    @property
    def available(self):
        """Items that could be held now."""
        return self.run(lambda c: balance.read_available(c, self.account_id)) / PRICE

    @property
    def next_expiry_at(self):
        query = select(account_balance.c.next_expiry_at)
        query = query.where(account_balance.c.account_id == self.account_id)
        return self.run(lambda c: c.execute(query).scalar_one())

    def journal(self, kind):
        """The entries of that kind: book → items."""
        query = (
            select(ledger_entry.c.book, ledger_entry.c.amount_nanousd)
            .join(ledger_txn, ledger_txn.c.id == ledger_entry.c.txn_id)
            .where(ledger_txn.c.kind == kind, ledger_txn.c.account_id == self.account_id)
            .order_by(ledger_txn.c.id, ledger_entry.c.line)
        )
        return [
            (row[0].split(":")[0], row[1] / PRICE)
            for row in self.run(lambda c: c.execute(query).all())
        ]

    def require_right_books(self):
        found = audit(self.shop.database)
        broken = [violation for violation in found.violations if violation.rule != "overdue holds"]
        assert broken == []
