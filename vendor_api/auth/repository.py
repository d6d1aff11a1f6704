"""API keys in the database."""

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func, insert, select, update

from vendor_api.auth.keys import IssuedKey, hash_secret, make_key, parse_key
from vendor_api.db.tables import api_key, cap_window, key_cap

SCOPES = ("embed", "read")
"""Buy embeddings; read the account's own books."""
DEFAULT_SCOPES = SCOPES
_LEGACY_SCOPES = {"account": "read"}

__all__ = [
    "DEFAULT_SCOPES",
    "SCOPES",
    "KeyLimits",
    "KeySettings",
    "StoredKey",
    "find_key",
    "find_keys",
    "issue_key",
    "list_keys",
    "read_scopes",
    "record_use",
    "revoke_key",
    "rotate_key",
    "set_limits",
]


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How fast a key may ask; None: as fast as the vendor's settings let every key."""

    requests_per_minute: int | None = None
    items_per_minute: int | None = None
    bytes_per_minute: int | None = None
    concurrency: int | None = None
    """Requests under way at the same time."""


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a new key may do."""

    name: str = ""
    scopes: Collection[str] = DEFAULT_SCOPES
    expires_at: int | None = None
    """Microseconds; None: never."""
    models: Collection[str] | None = None
    """Ids of the models it may buy from; None: all of them."""
    limits: KeyLimits = KeyLimits()


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the database knows of a key."""

    id: str
    account_id: str
    name: str
    scopes: frozenset[str]
    secret_hmac: bytes
    created_at: int
    revoked_at: int | None
    expires_at: int | None
    last_used_at: int | None
    rotated_from: str | None
    models: frozenset[str] | None
    """None: every model."""
    limits: KeyLimits

    def works_at(self, now: int) -> bool:
        """Whether the key is neither revoked nor past its time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def read_scopes(words: Collection[str]) -> frozenset[str]:
    """The scopes those words name, legacy ones included. Raises ValueError for an unknown word."""
    scopes = frozenset(_LEGACY_SCOPES.get(word, word) for word in words)
    unknown = sorted(scopes - set(SCOPES))
    if unknown or not scopes:
        asked = f"{unknown[0]!r} is no scope" if unknown else "a key without scopes can do nothing"
        raise ValueError(f"{asked}: choose from {' and '.join(SCOPES)}")
    return scopes


def issue_key(
    connection: Connection,
    now: int,
    pepper: bytes,
    account_id: str,
    *,
    name: str = "",
    settings: KeySettings | None = None,
    rotated_from: str | None = None,
) -> IssuedKey:
    """A new key of the account; only the HMAC of its secret is stored.

    `name` alone is short for settings with that name. Raises ValueError for an unknown scope.
    """
    chosen = settings or KeySettings(name)
    key = make_key()
    parts = parse_key(key.text)
    assert parts is not None  # noqa: S101
    row = {
        "id": key.key_id,
        "account_id": account_id,
        "name": chosen.name,
        "scopes": " ".join(sorted(read_scopes(chosen.scopes))),
        "secret_hmac": hash_secret(pepper, parts.secret),
        "created_at": now,
        "expires_at": chosen.expires_at,
        "rotated_from": rotated_from,
        "models": None if chosen.models is None else " ".join(sorted(chosen.models)),
        **asdict(chosen.limits),
    }
    connection.execute(insert(api_key).values(**row))
    return key


def rotate_key(
    connection: Connection, now: int, pepper: bytes, old: StoredKey, *, overlap: int
) -> IssuedKey:
    """A successor with the old key's settings and caps; the old one ends `overlap` µs from now.

    A cap for ever becomes what is left of it; a day's or a month's cap counts anew. The old key never
    lives longer for being rotated.
    """
    settings = KeySettings(old.name, old.scopes, old.expires_at, old.models, old.limits)
    key = issue_key(connection, now, pepper, old.account_id, settings=settings, rotated_from=old.id)
    ends_at = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
    ending = update(api_key).where(api_key.c.id == old.id)
    connection.execute(ending.values(expires_at=ends_at))
    _copy_caps(connection, old.id, key.key_id)
    return key


def find_key(connection: Connection, key_id: str) -> StoredKey | None:
    """The key of that id, revoked or not."""
    found = _select(connection, api_key.c.id == key_id)
    return found[0] if found else None


def find_keys(connection: Connection, key_ids: Collection[str]) -> list[StoredKey]:
    """The keys of those ids, revoked or not, oldest first; unknown ids are left out."""
    return _select(connection, api_key.c.id.in_(sorted(key_ids)))


def list_keys(connection: Connection, account_id: str | None = None) -> list[StoredKey]:
    """The account's keys, or all, oldest first."""
    if account_id is None:
        return _select(connection)
    return _select(connection, api_key.c.account_id == account_id)


def revoke_key(connection: Connection, now: int, key_id: str) -> bool:
    """End the key for ever; False when there is no such key or it was revoked before."""
    statement = update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
    return connection.execute(statement.values(revoked_at=now)).rowcount == 1


def set_limits(connection: Connection, key_id: str, limits: KeyLimits) -> None:
    """Let the key ask this fast from now on."""
    connection.execute(update(api_key).where(api_key.c.id == key_id).values(**asdict(limits)))


def record_use(connection: Connection, now: int, key_ids: Collection[str]) -> None:
    """Remember that these keys were used just now."""
    used = api_key.c.id.in_(sorted(key_ids))
    latest = func.coalesce(api_key.c.last_used_at, 0) < now
    connection.execute(update(api_key).where(used, latest).values(last_used_at=now))


def _copy_caps(connection: Connection, old: str, new: str) -> None:
    query = select(key_cap).where(key_cap.c.key_id == old)
    for cap in connection.execute(query).mappings().all():
        left = cap["cap"]
        if cap["window"] == "ever":
            left = max(0, left - _count_for_ever(connection, old, cap["kind"]))
        connection.execute(insert(key_cap).values({**cap, "key_id": new, "cap": left}))


def _count_for_ever(connection: Connection, key_id: str, kind: str) -> int:
    counted = func.coalesce(func.sum(cap_window.c.used + cap_window.c.held), 0)
    query = select(counted).where(cap_window.c.key_id == key_id)
    ever = query.where(cap_window.c.kind == kind, cap_window.c.window == "ever")
    return int(connection.execute(ever).scalar_one())


def _select(connection: Connection, *conditions: object) -> list[StoredKey]:
    query = select(api_key).order_by(api_key.c.created_at, api_key.c.id)
    for condition in conditions:
        query = query.where(condition)  # type: ignore[arg-type]
    return [
        StoredKey(
            id=row.id,
            account_id=row.account_id,
            name=row.name,
            scopes=frozenset(_LEGACY_SCOPES.get(word, word) for word in row.scopes.split()),
            secret_hmac=bytes(row.secret_hmac),
            created_at=row.created_at,
            revoked_at=row.revoked_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            rotated_from=row.rotated_from,
            models=None if row.models is None else frozenset(row.models.split()),
            limits=KeyLimits(
                row.requests_per_minute,
                row.items_per_minute,
                row.bytes_per_minute,
                row.concurrency,
            ),
        )
        for row in connection.execute(query)
    ]
