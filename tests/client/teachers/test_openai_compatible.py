"""An endpoint as infinity is: known by its answers, asked in parts, never let near a broken picture."""

import re

import numpy as np
import pytest

from client.api import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ImageInput,
    InvalidAnswerError,
    InvalidInputError,
    TextInput,
    VendorError,
)
from client.cache.documents import TeacherDocument
from client.errors import UsageError
from client.settings import ClientSettings
from client.teachers import open_teacher
from client.teachers.endpoint import Endpoint
from tests.client.pictures import make_picture
from tests.client.standin import StandInVendor
from tests.client.teachers.conftest import OpenInfinity
from tests.client.teachers.infinity import StandInInfinity
from tests.client.teachers.test_conformance import nothing


def pictures(count: int) -> list[ImageInput]:
    return [ImageInput(make_picture(number)) for number in range(count)]


def sizes(infinity: StandInInfinity) -> list[int]:
    return [len(asked) for asked in infinity.asked]


class TestWhoItIs:
    def test_a_probe_tells_the_dimension_and_names_the_revision(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        document = open_infinity().describe("", nothing)
        assert (document.id, document.dimension) == ("clip", infinity.dimension)
        assert not document.scale_known
        assert sizes(infinity) == [2, 1]

    def test_alike_answers_are_the_same_revision_wherever_it_runs(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        first = open_infinity().describe("clip", nothing)
        infinity.noise = 3e-4
        for _ in range(20):
            again = open_infinity("http://127.0.0.1:1").describe("clip", lambda _: [first])
            assert again.revision == first.revision
            assert again.teacher == "openai:http://127.0.0.1:1"

    def test_the_path_of_its_address_is_kept(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        infinity.prefix = "/v1"
        assert open_infinity("http://localhost:80/v1/").describe("clip", nothing).id == "clip"
        with pytest.raises(VendorError, match=r"answered 404.*what stands before /embeddings"):
            open_infinity("http://localhost:80").describe("clip", nothing)

    def test_other_answers_are_refused_until_their_revision_is_typed(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        first = open_infinity().describe("clip", nothing)
        infinity.weights = 1
        with pytest.raises(UsageError, match=f"does not answer as {first.name} of openai") as said:
            open_infinity().describe("clip", lambda _: [first])
        (typed,) = re.findall(r"type --model (clip@\w{16})", str(said.value))
        second = open_infinity().describe(typed, lambda _: [first])
        assert second.revision != first.revision
        assert open_infinity().describe("clip", lambda _: [second, first]) == second
        infinity.weights = 0
        with pytest.raises(UsageError, match=f"type --model {first.name}"):
            open_infinity().describe("clip", lambda _: [second, first])
        assert open_infinity().describe(first.name, lambda _: [second, first]) == first

    def test_a_model_of_the_same_name_from_the_vendor_is_not_mixed_with_it(
        self, open_infinity: OpenInfinity
    ) -> None:
        sold = TeacherDocument.model_validate(StandInVendor().model_document() | {"id": "clip"})
        with pytest.raises(UsageError, match="does not answer as clip@0123456789abcdef of vendor"):
            open_infinity().describe("clip", lambda _: [sold])

    def test_a_restart_with_other_weights_between_two_requests_is_noticed(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        teacher = open_infinity()
        document = teacher.describe("clip", nothing)
        for fault in ("new weights", None):
            if fault:
                infinity.faults.append(fault)
            with pytest.raises(InvalidAnswerError, match="became another model while it was asked"):
                teacher.embed(pictures(2), model=document.name, idempotency_key="")

    def test_infinity_answers_to_any_name_so_the_name_is_looked_up(
        self, open_infinity: OpenInfinity
    ) -> None:
        with pytest.raises(
            UsageError, match="serves no model 'klip': choose one with --model: clip"
        ):
            open_infinity().describe("klip", nothing)

    def test_of_several_models_one_must_be_named(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        infinity.served = ("clip", "siglip")
        with pytest.raises(UsageError, match="name the model with --model: clip, siglip"):
            open_infinity().describe("", nothing)
        assert open_infinity().describe("siglip", nothing).id == "siglip"

    def test_a_model_without_images_is_no_teacher(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        infinity.faults.extend([None, 400])
        with pytest.raises(UsageError, match=r"embeds no images .*such as a CLIP"):
            open_infinity().describe("clip", nothing)


class TestParts:
    def test_it_learns_how_many_images_a_request_may_have(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        teacher = open_infinity()
        document = teacher.describe("clip", nothing)
        infinity.asked.clear()
        for _ in range(2):
            answer = teacher.embed(pictures(64), model=document.name, idempotency_key="")
            assert all(item.error is None for item in answer.data)
        # One is the probe that looks whether it is still the same.
        assert sizes(infinity) == [64, 32, 32, 1, 32, 32, 1]

    @pytest.mark.parametrize("bad", [0, 17, 63])
    def test_a_picture_that_it_refuses_is_listed_and_costs_no_neighbour(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity, bad: int
    ) -> None:
        teacher = open_infinity(item_price_nanousd=7)
        document = teacher.describe("clip", nothing)
        items = pictures(64)
        items[bad] = ImageInput(_tiny())
        answer = teacher.embed(items, model=document.name, idempotency_key="")
        failed = [item for item in answer.data if item.error is not None]
        assert [item.index for item in failed] == [bad]
        assert failed[0].error is not None
        assert failed[0].error.code == "invalid_image"
        assert "too small for processing (2, 2)" in failed[0].error.message
        assert answer.cost_nanousd == 63 * 7
        for item, asked in zip(answer.data, items, strict=True):
            if item.embedding is not None:
                np.testing.assert_allclose(item.embedding, infinity.vector(asked.data), atol=1e-6)

    def test_an_item_that_breaks_it_inside_may_be_asked_again(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        infinity.poison = b"poison"
        teacher = open_infinity()
        document = teacher.describe("clip", nothing)
        texts = [TextInput(text) for text in ("a", "b", "poison", "c", "poison too")]
        answer = teacher.embed(texts, model=document.name, idempotency_key="")
        codes = [item.error and item.error.code for item in answer.data]
        assert codes == [None, None, "endpoint_failed", None, "endpoint_failed"]

    def test_an_endpoint_that_fails_for_every_item_is_to_blame_itself(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        teacher = open_infinity()
        document = teacher.describe("clip", nothing)
        infinity.asked.clear()
        infinity.faults.extend([500] * 20)
        with pytest.raises(APIStatusError, match="answered 500: InternalServerError"):
            teacher.embed(pictures(8), model=document.name, idempotency_key="")
        assert sizes(infinity) == [8, 4, 2, 1, 1]

    def test_a_picture_that_does_not_decode_is_never_sent(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        # The stand-in hangs for good when it is, as infinity does.
        teacher = open_infinity()
        document = teacher.describe("clip", nothing)
        items = [*pictures(2), ImageInput(make_picture(9, "JPEG")[:300])]
        answer = teacher.embed(items, model=document.name, idempotency_key="")
        assert [item.error is None for item in answer.data] == [True, True, False]
        assert not infinity.hangs

    def test_another_model_than_was_described_is_not_asked(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        with pytest.raises(InvalidInputError, match="was not asked"):
            open_infinity().embed(pictures(1), model="clip@0", idempotency_key="")
        assert infinity.asked == []


class TestFaults:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_busy_endpoint_is_asked_again(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity, status: int
    ) -> None:
        teacher = open_infinity()
        document = teacher.describe("clip", nothing)
        infinity.faults.extend([status, status])
        answer = teacher.embed(pictures(3), model=document.name, idempotency_key="")
        assert all(item.error is None for item in answer.data)

    @pytest.mark.parametrize(("status", "patience"), [(429, 600), (503, 600), (502, 2)])
    def test_one_that_stays_busy_is_left_alone_some_day(
        self, infinity: StandInInfinity, status: int, patience: float
    ) -> None:
        infinity.faults.extend([status] * 500)
        slept: list[float] = []
        endpoint = Endpoint(
            "http://127.0.0.1:7997",
            transport=infinity.transport(),
            clock=lambda: sum(slept),
            sleep=slept.append,
        )
        with pytest.raises(APIStatusError, match=f"answered {status}"):
            endpoint.embed("clip", [TextInput("a cat")])
        assert patience - 10 <= sum(slept) <= patience

    def test_one_that_hangs_is_said_to(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        infinity.hangs = True
        with pytest.raises(APITimeoutError, match="look whether it hangs, restart it"):
            open_infinity().describe("clip", nothing)

    def test_one_that_is_not_there(self) -> None:
        teacher = open_teacher(
            "openai:http://127.0.0.1:9", ClientSettings.load(), sleep=lambda _: True
        )
        with pytest.raises(APIConnectionError, match=r"cannot reach http://127.0.0.1:9: check"):
            teacher.describe("clip", nothing)

    def test_a_key_that_it_wants(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        infinity.key = "secret"
        with pytest.raises(AuthenticationError, match="set VL2V_TEACHER_API_KEY"):
            open_infinity().describe("clip", nothing)
        assert open_infinity(key="secret").describe("clip", nothing).id == "clip"

    def test_its_words_are_made_short(
        self, infinity: StandInInfinity, open_infinity: OpenInfinity
    ) -> None:
        # A request that is too long is repeated in the refusal of it.
        infinity.faults.extend([422])
        with pytest.raises(UsageError) as said:
            open_infinity().describe("clip", nothing)
        assert len(str(said.value)) < 500

    def test_plain_http_to_another_machine_needs_a_word(self, open_infinity: OpenInfinity) -> None:
        with pytest.raises(VendorError, match="use https"):
            open_infinity("http://gpu-box:7997")

    @pytest.mark.parametrize(
        ("spec", "said"),
        [("openai", "there is no teacher 'openai'"), ("local:", "write vendor, openai:URL")],
    )
    def test_a_teacher_that_there_is_not(self, spec: str, said: str) -> None:
        with pytest.raises(UsageError, match=said):
            open_teacher(spec, ClientSettings.load())


def _tiny() -> bytes:
    """A picture that decodes everywhere and that infinity refuses."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "PNG")
    return out.getvalue()
