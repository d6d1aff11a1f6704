"""How much of their caps the working keys of an account have used: the fullest one counts."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, or_, select

from vendor_api.db.tables import api_key, cap_window, key_cap
from vendor_api.ledger.caps import WINDOWS, bound_window

__all__ = ["CapShare", "list_cap_shares", "share_percent"]


@dataclass(frozen=True, slots=True)
class CapShare:
    """The fullest cap of an account in its present window."""

    key_id: str
    kind: str
    window: str
    percent: int


def share_percent(counted: int, cap: int) -> int:
    """Whole percent of the cap that are used or held, rounded down; a cap of zero is full."""
    return counted * 100 // cap if cap else 100


def list_cap_shares(
    connection: Connection, now: int, account_ids: Collection[str]
) -> Mapping[str, CapShare]:
    """Account → its fullest cap; accounts whose working keys have no cap are absent."""
    begins = case(
        *((key_cap.c.window == name, bound_window(now, name)[0]) for name in WINDOWS), else_=0
    )
    window = and_(
        cap_window.c.key_id == key_cap.c.key_id,
        cap_window.c.kind == key_cap.c.kind,
        cap_window.c.window == key_cap.c.window,
        cap_window.c.starts_at == begins,
    )
    query = (
        select(
            api_key.c.account_id,
            *(key_cap.c[name] for name in ("key_id", "kind", "window", "cap")),
            func.coalesce(cap_window.c.used, 0).label("used"),
            func.coalesce(cap_window.c.held, 0).label("held"),
        )
        .join(api_key, api_key.c.id == key_cap.c.key_id)
        .outerjoin(cap_window, window)
        .where(api_key.c.account_id.in_(sorted(account_ids)), api_key.c.revoked_at.is_(None))
        .where(or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > now))
        .order_by(key_cap.c.key_id, key_cap.c.kind, key_cap.c.window)
    )
    return _keep_fullest(connection.execute(query))


def _keep_fullest(rows: Iterable[Row[Any]]) -> dict[str, CapShare]:
    fullest: dict[str, CapShare] = {}
    for row in rows:
        share = CapShare(
            row.key_id, row.kind, row.window, share_percent(row.used + row.held, row.cap)
        )
        known = fullest.get(row.account_id)
        if known is None or share.percent > known.percent:
            fullest[row.account_id] = share
    return fullest
