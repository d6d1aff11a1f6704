"""Pictures to send, and one database engine: what differs between two is tested with the ledger."""

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image


@pytest.fixture
def vendor_database_url(sqlite_url: str) -> str:
    return sqlite_url


def encode_picture(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """The bytes of a plain picture; `level` tells one from another."""

    def make(level: int = 100, kind: str = "PNG", size: tuple[int, int] = (16, 16)) -> bytes:
        return encode_picture(Image.new("RGB", size, (level, level, level)), kind)

    return make


@pytest.fixture
def image_item(picture: Callable[..., bytes]) -> Callable[..., dict[str, str]]:
    """An image item of a plain picture, or of the bytes given."""

    def make(level: int = 100, data: bytes | None = None) -> dict[str, str]:
        return {"image": base64.b64encode(data or picture(level)).decode()}

    return make
