"""What one key may use in a day or month of UTC, or ever: counted exactly, held before it is used.

A charge remembers the windows that it holds from, so that a window that ends meanwhile, or a cap
that is changed or removed, never counts anything twice or below zero.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from shared.money import MAX_NANOUSD
from vendor_api.db.clock import DAY, as_datetime, as_microseconds
from vendor_api.db.tables import cap_window, key_cap
from vendor_api.db.upsert import insert
from vendor_api.ledger.commands import CapKind, CapReached, CapWindow

KINDS: tuple[CapKind, ...] = ("items", "spend")
WINDOWS: tuple[CapWindow, ...] = ("day", "month", "ever")
_KEY = ("key_id", "kind", "window", "starts_at")

__all__ = [
    "CapHold",
    "CapState",
    "bound_window",
    "encode",
    "give_back",
    "hold",
    "list_caps",
    "parse",
    "plan",
    "set_cap",
    "use",
]


@dataclass(frozen=True, slots=True)
class CapState:
    """One cap of a key, and how far its present window is used."""

    kind: CapKind
    window: CapWindow
    cap: int
    """Items, or nano-dollars."""
    used: int
    held: int
    starts_at: int
    """Microseconds; 0 for a window that never ends."""
    resets_at: int | None


@dataclass(frozen=True, slots=True, order=True)
class CapHold:
    """What a charge holds, or has used, of one window."""

    kind: CapKind
    window: CapWindow
    starts_at: int
    amount: int


def set_cap(
    connection: Connection, key_id: str, kind: CapKind, window: CapWindow, cap: int | None
) -> None:
    """Let the key use no more than `cap` in each window from now on; None removes the cap.

    It counts what the key asks for while it has the cap. What is held stays held.
    """
    if kind not in KINDS or window not in WINDOWS:
        raise ValueError("a cap counts items or spend, in a day, a month or ever")
    if cap is None:
        connection.execute(
            delete(key_cap).where(
                key_cap.c.key_id == key_id, key_cap.c.kind == kind, key_cap.c.window == window
            )
        )
        return
    if not 0 <= cap <= MAX_NANOUSD:
        raise ValueError("a cap is not negative and fits into 63 bits")
    statement = insert(connection, key_cap).values(key_id=key_id, kind=kind, window=window, cap=cap)
    connection.execute(statement.on_conflict_do_update(index_elements=_KEY[:3], set_={"cap": cap}))


def list_caps(connection: Connection, now: int, key_id: str) -> list[CapState]:
    """The key's caps with the state of their present windows, by kind and window."""
    return [_read_state(connection, now, key_id, row) for row in _find_caps(connection, key_id)]


def bound_window(now: int, window: CapWindow) -> tuple[int, int | None]:
    """When the window of `now` began, and when the next one will; UTC, microseconds."""
    if window == "ever":
        return 0, None
    if window == "day":
        return now - now % DAY, now - now % DAY + DAY
    first = as_datetime(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return as_microseconds(first), as_microseconds(following)


def plan(
    connection: Connection, now: int, key_id: str, amounts: Mapping[CapKind, int]
) -> tuple[CapHold, ...]:
    """What a request of these amounts has to hold of the key's windows, in the order of locking."""
    return tuple(
        CapHold(row.kind, row.window, bound_window(now, row.window)[0], amounts[row.kind])
        for row in _find_caps(connection, key_id)
    )


def hold(connection: Connection, now: int, key_id: str, holds: Iterable[CapHold]) -> None:
    """Set aside what the charge may use. Raises CapReached."""
    for each in holds:
        if each.amount and not _hold(connection, key_id, each):
            raise CapReached(each.kind, each.window, bound_window(now, each.window)[1])


def give_back(connection: Connection, key_id: str, holds: Iterable[CapHold]) -> None:
    """Return what was held to the windows that it came from."""
    for each in sorted(holds):
        _move(connection, key_id, each, used=0)


def use(
    connection: Connection, key_id: str, holds: Iterable[CapHold], amounts: Mapping[CapKind, int]
) -> tuple[CapHold, ...]:
    """Count what was used in the windows that it was held from, the rest going back; returns it."""
    used = []
    for each in sorted(holds):
        _move(connection, key_id, each, used=amounts[each.kind])
        used.append(CapHold(each.kind, each.window, each.starts_at, amounts[each.kind]))
    return tuple(used)


def encode(holds: Sequence[CapHold]) -> str | None:
    """As a charge remembers them; None for none."""
    rows = [[each.kind, each.window, each.starts_at, each.amount] for each in holds]
    return json.dumps(rows, separators=(",", ":")) if rows else None


def parse(remembered: str | None) -> tuple[CapHold, ...]:
    """What `encode` wrote."""
    return tuple(CapHold(*row) for row in json.loads(remembered)) if remembered else ()


def _find_caps(connection: Connection, key_id: str) -> Sequence[Row[Any]]:
    query = select(key_cap).where(key_cap.c.key_id == key_id)
    return connection.execute(query.order_by(key_cap.c.kind, key_cap.c.window)).all()


def _read_state(connection: Connection, now: int, key_id: str, row: Row[Any]) -> CapState:
    starts_at, resets_at = bound_window(now, row.window)
    query: Select[Any] = select(cap_window.c.used, cap_window.c.held)
    found = connection.execute(
        query.where(*_locate(key_id, CapHold(row.kind, row.window, starts_at, 0)))
    ).one_or_none()
    used, held = (0, 0) if found is None else (found.used, found.held)
    return CapState(row.kind, row.window, row.cap, used, held, starts_at, resets_at)


def _hold(connection: Connection, key_id: str, each: CapHold) -> bool:
    cap = (
        select(key_cap.c.cap)
        .where(key_cap.c.key_id == key_id)
        .where(key_cap.c.kind == each.kind, key_cap.c.window == each.window)
        .scalar_subquery()
    )
    limit = func.coalesce(cap, MAX_NANOUSD)  # removed meanwhile
    key = dict(zip(_KEY, (key_id, each.kind, each.window, each.starts_at), strict=True))
    statement = insert(connection, cap_window).values(**key, used=0, held=0)
    connection.execute(statement.on_conflict_do_nothing(index_elements=list(_KEY)))
    held = (
        update(cap_window)
        .where(*_locate(key_id, each))
        # The balance covers the amount already, so that no sum here exceeds 63 bits.
        .where(cap_window.c.held <= limit - cap_window.c.used - each.amount)
        .values(held=cap_window.c.held + each.amount)
    )
    return connection.execute(held).rowcount == 1


def _move(connection: Connection, key_id: str, each: CapHold, *, used: int) -> None:
    connection.execute(
        update(cap_window)
        .where(*_locate(key_id, each))
        .values(held=cap_window.c.held - each.amount, used=cap_window.c.used + used)
    )


def _locate(key_id: str, each: CapHold) -> tuple[Any, ...]:
    return (
        cap_window.c.key_id == key_id,
        cap_window.c.kind == each.kind,
        cap_window.c.window == each.window,
        cap_window.c.starts_at == each.starts_at,
    )
