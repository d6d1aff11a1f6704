"""Content digests: the identity under which an image or a text is bought once."""

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

DIGEST_BYTES = 32

__all__ = [
    "DIGEST_BYTES",
    "digest_file",
    "digest_image",
    "digest_pixels",
    "digest_request",
    "digest_text",
]


def digest_image(data: bytes) -> bytes:
    """SHA-256 of the encoded file's bytes, however they travelled."""
    return hashlib.sha256(data).digest()


def digest_file(path: Path) -> bytes:
    """`digest_image` of a file, read in pieces. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def digest_pixels(data: bytes | memoryview, side: int) -> bytes:
    """SHA-256 of uint8[side, side, 3] that a client has prepared itself; never a file's digest."""
    digest = hashlib.sha256(b"vl2v pixels %d\0" % side)
    digest.update(data)
    return digest.digest()


def digest_text(text: str) -> bytes:
    """SHA-256 of the text in Unicode NFC as UTF-8, so that equal-looking texts are bought once."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode()).digest()


def digest_request(*, model: str, revision: str, options: str, items: Iterable[bytes]) -> bytes:
    """The fingerprint that tells a retry from a different request under one idempotency key.

    Built from the meaning (model, revision, options, ordered item digests), not from the body's
    bytes: JSON spacing and base64 line breaks may differ between two tries.
    """
    digest = hashlib.sha256()
    for part in (model, revision, options):
        digest.update(len(part.encode()).to_bytes(4, "big") + part.encode())
    for item in items:
        digest.update(item)
    return digest.digest()
