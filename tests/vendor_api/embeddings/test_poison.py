"""Pictures that break other services, each beside good ones: only its own item fails, and costs nothing.

The fake model's vector is a digest of the pixels it was given: equal vectors are equal pixels.
"""

import asyncio
import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared import headers
from shared.codecs import decode_octets
from shared.frames import FRAMES, pack_frames
from tests.vendor_api.embeddings.conftest import encode_picture
from tests.vendor_api.embeddings.test_images import make_png

ROUTE = "/v1/embed/image"


def make_noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(levels)


def cut_jpeg() -> bytes:
    return encode_picture(make_noise(99), "JPEG")[:-300]


def animate() -> bytes:
    first, *rest = (make_noise(seed) for seed in range(3))
    return encode_picture(first, "WEBP", save_all=True, append_images=rest, duration=40)


def rotate_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode_picture(make_noise(7), "PNG", exif=exif)


def make_deep() -> Image.Image:
    levels = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50
    return Image.fromarray(levels)


POISON = {
    "truncated": cut_jpeg(),
    "no bytes": b"",
    "a bomb": make_png(8_000, 8_000),
    "a bomb beyond Pillow's limit": make_png(60_000, 60_000, rows=1),
    "a header that claims more": make_png(400, 400, rows=3),
    "animated": animate(),
    "a header alone": b"\x89PNG\r\n\x1a\n" + b"\0" * 8,
    "text": b"no picture at all",
}
GOOD = {
    "one pixel": encode_picture(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"),
    "CMYK": encode_picture(Image.new("CMYK", (20, 20), (9, 80, 7, 3)), "JPEG"),
    "16 bits": encode_picture(make_deep(), "PNG"),
    "rotated by EXIF": rotate_by_exif(),
    "very long": encode_picture(Image.new("RGB", (4000, 2), (1, 2, 3)), "PNG"),
}


async def post(vendor: Any, data: bytes, kind: str = "image/png") -> Any:
    return await vendor.http.post(
        ROUTE, params={"model": "icon-clip"}, content=data, headers={"content-type": kind}
    )


def rows_of(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return decode_octets(answer.content).reshape(-1, 4)


def vector(answer: Any) -> Any:
    return rows_of(answer)[0]


class TestAlone:
    @pytest.mark.parametrize("name", sorted(POISON))
    async def test_poison_is_refused_and_free(self, vendor: Any, name: str) -> None:
        answer = await post(vendor, POISON[name])
        assert answer.status_code == (422 if POISON[name] else 400)
        assert "nothing was charged" in answer.text or "empty" in answer.text
        assert answer.headers[headers.SHOULD_RETRY] == "false"
        assert await vendor.available() == "1.000000000"
        assert await vendor.held() == "0.000000000"
        assert (await vendor.http.get("/readyz")).status_code == 200

    @pytest.mark.parametrize("name", sorted(GOOD))
    async def test_odd_pictures_are_pictures(self, vendor: Any, name: str) -> None:
        assert np.isfinite(vector(await post(vendor, GOOD[name]))).all()

    async def test_orientation_is_not_applied(self, vendor: Any) -> None:
        upright = encode_picture(make_noise(7), "PNG")
        rotated = await post(vendor, rotate_by_exif())
        assert np.array_equal(vector(rotated), vector(await post(vendor, upright)))


class TestAmongOthers:
    @pytest.mark.parametrize("name", sorted(set(POISON) - {"no bytes"}))
    async def test_in_a_batch_of_eight(self, vendor: Any, name: str) -> None:
        good = [encode_picture(make_noise(seed), "JPEG") for seed in range(7)]
        clean = rows_of(await post(vendor, pack_frames(good), FRAMES))
        answer = await post(vendor, pack_frames([*good[:3], POISON[name], *good[3:]]), FRAMES)
        assert answer.headers[headers.ERRORS] == '{"3":"invalid_image"}'
        rows = rows_of(answer)
        assert np.isnan(rows[3]).all()
        assert np.array_equal(np.delete(rows, 3, axis=0), clean)
        assert answer.headers[headers.COST_USD] == "0.000000000"  # the others were bought before
        assert await vendor.available() == "0.999300000"

    @pytest.mark.parametrize("name", ["truncated", "a header that claims more", "a bomb"])
    async def test_among_eight_requests_at_once(self, vendor: Any, name: str) -> None:
        good = [encode_picture(make_noise(seed), "JPEG") for seed in range(7)]
        clean = [vector(await post(vendor, data)) for data in good]
        other = [encode_picture(make_noise(seed), "PNG") for seed in range(10, 17)]
        sent = [*good[:3], POISON[name], *good[3:], *other]
        answers = await asyncio.gather(*(post(vendor, data) for data in sent))
        assert [answer.status_code for answer in answers] == [200] * 3 + [422] + [200] * 11
        mixed = [vector(answer) for answer in answers if answer.status_code == 200]
        assert np.array_equal(mixed[:7], clean)
        assert np.array_equal(mixed[7:], [vector(await post(vendor, data)) for data in other])
        assert await vendor.available() == "0.998600000"

    async def test_json_answers_say_which(self, vendor: Any) -> None:
        names = sorted(POISON)
        items = [{"image": base64.b64encode(POISON[name]).decode()} for name in names]
        answer = await vendor.embed("a dog", *items)
        rows = answer.json()["data"]
        assert rows[0]["embedding"] is not None
        assert [row["error"]["code"] for row in rows[1:]] == ["invalid_image"] * len(names)
        assert answer.json()["cost_usd"] == "0.000010000"

    async def test_the_others_pixels_are_pillows_own(self, vendor: Any) -> None:
        """What the model was given beside poison is what the file holds."""
        image = make_noise(1, (8, 8))
        await asyncio.gather(
            post(vendor, encode_picture(image, "PNG")), post(vendor, POISON["truncated"])
        )
        with Image.open(io.BytesIO(encode_picture(image, "PNG"))) as opened:
            again = await post(vendor, encode_picture(opened, "WEBP", lossless=True), "image/webp")
        assert np.array_equal(vector(again), vector(await post(vendor, encode_picture(image))))
