"""Books with as many charges as a test wants: made in bulk, and as right as if they had been traded.

Every rule of the audit holds over them. Charges come in bursts, as distillations do, and some fall on
the very edge of an hour, a day or a month, or one microsecond before it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table

from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.repository import issue_key
from vendor_api.db import Database, as_datetime, read_clock
from vendor_api.db.clock import DAY, HOUR, SECOND
from vendor_api.db.tables import (
    account_balance,
    charge,
    credit_grant,
    ledger_entry,
    ledger_txn,
    usage_rollup,
)
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.prices import set_prices

USD = 10**9
OPENING = 10_000_000 * USD
MODELS = ("icon-clip", "sketch/clip-b32", "photo-clip")
UNITS = {"image": (100_000, 250_000, 0), "text": (10_000, 20_000, 5)}
_AT_ONCE = 20_000
_BURST = 100
"""Charges in one burst, about."""

Ints = NDArray[np.int64]

__all__ = ["MODELS", "Planted", "plant"]


@dataclass
class Planted:
    """What was made."""

    since: int
    """Everything lies from this instant on, microseconds."""
    until: int
    accounts: list[str] = field(default_factory=list)
    keys: list[list[IssuedKey]] = field(default_factory=list)
    """By account."""
    failed: dict[str, int] = field(default_factory=dict)
    """Pictures of a captured charge that failed before they were lines: only the usage counts them."""


@dataclass
class _Charges:
    """Columns of all charges, in the order of their creation."""

    owner: Ints
    key: Ints
    model: Ints
    created: Ints
    captured: Ints
    """Meaningless for a charge that was not captured."""
    state: NDArray[Any]
    images: Ints
    images_free: Ints
    texts: Ints
    texts_free: Ints
    failed: Ints
    spare: Ints
    """Items that were held and not delivered."""

    def cost(self) -> Ints:
        image, text = (np.array(UNITS[kind])[self.model] for kind in ("image", "text"))
        paid: Ints = (self.images - self.images_free) * image
        return np.asarray(paid + (self.texts - self.texts_free) * text)

    def reserved(self) -> Ints:
        image, text = (np.array(UNITS[kind])[self.model] for kind in ("image", "text"))
        pictures: Ints = (self.images + self.spare) * image
        return np.asarray(pictures + self.texts * text)


class _Journal:
    """Transactions that are no captures, with the grants that they open and close."""

    def __init__(self, accounts: Sequence[str]) -> None:
        self.accounts = accounts
        self.txns: list[tuple[Any, ...]] = []
        self.entries: list[tuple[Any, ...]] = []
        self.grants: dict[str, list[Any]] = {}
        self.credited = [0] * len(accounts)
        self.debited = [0] * len(accounts)
        self.drawn = [0] * len(accounts)
        self.refunded: dict[int, int] = {}
        """By the charge's number."""

    def book(
        self,
        kind: str,
        ref: str,
        owner: int,
        at: int,
        amount: int,
        other: str,
        *,
        charge_id: str | None = None,
        reason: str | None = None,
        expires_at: int | None = None,
    ) -> str:
        """One movement of the balance; a positive one opens a grant, whose id this returns."""
        txn_id = _id("txn", at, len(self.txns), "8")
        account_id = self.accounts[owner]
        self.txns.append((txn_id, kind, ref, account_id, charge_id, reason, at))
        self.entries.append((txn_id, 0, f"customer:{account_id}", amount))
        self.entries.append((txn_id, 1, other, -amount))
        grant_id = f"grt{txn_id[3:]}"
        if amount > 0:
            self.credited[owner] += amount
            self.grants[grant_id] = [grant_id, account_id, txn_id, amount, amount, at, expires_at]
        else:
            self.debited[owner] += -amount
        return grant_id

    def expire(self, grant_id: str, owner: int) -> None:
        """Nothing of the grant was spent when its time came."""
        grant = self.grants[grant_id]
        amount, at = grant[3], grant[6]
        self.book("expire", f"{grant_id} {at}", owner, at, -amount, "breakage")
        self.drawn[owner] += amount
        grant[4] = 0


