"""What the operator's page shows: every number as the database has it at one instant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from shared.money import parse_usd, show_usd
from vendor_api.admin.books import list_accounts, list_charges
from vendor_api.admin.documents import AccountDocument, ChargeRecord
from vendor_api.admin.usage import Day, list_days
from vendor_api.db import as_datetime, format_instant, read_clock
from vendor_api.db.clock import DAY
from vendor_api.db.tables import account_balance
from vendor_api.ledger.balance import AVAILABLE

ACCOUNTS = 1000
CHARGES = 50
DAYS = 30

__all__ = ["ACCOUNTS", "CHARGES", "DAYS", "Overview", "look_over", "show_amount", "show_day"]


@dataclass(frozen=True, slots=True)
class Overview:
    """The vendor at one glance."""

    as_of: str
    accounts: list[AccountDocument]
    more_accounts: bool
    totals: Mapping[str, str]
    """Over every account, shown or not: `credited`, `debited`, `held`, `available`."""
    days: list[Day]
    """The last days of UTC, today first, days without use too."""
    days_total: Day
    charges: list[ChargeRecord]


def look_over(connection: Connection) -> Overview:
    """Balances, use by day and the latest charges."""
    now = read_clock(connection)
    accounts = list_accounts(connection, limit=ACCOUNTS)
    today = now - now % DAY
    first = today - (DAYS - 1) * DAY
    used = {day.at: day for day in list_days(connection, first)}
    days = [used.get(at, Day(at)) for at in range(today, first - 1, -DAY)]
    return Overview(
        as_of=format_instant(now),
        accounts=accounts.data,
        more_accounts=accounts.has_more,
        totals=_sum_balances(connection),
        days=days,
        days_total=_sum_days(first, days),
        charges=list_charges(connection, limit=CHARGES, newest=True).data,
    )


def show_amount(usd: str) -> str:
    """The document's amount as people write it, exact."""
    return show_usd(parse_usd(usd))


def show_day(microseconds: int) -> str:
    """The day of an instant in UTC."""
    return as_datetime(microseconds).date().isoformat()


def _sum_balances(connection: Connection) -> dict[str, str]:
    columns = {
        "credited": account_balance.c.credited_nanousd,
        "debited": account_balance.c.debited_nanousd,
        "held": account_balance.c.held_nanousd,
        "available": AVAILABLE,
    }
    sums = [func.coalesce(func.sum(column), 0).label(name) for name, column in columns.items()]
    row = connection.execute(select(*sums)).one()
    return {name: show_usd(int(getattr(row, name))) for name in columns}


def _sum_days(first: int, days: Iterable[Day]) -> Day:
    total = Day(first)
    for day in days:
        total = total.add(day)
    return total
