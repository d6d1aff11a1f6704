"""Keys in a table: whose they are, what they may do, when they were used, how full their caps are."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer
from sqlalchemy import Connection, Select, and_, func, or_, select

from shared.money import format_usd
from vendor_api.admin.keyring import get_key
from vendor_api.auth.repository import KeyLimits, StoredKey, find_keys
from vendor_api.dashboard.cap_shares import share_percent
from vendor_api.dashboard.figures import Figures, Instant
from vendor_api.db.tables import account, api_key
from vendor_api.ledger.caps import CapState, list_caps
from vendor_api.ledger.commands import CapKind, CapWindow
from vendor_api.limits.tally import Counts, Tally

PAGE_ROWS = 50

KeyState = Literal["working", "expired", "revoked"]

__all__ = [
    "PAGE_ROWS",
    "CapRow",
    "KeyList",
    "KeyRow",
    "KeySearch",
    "describe_key_rows",
    "find_key_row",
    "list_key_rows",
]


class KeySearch(BaseModel):
    """Which keys."""

    model_config = ConfigDict(frozen=True)

    account: str = Field(default="", pattern=r"^(acct_[0-9A-Za-z]{1,40})?$")
    q: str = Field(default="", max_length=200, pattern=r"^[^\x00]*$")
    """Part of a name or id."""
    state: Literal["", "working", "ended"] = ""
    page: int = Field(default=1, ge=1, le=1_000_000)


class CapRow(Figures):
    """One cap in its present window: items, or nano-dollars for `spend`."""

    kind: CapKind
    window: CapWindow
    cap: int
    used: int
    held: int
    percent: int
    resets_at: Instant | None

    @field_serializer("cap", "used", "held")
    def _show(self, amount: int) -> int | str:
        return format_usd(amount) if self.kind == "spend" else amount


class KeyRow(Figures):
    """A key without its secret."""

    id: str
    start: str
    """What the key's text begins with."""
    account_id: str
    account_name: str
    name: str
    state: KeyState
    scopes: list[str]
    models: list[str] | None
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None
    rotated_from: str | None
    limits: dict[str, int | None]
    caps: list[CapRow]
    asked: int
    """Requests that this process saw since it began."""
    refused: int
    """Those that were too fast."""
    refused_percent: int


class KeyList(Figures):
    """One page of keys, the newest first."""

    keys: list[KeyRow]
    found: int
    """Keys that the search finds, on all pages."""
    page: int
    pages: int
    as_of: Instant


def list_key_rows(connection: Connection, now: int, search: KeySearch, tally: Tally) -> KeyList:
    """The keys that are searched for, a page of them."""
    found = connection.execute(_narrow(select(func.count(api_key.c.id)), now, search)).scalar_one()
    query = _narrow(select(api_key.c.id), now, search)
    query = query.order_by(api_key.c.created_at.desc(), api_key.c.id.desc())
    page = query.limit(PAGE_ROWS).offset((search.page - 1) * PAGE_ROWS)
    keys = find_keys(connection, list(connection.execute(page).scalars()))
    return KeyList(
        keys=describe_key_rows(connection, now, keys[::-1], tally),
        found=found,
        page=search.page,
        pages=max(1, -(-found // PAGE_ROWS)),
        as_of=now,
    )


def find_key_row(connection: Connection, now: int, key_id: str, tally: Tally) -> KeyRow:
    """One key, ended or not. Raises UnknownKey."""
    return describe_key_rows(connection, now, [get_key(connection, key_id)], tally)[0]


def describe_key_rows(
    connection: Connection, now: int, keys: Sequence[StoredKey], tally: Tally
) -> list[KeyRow]:
    """The keys as tables show them."""
    owners = sorted({key.account_id for key in keys})
    query = select(account.c.id, account.c.name).where(account.c.id.in_(owners))
    names = {row.id: row.name for row in connection.execute(query)}
    return [
        _describe(connection, now, key, names[key.account_id], tally.read(key.id)) for key in keys
    ]


def _narrow(query: Select[Any], now: int, search: KeySearch) -> Select[Any]:
    working = and_(
        api_key.c.revoked_at.is_(None),
        or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > now),
    )
    if search.account:
        query = query.where(api_key.c.account_id == search.account)
    if search.q.strip():
        columns = (api_key.c.id, api_key.c.name)
        wanted = search.q.strip()
        query = query.where(or_(*(each.icontains(wanted, autoescape=True) for each in columns)))
    if search.state:
        query = query.where(working if search.state == "working" else ~working)
    return query


def _describe(
    connection: Connection, now: int, key: StoredKey, account_name: str, counts: Counts
) -> KeyRow:
    return KeyRow(
        id=key.id,
        start=f"vl2v_live_{key.id.removeprefix('key_')}",
        account_id=key.account_id,
        account_name=account_name,
        name=key.name,
        state=_state(key, now),
        scopes=sorted(key.scopes),
        models=None if key.models is None else sorted(key.models),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        rotated_from=key.rotated_from,
        limits=_limits(key.limits),
        caps=[_cap(state) for state in list_caps(connection, now, key.id)],
        asked=counts.asked,
        refused=counts.refused,
        refused_percent=counts.percent,
    )


def _state(key: StoredKey, now: int) -> KeyState:
    if key.revoked_at is not None:
        return "revoked"
    return "working" if key.works_at(now) else "expired"


def _limits(limits: KeyLimits) -> dict[str, int | None]:
    return {
        "requests_per_minute": limits.requests_per_minute,
        "items_per_minute": limits.items_per_minute,
        "bytes_per_minute": limits.bytes_per_minute,
        "concurrency": limits.concurrency,
    }


def _cap(state: CapState) -> CapRow:
    return CapRow(
        kind=state.kind,
        window=state.window,
        cap=state.cap,
        used=state.used,
        held=state.held,
        percent=share_percent(state.used + state.held, state.cap),
        resets_at=state.resets_at,
    )
