"""Charges, the latest first: searched by their names, filtered, and always within a page's time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from shared.wire import ChargeState
from vendor_api.db.clock import DAY, SECOND
from vendor_api.db.tables import account, charge
from vendor_api.ledger.holds import HELD
from vendor_api.reports.ranges import Range

Clock = Literal["created", "captured"]

LOOKED_THROUGH = 20_000
"""A page looks through so many charges at most, however few of them it wants."""
SKEW = DAY
"""An id bears the time of the process that made it, a row the database's: no further apart.

Only a made-up past, which the demo writes into an empty vendor, has ids that are younger.
"""
_REQUEST_TIME = 600 * SECOND
"""A charge is made within this of the request that it names."""
_ROWS_AT_ONCE = 1000

__all__ = [
    "LOOKED_THROUGH",
    "ChargePage",
    "ChargeRow",
    "ChargeSelection",
    "Clock",
    "list_charges",
    "stream_charges",
]


@dataclass(frozen=True, slots=True)
class ChargeSelection:
    """Which charges."""

    search: str | None = None
    """A charge's id, a request's id, or an idempotency key, exactly."""
    account_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    state: ChargeState | None = None
    replayed: bool = False
    """Only those whose answer was asked for again."""
    refunded: bool = False
    """Only those of which something was given back."""
    clock: Clock = "created"
    """What `span` is about: when a request was made, or when it was captured."""
    span: Range = field(default_factory=Range)


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """One charge in a list."""

    id: str
    created_at: int
    captured_at: int | None
    state: str
    account_id: str
    key_id: str
    model: str
    revision: str
    request_id: str
    idempotency_key: str
    images: int
    images_free: int
    texts: int
    texts_free: int
    reserved_nanousd: int
    cost_nanousd: int
    refunded_nanousd: int
    replays: int


@dataclass(frozen=True, slots=True)
class ChargePage:
    """Some charges, the latest first."""

    rows: list[ChargeRow]
    after: str | None
    """Where the next page begins; None when there is nothing further back."""
    full: bool
    """False with an `after`: the page ended early, because it had looked through enough charges."""


_COLUMNS = [charge.c[name] for name in ChargeRow.__slots__]


def list_charges(
    connection: Connection,
    wanted: ChargeSelection,
    *,
    after: str | None = None,
    limit: int = 100,
    most: int = LOOKED_THROUGH,
) -> ChargePage:
    """The charges behind `after`, looking through so many of them at most."""
    if wanted.search is not None:
        found = _search(connection, wanted)
        return ChargePage(found[:limit], None, True)
    query = _walk(connection, wanted)
    if after is not None:
        query = query.where(charge.c.id < after)
    floor = _find_floor(connection, query, most)
    if floor is not None:
        query = query.where(charge.c.id >= floor)
    rows = connection.execute(_filter(query, wanted).limit(limit + 1)).all()
    if len(rows) > limit:
        return ChargePage([_row(row) for row in rows[:limit]], rows[limit - 1].id, True)
    return ChargePage([_row(row) for row in rows], floor, floor is None)


def stream_charges(connection: Connection, wanted: ChargeSelection) -> Iterator[ChargeRow]:
    """All of them, however long it takes."""
    if wanted.search is not None:
        yield from _search(connection, wanted)
        return
    query = _filter(_walk(connection, wanted), wanted)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield _row(row)


def _walk(connection: Connection, wanted: ChargeSelection) -> Select[Any]:
    """Every charge that the index alone can tell to be possible."""
    query = select(*_COLUMNS).order_by(charge.c.id.desc())
    if wanted.account_id is not None:
        query = query.where(charge.c.account_id == wanted.account_id)
    if wanted.state == "held":
        # Apart, lest every charge is read in the order of ids to find the few that are held.
        held = select(charge.c.id).where(HELD).correlate(None)
        query = query.where(charge.c.id.in_(held))
    return _bound_ids(query, wanted) if _ids_bear_time(connection) else query


def _bound_ids(query: Select[Any], wanted: ChargeSelection) -> Select[Any]:
    if wanted.span.until is not None:  # a charge is captured after it was made, never before
        query = query.where(charge.c.id < _id_at(wanted.span.until + SKEW))
    if wanted.span.since is not None and wanted.clock == "created":
        query = query.where(charge.c.id >= _id_at(wanted.span.since - SKEW))
    return query


def _ids_bear_time(connection: Connection) -> bool:
    """Whether ids tell when their charges were made: the oldest of a made-up past does not."""
    query = select(charge.c.id, charge.c.created_at).order_by(charge.c.id).limit(1)
    oldest = connection.execute(query).one_or_none()
    if oldest is None:
        return True
    told = _read_time(oldest.id)
    return told is not None and abs(told - oldest.created_at) < SKEW


def _find_floor(connection: Connection, query: Select[Any], most: int) -> str | None:
    """The id down to which a page looks; None: to the end."""
    ids = query.with_only_columns(charge.c.id).offset(most - 1).limit(1)
    floor: str | None = connection.execute(ids).scalar_one_or_none()
    return floor


def _filter(query: Select[Any], wanted: ChargeSelection) -> Select[Any]:
    for name in ("account_id", "key_id", "model", "state"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(charge.c[name] == value)
    if wanted.replayed:
        query = query.where(charge.c.replays > 0)
    if wanted.refunded:
        query = query.where(charge.c.refunded_nanousd > 0)
    clock = charge.c.created_at if wanted.clock == "created" else charge.c.captured_at
    return wanted.span.narrow(query, clock)


def _search(connection: Connection, wanted: ChargeSelection) -> list[ChargeRow]:
    """Charges of that name, within the other filters; at most one page of them."""
    word = wanted.search or ""
    others = replace(wanted, search=None)
    for condition in _conditions(word):
        query = _filter(select(*_COLUMNS).where(condition), others)
        rows = connection.execute(query.order_by(charge.c.id.desc()).limit(1000)).all()
        if rows:
            return [_row(row) for row in rows]
    return []


def _conditions(word: str) -> Iterator[ColumnElement[bool]]:
    """Where to look, the likeliest and quickest first; a request without a key names its charge."""
    if word.startswith("chg_"):
        yield charge.c.id == word
    if word.startswith("req_"):
        at = _read_time(word)
        if at is not None:
            nearby = charge.c.id.between(_id_at(at - SECOND), _id_at(at + _REQUEST_TIME))
            yield nearby & (charge.c.request_id == word)
    # One look into the index for each account; the key alone has none.
    of_anyone = charge.c.account_id.in_(select(account.c.id))
    yield of_anyone & (charge.c.idempotency_key.in_([word, f"auto-{word}"]))
    if word.startswith("req_"):
        # A key that entered again keeps its old id: only looking at every charge finds it.
        yield charge.c.request_id == word


def _id_at(microseconds: int) -> str:
    """The least id of a charge that was made at that instant: ids begin with their milliseconds."""
    return f"chg_{max(microseconds, 0) // 1000:012x}"


def _read_time(word: str) -> int | None:
    try:
        return int(word.partition("_")[2][:12], 16) * 1000
    except ValueError:
        return None


def _row(row: Row[Any]) -> ChargeRow:
    return ChargeRow(**row._mapping)