def plant(
    database: Database,
    pepper: bytes,
    *,
    charges: int,
    accounts: int = 7,
    keys: int = 2,
    days: int = 80,
    seed: int = 0,
    spread: bool = False,
) -> Planted:
    """So many charges over so many days up to now; `spread` scatters them instead of in bursts."""
    random = np.random.default_rng(seed)
    with database.write() as connection:
        now = read_clock(connection)
        planted = Planted(now - days * DAY, now)
        _open(connection, planted, pepper, accounts, keys)
        prices = _price(connection, planted.since - DAY)
    made = _make_charges(random, planted, charges, keys, spread=spread)
    journal = _make_journal(random, planted, made)
    for index in np.flatnonzero((made.state == "captured") & (made.failed > 0)).tolist():
        planted.failed[_charge_id(int(made.created[index]), index)] = int(made.failed[index])
    with database.write() as connection:
        _insert(connection, charge, _charge_rows(planted, made, prices, journal.refunded), _CHARGE)
        _insert(connection, ledger_txn, _capture_rows(planted, made), _TXN)
        _insert(connection, ledger_entry, _capture_entries(planted, made), _ENTRY)
        _insert(connection, ledger_txn, journal.txns, _TXN)
        _insert(connection, ledger_entry, journal.entries, _ENTRY)
        _insert(connection, credit_grant, journal.grants.values(), _GRANT)
        _insert(connection, usage_rollup, _usage_rows(planted, made), _USAGE)
        _settle(connection, planted, made, journal)
    if connection.dialect.name == "postgresql":
        with database.writing.connect() as fresh:
            fresh.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    return planted


def _open(
    connection: Connection, planted: Planted, pepper: bytes, accounts: int, keys: int
) -> None:
    for number in range(accounts):
        opened = create_account(connection, planted.since - DAY, f"planted {number}")
        planted.accounts.append(opened.id)
        issued = [
            issue_key(connection, planted.since - DAY, pepper, opened.id, name=f"key {each}")
            for each in range(keys)
        ]
        planted.keys.append(issued)


def _price(connection: Connection, at: int) -> list[dict[str, str]]:
    found = []
    for number, model in enumerate(MODELS):
        units: Any = {kind: UNITS[kind][number] for kind in UNITS}
        prices = set_prices(connection, at, model, units)
        found.append({str(kind): price.id for kind, price in prices.items()})
    return found


