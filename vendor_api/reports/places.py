"""Where a page of rows ends, as one word that a link can carry: the next page begins behind it."""

import base64
import binascii
from collections.abc import Sequence

import orjson

__all__ = ["BadPlace", "read_place", "write_place"]


class BadPlace(ValueError):
    """`after` is not what a page before ended with."""

    def __init__(self) -> None:
        super().__init__("`after` is not the id of a row of this listing: begin at the first page")


def write_place(parts: Sequence[int | str]) -> str:
    """The place of a row in its listing; the same for as long as the row is."""
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).decode().rstrip("=")


def read_place(text: str, kinds: Sequence[type]) -> list[int | str]:
    """The parts of a place. Raises BadPlace."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, UnicodeEncodeError) as error:
        raise BadPlace from error
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise BadPlace
    # PostgreSQL takes no NUL character even to compare with, and no integer beyond 64 bits.
    if any("\0" in part if isinstance(part, str) else abs(part) >= 2**62 for part in parts):
        raise BadPlace
    return parts
