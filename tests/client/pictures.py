"""Pictures for tests: tiny, real, each different."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def make_picture(number: int, kind: str = "PNG") -> bytes:
    """The bytes of an 8 × 8 image that no other number has."""
    colour = (number % 251, number // 251 % 251, 255 - number % 7)
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, kind)
    return out.getvalue()


def write_folders(root: Path, *, domains: Sequence[str], classes: Sequence[str], each: int) -> Path:
    """`root/domain/class/<n>.png`, all distinct."""
    number = 0
    for domain in domains:
        for label in classes:
            folder = root / domain / label
            folder.mkdir(parents=True)
            for index in range(each):
                (folder / f"{index:03}.png").write_bytes(make_picture(number))
                number += 1
    return root
