"""A month of made-up business in an empty vendor: the same amounts for a seed, through the real ledger.

Everything goes through the functions that a sale goes through, at instants of the past, so that the
auditor finds nothing and every page of the dashboard has something to show.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Connection

from shared.migrating import upgrade
from shared.money import parse_usd
from shared.wire import Modality
from vendor_api.admin import actions, keyring
from vendor_api.auth.repository import KeyLimits, KeySettings, record_use
from vendor_api.db import Database, open_database, read_clock
from vendor_api.db.clock import DAY, HOUR, SECOND
from vendor_api.demo.customers import CUSTOMERS, PEOPLE, Customer
from vendor_api.ledger.capture import capture
from vendor_api.ledger.commands import (
    CapReached,
    Credit,
    Hold,
    InsufficientCredit,
    Line,
    Price,
    Refund,
    Reserve,
)
from vendor_api.ledger.credits import accounts_due, expire_due
from vendor_api.ledger.prices import current_prices
from vendor_api.ledger.reservation import release, reserve
from vendor_api.ledger.shelves import Shelves
from vendor_api.people import staff

DAYS = 30
CHARGES = 2000
SECOND_PAYMENT = 8
"""The day of the month on which the first customer pays in again."""
ACTOR = "cli:demo"
REVISION = "5eed5eed5eed5eed"
_HOURS = (1, 1, 1, 1, 1, 2, 3, 5, 8, 10, 11, 11, 9, 10, 11, 11, 10, 8, 6, 4, 3, 3, 2, 1)
"""How busy each hour of a day is; weekends are a quarter of it."""

__all__ = ["ACTOR", "CHARGES", "DAYS", "REVISION", "plant"]


def plant(
    database: Database,
    pepper: bytes,
    *,
    models: Sequence[str] = ("icon-clip",),
    charges: int = CHARGES,
    seed: int = 0,
    ends_at: int | None = None,
    on_day: Callable[[int], object] = lambda day: None,
) -> int:
    """Fill an empty vendor with a month that ends now, or at `ends_at`; how many charges it holds.

    `on_day` is told of every day that is done. Raises AccountExists when it was planted before.
    """
    made = 0
    with database.write() as connection:
        now = read_clock(connection) if ends_at is None else ends_at
        field = _Field(random.Random(seed), pepper, now - DAYS * DAY, models)  # noqa: S311
        field.open(connection)
    for day, moments in enumerate(_spread(field.chance, field.began_at, now, charges)):
        with database.write() as connection:
            field.pay(connection, day)
            made += sum(field.sell(connection, at) for at in moments)
        on_day(day)
    with database.write() as connection:
        field.close(connection, now)
    return made


class _Field:
    """What a month needs to know of itself while it grows."""

    def __init__(
        self, chance: random.Random, pepper: bytes, began_at: int, models: Sequence[str]
    ) -> None:
        self.chance = chance
        self.began_at = began_at
        self._pepper = pepper
        self._models = models
        self._accounts: dict[str, str] = {}
        self._keys: dict[str, list[str]] = {}
        self._seen: dict[str, list[tuple[Modality, bytes]]] = {}
        self._prices: dict[str, dict[Modality, Price]] = {}
        self._sold: list[str] = []
        self._shelves = Shelves(alone=True)
        self._used: dict[str, int] = {}
        """Key → when it was last used."""
        self._count = 0

    def open(self, connection: Connection) -> None:
        """People, prices, accounts, keys and the first money."""
        at = self.began_at
        for name, role in PEOPLE:
            staff.hire(connection, at, ACTOR, name, role, "no password opens this")
        for model in self._models:
            units: dict[Modality, int] = {
                "image": parse_usd("0.0004"),
                "text": parse_usd("0.00002"),
            }
            actions.change_prices(connection, at, ACTOR, model, units, None)
            self._prices[model] = current_prices(connection, at, model)
        for customer in CUSTOMERS:
            self._welcome(connection, at, customer)

    def pay(self, connection: Connection, day: int) -> None:
        """The second half of what a customer pays in, each on a day of its own."""
        if 0 <= (turn := day - SECOND_PAYMENT) < len(CUSTOMERS):
            customer = CUSTOMERS[turn]
            half = parse_usd(customer.credit_usd) // 2
            paid = Credit(self._accounts[customer.name], half, f"invoice-2-{customer.name}")
            actions.credit(connection, self.began_at + day * DAY, ACTOR, paid)

    def sell(self, connection: Connection, at: int) -> bool:
        """One request of some customer; False when its credit did not suffice."""
        customer = self.chance.choices(CUSTOMERS, [each.share for each in CUSTOMERS])[0]
        command, failed = self._order(customer, at)
        self._used[command.key_id] = at
        try:
            with connection.begin_nested():
                hold = reserve(connection, at, command)
        except (InsufficientCredit, CapReached):
            return False
        if not isinstance(hold, Hold):
            raise TypeError("a fresh idempotency key cannot be a replay")
        fate = self.chance.random()
        if fate < 0.01:
            release(connection, hold, final=fate < 0.004)
            return True
        delivered = [self.chance.random() >= customer.bad for _ in hold.lines]
        took = round(self.chance.lognormvariate(0, 0.4) * SECOND / 5)
        if any(delivered):
            refused: dict[Modality, int] = {"image": failed, "text": 0}
            capture(connection, at + took, hold, delivered, failed=refused, shelves=self._shelves)
            self._sold.append(hold.charge_id)
        else:
            release(connection, hold, final=True)
        return True

    def close(self, connection: Connection, now: int) -> None:
        """The month's end: refunds, a frozen account, a revoked key, requests under way."""
        for n, charge_id in enumerate(self.chance.sample(self._sold, min(4, len(self._sold)))):
            command = Refund(charge_id, None, f"ticket-{1041 + 7 * n}", "pictures arrived damaged")
            actions.refund(connection, now - (5 - n) * HOUR, ACTOR, command)
        for account_id in accounts_due(connection, now):
            expire_due(connection, now, account_id)
        mill = self._accounts["old-mill"]
        actions.change_status(connection, now - 2 * DAY, ACTOR, mill, "frozen", "unpaid invoice")
        keyring.end_key(connection, now - 9 * DAY, ACTOR, self._keys["atelier-maps"][1])
        for key_id, at in self._used.items():
            record_use(connection, at, [key_id])
        for _ in range(3):
            command_, _ = self._order(CUSTOMERS[0], now)
            reserve(connection, now, command_)

    def _welcome(self, connection: Connection, at: int, customer: Customer) -> None:
        account = actions.open_account(connection, at, ACTOR, customer.name, 0)
        half = parse_usd(customer.credit_usd) // 2
        paid = Credit(account.id, half, f"invoice-1-{customer.name}")
        gift = Credit(
            account.id,
            parse_usd("2"),
            f"welcome-{customer.name}",
            kind="promo",
            expires_at=at + 20 * DAY,
            reason="welcome",
        )
        for command in (paid, gift):
            actions.credit(connection, at, ACTOR, command)
        self._accounts[customer.name] = account.id
        self._seen[customer.name] = []
        self._keys[customer.name] = [
            keyring.create_key(
                connection,
                at,
                ACTOR,
                self._pepper,
                account.id,
                KeySettings(name=name, limits=KeyLimits(requests_per_minute=600)),
            ).key_id
            for name in customer.keys
        ]
        caps: keyring.Caps = {("spend", "month"): parse_usd(customer.credit_usd)}
        keyring.change_caps(connection, at, ACTOR, self._keys[customer.name][0], caps)

    def _order(self, customer: Customer, at: int) -> tuple[Reserve, int]:
        """What the customer asks for, and how many items are refused before anything is held."""
        self._count += 1
        model = self.chance.choice(self._models)
        wanted: dict[Modality, int] = {
            "image": self.chance.randint(0 if customer.texts else 1, customer.images),
            "text": self.chance.randint(0, customer.texts),
        }
        if not any(wanted.values()):
            wanted["text"] = 1
        items = {
            item: None
            for modality, count in wanted.items()
            for item in self._choose(customer, modality, count)
        }
        lines = tuple(Line(name, digest, self._prices[model][name]) for name, digest in items)
        name = f"{customer.name}-{self._count:06d}"
        keys = self._keys[customer.name]
        key = keys[0] if at > self.began_at + 20 * DAY else self.chance.choice(keys)
        failed = sum(self.chance.random() < customer.bad for _ in range(wanted["image"]))
        command = Reserve(
            account_id=self._accounts[customer.name],
            key_id=key,
            idempotency_key=name,
            fingerprint=sha256(name.encode()).digest(),
            request_id=f"req_{sha256(f'request {name}'.encode()).hexdigest()[:32]}",
            model=model,
            revision=REVISION,
            lines=lines,
        )
        return command, failed

    def _choose(
        self, customer: Customer, modality: Modality, count: int
    ) -> Iterator[tuple[Modality, bytes]]:
        seen = self._seen[customer.name]
        for _ in range(count):
            if seen and self.chance.random() < customer.repeats:
                known = self.chance.choice(seen)
                if known[0] == modality:
                    yield known
                    continue
            fresh = (modality, sha256(f"{customer.name} {modality} {len(seen)}".encode()).digest())
            seen.append(fresh)
            yield fresh


