"""The same pictures as files and as pixels made by a client: rates, bytes, how alike the vectors are."""

import asyncio
import io
import itertools
import json
import urllib.request
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.codecs import Vector, decode_octets
from shared.frames import TENSOR
from shared.pixels import PixelTransform, hash_probe
from shared.wire import ModelDocument
from tests.bench.serving.load import Run, Server, run_closed, run_once
from tests.bench.serving.pictures import Pictures
from tests.bench.serving.servers import MODEL, Contender

_numbers = itertools.count(10**9, 1_000_000)

__all__ = ["Uploads", "measure_uploads"]


@dataclass(frozen=True)
class Uploads:
    """What the two ways come to."""

    files: Run
    pixels: Run
    file_bytes: int
    """Of the pictures, on average."""
    pixel_bytes: int
    least_cosine: float
    """Of a picture's two vectors, each asked for alone."""
    identical: int
    """Of the pictures, those whose two vectors are the same to the bit."""
    pictures: int


def measure_uploads(one: Contender, *, callers: int, seconds: float) -> Uploads:
    """Both rates of new pictures, and both vectors of each kind of picture.

    Pixels are made by the published transform, which is what a client does; making them is not in
    their rate, as decoding is not the vendor's work then. Every picture is new: a file by a comment,
    pixels by a number in a corner.
    """
    pictures = Pictures()
    files = [pictures.take(number) for number in range(pictures.kinds)]
    drawn = _draw(_read_document(one), files)
    server = _take_pixels(one, drawn[0].shape[0], "float16")

    def write_file(number: int) -> bytes:
        return one.write(pictures.take(number))

    def write_pixels(number: int) -> bytes:
        data = drawn[number % len(drawn)].tobytes()
        return server.write(number.to_bytes(8, "big") + data[8:])

    runs = []
    for write in (write_file, write_pixels):
        asyncio.run(run_closed(one.port, write, callers=callers, seconds=2, first=next(_numbers)))
        runs.append(
            asyncio.run(
                run_closed(one.port, write, callers=callers, seconds=seconds, first=next(_numbers))
            )
        )
    both = [_ask_both(one, file, picture) for file, picture in zip(files, drawn, strict=True)]
    return Uploads(
        files=runs[0],
        pixels=runs[1],
        file_bytes=sum(map(len, files)) // len(files),
        pixel_bytes=drawn[0].nbytes,
        least_cosine=min(float(file @ own) for file, own in both),
        identical=sum(np.array_equal(file, own) for file, own in both),
        pictures=len(files),
    )


def _read_document(one: Contender) -> ModelDocument:
    address = f"http://127.0.0.1:{one.port}/v1/models/{MODEL}"
    with urllib.request.urlopen(urllib.request.Request(address, headers=one.headers)) as answer:
        return ModelDocument.model_validate(json.load(answer))


def _draw(document: ModelDocument, files: list[bytes]) -> list[NDArray[np.uint8]]:
    transform = PixelTransform(document.preprocessing)
    assert hash_probe(transform) == document.pixel_probe
    return [transform(Image.open(io.BytesIO(file))) for file in files]


def _take_pixels(one: Contender, side: int, dtype: str) -> Server:
    return one.server(
        f"/v1/embed/image?model={MODEL}&dtype={dtype}",
        content_type=TENSOR,
        x_shape=f"1,{side},{side},3",
        x_dtype="uint8",
    )


def _ask_both(one: Contender, file: bytes, picture: NDArray[np.uint8]) -> tuple[Vector, Vector]:
    plain = one.server(f"/v1/embed/image?model={MODEL}&dtype=float32", content_type="image/jpeg")
    own = _take_pixels(one, len(picture), "float32")
    requests = (plain.write(file), own.write(picture.tobytes()))
    first, second = (asyncio.run(run_once(one.port, request)).body for request in requests)
    return decode_octets(first), decode_octets(second)
