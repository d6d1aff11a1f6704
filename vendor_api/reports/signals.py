"""Signs of abuse, account by account: how much is asked again, is refused, is new.

None of them is proof: embedding a whole data set once is what the vendor is for. The vectors that
are paid for are never made worse by what is seen here.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from vendor_api.db.clock import DAY
from vendor_api.db.tables import account, usage_rollup
from vendor_api.reports.ranges import Range

__all__ = ["Novelty", "Signals", "list_signals", "read_novelty"]

_SUMS = (
    func.sum(usage_rollup.c["items"]).label("paid"),
    func.sum(usage_rollup.c.items_free).label("free"),
    func.sum(usage_rollup.c.items_failed).label("failed"),
)


@dataclass(frozen=True, slots=True)
class Signals:
    """One account over a span. Shares are per mille of the items asked for, rounded down."""

    account_id: str
    account: str
    status: str
    asked: int
    """Items that came: paid, free and failed."""
    paid: int
    """Never bought by the account before, or last more than 30 days ago."""
    free: int
    failed: int
    duplicate_per_mille: int
    invalid_per_mille: int
    new_per_mille: int


@dataclass(frozen=True, slots=True)
class Novelty:
    """One day of UTC of one account."""

    at: int
    asked: int
    paid: int
    new_per_mille: int


def list_signals(
    connection: Connection, span: Range, *, account_id: str | None = None
) -> list[Signals]:
    """Accounts with use in the whole hours of `span`, the busiest first."""
    # An expression, lest all of history is read in the order of accounts for a span of days.
    owner = func.coalesce(usage_rollup.c.account_id, "").label("account_id")
    query = _narrow(select(owner, *_SUMS), span, account_id)
    sums = query.group_by(owner).subquery()
    named = select(sums, account.c.name, account.c.status).join(
        account, account.c.id == sums.c.account_id
    )
    asked = sums.c.paid + sums.c.free + sums.c.failed
    rows = connection.execute(named.order_by(asked.desc(), sums.c.account_id))
    return [_signals(row) for row in rows]


def read_novelty(connection: Connection, span: Range, account_id: str | None) -> list[Novelty]:
    """What share was new, day by day, the oldest first."""
    day = (usage_rollup.c.hour - usage_rollup.c.hour % DAY).label("day")
    query = _narrow(select(day, *_SUMS), span, account_id).group_by(day).order_by(day)
    found = []
    for row in connection.execute(query):
        paid, asked = int(row.paid), int(row.paid + row.free + row.failed)
        found.append(Novelty(int(row.day), asked, paid, _per_mille(paid, asked)))
    return found


def _narrow(query: Select[Any], span: Range, account_id: str | None) -> Select[Any]:
    if account_id is not None:
        query = query.where(usage_rollup.c.account_id == account_id)
    return span.in_hours().narrow(query, usage_rollup.c.hour)


def _signals(row: Row[Any]) -> Signals:
    paid, free, failed = int(row.paid), int(row.free), int(row.failed)
    asked = paid + free + failed
    return Signals(
        account_id=row.account_id,
        account=row.name,
        status=row.status,
        asked=asked,
        paid=paid,
        free=free,
        failed=failed,
        duplicate_per_mille=_per_mille(free, asked),
        invalid_per_mille=_per_mille(failed, asked),
        new_per_mille=_per_mille(paid, asked),
    )


def _per_mille(part: int, whole: int) -> int:
    return part * 1000 // whole if whole else 0
