"""Credit comes in grants, some of which expire; what is spent is drawn from the soonest first.

Drawing is lazy: between two changes of the grants the order of burning is fixed, so that a capture
only adds to what was debited, and `settle` draws it later. From the first instant at which credit
is due, every transaction of the account settles: nobody spends expired credit, except a hold that
was taken before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from vendor_api.db import format_instant
from vendor_api.db.tables import account_balance, credit_grant
from vendor_api.ledger import balance, journal
from vendor_api.ledger.commands import Booking, Credit
from vendor_api.ledger.holds import list_holds
from vendor_api.ledger.standing import require_open

HOUSE = {"credit": journal.CASH, "promo": journal.PROMO_EXPENSE}

__all__ = [
    "Grant",
    "accounts_due",
    "add_credit",
    "expire_due",
    "list_grants",
    "open_grant",
    "project",
    "settle",
]


@dataclass(slots=True)
class Grant:
    """Credit that came in at once, and what is left of it."""

    id: str
    account_id: str
    amount_nanousd: int
    remaining_nanousd: int
    granted_at: int
    expires_at: int | None
    """Microseconds; None for credit that never expires."""

    def outlives(self, instant: int) -> bool:
        """Whether it can still be spent at `instant`."""
        return self.expires_at is None or self.expires_at > instant


def add_credit(connection: Connection, now: int, command: Credit) -> Booking:
    """Pay money in, or give it away, once for each (kind, reference).

    Raises UnknownAccount, AccountClosed, ReferenceReused when the reference belongs to a different
    credit, and ValueError for an amount that is not more than zero and for an expiry that has passed.
    """
    amount = command.amount_nanousd
    if amount <= 0:
        raise ValueError("a credit is more than zero")
    account_id, kind, ref = command.account_id, command.kind, command.external_ref
    balance.lock(connection, [account_id])
    balance.read_available(connection, account_id)
    known = journal.find_booking(
        connection, kind, ref, account_id=account_id, amount_nanousd=amount
    )
    if known is not None:
        return known
    require_open(connection, account_id)
    if command.expires_at is not None and command.expires_at <= now:
        raise ValueError(
            f"the credit would have expired at {format_instant(command.expires_at)}: "
            "give an instant that is still to come"
        )
    settle(connection, now, account_id)
    legs = {journal.customer_book(account_id): amount, HOUSE[kind]: -amount}
    txn_id = journal.record(
        connection,
        now,
        kind=kind,
        ref=ref,
        account_id=account_id,
        legs=legs,
        reason=command.reason,
    )
    return open_grant(connection, now, account_id, txn_id, amount, expires_at=command.expires_at)


def open_grant(
    connection: Connection,
    now: int,
    account_id: str,
    txn_id: str,
    amount_nanousd: int,
    *,
    expires_at: int | None = None,
) -> Booking:
    """Let the account spend what the transaction brought in; it must have been settled before."""
    balance.credit(connection, account_id, amount_nanousd)
    grant_id = f"grt{txn_id.removeprefix('txn')}"
    connection.execute(
        insert(credit_grant).values(
            id=grant_id,
            account_id=account_id,
            txn_id=txn_id,
            amount_nanousd=amount_nanousd,
            remaining_nanousd=amount_nanousd,
            granted_at=now,
            expires_at=expires_at,
        )
    )
    if expires_at is not None:
        soonest = func.coalesce(account_balance.c.next_expiry_at, expires_at)
        connection.execute(
            update(account_balance)
            .where(account_balance.c.account_id == account_id, soonest >= expires_at)
            .values(next_expiry_at=expires_at)
        )
    available = balance.read_available(connection, account_id)
    return Booking(txn_id, account_id, amount_nanousd, True, available)


def settle(
    connection: Connection,
    now: int,
    account_id: str,
    *,
    spent_nanousd: int = 0,
    held_at: int = 0,
) -> int:
    """Draw what was debited, then expire what is due and no hold protects; returns how much.

    Of what was debited, `spent_nanousd` belongs to a hold taken at `held_at`: it is drawn from
    credit that was good then. Run it under the balance's lock, before a grant is added and when an
    expiry is due.
    """
    query = select(account_balance, balance.AVAILABLE.label("available"))
    row = connection.execute(query.where(account_balance.c.account_id == account_id)).one()
    grants = _load(connection, [account_id])
    before = {grant.id: grant.remaining_nanousd for grant in grants}
    waiting = row.debited_nanousd - row.drawn_nanousd - spent_nanousd
    # What no grant covered at the last draw was lent: credit that was due by then is not for it.
    drawn = _draw(grants, waiting, row.drawn_at) + _draw(grants, spent_nanousd, held_at)
    expired = _expire(connection, now, account_id, grants, row.available)
    for grant in grants:
        if grant.remaining_nanousd != before[grant.id]:
            _store(connection, grant)
    connection.execute(
        update(account_balance)
        .where(account_balance.c.account_id == account_id)
        .values(
            debited_nanousd=row.debited_nanousd + expired,
            drawn_nanousd=row.drawn_nanousd + drawn + expired,
            drawn_at=max(now, row.drawn_at),
            next_expiry_at=_next_expiry(grants),
        )
    )
    return expired


def accounts_due(connection: Connection, now: int) -> list[str]:
    """Accounts with credit whose time has come at `now`."""
    query = select(account_balance.c.account_id).where(account_balance.c.next_expiry_at <= now)
    return list(connection.execute(query.order_by(account_balance.c.account_id)).scalars())


def expire_due(
    connection: Connection,
    now: int,
    account_id: str,
    *,
    spent_nanousd: int = 0,
    held_at: int = 0,
) -> int:
    """Like `settle` when the account has credit that is due, else nothing; returns how much expired."""
    query = select(account_balance.c.next_expiry_at).where(
        account_balance.c.account_id == account_id
    )
    due = connection.execute(query).scalar_one_or_none()
    if due is None or due > now:
        return 0
    return settle(connection, now, account_id, spent_nanousd=spent_nanousd, held_at=held_at)


def list_grants(connection: Connection, account_id: str) -> list[Grant]:
    """The account's grants, oldest first, with what is left of each at present."""
    left = project(connection, [account_id])
    rows = connection.execute(
        select(*_COLUMNS)
        .where(credit_grant.c.account_id == account_id)
        .order_by(credit_grant.c.granted_at, credit_grant.c.id)
    )
    return [
        Grant(*row[:3], left.get(row.id, row.remaining_nanousd), *row[4:]) for row in rows.all()
    ]


