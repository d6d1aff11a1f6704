"""Pictures decoded while the money is being held: never twice, in vain at most once, never computed early."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.vendor_api.conftest import INFO, FakeModel, FakePreparation, Vendor
from tests.vendor_api.embeddings.test_decoding import Slow
from tests.vendor_api.embeddings.test_money import Visitor, charge_of, wait_until
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.embeddings.decoding import Decoder
from vendor_api.embeddings.drawing import Drawing
from vendor_api.embeddings.requests import Ask, read_file
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher
from vendor_api.ledger import Ledger
from vendor_api.ledger.accounts import set_status
from vendor_api.settings import VendorSettings
from vendor_api.stopwatch import Stopwatch


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder(1)
    yield made
    made.close()


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.gate.set()


@pytest.fixture
def draw(decoder: Decoder, slow: Slow, picture: Any) -> Callable[..., Drawing]:
    """A drawing of pictures as wide as the numbers say."""

    def make(*widths: int, is_abandoned: Callable[[], bool] = lambda: False) -> Drawing:
        asks = [read_file(picture(1, size=(width, 10))) for width in widths]
        return Drawing(
            asks,
            decoder=decoder,
            preparation=slow,
            watch=Stopwatch(),
            is_abandoned=is_abandoned,
        )

    return make


def widths(slow: Slow) -> list[int]:
    return [size[0] for size in slow.sizes]


async def test_what_was_begun_is_not_drawn_again(draw: Any, slow: Slow) -> None:
    slow.gate.set()
    drawing = draw(10, 11, 12)
    drawing.begin([0, 2])
    drawn = await drawing.finish([0, 1, 2])
    assert sorted(drawn) == [0, 1, 2]
    assert sorted(widths(slow)) == [10, 11, 12]
    assert sorted(await drawing.finish([2])) == [2]
    assert len(slow.sizes) == 3


async def test_only_what_is_asked_for_is_answered(draw: Any, slow: Slow) -> None:
    slow.gate.set()
    drawing = draw(10, 11)
    drawing.begin([0, 1])
    assert list(await drawing.finish([1])) == [1]
    assert await drawing.finish([]) == {}


async def test_what_is_dropped_before_its_turn_is_never_drawn(
    draw: Any, decoder: Decoder, slow: Slow, picture: Any
) -> None:
    drawing = draw(10, 11, 12)
    drawing.begin([0, 1, 2])
    await wait_until(lambda: len(slow.sizes) == 1)
    drawing.drop()
    slow.gate.set()
    await decoder.decode(slow, picture(1, size=(20, 10)), 100)
    assert widths(slow) == [10, 20]


async def test_pixels_are_nothing_to_begin_with(decoder: Decoder, slow: Slow) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    drawing = Drawing(
        [Ask("image", b"d", pixels=pixels), Ask("text", b"t", text="a")],
        decoder=decoder,
        preparation=slow,
        watch=Stopwatch(),
        is_abandoned=lambda: False,
    )
    drawing.begin([0, 1])
    assert await drawing.finish([0, 1]) == {0: pixels}
    drawing.drop()


async def test_what_seemed_to_be_for_nobody_is_drawn_when_somebody_asks(
    draw: Any, slow: Slow
) -> None:
    slow.gate.set()
    answers = iter([True, False])
    drawing = draw(10, is_abandoned=lambda: next(answers))
    drawing.begin([0])
    assert list(await drawing.finish([0])) == [0]
    assert widths(slow) == [10]


async def test_a_decoder_that_is_closed_is_told_only_to_who_asks(
    draw: Any, decoder: Decoder
) -> None:
    decoder.close()
    for asked in (True, False):
        drawing = draw(10)
        drawing.begin([0])
        await asyncio.sleep(0)
        if asked:
            with pytest.raises(RuntimeError):
                await drawing.finish([0])
        drawing.drop()


class Watched(FakePreparation):
    """Remembers the widths of the pictures it was given."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def preprocess(self, image: Image.Image) -> Any:
        self.widths.append(image.width)
        return super().preprocess(image)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def seller(
    vendor_database_url: str,
    api_key: Any,
    pepper: bytes,
    fake_model: FakeModel,
    batcher: Batcher,
    settings: VendorSettings,
    watched: Watched,
) -> AsyncIterator[Vendor]:
    """A vendor whose preparation is watched."""
    ledger = Ledger.open(vendor_database_url)
    authenticator = Authenticator.open(vendor_database_url, pepper)
    served = {INFO.id: ServedModel(INFO, watched, batcher)}
    app = create_app(settings, engines=served, ledger=ledger, authenticator=authenticator)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        stack.push_async_callback(authenticator.close)
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://vendor",
                headers={"authorization": f"Bearer {api_key.text}"},
            )
        )
        yield Vendor(app, http, api_key.text, fake_model, batcher)


