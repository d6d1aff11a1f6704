"""Every account in one table: its balance, how long that lasts, and what needs a look."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from vendor_api.dashboard.cap_shares import CapShare, list_cap_shares
from vendor_api.dashboard.figures import Figures, Instant, Nanousd
from vendor_api.db.tables import account, account_balance, api_key, low_balance_alert
from vendor_api.ledger.balance import AVAILABLE
from vendor_api.ledger.commands import UnknownAccount
from vendor_api.runway import UNUSED, Pace, list_paces

PAGE_ROWS = 50

Sort = Literal["name", "status", "balance", "held", "runway", "last_use", "created"]

__all__ = [
    "PAGE_ROWS",
    "AccountList",
    "AccountRow",
    "AccountSearch",
    "list_accounts",
    "read_account_row",
]


class AccountSearch(BaseModel):
    """Which accounts, in what order."""

    model_config = ConfigDict(frozen=True)

    q: str = Field(default="", max_length=200, pattern=r"^[^\x00]*$")
    """Part of a name or id."""
    status: Literal["", "active", "frozen", "closed"] = ""
    sort: Sort = "name"
    descending: bool = False
    page: int = Field(default=1, ge=1, le=1_000_000)


class AccountRow(Figures):
    """One account at a glance."""

    id: str
    name: str
    status: str
    created_at: Instant
    available_nanousd: Nanousd
    """Credited − debited − held + credit limit."""
    held_nanousd: Nanousd
    per_day_nanousd: Nanousd | None
    """The mean of its latest days of spending."""
    runway_days: str | None
    """Available ÷ the mean day, one decimal place; None: nothing was spent lately."""
    last_used_at: Instant | None
    """When one of its keys last asked for anything."""
    cap_percent: int | None
    """Of its fullest cap."""
    cap_key: str | None
    """The key that has it."""
    cap_of: str | None
    """`items per day`, what it counts."""
    low: bool
    """Less is available than its threshold asks for."""
    low_balance_nanousd: Nanousd | None


class AccountList(Figures):
    """One page of accounts."""

    accounts: list[AccountRow]
    found: int
    """Accounts that the search finds, on all pages."""
    page: int
    pages: int
    as_of: Instant


def list_accounts(connection: Connection, now: int, search: AccountSearch) -> AccountList:
    """The accounts that are searched for, a page of them."""
    found = connection.execute(_narrow(select(func.count(account.c.id)), search)).scalar_one()
    ids, paces = _choose(connection, now, search)
    rows = connection.execute(_ACCOUNTS.where(account.c.id.in_(ids))).all()
    by_id = {row.id: row for row in rows}
    shares = list_cap_shares(connection, now, ids)
    return AccountList(
        accounts=[_describe(by_id[id_], paces.get(id_, UNUSED), shares.get(id_)) for id_ in ids],
        found=found,
        page=search.page,
        pages=max(1, -(-found // PAGE_ROWS)),
        as_of=now,
    )


def read_account_row(connection: Connection, now: int, account_id: str) -> AccountRow:
    """One account at a glance. Raises UnknownAccount."""
    row = connection.execute(_ACCOUNTS.where(account.c.id == account_id)).one_or_none()
    if row is None:
        raise UnknownAccount(account_id)
    pace = list_paces(connection, now, [account_id]).get(account_id, UNUSED)
    return _describe(row, pace, list_cap_shares(connection, now, [account_id]).get(account_id))


_LAST_USE = (
    select(func.max(api_key.c.last_used_at))
    .where(api_key.c.account_id == account.c.id)
    .correlate(account)
    .scalar_subquery()
)
_ACCOUNTS = (
    select(
        account,
        account_balance.c.held_nanousd,
        low_balance_alert.c.threshold_nanousd,
        AVAILABLE.label("available_nanousd"),
        _LAST_USE.label("last_used_at"),
    )
    .join(account_balance, account_balance.c.account_id == account.c.id)
    .outerjoin(low_balance_alert, low_balance_alert.c.account_id == account.c.id)
)
_IDS = select(account.c.id, AVAILABLE.label("available")).join(
    account_balance, account_balance.c.account_id == account.c.id
)
_ORDERS: dict[Sort, ColumnElement[Any]] = {
    "name": func.lower(account.c.name),
    "status": account.c.status,
    "balance": AVAILABLE,
    "held": account_balance.c.held_nanousd,
    "last_use": func.coalesce(_LAST_USE, 0),
    "created": account.c.created_at,
}


def _narrow(query: Select[Any], search: AccountSearch) -> Select[Any]:
    if search.q:
        wanted = search.q.strip()
        query = query.where(
            or_(
                account.c.name.icontains(wanted, autoescape=True),
                account.c.id.icontains(wanted, autoescape=True),
            )
        )
    if search.status:
        query = query.where(account.c.status == search.status)
    return query


def _choose(
    connection: Connection, now: int, search: AccountSearch
) -> tuple[Sequence[str], Mapping[str, Pace]]:
    """The ids on the page, in order, and their paces."""
    first = (search.page - 1) * PAGE_ROWS
    if search.sort == "runway":
        ids, paces = _order_by_runway(connection, now, search)
        return ids[first : first + PAGE_ROWS], paces
    order = _ORDERS[search.sort]
    query = _narrow(_IDS, search).order_by(order.desc() if search.descending else order)
    page = query.order_by(account.c.id).limit(PAGE_ROWS).offset(first)
    ids = list(connection.execute(page).scalars())
    return ids, list_paces(connection, now, ids)


def _order_by_runway(
    connection: Connection, now: int, search: AccountSearch
) -> tuple[list[str], Mapping[str, Pace]]:
    """Shortest first, or longest; those that spend nothing come last either way."""
    rows = connection.execute(_narrow(_IDS, search).order_by(account.c.id)).all()
    paces = list_paces(connection, now, [row.id for row in rows])
    spending = [
        (tenths, row.id)
        for row in rows
        if (tenths := paces.get(row.id, UNUSED).count_tenths(row.available)) is not None
    ]
    spending.sort(reverse=search.descending)
    ids = [id_ for _, id_ in spending] + [row.id for row in rows if row.id not in paces]
    return ids, paces


def _describe(row: Row[Any], pace: Pace, share: CapShare | None) -> AccountRow:
    threshold = row.threshold_nanousd
    return AccountRow(
        id=row.id,
        name=row.name,
        status=row.status,
        created_at=row.created_at,
        available_nanousd=row.available_nanousd,
        held_nanousd=row.held_nanousd,
        per_day_nanousd=pace.per_day_nanousd,
        runway_days=pace.show_days(row.available_nanousd),
        last_used_at=row.last_used_at,
        cap_percent=None if share is None else share.percent,
        cap_key=None if share is None else share.key_id,
        cap_of=None if share is None else f"{share.kind} per {share.window}",
        low=threshold is not None and row.available_nanousd < threshold,
        low_balance_nanousd=threshold,
    )
