"""What a group of commands needs to know, read at once under the locks of its accounts."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import Connection

from vendor_api.db.driver import fetch
from vendor_api.ledger.balance import Standing
from vendor_api.ledger.commands import Reserve
from vendor_api.ledger.jobs import Capture, Command, Release
from vendor_api.ledger.lines import sort_digests
from vendor_api.ledger.lots import Shelf
from vendor_api.ledger.shelves import Shelves

__all__ = ["CHARGE_COLUMNS", "Account", "Books", "Charge", "read_books"]


@dataclass(slots=True)
class Account:
    """What an account can spend, and how the group has changed that so far."""

    available_nanousd: int
    held_nanousd: int = 0
    """Added by the group to what is held; negative when it gave money back."""
    debited_nanousd: int = 0
    """Added by the group to what is debited."""

    def hold(self, amount_nanousd: int) -> None:
        """Set money aside; a negative amount gives it back."""
        self.available_nanousd -= amount_nanousd
        self.held_nanousd += amount_nanousd

    def debit(self, *, held_nanousd: int, cost_nanousd: int) -> None:
        """Turn a hold into a cost, the rest going back."""
        self.hold(-held_nanousd)
        self.available_nanousd -= cost_nanousd
        self.debited_nanousd += cost_nanousd


@dataclass(slots=True)
class Charge:
    """The part of a charge's row that decides about commands."""

    id: str
    account_id: str
    idempotency_key: str
    fingerprint: bytes
    key_id: str
    model: str
    revision: str
    state: str
    epoch: int
    reserved_nanousd: int
    expires_at: int
    caps: str | None = None
    replays_today: int = 0
    replay_day: int | None = None


@dataclass(slots=True)
class Stock:
    """What a shelf holds of the items that the group is about."""

    last: int
    """The highest number of a lot."""
    bought_at: dict[bytes, int]


@dataclass(slots=True)
class Books:
    """The rows behind a group's commands, kept up to date while they are decided in order."""

    accounts: dict[str, Account]
    """Those whose credit does not change by itself now and, if they reserve, active ones."""
    capped_keys: set[str]
    by_id: dict[str, Charge] = field(default_factory=dict)
    by_key: dict[tuple[str, str], Charge] = field(default_factory=dict)
    stocks: dict[Shelf, Stock] = field(default_factory=dict)
    """Of every shelf that a capture takes from."""

    def add(self, known: Charge) -> None:
        """A charge, found by its id and by its idempotency key from now on."""
        self.by_id[known.id] = known
        self.by_key[known.account_id, known.idempotency_key] = known

    def add_all(self, rows: Iterable[Sequence[Any]]) -> None:
        """Charges as the database has them, in the order of CHARGE_COLUMNS."""
        for row in rows:
            self.add(Charge(*row))


CHARGE_COLUMNS = tuple(column.name for column in fields(Charge))

_COLUMNS = ", ".join(f"c.{name}" for name in CHARGE_COLUMNS)
# One look into the index for each of the wanted: both engines would sooner read the whole table
# than take a list of pairs for keys, and PostgreSQL keeps the plan of a table that was small.
_BY_KEY = {
    "sqlite": (
        f"SELECT {_COLUMNS} FROM json_each(?) w CROSS JOIN charge c"  # noqa: S608
        " ON c.account_id = json_extract(w.value, '$[0]')"
        " AND c.idempotency_key = json_extract(w.value, '$[1]')"
    ),
    "postgresql": (
        "SELECT c.* FROM unnest(%b::text[], %b::text[]) w(account_id, idempotency_key),"  # noqa: S608
        f" LATERAL (SELECT {_COLUMNS} FROM charge c WHERE c.account_id = w.account_id"
        " AND c.idempotency_key = w.idempotency_key LIMIT 1) c"
    ),
}
_BY_ID = {
    "sqlite": (
        f"SELECT {_COLUMNS} FROM json_each(?) w CROSS JOIN charge c ON c.id = w.value"  # noqa: S608
    ),
    "postgresql": (
        "SELECT c.* FROM unnest(%b::text[]) w(id),"  # noqa: S608
        f" LATERAL (SELECT {_COLUMNS} FROM charge c WHERE c.id = w.id LIMIT 1) c"
    ),
}
# Active accounts and capped keys, of the wanted: one statement, told apart by the first column.
_MARKED = {
    "sqlite": (
        "SELECT 'active', id FROM account WHERE status = 'active'"
        " AND id IN (SELECT w.value FROM json_each(?) w) UNION ALL"
        " SELECT 'capped', key_id FROM key_cap WHERE key_id IN (SELECT w.value FROM json_each(?) w)"
    ),
    "postgresql": (
        "SELECT 'active', id FROM account WHERE status = 'active' AND id = ANY(%b::text[])"
        " UNION ALL SELECT 'capped', key_id FROM key_cap WHERE key_id = ANY(%b::text[])"
    ),
}


