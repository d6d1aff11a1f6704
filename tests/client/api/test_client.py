"""The client as a program uses it, against a vendor that meters honestly."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.api import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ImageInput,
    Input,
    InternalServerError,
    InvalidAnswerError,
    InvalidInputError,
    MissingKeyError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    TextInput,
    UnprocessableEntityError,
    VendorClient,
    VendorError,
    content_key,
)
from client.api.answers import read_embeddings
from shared.codecs import Vector
from shared.digests import digest_image, digest_text
from shared.wire import Embedding, EmbeddingResponse, ItemError, Usage
from tests.client.pictures import make_picture
from tests.client.standin import BROKEN, IMAGE_NANOUSD, KEY, TEXT_NANOUSD, StandInVendor


def instant(_seconds: float) -> None:
    """A sleep for tests."""


def assert_close(found: Vector | None, wanted: Vector, within: float = 0.0) -> None:
    assert found is not None
    np.testing.assert_allclose(found, wanted, atol=within)


class TestConstruction:
    def test_missing_key_names_both_remedies(self) -> None:
        with pytest.raises(MissingKeyError, match=r"VL2V_API_KEY.*VendorClient\(api_key=...\)"):
            VendorClient()

    def test_key_and_address_come_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, vendor: StandInVendor
    ) -> None:
        monkeypatch.setenv("VL2V_API_KEY", KEY)
        monkeypatch.setenv("VL2V_BASE_URL", "https://vendor.example/v1/")
        with VendorClient(transport=vendor.transport()) as client:
            assert client.base_url == "https://vendor.example"
            assert client.balance.get().account_id == "acct_1"

    def test_plain_http_to_another_machine_is_refused(self) -> None:
        with pytest.raises(VendorError, match="would carry your API key unencrypted: use https"):
            VendorClient(api_key=KEY, base_url="http://vendor.example")
        VendorClient(api_key=KEY, base_url="http://vendor.example", insecure=True).close()

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"])
    def test_plain_http_to_this_machine_is_fine(self, host: str) -> None:
        VendorClient(api_key=KEY, base_url=f"http://{host}:8000").close()

    @pytest.mark.parametrize("url", ["vendor.example", "ftp://x", "http://", "http://[::1"])
    def test_what_is_no_web_address_is_refused(self, url: str) -> None:
        with pytest.raises(VendorError, match="write it like https://host"):
            VendorClient(api_key=KEY, base_url=url)

    def test_a_key_that_cannot_be_a_header_is_refused(self) -> None:
        with pytest.raises(MissingKeyError, match="copy it again"):
            VendorClient(api_key="vl2v_live_x\r\nx: y")


class TestEmbedding:
    def test_texts_and_images_come_back_in_order_with_their_price(
        self, vendor: StandInVendor
    ) -> None:
        picture = make_picture(1)
        with vendor.client() as client:
            out = client.embeddings.create(model="toy", input=["a cat", ImageInput(picture)])
        assert_close(out.data[0].embedding, vendor.vector(digest_text("a cat")))
        assert_close(out.data[1].embedding, vendor.vector(digest_image(picture)))
        assert out.cost_nanousd == IMAGE_NANOUSD + TEXT_NANOUSD == vendor.debited
        assert out.balance_nanousd == 5_000_000_000 - vendor.debited
        assert out.revision == vendor.revision
        assert (out.request_id, out.charge_id) == ("req_x", "chg_0000")
        assert (out.replayed, out.retries) == (False, 0)

    def test_one_text_is_a_list_of_one(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            assert len(client.embeddings.create(model="toy", input="a cat").data) == 1

    def test_images_are_paths_or_bytes(self, vendor: StandInVendor, tmp_path: Path) -> None:
        file = tmp_path / "a.png"
        file.write_bytes(make_picture(1))
        with vendor.client() as client:
            out = client.images.embed([file, str(file), make_picture(2)], model="toy")
        assert len(out.data) == 3
        assert vendor.debited == 2 * IMAGE_NANOUSD

    def test_float16_travels_in_half_the_bytes(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            out = client.embeddings.create(model="toy", input="a cat", embed_dtype="float16")
        assert_close(out.data[0].embedding, vendor.vector(digest_text("a cat")), within=1e-3)

    def test_a_bad_item_has_an_error_and_its_neighbours_a_vector(
        self, vendor: StandInVendor
    ) -> None:
        with vendor.client() as client:
            out = client.images.embed([BROKEN, make_picture(1)], model="toy")
        assert out.data[0].embedding is None
        assert out.data[0].error is not None
        assert out.data[0].error.code == "invalid_image"
        assert out.data[1].embedding is not None

    def test_each_call_has_a_key_of_its_own(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            client.embeddings.create(model="toy", input="a cat")
            client.embeddings.create(model="toy", input="a cat")
        assert len(vendor.charges) == 2

    def test_the_same_key_is_one_purchase(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            client.embeddings.create(model="toy", input="a cat", idempotency_key="k")
            again = client.embeddings.create(model="toy", input="a cat", idempotency_key="k")
        assert again.replayed
        assert again.cost_nanousd == 0
        assert vendor.debited == TEXT_NANOUSD


class TestReceipts:
    def test_money_is_an_integer_and_a_decimal_string(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            out = client.embeddings.create(model="toy", input="a cat")
        assert (out.cost_nanousd, out.cost_usd) == (TEXT_NANOUSD, "0.000010000")
        assert (out.data[0].cost_nanousd, out.data[0].cost_usd) == (TEXT_NANOUSD, "0.000010000")
        assert out.dimension == vendor.dimension

    def test_what_was_bought_before_is_cached_and_what_is_repeated_is_free(
        self, vendor: StandInVendor
    ) -> None:
        vendor.rebuy_free = True
        with vendor.client() as client:
            client.embeddings.create(model="toy", input="a cat")
            out = client.embeddings.create(
                model="toy", input=["a cat", "a dog", "a dog", ImageInput(BROKEN)]
            )
        assert [item.free for item in out.data] == [True, False, True, False]
        assert [item.cached for item in out.data] == [True, False, False, False]
        assert [item.repeated for item in out.data] == [False, False, True, False]

    def test_an_answer_without_a_vector_has_no_dimension(self) -> None:
        failed = Embedding(
            index=0,
            embedding=None,
            cost_usd="0",
            error=ItemError(code="invalid_image", message="damaged"),
        )
        answer = EmbeddingResponse(
            data=[failed],
            model="toy@r",
            usage=Usage(prompt_tokens=0, total_tokens=0),
            cost_usd="0",
            charge_id="chg_1",
        )
        body = answer.model_dump_json().encode()
        out = read_embeddings(body, {}, repeats=[False], dtype="float32", retries=0)
        assert out.dimension is None
        assert not out.data[0].free

    def test_every_charge_is_listed_a_page_at_a_time(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            for word in "abcde":
                client.embeddings.create(model="toy", input=word, idempotency_key=word)
            found = [charge.idempotency_key for charge in client.charges.iterate(page=2)]
            rest = [charge.idempotency_key for charge in client.charges.iterate(after="chg_0002")]
            assert client.charges.get("c").id == "chg_0002"  # type: ignore[union-attr]
            assert client.charges.get("z") is None
        assert (found, rest) == (list("abcde"), ["d", "e"])
        assert sum(path == "/v1/charges" for _, path, _ in vendor.requests) == 3 + 1 + 2

    def test_no_charge_at_all_is_no_page(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            assert list(client.charges.iterate()) == []


class TestKeys:
    def test_the_same_content_has_the_same_key_anywhere(self) -> None:
        picture = ImageInput(make_picture(1))
        key = content_key(["cafe\u0301", picture], model="toy@r1")
        assert key == content_key([TextInput("caf\u00e9"), picture], model="toy@r1")
        others = [
            content_key([picture, "caf\u00e9"], model="toy@r1"),
            content_key(["caf\u00e9", picture], model="toy@r2"),
            content_key(["caf\u00e9", picture], model="toy@r1", scope="again"),
        ]
        assert len({key, *others}) == 4

    def test_a_content_key_makes_asking_again_one_purchase(self, vendor: StandInVendor) -> None:
        key = content_key(["a cat"], model="toy")
        with vendor.client() as client:
            for _ in range(3):
                client.embeddings.create(model="toy", input="a cat", idempotency_key=key)
        assert vendor.debited == TEXT_NANOUSD


class TestDeadline:
    def test_options_change_limits_and_keep_the_connections(self, vendor: StandInVendor) -> None:
        vendor.faults.extend(["internal"] * 9)
        with vendor.client(sleep=instant, max_retries=0) as client:
            patient = client.with_options(max_retries=3)
            with pytest.raises(InternalServerError) as caught:
                patient.embeddings.create(model="toy", input="a cat")
            assert caught.value.retries == 3
            with pytest.raises(InternalServerError) as caught:
                client.embeddings.create(model="toy", input="a cat")
            assert caught.value.retries == 0

    def test_no_wait_goes_beyond_the_deadline(self, vendor: StandInVendor) -> None:
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        vendor.faults.extend(["internal"] * 9)
        vendor.delay_ms = 4000
        with (
            vendor.client(sleep=sleep, clock=lambda: now[0], max_retries=9, deadline=10) as client,
            pytest.raises(InternalServerError) as caught,
        ):
            client.embeddings.create(model="toy", input="a cat")
        assert caught.value.retries == 2
        assert now[0] == 8

    def test_an_answer_that_drips_is_given_up_at_the_timeout(self) -> None:
        import httpx

        now = [0.0]

        def drip() -> Iterator[bytes]:
            for _ in range(100):
                now[0] += 1
                yield b" "

        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
        with (
            VendorClient(
                api_key=KEY, transport=transport, clock=lambda: now[0], timeout=5, max_retries=0
            ) as client,
            pytest.raises(APITimeoutError, match="did not answer within 5 s"),
        ):
            client.balance.get()
        assert now[0] == 6


class TestRetries:
    @pytest.mark.parametrize("fault", ["drop-before", "drop-after", "internal", "rate_limited"])
    def test_a_failure_is_tried_again_under_the_same_key_and_charged_once(
        self, vendor: StandInVendor, fault: str
    ) -> None:
        vendor.faults.extend([fault, fault])
        with vendor.client(sleep=instant) as client:
            out = client.embeddings.create(model="toy", input="a cat")
        assert out.retries == 2
        keys = {headers["idempotency-key"] for _, _, headers in vendor.requests}
        assert len(keys) == 1
        assert vendor.debited == TEXT_NANOUSD

    def test_two_retries_are_all(self, vendor: StandInVendor) -> None:
        vendor.faults.extend(["internal"] * 5)
        with vendor.client(sleep=instant) as client, pytest.raises(InternalServerError) as caught:
            client.embeddings.create(model="toy", input="a cat")
        assert caught.value.retries == 2
        assert len(vendor.requests) == 3

    def test_no_credit_is_one_402_without_a_retry(self, vendor: StandInVendor) -> None:
        vendor.credit = 0
        with vendor.client(sleep=instant) as client, pytest.raises(PaymentRequiredError) as caught:
            client.embeddings.create(model="toy", input="a cat")
        assert len(vendor.requests) == 1
        assert caught.value.code == "insufficient_credit"
        assert str(caught.value).startswith("Request req_x: ")
        assert "ask the vendor for more credit" in str(caught.value)

    def test_the_vendors_delay_is_slept(self, vendor: StandInVendor) -> None:
        slept: list[float] = []
        vendor.faults.append("overloaded")
        with vendor.client(sleep=slept.append) as client:
            client.embeddings.create(model="toy", input="a cat")
        assert slept == [0.001]

    def test_no_answer_at_all_says_what_to_check(self, vendor: StandInVendor) -> None:
        vendor.faults.extend(["drop-before"] * 3)
        with (
            vendor.client(sleep=instant) as client,
            pytest.raises(APIConnectionError, match="check that it runs and that VL2V_BASE_URL"),
        ):
            client.embeddings.create(model="toy", input="a cat")


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("invalid_request", BadRequestError),
            ("invalid_api_key", AuthenticationError),
            ("insufficient_credit", PaymentRequiredError),
            ("forbidden", PermissionDeniedError),
            ("model_not_found", NotFoundError),
            ("revision_changed", ConflictError),
            ("request_too_large", RequestTooLargeError),
            ("no_valid_item", UnprocessableEntityError),
            ("rate_limited", RateLimitError),
            ("overloaded", InternalServerError),
            ("method_not_allowed", APIStatusError),
        ],
    )
    def test_each_status_has_its_class(
        self, vendor: StandInVendor, code: str, kind: type[APIStatusError]
    ) -> None:
        vendor.faults.append(code)
        with vendor.client(max_retries=0) as client, pytest.raises(kind) as caught:
            client.embeddings.create(model="toy", input="a cat")
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert caught.value.request_id == "req_x"

    def test_wrong_key(self, vendor: StandInVendor) -> None:
        with (
            VendorClient(api_key="vl2v_live_no", transport=vendor.transport()) as client,
            pytest.raises(AuthenticationError, match="type `vl2v login`"),
        ):
            client.balance.get()

    def test_a_timeout_is_its_own_error(self) -> None:
        import httpx

        def hang(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("slow", request=request)

        with (
            VendorClient(api_key=KEY, transport=httpx.MockTransport(hang), sleep=instant) as client,
            pytest.raises(APITimeoutError, match="nothing is paid twice"),
        ):
            client.balance.get()

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": 1}'])
    def test_another_program_at_the_address_is_named_as_such(self, body: bytes) -> None:
        import httpx

        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
        with (
            VendorClient(api_key=KEY, transport=transport) as client,
            pytest.raises(InvalidAnswerError, match="check that VL2V_BASE_URL"),
        ):
            client.balance.get()

    def test_a_refusal_without_an_explanation_is_still_one(self) -> None:
        import httpx

        transport = httpx.MockTransport(lambda _: httpx.Response(404, content=b"nope"))
        with (
            VendorClient(api_key=KEY, transport=transport) as client,
            pytest.raises(NotFoundError, match="answered 404 without an explanation"),
        ):
            client.models.get("x")

    def test_a_redirect_is_not_followed_with_the_key(self) -> None:
        import httpx

        seen: list[str] = []

        def redirect(request: httpx.Request) -> httpx.Response:
            seen.append(str(request.url))
            return httpx.Response(307, headers={"location": "https://elsewhere.example/"})

        with (
            VendorClient(api_key=KEY, transport=httpx.MockTransport(redirect)) as client,
            pytest.raises(APIStatusError),
        ):
            client.balance.get()
        assert len(seen) == 1


class TestOtherResources:
    def test_models_balance_usage_and_charges(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            client.embeddings.create(model="toy", input="a cat", idempotency_key="k")
            assert [model.id for model in client.models.list().data] == ["toy"]
            assert client.models.get("toy").dimension == 8
            assert client.balance.get().available_usd == "4.999990000"
            assert client.usage.get().total_cost_usd == "0.000010000"
            assert [c.state for c in client.charges.list(idempotency_key="k").data] == ["captured"]
            assert client.charges.list(idempotency_key="other").data == []

    def test_the_key_never_shows_in_a_representation(self, vendor: StandInVendor) -> None:
        with vendor.client() as client:
            assert KEY not in repr(vars(client).get("_connection"))
            assert KEY not in repr(client)


class TestFrames:
    def test_an_item_that_is_refused_says_why_as_in_json(self, vendor: StandInVendor) -> None:
        pictures = [make_picture(1), make_picture(2) + BROKEN, make_picture(1)]
        with vendor.client() as client:
            answer = client.images.embed(pictures, model="toy", wire="frames")
        assert [item.error and item.error.message for item in answer.data] == [
            None,
            "damaged",
            None,
        ]
        assert [item.cost_nanousd for item in answer.data] == [IMAGE_NANOUSD, 0, 0]
        assert [item.repeated for item in answer.data] == [False, False, True]

    def test_what_frames_cannot_hold_is_refused_before_it_is_sent(
        self, vendor: StandInVendor
    ) -> None:
        mixed: list[str | Input] = ["a cat", ImageInput(make_picture(1))]
        with vendor.client() as client:
            with pytest.raises(InvalidInputError, match="not both"):
                client.embeddings.create(input=mixed, model="toy", wire="frames")
            with pytest.raises(InvalidInputError, match="dimension"):
                client.embeddings.create(input="a", model="toy", wire="frames", dimensions=8)
        assert vendor.requests == []
