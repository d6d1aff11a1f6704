"""What the rules of the ledger say, without a database, without laziness: each thing at its instant."""

from dataclasses import dataclass, field

from vendor_api.db.clock import DAY
from vendor_api.ledger.caps import bound_window
from vendor_api.ledger.commands import (
    REBUY_FREE_DAYS,
    REPLAYS_PER_DAY,
    CapKind,
    CapReached,
    CapWindow,
    Hold,
    HoldLost,
    InsufficientCredit,
    NothingValid,
    OverRefund,
    Replay,
    ReplayLimit,
    RequestInFlight,
)

PRICE = 100_000
FOREVER = 2**63


@dataclass
class Grant:
    left: int
    expires: int


@dataclass
class Charge:
    state: str
    amount: int
    held_at: int
    overdue_at: int
    windows: list[tuple[CapKind, CapWindow, int]]
    epoch: int = 1
    cost: int = 0
    refunded: int = 0
    replays: dict[int, int] = field(default_factory=dict)


@dataclass
class Oracle:
    now: int
    credited: int = 0
    debited: int = 0
    limit: int = 0
    lent: int = 0
    """Spent out of the credit limit, not yet covered by a grant."""
    grants: list[Grant] = field(default_factory=list)
    charges: dict[str, Charge] = field(default_factory=dict)
    bought: dict[str, int] = field(default_factory=dict)
    caps: dict[tuple[CapKind, CapWindow], int] = field(default_factory=dict)
    windows: dict[tuple[CapKind, CapWindow, int], list[int]] = field(default_factory=dict)
    """(kind, window, start) → [used, held]"""

    @property
    def holding(self):
        return [charge for charge in self.charges.values() if charge.state == "held"]

    @property
    def held(self):
        return sum(charge.amount for charge in self.holding)

    @property
    def available(self):
        return self.credited + self.limit - self.debited - self.held

    def advance(self, step):
        until = self.now + step
        for instant in sorted({g.expires for g in self.grants if self.now < g.expires <= until}):
            self.now = instant
            self.expire()
        self.now = until

    def expire(self):
        """Every due nano-dollar goes, but those that an older hold stands on."""
        uncovered = [[charge.held_at, charge.amount] for charge in self.holding]
        for grant in sorted(self.grants, key=lambda grant: grant.expires):
            if grant.expires <= self.now:
                kept = 0
                for hold in uncovered:
                    if hold[0] < grant.expires:
                        part = min(hold[1], grant.left - kept)
                        hold[1] -= part
                        kept += part
                self.debited += grant.left - kept
                grant.left = kept

    def spend(self, amount, held_at):
        self.debited += amount
        for grant in sorted(self.grants, key=lambda grant: grant.expires):
            if grant.expires > held_at:
                part = min(grant.left, amount)
                grant.left -= part
                amount -= part
        self.lent += amount

    def credit(self, amount, expires=FOREVER):
        self.credited += amount
        repaid = min(self.lent, amount)
        self.lent -= repaid
        self.grants.append(Grant(amount - repaid, expires))

    def adjust(self, amount):
        if self.available + amount < 0:
            return InsufficientCredit
        if amount > 0:
            self.credit(amount)
        else:
            self.spend(-amount, self.now)
        return None

    def reserve(self, key, items, seconds):
        charge = self.charges.get(key)
        if charge and charge.state == "captured":
            today = self.now // DAY
            if charge.replays.get(today, 0) >= REPLAYS_PER_DAY:
                return ReplayLimit
            charge.replays[today] = charge.replays.get(today, 0) + 1
            return Replay
        if charge and charge.state == "released_final":
            return NothingValid
        if charge and charge.state == "held":
            if charge.overdue_at > self.now:
                return RequestInFlight
            # All or nothing: a refusal leaves even the overdue hold as it was.
            before = (self.debited, [(g, g.left) for g in self.grants])
            self.let_go(charge, "expired")
            refusal = self.find_refusal(items)
            if refusal:
                self.debited = before[0]
                for grant, left in before[1]:
                    grant.left = left
                self.count_held(charge, 1)
                charge.state = "held"
                return refusal
        elif refusal := self.find_refusal(items):
            return refusal
        windows = [(kind, w, bound_window(self.now, w)[0]) for kind, w in sorted(self.caps)]
        epoch = charge.epoch + 1 if charge else 1
        due = self.now + seconds * 1_000_000
        new = Charge("held", items * PRICE, self.now, due, windows, epoch)
        self.charges[key] = new
        self.count_held(new, 1)
        return Hold

    def find_refusal(self, items):
        if self.available < items * PRICE:
            return InsufficientCredit
        for (kind, window), cap in self.caps.items():
            start = bound_window(self.now, window)[0]
            taken = sum(self.windows.get((kind, window, start), [0, 0]))
            if taken + (items if kind == "items" else items * PRICE) > cap:
                return CapReached
        return None

    def count_held(self, charge, sign):
        for kind, window, start in charge.windows:
            amount = charge.amount if kind == "spend" else charge.amount // PRICE
            self.windows.setdefault((kind, window, start), [0, 0])[1] += sign * amount

    def let_go(self, charge, state):
        self.count_held(charge, -1)
        charge.state = state
        self.expire()

    def capture(self, key, epoch, names):
        charge = self.charges[key]
        if charge.state != "held" or charge.epoch != epoch:
            return HoldLost
        free_since = self.now - REBUY_FREE_DAYS * DAY
        paid = [name for name in names if self.bought.get(name, free_since) <= free_since]
        self.bought |= dict.fromkeys(paid, self.now)
        charge.cost = PRICE * len(paid)
        self.spend(charge.cost, charge.held_at)
        self.let_go(charge, "captured")
        for kind, window, start in charge.windows:
            counted = charge.cost if kind == "spend" else len(names)
            self.windows[kind, window, start][0] += counted
        return None

    def release(self, key, epoch, state):
        charge = self.charges[key]
        if charge.state != "held" or charge.epoch != epoch:
            return HoldLost
        self.let_go(charge, state)
        return None

    def sweep(self):
        for charge in self.holding:
            if charge.overdue_at <= self.now:
                self.let_go(charge, "expired")

    def refund(self, key, amount):
        charge = self.charges[key]
        left = charge.cost - charge.refunded
        amount = left if amount is None else amount
        if not 0 < amount <= left:
            return OverRefund
        charge.refunded += amount
        self.credit(amount)
        return None