def _make_charges(
    random: np.random.Generator, planted: Planted, count: int, keys: int, *, spread: bool
) -> _Charges:
    span = planted.until - planted.since
    bursts = count if spread else max(1, count // _BURST)
    burst = random.integers(0, bursts, count)
    start = planted.since + random.integers(HOUR, span - 3 * HOUR, bursts)
    captured = start[burst] + random.integers(0, 2 * HOUR, count)
    edges = np.array(_list_edges(planted))
    chosen = random.random(count) < 0.05
    captured[chosen] = random.choice(edges, chosen.sum()) - random.integers(0, 2, chosen.sum())
    order = np.argsort(captured, kind="stable")
    captured, burst = captured[order], burst[order]
    owner = random.integers(0, len(planted.accounts), bursts)
    states = ["captured", "released", "expired", "released_final"]
    state = random.choice(states, count, p=[0.93, 0.04, 0.02, 0.01])
    state[-20:] = "held"
    kind = random.integers(0, 10, count)
    images = np.where(kind < 8, random.integers(1, 65, count), 0)
    texts = np.where(kind >= 6, random.integers(1, 257, count), 0)
    again = random.random(count) < 0.15
    return _Charges(
        owner=owner[burst],
        key=random.integers(0, keys, bursts)[burst],
        model=random.integers(0, len(MODELS), bursts)[burst],
        created=captured - random.integers(1, 5 * SECOND, count),
        captured=captured,
        state=state,
        images=images,
        images_free=np.where(again, random.integers(0, 65, count) % (images + 1), 0),
        texts=texts,
        texts_free=np.where(again, random.integers(0, 257, count) % (texts + 1), 0),
        failed=np.where(random.random(count) < 0.05, random.integers(1, 9, count), 0),
        spare=np.where((random.random(count) < 0.03) & (images > 0) & (state == "captured"), 2, 0),
    )


def _list_edges(planted: Planted) -> list[int]:
    """Beginnings of hours, more of days, most of months, well within the span."""
    hours = range(planted.since - planted.since % HOUR + 2 * HOUR, planted.until - 3 * HOUR, HOUR)
    days = [at for at in hours if at % DAY == 0]
    months = [at for at in days if as_datetime(at).day == 1]
    return list(hours) + days * 5 + months * 50


def _make_journal(random: np.random.Generator, planted: Planted, made: _Charges) -> _Journal:
    journal = _Journal(planted.accounts)
    span = planted.until - planted.since
    for owner in range(len(planted.accounts)):
        at = planted.since - HOUR
        journal.book("credit", f"opening {owner}", owner, at, OPENING, "cash")
        for number in range(12):
            at = planted.since + int(random.integers(0, span))
            _move(random, journal, owner, f"{owner}.{number}", at, planted.until)
    for at in list(dict.fromkeys(_list_edges(planted)[::-1]))[:20]:
        journal.book("credit", f"edge {at}", 0, at, 7 * USD, "cash")
    costs = made.cost()
    paid = np.flatnonzero((made.state == "captured") & (costs > 0))
    for index in random.choice(paid, len(paid) // 100, replace=False).tolist():
        _refund(random, journal, planted, made, index, int(costs[index]))
    return journal


def _move(
    random: np.random.Generator, journal: _Journal, owner: int, ref: str, at: int, until: int
) -> None:
    amount = int(random.integers(1, 100 * USD))
    match int(random.integers(0, 5)):
        case 0:
            journal.book("credit", ref, owner, at, amount, "cash", reason="top-up")
        case 1:
            journal.book("promo", ref, owner, at, amount, "promo_expense")
        case 2:
            expires_at = at + int(random.integers(1, 30 * DAY))
            grant = journal.book(
                "promo", ref, owner, at, amount, "promo_expense", expires_at=expires_at
            )
            if expires_at <= until:
                journal.expire(grant, owner)
        case 3:
            journal.book("adjust", ref, owner, at, amount, "adjustments", reason="typo")
        case _:
            journal.book("adjust", ref, owner, at, -amount, "adjustments", reason="typo")


def _refund(
    random: np.random.Generator,
    journal: _Journal,
    planted: Planted,
    made: _Charges,
    index: int,
    cost: int,
) -> None:
    """All or a part, some time after the capture."""
    amount = cost if random.random() < 0.5 else int(random.integers(1, cost + 1))
    at = int(made.captured[index])
    at += int(random.integers(0, max(1, min(10 * DAY, planted.until - at))))
    journal.refunded[index] = amount
    charge_id = _charge_id(int(made.created[index]), index)
    book = f"revenue:{MODELS[made.model[index]]}"
    owner = int(made.owner[index])
    ref = f"refund {index}"
    journal.book("refund", ref, owner, at, amount, book, charge_id=charge_id, reason="lost")


_CHARGE = (
    "id account_id key_id idempotency_key fingerprint request_id model revision state epoch "
    "image_price_id text_price_id images images_free texts texts_free reserved_nanousd "
    "cost_nanousd refunded_nanousd created_at held_at expires_at captured_at replays"
)
_TXN = "id kind ref account_id charge_id reason created_at"
_ENTRY = "txn_id line book amount_nanousd"
_GRANT = "id account_id txn_id amount_nanousd remaining_nanousd granted_at expires_at"
_USAGE = "account_id hour key_id model modality items items_free items_failed cost_nanousd"


def _charge_rows(
    planted: Planted,
    made: _Charges,
    prices: Sequence[dict[str, str]],
    refunded: dict[int, int],
) -> Iterator[tuple[Any, ...]]:
    columns = (
        *(made.owner, made.key, made.model, made.created, made.captured, made.state),
        *(made.images, made.images_free, made.texts, made.texts_free),
        *(made.cost(), made.reserved()),
    )
    for index, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        owner, key, model, created, captured, state, images, free, texts, texts_free, cost, held = (
            row
        )
        done = state == "captured"
        ms = created // 1000
        yield (
            _charge_id(created, index),
            planted.accounts[owner],
            planted.keys[owner][key].key_id,
            f"key {index}" if index % 3 else f"auto-req_{ms:012x}{index:020x}",
            index.to_bytes(32),
            f"req_{ms:012x}{index:020x}",
            MODELS[model],
            "0123456789abcdef",
            state,
            1,
            prices[model]["image"] if images else None,
            prices[model]["text"] if texts else None,
            images,
            free if done else 0,
            texts,
            texts_free if done else 0,
            held,
            cost if done else 0,
            refunded.get(index, 0),
            created,
            created,
            planted.until + DAY if state == "held" else created + 90 * SECOND,
            captured if done else None,
            index % 97 // 96,
        )


def _captures(planted: Planted, made: _Charges) -> Iterator[tuple[int, str, str, int, str, int]]:
    """Index, transaction's id, account, instant, model, cost."""
    done = np.flatnonzero(made.state == "captured")
    columns = (done, made.owner[done], made.captured[done], made.model[done], made.cost()[done])
    for index, owner, at, model, cost in zip(*(column.tolist() for column in columns), strict=True):
        yield index, _id("txn", at, index, "7"), planted.accounts[owner], at, MODELS[model], cost


def _capture_rows(planted: Planted, made: _Charges) -> Iterator[tuple[Any, ...]]:
    created = made.created.tolist()
    for index, txn_id, account_id, at, _, _ in _captures(planted, made):
        charge_id = _charge_id(created[index], index)
        yield txn_id, "capture", charge_id, account_id, None, None, at


def _capture_entries(planted: Planted, made: _Charges) -> Iterator[tuple[Any, ...]]:
    for _, txn_id, account_id, _, model, cost in _captures(planted, made):
        yield txn_id, 0, f"customer:{account_id}", -cost
        yield txn_id, 1, f"revenue:{model}", cost


def _usage_rows(planted: Planted, made: _Charges) -> Iterator[tuple[Any, ...]]:
    done = made.state == "captured"
    for kind, count, free in (
        ("image", made.images, made.images_free),
        ("text", made.texts, made.texts_free),
    ):
        failed = made.failed if kind == "image" else np.zeros_like(made.failed)
        rows = np.flatnonzero(done & ((count > 0) | (failed > 0)))
        units = np.array(UNITS[kind])[made.model[rows]]
        paid = (count - free)[rows]
        hour = made.captured[rows] // HOUR
        place = np.stack([hour, made.owner[rows], made.key[rows], made.model[rows]])
        cells, where = np.unique(place, axis=1, return_inverse=True)
        sums = [np.zeros(cells.shape[1], np.int64) for _ in range(4)]
        for total, measure in zip(
            sums, (paid, free[rows], failed[rows], paid * units), strict=True
        ):
            np.add.at(total, where.ravel(), measure)
        for (at, owner, key, model), measures in zip(
            cells.T.tolist(), np.stack(sums).T.tolist(), strict=True
        ):
            key_id = planted.keys[owner][key].key_id
            yield planted.accounts[owner], at * HOUR, key_id, MODELS[model], kind, *measures


def _settle(connection: Connection, planted: Planted, made: _Charges, journal: _Journal) -> None:
    """Each account's balance is what all of that sums to."""
    cost, reserved = made.cost(), made.reserved()
    for owner, account_id in enumerate(planted.accounts):
        mine = made.owner == owner
        spent = int(cost[mine & (made.state == "captured")].sum())
        expiries = [
            grant[6]
            for grant in journal.grants.values()
            if grant[1] == account_id and grant[4] and grant[6]
        ]
        connection.execute(
            account_balance.update()
            .where(account_balance.c.account_id == account_id)
            .values(
                credited_nanousd=journal.credited[owner],
                debited_nanousd=journal.debited[owner] + spent,
                held_nanousd=int(reserved[mine & (made.state == "held")].sum()),
                drawn_nanousd=journal.drawn[owner],
                next_expiry_at=min(expiries, default=None),
            )
        )


def _insert(
    connection: Connection, table: Table, rows: Iterable[Sequence[Any]], columns: str
) -> None:
    """In bulk, without SQLAlchemy's own work on each row."""
    names = columns.split()
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join([mark] * len(names))})"
    waiting = iter(rows)
    while part := [tuple(row) for row in islice(waiting, _AT_ONCE)]:
        connection.exec_driver_sql(sql, part)


def _charge_id(created: int, index: int) -> str:
    return _id("chg", created, index, "7")


def _id(prefix: str, at: int, number: int, kind: str) -> str:
    """Like the ledger's own: 32 hexadecimal digits that begin with the milliseconds."""
    return f"{prefix}_{at // 1000:012x}{kind}{number:019x}"
