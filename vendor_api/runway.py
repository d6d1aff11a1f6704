"""How long an account's credit will last: its runway, for the dashboard and for alerts alike.

It is what is available ÷ the mean of the latest seven days of UTC on which anything was spent, none of
them older than 90 days, rounded down. Who spent nothing in that time has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from vendor_api.db.clock import DAY
from vendor_api.db.tables import account, usage_rollup

SPENDING_DAYS = 7
"""A pace is the mean of so many days, the latest on which anything was spent."""
LOOK_BACK_DAYS = 90
"""Nobody's pace is taken from longer ago than this."""
_AT_ONCE = 1000
"""Accounts in one statement."""

__all__ = ["LOOK_BACK_DAYS", "SPENDING_DAYS", "UNUSED", "Pace", "list_buyers", "list_paces"]


@dataclass(frozen=True, slots=True)
class Pace:
    """What an account spent on the latest days on which it spent anything."""

    days: int
    spent_nanousd: int

    @property
    def per_day_nanousd(self) -> int | None:
        """The mean day, rounded down; None when nothing was spent."""
        return self.spent_nanousd // self.days if self.spent_nanousd else None

    def count_tenths(self, available_nanousd: int) -> int | None:
        """Tenths of days that the amount lasts, rounded down; None when nothing was spent."""
        if not self.spent_nanousd:
            return None
        return available_nanousd * self.days * 10 // self.spent_nanousd

    def show_days(self, available_nanousd: int) -> str | None:
        """The same in days with one decimal place."""
        tenths = self.count_tenths(available_nanousd)
        return None if tenths is None else f"{tenths // 10}.{tenths % 10}"


UNUSED = Pace(0, 0)


def list_buyers(connection: Connection, now: int) -> Sequence[str]:
    """Accounts that paid for anything in the last seven days of UTC, today included."""
    since = now - now % DAY - (SPENDING_DAYS - 1) * DAY
    paid = usage_rollup.c.hour >= since, usage_rollup.c.cost_nanousd > 0
    return (
        connection.execute(select(usage_rollup.c.account_id).where(*paid).distinct())
        .scalars()
        .all()
    )


def list_paces(
    connection: Connection, now: int, account_ids: Iterable[str] | None = None
) -> Mapping[str, Pace]:
    """Account → its pace, of these accounts or all; one that spent nothing lately is absent.

    Days are of UTC, by the time of capture, today included.
    """
    if account_ids is None:
        account_ids = connection.execute(select(account.c.id)).scalars().all()
    waiting, paces = sorted(account_ids), dict[str, Pace]()
    # Who buys every day is told by a few days; only the others are looked up in all of them.
    for days in (2 * SPENDING_DAYS, LOOK_BACK_DAYS):
        since = now - now % DAY - (days - 1) * DAY
        for begin in range(0, len(waiting), _AT_ONCE):
            paces |= _read_paces(connection, since, waiting[begin : begin + _AT_ONCE])
        waiting = [id_ for id_ in waiting if paces.get(id_, UNUSED).days < SPENDING_DAYS]
    return paces


def _read_paces(
    connection: Connection, since: int, account_ids: Sequence[str]
) -> Mapping[str, Pace]:
    day = (usage_rollup.c.hour - usage_rollup.c.hour % DAY).label("day")
    spent = func.sum(usage_rollup.c.cost_nanousd)
    used = (
        select(usage_rollup.c.account_id, day, spent.label("spent"))
        .where(usage_rollup.c.account_id.in_(account_ids), usage_rollup.c.hour >= since)
        .group_by(usage_rollup.c.account_id, day)
        .having(spent > 0)
        .subquery()
    )
    place = func.row_number().over(partition_by=used.c.account_id, order_by=used.c.day.desc())
    latest = select(used.c.account_id, used.c.spent, place.label("place")).subquery()
    rows = connection.execute(
        select(latest.c.account_id, func.count(), func.sum(latest.c.spent))
        .where(latest.c.place <= SPENDING_DAYS)
        .group_by(latest.c.account_id)
    )
    return {row[0]: Pace(int(row[1]), int(row[2])) for row in rows}