def read_books(
    connection: Connection,
    now: int,
    balances: Sequence[Standing],
    commands: Sequence[Command],
    shelves: Shelves,
) -> Books:
    """Everything that the commands are about, given the locked balances of their accounts.

    The transaction has written nothing so far.
    """
    reserves = [command for command in commands if isinstance(command, Reserve)]
    active, capped = _read_marks(connection, reserves)
    buyers = {command.account_id for command in reserves}
    books = Books(
        accounts={
            standing.account_id: Account(standing.available_nanousd)
            for standing in balances
            if not standing.is_due(now)
            and (standing.account_id in active or standing.account_id not in buyers)
        },
        capped_keys=capped,
    )
    _read_charges(connection, books, commands, reserves)
    captures = [command for command in commands if isinstance(command, Capture)]
    _read_stocks(connection, books, captures, shelves)
    return books


def _read_marks(connection: Connection, reserves: Sequence[Reserve]) -> tuple[set[str], set[str]]:
    """Of those that reserve: the accounts that may, and the keys that have a cap."""
    if not reserves:
        return set(), set()
    accounts = {command.account_id for command in reserves}
    keys = {command.key_id for command in reserves}
    found = set(map(tuple, _find(connection, _MARKED, accounts, keys)))
    marked = {
        mark: {name for which, name in found if which == mark} for mark in ("active", "capped")
    }
    return marked["active"], marked["capped"]


def _read_charges(
    connection: Connection, books: Books, commands: Sequence[Command], reserves: Sequence[Reserve]
) -> None:
    keys = {(command.account_id, command.idempotency_key) for command in reserves}
    ids = {command.hold.charge_id for command in commands if isinstance(command, Capture | Release)}
    if keys:
        paired = [list(keys)] if _takes_json(connection) else zip(*keys, strict=True)
        books.add_all(_find(connection, _BY_KEY, *paired))
    if ids:
        books.add_all(_find(connection, _BY_ID, ids))


def _find(
    connection: Connection, query: Mapping[str, str], *wanted: Collection[Any]
) -> Sequence[Sequence[Any]]:
    """What a query answers that is given lists, each as one parameter."""
    lists = [list(each) for each in wanted]
    values = map(json.dumps, lists) if _takes_json(connection) else lists
    return fetch(connection, query[connection.dialect.name], tuple(values))


def _takes_json(connection: Connection) -> bool:
    """Whether the database has no arrays."""
    return connection.dialect.name == "sqlite"


def _read_stocks(
    connection: Connection, books: Books, captures: Sequence[Capture], shelves: Shelves
) -> None:
    wanted: dict[Shelf, set[bytes]] = {}
    for command in captures:
        known = books.by_id.get(command.hold.charge_id)
        if known is None:
            continue
        for modality, digests in sort_digests(command.hold.lines).items():
            shelf = Shelf(known.account_id, known.revision, modality)
            wanted.setdefault(shelf, set()).update(digests)
    for shelf, asked in wanted.items():
        books.stocks[shelf] = Stock(*shelves.find(connection, shelf, asked, committed=True))