class Busy:
    """The ledger's writer, kept from everything else while it lasts; use it in an `async with`."""

    def __init__(self, vendor: Vendor) -> None:
        self._ledger: Ledger = vendor.app.state.shop.ledger
        self._gate = threading.Event()
        self._holding: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> "Busy":
        begun = threading.Event()

        def hold(_connection: Any, _now: int) -> None:
            begun.set()
            assert self._gate.wait(30)

        self._holding = asyncio.create_task(self._ledger.change("", hold))
        await wait_until(begun.is_set)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate.set()
        assert self._holding is not None
        await self._holding


async def test_a_buyers_next_picture_is_drawn_before_its_hold_and_computed_after_it(
    seller: Vendor, watched: Watched, image_item: Any, picture: Any
) -> None:
    def item(width: int) -> Any:
        return image_item(data=picture(width, size=(width, 10)))

    async with Busy(seller):
        first = asyncio.create_task(seller.embed(item(10)))
        await asyncio.sleep(0.05)
        assert watched.widths == []  # nothing is known of the account yet
    assert (await first).status_code == 200
    async with Busy(seller):
        second = asyncio.create_task(seller.embed(item(11)))
        await wait_until(lambda: watched.widths == [10, 11])
        await asyncio.sleep(0.05)
        assert seller.model.batches == [("image", 1)]
    assert (await second).status_code == 200
    assert watched.widths == [10, 11]
    assert await seller.available() == "0.999800000"


async def test_a_refused_hold_is_answered_before_what_is_wrong_with_the_picture(
    seller: Vendor, image_item: Any, picture: Any, shop: Any
) -> None:
    assert (await seller.embed(image_item())).status_code == 200
    shop.database.change(lambda c: set_status(c, shop.account.id, "frozen"))
    broken = image_item(data=picture(90, "JPEG", (64, 64))[:-40])
    answers = [await seller.embed(broken) for _ in range(2)]
    assert [answer.json()["code"] for answer in answers] == ["account_frozen"] * 2
    assert seller.model.batches == [("image", 1)]
    assert await seller.held() == "0.000000000"


async def test_a_client_that_leaves_while_its_money_is_being_held_pays_nothing(
    seller: Vendor, watched: Watched, image_item: Any, picture: Any
) -> None:
    assert (await seller.embed(image_item())).status_code == 200
    async with Busy(seller):
        visitor = Visitor(seller, image_item(data=picture(3, size=(11, 10))))
        await wait_until(lambda: 11 in watched.widths)
        visitor.left.set()
        await asyncio.sleep(0.02)
    await visitor.task
    assert visitor.status == 499
    assert (await charge_of(seller, "visit"))["state"] == "released"
    assert seller.model.batches == [("image", 1)]


async def test_what_is_remembered_is_not_drawn(
    seller: Vendor, watched: Watched, image_item: Any
) -> None:
    for _ in range(2):
        assert (await seller.embed(image_item())).status_code == 200
    assert len(watched.widths) == 1
