"""What operators get: JSON with money as decimal strings of nine places."""

from typing import Any, Generic, Literal, TypeVar

from shared.wire import ChargeState, Document, Modality

T = TypeVar("T")


class Listing(Document, Generic[T]):
    """One page, oldest first; ask for the next with `after` set to the last `id`."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool


class AccountDocument(Document):
    """An account and its balance. available = credited − debited − held + credit limit."""

    object: Literal["account"] = "account"
    id: str
    name: str
    status: str
    created_at: str
    credited_usd: str
    debited_usd: str
    held_usd: str
    credit_limit_usd: str
    available_usd: str


class GrantDocument(Document):
    """One credit, and what is left of it."""

    id: str
    txn_id: str
    kind: str
    amount_usd: str
    remaining_usd: str
    granted_at: str
    expires_at: str | None


class CapDocument(Document):
    """A key's cap in its current window: items as integers, money as decimal strings."""

    kind: Literal["items", "spend"]
    window: Literal["day", "month", "ever"]
    cap: int | str
    used: int | str
    held: int | str
    resets_at: str | None


class KeyDocument(Document):
    """An API key without its secret."""

    object: Literal["key"] = "key"
    id: str
    account_id: str
    name: str
    scopes: list[str]
    models: list[str] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    rotated_from: str | None
    requests_per_minute: int | None
    items_per_minute: int | None
    bytes_per_minute: int | None
    concurrency: int | None
    caps: list[CapDocument]


class IssuedKeyDocument(KeyDocument):
    """A new key; `api_key` is shown this once."""

    api_key: str


class AccountDetail(AccountDocument):
    """An account with everything that belongs to it."""

    grants: list[GrantDocument]
    keys: list[KeyDocument]
    space_id: str | None
    """The private space that the account is answered in; null: everybody's."""
    as_of: str


class SpaceDocument(Document):
    """The space that an account is answered in."""

    object: Literal["space"] = "space"
    account_id: str
    status: Literal["on", "off"]
    """off: everybody's space; `space_id` is then what the account would have again."""
    space_id: str | None
    serial: int
    """How many spaces the account has been given."""
    changed_at: str | None


class ClosureDocument(Document):
    """How an account was closed; `new` is false when it was before."""

    object: Literal["closure"] = "closure"
    account_id: str
    closed_at: str
    reason: str
    refund_ref: str | None
    refunded_usd: str
    forfeited_usd: str
    new: bool


class KeptDocument(Document):
    """One kind of thing that is stored."""

    what: str
    tables: list[str]
    until: str
    why: str


class RetentionDocument(Document):
    """What the vendor keeps, and the closed accounts whose time for erasing has come."""

    object: Literal["retention"] = "retention"
    erase_days: int
    kept: list[KeptDocument]
    due: list[str]


class BookingDocument(Document):
    """A movement of money; `new` is false when its reference was booked before."""

    object: Literal["booking"] = "booking"
    txn_id: str
    account_id: str
    amount_usd: str
    new: bool
    available_usd: str


class ChargeRecord(Document):
    """One paid request, as the vendor's ledger holds it."""

    object: Literal["charge"] = "charge"
    id: str
    account_id: str
    key_id: str
    state: ChargeState
    idempotency_key: str
    request_id: str
    model: str
    revision: str
    images: int
    images_free: int
    texts: int
    texts_free: int
    reserved_usd: str
    cost_usd: str
    refunded_usd: str
    replays: int
    created_at: str
    captured_at: str | None


class UsageRecord(Document):
    """One hour of one account, key, model and modality; `id` is its place in the listing."""

    id: str
    account_id: str
    hour: str
    key_id: str
    model: str
    modality: Modality
    items: int
    items_free: int
    items_failed: int
    cost_usd: str


class UsageListing(Listing[UsageRecord]):
    """A page of hours, with the totals of all that the filter lets through."""

    total_items: int
    total_cost_usd: str
    as_of: str


class EntryDocument(Document):
    """One side of a movement."""

    book: str
    amount_usd: str


class TransactionDocument(Document):
    """One movement of money; its entries sum to zero."""

    id: str
    kind: str
    ref: str
    account_id: str
    charge_id: str | None
    reason: str | None
    created_at: str
    entries: list[EntryDocument]


class ActionDocument(Document):
    """One change that somebody made."""

    id: str
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class PriceDocument(Document):
    """One version of a price."""

    id: str
    model: str
    modality: Modality
    price_usd: str
    valid_from: str
    state: Literal["past", "current", "upcoming"]


class ViolationDocument(Document):
    """One broken rule of the books."""

    rule: str
    subject: str
    detail: str
    account_id: str | None


class IntegrityDocument(Document):
    """The last check of every rule of the books."""

    object: Literal["integrity"] = "integrity"
    ok: bool
    violations: list[ViolationDocument]
    checked_at: str