def project(connection: Connection, account_ids: Iterable[str] | None = None) -> dict[str, int]:
    """What is left of each grant that is being drawn from, as if it were drawn now; changes nothing."""
    query = select(account_balance).where(
        account_balance.c.debited_nanousd > account_balance.c.drawn_nanousd
    )
    if account_ids is not None:
        query = query.where(account_balance.c.account_id.in_(list(account_ids)))
    left: dict[str, int] = {}
    for row in connection.execute(query).all():
        grants = _load(connection, [row.account_id])
        _draw(grants, row.debited_nanousd - row.drawn_nanousd, row.drawn_at)
        left |= {grant.id: grant.remaining_nanousd for grant in grants}
    return left


_COLUMNS = (
    credit_grant.c.id,
    credit_grant.c.account_id,
    credit_grant.c.amount_nanousd,
    credit_grant.c.remaining_nanousd,
    credit_grant.c.granted_at,
    credit_grant.c.expires_at,
)


def _load(connection: Connection, account_ids: Sequence[str]) -> list[Grant]:
    """What can still be drawn from, in burn order: soonest expiry, then oldest."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(credit_grant.c.account_id.in_(account_ids), credit_grant.c.remaining_nanousd > 0)
        .order_by(
            credit_grant.c.expires_at.is_(None),
            credit_grant.c.expires_at,
            credit_grant.c.granted_at,
            credit_grant.c.id,
        )
    )
    return [Grant(*row) for row in rows.all()]


def _draw(grants: Iterable[Grant], amount_nanousd: int, instant: int) -> int:
    """Take the amount from what was good at `instant`, as far as it goes; returns how far."""
    drawn = 0
    for grant in grants:
        if grant.outlives(instant):
            part = min(grant.remaining_nanousd, amount_nanousd - drawn)
            grant.remaining_nanousd -= part
            drawn += part
    return drawn


def _expire(
    connection: Connection, now: int, account_id: str, grants: Sequence[Grant], available: int
) -> int:
    due = [grant for grant in grants if not grant.outlives(now) and grant.remaining_nanousd]
    holds = list_holds(connection, account_id) if due else []
    kept = expired = 0
    for grant in due:
        # An old hold stands on the soonest credit that was good when it was taken.
        old = sum(hold.reserved_nanousd for hold in holds if grant.outlives(hold.held_at))
        part = min(grant.remaining_nanousd, max(0, old - kept))
        kept += part
        # Never more than is available: clocks of two servers may differ by a little.
        lost = min(grant.remaining_nanousd - part, available - expired)
        if lost > 0:
            _book_expiry(connection, now, grant, lost)
            grant.remaining_nanousd -= lost
            expired += lost
    return expired


def _book_expiry(connection: Connection, now: int, grant: Grant, lost_nanousd: int) -> None:
    """A grant may expire in parts, told apart by what was left of it before."""
    legs = {journal.customer_book(grant.account_id): -lost_nanousd, journal.BREAKAGE: lost_nanousd}
    journal.record(
        connection,
        now,
        kind="expire",
        ref=f"{grant.id}:{grant.remaining_nanousd}",
        account_id=grant.account_id,
        legs=legs,
    )


def _store(connection: Connection, grant: Grant) -> None:
    statement = update(credit_grant).where(credit_grant.c.id == grant.id)
    connection.execute(statement.values(remaining_nanousd=grant.remaining_nanousd))


def _next_expiry(grants: Iterable[Grant]) -> int | None:
    left = (grant.expires_at for grant in grants if grant.remaining_nanousd)
    return min((instant for instant in left if instant is not None), default=None)
