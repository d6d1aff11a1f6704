"""However a picture was uploaded, it is bought once and found again; what is asked again is asked alike."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from client.acquire import UNDECODABLE, Forms, Pixels, choose_forms
from client.acquire.errors import FormLost
from client.acquire.fetch import Fetch
from client.acquire.pixels import Transform
from client.api import VendorClient
from client.cache import EmbeddingStore
from client.errors import UsageError
from client.failpoints import KILLED, PURCHASE, VARIABLE
from client.settings import Upload
from client.teachers import VendorTeacher
from shared.digests import digest_image, digest_pixels
from shared.errors import ErrorCode
from shared.frames import FRAMES, TENSOR
from shared.wire import ModelDocument, Preprocessing
from tests.client.pictures import make_picture
from tests.client.serving import serve
from tests.client.shop import RUN, Shop
from tests.client.standin import BROKEN, IMAGE_NANOUSD, KEY, StandInVendor

PROBE = "what becomes of the probe picture"
SIDE = 8
BOTH: list[tuple[Upload, Upload]] = [("original", "pixels"), ("pixels", "original")]


def shrink(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE)))


def load(_preprocessing: Preprocessing) -> tuple[Transform, str]:
    return shrink, PROBE


def pixels_of(path: Path) -> bytes:
    with Image.open(path) as image:
        return digest_pixels(shrink(image).tobytes(), SIDE)


def without_torch(_preprocessing: Preprocessing) -> tuple[Transform, str]:
    raise UsageError("no torch")


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.vendor.pixel_probe, shop.load = PROBE, load
    return shop


@pytest.fixture
def elsewhere(shop: Shop, tmp_path: Path) -> Callable[[Upload], Shop]:
    """The same account and folder with a cache and journal of their own."""

    def move(upload: Upload) -> Shop:
        store = EmbeddingStore.open(tmp_path / "elsewhere" / "client.db")
        other = Shop(shop.vendor, store, tmp_path)
        other.images, other.load, other.upload = shop.images, load, upload
        return other

    return move


def forms_in(shop: Shop) -> set[str | None]:
    with shop.store.database.read() as connection:
        return set(connection.exec_driver_sql("SELECT form FROM journal").scalars())


def lose(shop: Shop, digests: list[bytes] | None = None) -> None:
    with shop.store.database.write() as connection:
        for digest in shop.images if digests is None else digests:
            connection.exec_driver_sql("DELETE FROM embedding WHERE digest = ?", (digest,))


class TestPixels:
    def test_what_was_bought_as_pixels_is_found_by_its_file(self, shop: Shop) -> None:
        files = shop.add_images(5)
        shop.add_texts("a cat")
        shop.upload = "pixels"
        receipt = shop.fetch()
        assert {pixels_of(file) for file in files} < set(shop.vendor.sold)
        assert receipt.sent_bytes["pixels"] == 5 * SIDE * SIDE * 3
        assert receipt.sent_bytes.keys() == {"pixels", "texts"}
        assert forms_in(shop) == {"pixels", "frames"}
        for upload in ("original", "pixels"):
            shop.upload = upload
            again = shop.fetch()
            assert (again.requests, again.cost_nanousd) == (0, 0)
        shop.check()

    def test_the_vector_is_that_of_the_pixels_under_the_files_digest(self, shop: Shop) -> None:
        (file,) = shop.add_images(1)
        shop.upload = "pixels"
        shop.fetch()
        digest = digest_image(file.read_bytes())
        revision = shop.vendor.revision
        kept = shop.store.get_many(revision, "image", [digest])[digest]
        np.testing.assert_allclose(kept, shop.vendor.vector(pixels_of(file)), atol=1e-3)

    def test_two_files_with_the_same_pixels_are_paid_once_and_both_kept(self, shop: Shop) -> None:
        (file,) = shop.add_images(1)
        data = file.read_bytes() + b"more behind the end"
        twin = file.with_name("twin.png")
        twin.write_bytes(data)
        shop.images[digest_image(data)] = twin
        shop.upload = "pixels"
        receipt = shop.fetch()
        assert (receipt.items["image"], receipt.cost_nanousd) == (2, IMAGE_NANOUSD)
        assert shop.store.count() == 2
        shop.check()

    def test_a_file_that_cannot_be_decoded_here_is_listed_and_free(self, shop: Shop) -> None:
        shop.add_images(2)
        damaged = add_damaged(shop)
        shop.upload = "pixels"
        receipt = shop.fetch()
        assert [(f.digest, f.code) for f in receipt.failures] == [(damaged, UNDECODABLE)]
        assert (receipt.items["image"], receipt.cost_nanousd) == (2, 2 * IMAGE_NANOUSD)
        assert shop.fetch().requests == 0  # it is not tried again, nor counted as to be bought
        shop.upload = "original"
        again = shop.fetch()  # the vendor may know better
        assert [(f.digest, f.code) for f in again.failures] == [(damaged, "invalid_image")]
        assert again.cost_nanousd == 0
        shop.check()

    def test_nothing_is_sent_when_no_file_can_be_decoded(self, shop: Shop) -> None:
        add_damaged(shop)
        shop.upload = "pixels"
        receipt = shop.fetch()
        assert [failure.code for failure in receipt.failures] == [UNDECODABLE]
        assert not any(path.startswith("/v1/embed") for _, path, _ in shop.vendor.requests)
        assert shop.journal.unfinished(RUN) == []
        shop.check()

    def test_an_animated_picture_is_refused_here_as_the_vendor_refuses_it(
        self, shop: Shop, tmp_path: Path
    ) -> None:
        file = tmp_path / "moving.png"
        frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
        frames[0].save(file, save_all=True, append_images=frames[1:])
        shop.images[digest_image(file.read_bytes())] = file
        shop.upload = "pixels"
        (failure,) = shop.fetch().failures
        assert "animated" in failure.message


def add_damaged(shop: Shop) -> bytes:
    data = make_picture(77)[:60] + BROKEN
    file = shop.folder / "damaged.png"
    file.write_bytes(data)
    shop.images[digest_image(data)] = file
    return digest_image(data)


class TestRefusals:
    @pytest.mark.parametrize(
        ("probe", "words"),
        [("other", "come out otherwise here"), ("", "publishes no pixel probe")],
    )
    def test_pixels_that_may_not_be_the_vendors_own_are_not_sent(
        self, shop: Shop, probe: str, words: str
    ) -> None:
        shop.add_images(1)
        shop.vendor.pixel_probe, shop.upload = probe, "pixels"
        with pytest.raises(UsageError, match=words) as caught:
            shop.fetch()
        assert "--upload original" in str(caught.value)
        assert shop.vendor.requests == []

    def test_a_vendor_of_before_is_asked_in_json(self, shop: Shop) -> None:
        shop.vendor.octets = False
        shop.add_images(2)
        shop.add_texts("a cat")
        shop.fetch()
        assert forms_in(shop) == {"json"}
        assert {path for _, path, _ in shop.vendor.requests} == {"/v1/embeddings"}

    def test_the_vendors_own_transform_needs_no_more_than_the_document(self) -> None:
        document = ModelDocument.model_validate(StandInVendor().model_document())
        pixels = Pixels(document)
        assert choose_forms("original", document, pixels) == Forms("frames", "frames", "frames")
        assert not pixels.usable


class TestAskedAgain:
    @pytest.mark.parametrize(("first", "second"), BOTH)
    def test_interrupted_with_one_upload_and_resumed_with_the_other(
        self, shop: Shop, first: Upload, second: Upload
    ) -> None:
        shop.add_images(5)
        shop.upload = first
        shop.vendor.faults.extend(["drop-after"] * 3)
        assert shop.fetch().stopped is not None
        shop.upload = second
        receipt = shop.fetch()
        assert (receipt.stopped, receipt.items["image"]) == (None, 5)
        assert len(shop.vendor.charges) == 1
        shop.check()

    @pytest.mark.parametrize(("first", "second"), BOTH)
    def test_lost_vectors_come_again_free_in_the_form_in_which_they_were_bought(
        self, shop: Shop, first: Upload, second: Upload
    ) -> None:
        shop.vendor.rebuy_free, shop.vendor.rebuy_free_days = True, 30
        shop.add_images(5)
        shop.upload = first
        shop.fetch()
        paid = shop.vendor.debited
        shop.upload = second
        for lost in (None, list(shop.images)[:3]):  # the same request, and another one
            lose(shop, lost)
            assert shop.fetch().stopped is None
            assert shop.store.count() == 5
        assert shop.vendor.debited == paid
        shop.check()

    @pytest.mark.parametrize(("first", "second"), BOTH)
    def test_a_cache_and_journal_lost_and_another_upload(
        self,
        shop: Shop,
        elsewhere: Callable[[Upload], Shop],
        first: Upload,
        second: Upload,
    ) -> None:
        shop.add_images(5)
        shop.upload = first
        shop.fetch()
        moved = elsewhere(second)
        assert moved.fetch().stopped is None
        assert moved.store.count() == 5
        moved.check()  # the vendor knew the key: its answer was repeated, not bought again
        assert len(shop.vendor.charges) == 1
        moved.store.close()

    def test_a_request_begun_in_json_by_an_older_version_is_repeated_in_json(
        self, shop: Shop
    ) -> None:
        shop.vendor.octets = False
        shop.add_images(3)
        shop.add_texts("a cat")
        shop.vendor.faults.extend(["drop-after"] * 6)
        shop.fetch()
        with shop.store.database.write() as connection:
            connection.exec_driver_sql("UPDATE journal SET form = NULL")
        shop.vendor.octets = True
        shop.vendor.requests.clear()
        assert shop.fetch().stopped is None
        asked = [path for method, path, _ in shop.vendor.requests if method == "POST"]
        assert asked[0] == "/v1/embeddings"
        assert shop.store.count() == 4
        shop.check()

    def test_a_run_that_ended_in_another_form_is_closed_by_its_rival(self, shop: Shop) -> None:
        shop.add_images(3)
        shop.upload = "pixels"
        shop.vendor.faults.extend(["drop-after"] * 3)
        shop.fetch()
        rival = Shop(shop.vendor, shop.store, shop.folder, run="rival")
        rival.images, rival.load = shop.images, load
        assert rival.fetch().stopped is None
        assert shop.store.count() == 3
        assert len(shop.vendor.charges) == 1
        rival.check()

    def test_pixels_that_come_out_otherwise_now_are_settled_by_the_record(self, shop: Shop) -> None:
        shop.add_images(2)
        shop.upload = "pixels"
        shop.vendor.faults.extend(["drop-after"] * 3)
        shop.fetch()
        shop.upload, shop.load = "original", lambda _: (shrink, "other")
        assert isinstance(shop.fetch().stopped, FormLost)
        assert shop.vendor.debited == 2 * IMAGE_NANOUSD
        assert shop.fetch().stopped is None
        assert shop.store.count() == 2
        # To the vendor files are other items than pixels that nobody can make again.
        assert shop.vendor.debited == 4 * IMAGE_NANOUSD
        shop.check()

    def test_without_torch_what_was_bought_as_pixels_is_not_bought_again(self, shop: Shop) -> None:
        shop.add_images(2)
        shop.upload = "pixels"
        shop.fetch()
        lose(shop)
        shop.upload, shop.load = "original", without_torch
        with pytest.raises(UsageError, match="pip install"):
            shop.fetch()
        assert len(shop.vendor.charges) == 1

    def test_a_key_of_other_content_in_every_form_is_said_to_be_one(self, shop: Shop) -> None:
        shop.add_images(1)
        shop.vendor.faults.extend([ErrorCode.IDEMPOTENCY_KEY_REUSED] * 3)
        stopped = shop.fetch().stopped
        assert isinstance(stopped, FormLost)
        asked = [headers["content-type"] for _, _, headers in shop.vendor.requests[:3]]
        assert asked == [FRAMES, "application/json", TENSOR]
        assert shop.journal.unfinished(RUN) == []
        assert shop.fetch().items["image"] == 1
        shop.check()


class TestQuote:
    def test_it_says_what_each_upload_comes_to(self, shop: Shop) -> None:
        files = shop.add_images(3)
        shop.add_texts("a cat")
        found = quote(shop).upload_bytes
        assert found["pixels"] == 3 * SIDE * SIDE * 3
        assert found["original"] == sum(4 + file.stat().st_size for file in files)

    def test_what_was_bought_otherwise_has_a_line_of_its_own(self, shop: Shop) -> None:
        shop.add_images(3)
        shop.upload = "pixels"
        shop.fetch()
        lost = list(shop.images)[:2]
        lose(shop, lost)
        shop.add_images(1)
        shop.upload = "original"
        images = [line for line in quote(shop).lines if line.modality == "image"]
        assert [(line.distinct, line.cached, len(line.missing)) for line in images] == [
            (2, 1, 1),
            (2, 0, 2),
        ]
        assert images[1].title == "images, bought as pixels"
        assert set(images[1].missing) == set(lost)


def quote(shop: Shop):
    found = []

    class Looking(Fetch):
        def run(self):
            found.append(self.quote)
            return self.receipt

    shop.fetch(kind=Looking)
    return found[0]


@pytest.mark.parametrize("step", PURCHASE)
def test_a_crash_at_any_step_is_completed_with_the_other_upload(
    shop: Shop, tmp_path: Path, step: str
) -> None:
    shop.add_images(5)
    shop.upload = "pixels"
    shop.store.close()
    home = tmp_path / "home" / "client.db"
    with serve(shop.vendor) as url:
        pid = os.fork()
        if pid == 0:
            os.environ[VARIABLE] = step
            fetch_over(url, shop, home)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED
        shop.upload = "original"
        fetch_over(url, shop, home)
    with EmbeddingStore.open(home) as store:
        assert store.count() == 5
        after = Shop(shop.vendor, store, tmp_path)
        assert after.journal.unfinished(RUN) == []
        after.check()
    assert shop.vendor.debited == 5 * IMAGE_NANOUSD


def fetch_over(url: str, shop: Shop, home: Path) -> None:
    with EmbeddingStore.open(home) as store, VendorClient(api_key=KEY, base_url=url) as client:
        mine = Shop(shop.vendor, store, shop.folder)
        mine.images, mine.upload, mine.load = shop.images, shop.upload, load
        mine.teacher = VendorTeacher(client)
        mine.fetch()
