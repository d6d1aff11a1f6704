"""Decoded pictures on disk: decoded once for a data folder and size, then mapped into memory.

A file is one page of JSON and then uint8[n, s, s, 3]. Its name and its header carry the digest of
what it was decoded from, so that pictures which change get another file. Removing the folder is safe.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from client.cache.locks import file_lock
from client.data.manifest import Manifest
from client.train.errors import TrainingError
from client.train.pixels import Pixels, Report, decode_chunks

PAGE = 4096
"""Bytes before the pixels."""
FORMAT = 1

__all__ = ["open_pixels", "pixel_digest"]


def open_pixels(
    manifest: Manifest,
    side: int,
    folder: Path,
    report: Report = lambda stage, done, total: None,
) -> Pixels:
    """Every picture of the manifest at `side` pixels, mapped from a file in `folder`.

    A file that is missing, damaged or of other pictures is decoded again; processes that open the
    same one at once decode it once. Raises TrainingError.
    """
    digest = pixel_digest(manifest, side)
    header = {
        "format": FORMAT,
        "pictures": len(manifest.pictures),
        "side": side,
        "digest": digest,
    }
    file = folder / f"{digest[:32]}.pixels"
    try:
        if not _is_whole(file, header):
            with file_lock(file.with_suffix(".lock"), wait=True):
                if not _is_whole(file, header):
                    _decode(file, header, manifest, report)
        # Copy-on-write: whoever writes into the array cannot change the file.
        return np.memmap(file, np.uint8, "c", PAGE, _shape(header))
    except OSError as error:
        raise TrainingError(
            f"decoded pictures cannot be kept in {folder} ({error}): make room, or give "
            "--no-pixel-cache"
        ) from error


def pixel_digest(manifest: Manifest, side: int) -> str:
    """SHA-256 of all that decides the pixels: the files' contents in their order, the size, and what
    decodes them."""
    whole = hashlib.sha256(f"{FORMAT} {side} pillow {PIL.__version__}\n".encode())
    for picture in manifest.pictures:
        whole.update(picture.digest)
    return whole.hexdigest()


def _decode(file: Path, header: dict[str, Any], manifest: Manifest, report: Report) -> None:
    """Write the file beside its place, then rename it; the lock makes the name this process's own."""
    partial = file.with_suffix(".partial")
    try:
        with partial.open("wb") as out:
            out.write(_page(header))
            for chunk in decode_chunks(manifest, int(header["side"]), report):
                out.write(chunk.tobytes())
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _is_whole(file: Path, header: dict[str, Any]) -> bool:
    """Whether the file has the wanted header and its full length."""
    try:
        with file.open("rb") as opened:
            length = os.fstat(opened.fileno()).st_size
            return opened.read(PAGE) == _page(header) and length == PAGE + np.prod(_shape(header))
    except FileNotFoundError:
        return False


def _page(header: dict[str, Any]) -> bytes:
    """The header as one page."""
    return f"vl2v pixels {json.dumps(header, sort_keys=True)}\n".encode().ljust(PAGE)


def _shape(header: dict[str, Any]) -> tuple[int, int, int, int]:
    side = int(header["side"])
    return int(header["pictures"]), side, side, 3
