"""The statement of what is kept: each thing, where it lives, until when, and why.

A test holds it against the tables, so that nothing is stored that is not stated here.
"""

from dataclasses import dataclass

__all__ = ["KEPT", "Kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of thing that is stored."""

    what: str
    tables: tuple[str, ...]
    """Empty: it is not in the database."""
    until: str
    """`{days}` stands for VENDOR_ERASE_DAYS."""
    why: str


KEPT: tuple[Kept, ...] = (
    Kept(
        "balances, credits and the journal of every movement of money, with the operator's "
        "references and reasons",
        ("account_balance", "credit_grant", "ledger_txn", "ledger_entry"),
        "for ever",
        "they are the books: append-only, and checked against each other",
    ),
    Kept(
        "charges: idempotency key, request id, model, counts and amounts, never what was sent",
        ("charge",),
        "for ever",
        "a key that is used again must never be charged again",
    ),
    Kept(
        "usage by hour, key, model and modality; what keys' caps have counted",
        ("usage_rollup", "cap_window"),
        "for ever",
        "they are sums of the charges, and checked against them",
    ),
    Kept(
        "SHA-256 digests of the pictures and texts that were bought",
        ("purchase_lot",),
        "{days} days after the account is closed",
        "what was bought is free for a month, and repeated under its idempotency key at any time",
    ),
    Kept(
        "accounts: name, status, when opened, how closed",
        ("account", "account_closure"),
        "for ever; the name until {days} days after the account is closed",
        "the books refer to them",
    ),
    Kept(
        "API keys: an HMAC of the secret, name, scopes, limits, when created, used last, and ended",
        ("api_key", "key_cap"),
        "for ever; name, HMAC and last use until {days} days after the account is closed",
        "charges refer to them; no address or device is noted",
    ),
    Kept(
        "private spaces: a number and a public fingerprint, never the rotation",
        ("account_space",),
        "for ever",
        "a leaked vector's space can be told",
    ),
    Kept(
        "the audit log: which operator changed what, when and why",
        ("audit_log",),
        "for ever",
        "append-only; it names accounts by their id, and holds the reasons that operators typed",
    ),
    Kept(
        "operators' keys: an HMAC of the secret, name, role, when created, used last, and ended",
        ("operator_key",),
        "for ever",
        "the audit log refers to them",
    ),
    Kept(
        "people of the dashboard: name, role, an argon2id hash of the password, when made, in last, ended",
        ("person",),
        "for ever",
        "the audit log refers to them",
    ),
    Kept(
        "their sessions: a hash of the token, times, address and browser; one-time links: a hash, times",
        ("session", "invitation"),
        "sessions: 12 hours, cleared at the next login; links: for ever",
        "whoever is logged in can see from where, and log out there",
    ),
    Kept(
        "failed logins: a hash of the name, the address, how many, when",
        ("login_failure",),
        "a day after the last one, cleared at the next",
        "guessing passwords must become slower",
    ),
    Kept(
        "which of 4,096 regions of a model's space an account's vectors lay in; below which balance to warn",
        ("coverage_sketch", "low_balance_alert"),
        "{days} days after the account is closed",
        "signs for operators to look at; no vector can be told from them",
    ),
    Kept("prices", ("price_version",), "for ever", "charges refer to the price they were made at"),
    Kept(
        "which pepper the keys are hashed with, as a fingerprint",
        ("meta",),
        "for ever",
        "a wrong pepper is refused at start",
    ),
    Kept(
        "counters of rate limits, in Redis or in memory, by key id",
        (),
        "minutes: they expire by themselves",
        "no balance depends on them",
    ),
    Kept(
        "log lines on standard output: ids, statuses, durations; secrets are redacted",
        (),
        "as long as whoever collects them keeps them",
        "nothing of what was sent or sold is in them",
    ),
    Kept(
        "pictures, texts and vectors",
        (),
        "never on disk: in memory while a request is answered, vectors for as long as there is room",
        "only their digests are needed afterwards",
    ),
)
