"""A client that resizes itself: the vendor's own pixels, hence the vendor's own vectors."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from client.api import EmbeddingResult, InvalidInputError, UnprocessableEntityError, VendorClient
from client.api.errors import APIStatusError
from shared.openclip import load_openclip
from shared.pixels import PixelTransform, hash_probe
from tests.contract.conftest import MODEL, Contract


@pytest.fixture
def client(contract: Contract) -> Iterator[VendorClient]:
    with VendorClient(api_key=contract.key, base_url=contract.url) as client:
        yield client


def make_file(seed: int, size: tuple[int, int], kind: str = "JPEG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((size[1] * 2, size[0] * 2)).save(buffer, kind)
    return buffer.getvalue()


FILES = [
    make_file(seed, size, kind)
    for seed, (size, kind) in enumerate(
        [((40, 60), "JPEG"), ((61, 33), "PNG"), ((90, 21), "JPEG"), ((16, 16), "WEBP")]
    )
]


def transform(client: VendorClient) -> PixelTransform:
    return PixelTransform(client.models.get(MODEL).preprocessing)


def draw(given: PixelTransform) -> np.ndarray:
    return np.stack([given(Image.open(io.BytesIO(data))) for data in FILES])


def test_the_published_preprocessing_is_the_vendors_own(
    client: VendorClient, clip_folder: object
) -> None:
    document = client.models.get(MODEL)
    own = load_openclip(f"local-dir:{clip_folder}")
    assert hash_probe(transform(client)) == document.pixel_probe == hash_probe(own.transform)
    assert np.array_equal(draw(transform(client)), draw(own.transform))


def test_pixels_get_the_vectors_of_their_files(client: VendorClient) -> None:
    pixels = draw(transform(client))
    for data, picture in zip(FILES, pixels, strict=True):
        file = client.images.embed(data, model=MODEL)
        own = client.images.embed_pixels(picture[None], model=MODEL)
        assert np.array_equal(vector(file), vector(own))
        assert own.model == file.model
        assert own.usage == file.usage
        assert own.cost_nanousd == file.cost_nanousd == 100_000  # pixels are another item
        assert own.data[0].cost_nanousd == 100_000
        assert own.request_id is not None
    again = client.images.embed_pixels(pixels, model=MODEL, embed_dtype="float16")
    assert again.cost_nanousd == 0
    assert all(item.cached for item in again.data)


def test_repeated_pixels_are_paid_once(client: VendorClient) -> None:
    side = client.models.get(MODEL).preprocessing.image_size
    picture = np.random.default_rng(9).integers(0, 255, (1, side, side, 3), dtype=np.uint8)
    answer = client.images.embed_pixels(np.repeat(picture, 3, axis=0), model=MODEL)
    assert [item.cost_nanousd for item in answer.data] == [100_000, 0, 0]
    assert [item.repeated for item in answer.data] == [False, True, True]


def test_a_key_repeats_the_answer(client: VendorClient) -> None:
    side = client.models.get(MODEL).preprocessing.image_size
    picture = np.full((1, side, side, 3), 77, dtype=np.uint8)
    first, again = (
        client.images.embed_pixels(picture, model=MODEL, idempotency_key="pixels-1")
        for _ in range(2)
    )
    assert again.replayed
    assert again.cost_nanousd == 0
    assert again.charge_id == first.charge_id
    assert np.allclose(vector(first), vector(again), atol=1e-6)


def test_another_shape_is_refused_before_it_is_sent_or_by_the_vendor(client: VendorClient) -> None:
    for pixels in (np.zeros((1, 8, 9, 3)), np.zeros((8, 8, 3)), np.zeros((0, 8, 8, 3))):
        with pytest.raises(InvalidInputError, match="nothing was sent"):
            client.images.embed_pixels(pixels.astype(np.uint8), model=MODEL)
    with pytest.raises(InvalidInputError, match="float64"):
        client.images.embed_pixels(np.zeros((1, 8, 8, 3)), model=MODEL)  # type: ignore[arg-type]
    with pytest.raises(APIStatusError, match="x-shape") as caught:
        client.images.embed_pixels(np.zeros((1, 3, 3, 3), dtype=np.uint8), model=MODEL)
    assert not isinstance(caught.value, UnprocessableEntityError)


def vector(result: EmbeddingResult) -> np.ndarray:
    (item,) = result.data
    assert item.embedding is not None
    return item.embedding
