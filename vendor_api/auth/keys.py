"""The text of an API key: `vl2v_live_<12 id>_<43 secret><6 checksum>`, all base62.

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

PREFIX = "vl2v_live_"
ID_LENGTH = 12
SECRET_LENGTH = 43
"""43 base62 characters hold more than 256 bits."""
CHECKSUM_LENGTH = 6

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY = re.compile(r"vl2v_live_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
_IN_TEXT = re.compile(r"(vl2v_(?:live|test|admin)_[0-9A-Za-z]{12})_[0-9A-Za-z]+", re.ASCII)

__all__ = ["IssuedKey", "KeyParts", "hash_secret", "make_key", "parse_key", "redact"]


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A well-formed key, taken apart."""

    key_id: str
    """`key_` and the public part: what databases, logs and statements show."""
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key; its text is shown once and never stored."""

    key_id: str
    text: str = field(repr=False)


def make_key() -> IssuedKey:
    """A key of fresh randomness."""
    public, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{PREFIX}{public}_{secret}"
    return IssuedKey(f"key_{public}", body + _checksum(body))


def parse_key(text: str) -> KeyParts | None:
    """The parts of a key; None when it is malformed or its checksum is wrong."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    public, secret, checksum = match.groups()
    if _checksum(text[:-CHECKSUM_LENGTH]) != checksum:
        return None
    return KeyParts(f"key_{public}", secret)


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
