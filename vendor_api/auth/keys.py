"""The text of a key: `vl2v_live_<12 id>_<43 secret><6 checksum>`, all base62.

A customer's key begins `vl2v_live_`, an operator's `vl2v_admin_`; neither is taken for the other.

The checksum turns typing errors away before any look-up, and lets scanners of leaked secrets be
sure of what they found. Of the secret only an HMAC is kept.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Literal

KeyKind = Literal["live", "admin"]
"""Whose key it is: a customer's, or an operator's."""

ID_LENGTH = 12
SECRET_LENGTH = 43
"""43 base62 characters hold more than 256 bits."""
CHECKSUM_LENGTH = 6

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY = re.compile(
    r"vl2v_(live|admin)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII
)
_ID_PREFIXES: dict[KeyKind, str] = {"live": "key_", "admin": "opk_"}
_IN_TEXT = re.compile(r"(vl2v_(?:live|test|admin)_[0-9A-Za-z]{12})_[0-9A-Za-z]+", re.ASCII)

__all__ = ["IssuedKey", "KeyKind", "KeyParts", "hash_secret", "make_key", "parse_key", "redact"]


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A well-formed key, taken apart."""

    key_id: str
    """`key_` or, for an operator, `opk_` and the public part: what databases and logs show."""
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key; its text is shown once and never stored."""

    key_id: str
    text: str = field(repr=False)


def make_key(kind: KeyKind = "live") -> IssuedKey:
    """A key of fresh randomness."""
    public, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"vl2v_{kind}_{public}_{secret}"
    return IssuedKey(_ID_PREFIXES[kind] + public, body + _checksum(body))


def parse_key(text: str, kind: KeyKind = "live") -> KeyParts | None:
    """The parts of a key; None when it is malformed, mistyped, or of the other kind."""
    match = _KEY.fullmatch(text)
    if match is None or match[1] != kind:
        return None
    _, public, secret, checksum = match.groups()
    if _checksum(text[:-CHECKSUM_LENGTH]) != checksum:
        return None
    return KeyParts(_ID_PREFIXES[kind] + public, secret)


def hash_secret(pepper: bytes, secret: str) -> bytes:
    """HMAC-SHA256 of the secret: useless to who has the database but not the pepper."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()


def redact(text: str) -> str:
    """The text with the secret part of every key in it replaced by an ellipsis."""
    return _IN_TEXT.sub(r"\1_…", text)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