def _spread(chance: random.Random, began_at: int, now: int, charges: int) -> Iterator[list[int]]:
    """Instants of requests, day by day, busy when people are at work, none in the last minute."""
    hours = range(began_at, now - HOUR, HOUR)
    weights = [_busy(at) * (1 + n / len(hours)) for n, at in enumerate(hours)]
    chosen = chance.choices(hours, weights, k=charges)
    moments = sorted(at + chance.randrange(HOUR) for at in chosen)
    for first in range(began_at, now, DAY):
        yield [at for at in moments if first <= at < first + DAY]


def _busy(at: int) -> float:
    weekday = (at // DAY + 3) % 7
    return _HOURS[at // HOUR % 24] * (0.25 if weekday >= 5 else 1.0)


def main(
    database_url: Annotated[
        str, typer.Argument(help="An empty vendor's database: sqlite:///PATH.")
    ],
    charges: Annotated[int, typer.Option(help="Requests to make up.")] = CHARGES,
    seed: Annotated[int, typer.Option(help="Seed of everything that is made up.")] = 0,
) -> None:
    """Create the database, and fill it with a month of made-up business."""
    from rich.progress import track

    from vendor_api.auth.pepper import open_pepper

    upgrade("vendor", database_url)
    database = open_database(database_url)
    days = iter(track(range(DAYS), "planting", console=Console(stderr=True)))
    next(days)
    pepper = open_pepper(database_url)
    made = plant(database, pepper, charges=charges, seed=seed, on_day=lambda _day: next(days, None))
    database.close()
    typer.echo(f"{made} charges of {len(CUSTOMERS)} customers in {DAYS} days")


if __name__ == "__main__":
    typer.run(main)
