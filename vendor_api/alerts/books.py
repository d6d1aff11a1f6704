"""Alerts that the database knows: balances, caps, holds."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from shared.money import show_usd
from vendor_api.alerts.alert import Alert, enumerate_subjects, raise_alert
from vendor_api.db.clock import SECOND
from vendor_api.db.tables import (
    account,
    account_balance,
    api_key,
    cap_window,
    charge,
    key_cap,
    low_balance_alert,
)
from vendor_api.ledger.balance import AVAILABLE
from vendor_api.ledger.caps import WINDOWS, bound_window
from vendor_api.ledger.holds import HELD
from vendor_api.runway import UNUSED, Pace, list_buyers, list_paces
from vendor_api.thresholds import Thresholds

__all__ = ["LowBalance", "find_book_alerts", "list_low_balances"]


@dataclass(frozen=True, slots=True)
class LowBalance:
    """An account that will soon be unable to buy."""

    account_id: str
    name: str
    available_nanousd: int
    pace: Pace
    """`UNUSED` for who paid for nothing in the last seven days of UTC."""
    threshold_nanousd: int | None = None
    """Below which somebody wants to be warned of this account, whether it buys or not."""


def find_book_alerts(connection: Connection, now: int, limits: Thresholds) -> list[Alert]:
    """What the books say, from one state of the database."""
    found = (
        _look_at_balances(connection, now, limits),
        _look_at_caps(connection, now, limits),
        _look_at_holds(connection, now, limits),
    )
    return [alert for alerts in found for alert in alerts]


def list_low_balances(connection: Connection, now: int, limits: Thresholds) -> list[LowBalance]:
    """Active accounts with less than their own threshold, or, of those without one, that paid for
    something in the last seven days of UTC and have little left or a short runway."""
    query = (
        select(account.c.id, account.c.name, AVAILABLE, low_balance_alert.c.threshold_nanousd)
        .join_from(account, account_balance)
        .outerjoin(low_balance_alert, low_balance_alert.c.account_id == account.c.id)
        .where(account.c.status == "active")
        .order_by(account.c.name)
    )
    paces = list_paces(connection, now, list_buyers(connection, now))
    rows = [
        LowBalance(row[0], row[1], int(row[2]), paces.get(row[0], UNUSED), row[3])
        for row in connection.execute(query)
    ]
    return [row for row in rows if _is_low(row, limits)]


def _is_low(row: LowBalance, limits: Thresholds) -> bool:
    if row.threshold_nanousd is not None:
        return row.available_nanousd < row.threshold_nanousd
    tenths = row.pace.count_tenths(row.available_nanousd)
    return tenths is not None and (
        row.available_nanousd < limits.low_balance_nanousd or tenths < 10 * limits.alert_runway_days
    )


def _look_at_balances(connection: Connection, now: int, limits: Thresholds) -> Iterator[Alert]:
    low = list_low_balances(connection, now, limits)
    if low:
        each = (f"{row.name} ({show_usd(row.available_nanousd)})" for row in low)
        yield raise_alert(
            "low_balance",
            f"Little credit is left to {enumerate_subjects(each)}: top up, or tell the customer.",
            "/dashboard/accounts",
        )


def _look_at_caps(connection: Connection, now: int, limits: Thresholds) -> Iterator[Alert]:
    present = [
        and_(cap_window.c.window == window, cap_window.c.starts_at == bound_window(now, window)[0])
        for window in WINDOWS
    ]
    cap, percent = key_cap.c.cap, limits.alert_cap_percent
    # In two parts, so that no product exceeds 63 bits; rounded up.
    enough = cap // 100 * percent + (cap % 100 * percent + 99) // 100
    query = (
        select(api_key.c.id, key_cap.c.kind, key_cap.c.window)
        .join_from(key_cap, api_key, api_key.c.id == key_cap.c.key_id)
        .join(
            cap_window,
            and_(*(cap_window.c[name] == key_cap.c[name] for name in ("key_id", "kind", "window"))),
        )
        .where(or_(*present), cap_window.c.used + cap_window.c.held >= enough, cap > 0)
        .where(api_key.c.revoked_at.is_(None))
        .where(or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > now))
        .order_by(api_key.c.id, key_cap.c.kind, key_cap.c.window)
    )
    reached = [f"{row.id} ({_name_cap(*row[1:])})" for row in connection.execute(query)]
    if reached:
        yield raise_alert(
            "cap_reached",
            f"The cap is used up of {enumerate_subjects(reached)}: "
            "raise it, or let its window begin anew.",
            "/dashboard/keys",
        )


def _name_cap(kind: str, window: str) -> str:
    period = "ever" if window == "ever" else f"a {window}"
    return f"{'dollars' if kind == 'spend' else 'items'} {period}"


def _look_at_holds(connection: Connection, now: int, limits: Thresholds) -> Iterator[Alert]:
    latest = now - int(limits.alert_stuck_hold_s * SECOND)
    query = select(func.count(), func.coalesce(func.sum(charge.c.reserved_nanousd), 0))
    count, held = connection.execute(query.where(HELD, charge.c.expires_at < latest)).one()
    if count:
        yield raise_alert(
            "stuck_holds",
            f"{count} charges hold {show_usd(int(held))} past their time: a running server gives "
            "it back within seconds; look at its log.",
            "/dashboard/integrity",
        )
