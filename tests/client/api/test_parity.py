"""The awaiting client is the blocking one: same names, same signatures, same bytes on the wire."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, get_type_hints

import httpx
import numpy as np
import pytest

from client.api import (
    APITimeoutError,
    AsyncVendorClient,
    ImageInput,
    InvalidInputError,
    PaymentRequiredError,
    VendorClient,
)
from tests.client.pictures import make_picture
from tests.client.standin import KEY, StandInVendor

PAIR = (VendorClient, AsyncVendorClient)
RESOURCES = ("embeddings", "images", "models", "balance", "usage", "charges")


def open_pair() -> tuple[VendorClient, AsyncVendorClient]:
    return VendorClient(api_key=KEY), AsyncVendorClient(api_key=KEY)


def public(thing: object) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(thing) if not name.startswith("_")}


class TestShape:
    def test_both_have_the_same_members(self) -> None:
        one, other = open_pair()
        assert public(one).keys() == public(other).keys()
        assert set(RESOURCES) < public(one).keys()

    def test_both_are_made_with_the_same_arguments(self) -> None:
        one, other = (inspect.signature(kind).parameters for kind in PAIR)
        assert list(one) == list(other)
        apart = {"transport", "sleep"}
        for name in one.keys() - apart:
            assert one[name] == other[name]
        hints = [get_type_hints(kind.__init__) for kind in PAIR]
        assert {name for name in hints[0] if hints[0][name] != hints[1][name]} == apart

    @pytest.mark.parametrize("name", RESOURCES)
    def test_both_resources_have_the_same_methods_help_and_signatures(self, name: str) -> None:
        one, other = (getattr(client, name) for client in open_pair())
        assert type(other).__name__ == f"Async{type(one).__name__}"
        assert inspect.getdoc(one) == inspect.getdoc(other)
        assert public(one).keys() == public(other).keys()
        for method in public(one):
            first, second = getattr(one, method), getattr(other, method)
            assert inspect.getdoc(first) == inspect.getdoc(second)
            assert inspect.getdoc(first)
            assert first.__name__ == second.__name__ == method
            signatures = [inspect.signature(bound) for bound in (first, second)]
            assert signatures[0].parameters == signatures[1].parameters
            if method == "iterate":
                assert inspect.isasyncgenfunction(second)
                assert inspect.isgeneratorfunction(first)
            else:
                assert signatures[0].return_annotation == signatures[1].return_annotation
                assert inspect.iscoroutinefunction(second)
                assert not inspect.iscoroutinefunction(first)

    def test_a_signature_names_what_the_caller_gets(self) -> None:
        from client.api import EmbeddingResult

        signature = inspect.signature(open_pair()[1].images.embed)
        assert signature.return_annotation is EmbeddingResult
        assert list(signature.parameters)[:2] == ["images", "model"]


@dataclass
class Recorder:
    """What a client put on the wire."""

    vendor: StandInVendor = field(default_factory=StandInVendor)
    seen: list[tuple[str, bytes, list[tuple[bytes, bytes]], bytes]] = field(default_factory=list)
    keys: Iterator[int] = field(default_factory=count)
    slept: list[float] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        inner = self.vendor.transport()

        def record(request: httpx.Request) -> httpx.Response:
            url = request.url.raw_path
            self.seen.append((request.method, url, list(request.headers.raw), request.read()))
            return inner.handler(request)  # type: ignore[return-value]

        return httpx.MockTransport(record)

    def options(self) -> dict[str, Any]:
        return {
            "api_key": KEY,
            "base_url": "https://vendor.example/v1",
            "transport": self.transport(),
            "make_key": lambda: f"key-{next(self.keys)}",
        }


def collect(pages: Iterator[Any]) -> list[Any]:
    return list(pages)


async def collect_awaited(pages: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in pages]


PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
CALLS: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    ("embeddings", "create", (), {"model": "toy", "input": "ein Bär"}),
    (
        "embeddings",
        "create",
        (),
        {
            "model": "toy@0123456789abcdef",
            "input": ["a", ImageInput(make_picture(1))],
            "idempotency_key": "mine",
            "embed_dtype": "float16",
            "dimensions": 8,
            "atomic": True,
        },
    ),
    ("images", "embed", ([make_picture(2), PIXELS],), {"model": "toy", "partial_ok": True}),
    ("images", "embed", ([make_picture(3)],), {"model": "toy", "wire": "frames", "atomic": True}),
    ("embeddings", "create", (), {"model": "toy", "input": ["a", "b"], "wire": "frames"}),
    ("images", "embed_pixels", (PIXELS[None],), {"model": "toy", "embed_dtype": "float16"}),
    ("models", "list", (), {}),
    ("models", "get", ("toy",), {}),
    ("balance", "get", (), {}),
    ("usage", "get", (), {"since": datetime(2026, 11, 1, tzinfo=UTC)}),
    ("charges", "list", (), {"limit": 1, "after": "chg_0000"}),
    ("charges", "get", ("mine",), {}),
    ("charges", "iterate", (), {"page": 1}),
]


def run_blocking(recorder: Recorder) -> list[Any]:
    with VendorClient(**recorder.options(), sleep=recorder.slept.append) as client:
        found = []
        for resource, method, positional, named in CALLS:
            out = getattr(getattr(client, resource), method)(*positional, **named)
            found.append(collect(out) if method == "iterate" else out)
        return found


async def run_awaiting(recorder: Recorder) -> list[Any]:
    async def sleep(seconds: float) -> None:
        recorder.slept.append(seconds)

    async with AsyncVendorClient(**recorder.options(), sleep=sleep) as client:
        found = []
        for resource, method, positional, named in CALLS:
            out = getattr(getattr(client, resource), method)(*positional, **named)
            found.append(await collect_awaited(out) if method == "iterate" else await out)
        return found


class TestWire:
    @pytest.mark.parametrize("faults", [[], ["internal", "rate_limited"], ["drop-after"]])
    async def test_every_request_is_the_same_byte_for_byte(self, faults: list[str]) -> None:
        one, other = Recorder(), Recorder()
        for recorder in (one, other):
            recorder.vendor.faults.extend(faults)
        first, second = run_blocking(one), await run_awaiting(other)
        assert one.seen == other.seen
        assert len(one.seen) == len(CALLS) + len(faults) + 5
        assert len(one.slept) == len(other.slept) == len(faults)
        for answer, twin in zip(first[6:], second[6:], strict=True):
            # Charges carry the time of day.
            assert _undated(answer) == _undated(twin)
        for answer, twin in zip(first[:6], second[:6], strict=True):
            assert (answer.cost_nanousd, answer.retries) == (twin.cost_nanousd, twin.retries)
            for item, again in zip(answer.data, twin.data, strict=True):
                np.testing.assert_array_equal(item.embedding, again.embedding)

    async def test_the_key_of_a_call_is_kept_over_its_tries(self) -> None:
        recorder = Recorder()
        recorder.vendor.faults.extend(["drop-after", "internal"])
        await run_awaiting(recorder)
        keys = [dict(headers).get(b"idempotency-key") for _, _, headers, _ in recorder.seen]
        assert keys[:5] == [b"key-0"] * 3 + [b"mine", b"key-1"]


def _undated(answer: Any) -> Any:
    rows = answer if isinstance(answer, list) else [answer]
    plain = [row.model_dump() for row in rows]
    for row in plain:
        for document in (row, *row.get("data", [])):
            document.pop("captured_at", None)
    return plain


class TestAwaiting:
    async def test_refusals_are_the_same_errors(self, vendor: StandInVendor) -> None:
        vendor.credit = 0
        async with vendor.async_client() as client:
            with pytest.raises(PaymentRequiredError, match="ask the vendor for more credit"):
                await client.embeddings.create(model="toy", input="a cat")
            with pytest.raises(InvalidInputError, match=r"images\[0\]"):
                await client.images.embed([b""], model="toy")
        assert len(vendor.requests) == 1

    async def test_an_answer_that_never_comes_is_given_up(self) -> None:
        async def hang(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(60)
            raise AssertionError

        transport = httpx.MockTransport(hang)
        client = AsyncVendorClient(api_key=KEY, transport=transport, timeout=0.01, max_retries=0)
        with pytest.raises(APITimeoutError, match=r"did not answer within 0\.01 s"):
            await client.balance.get()
        await client.close()

    async def test_calls_run_side_by_side(self, vendor: StandInVendor) -> None:
        async with vendor.async_client() as client:
            calls = [client.embeddings.create(model="toy", input=word) for word in "abcd"]
            answers = await asyncio.gather(*calls)
            assert (await client.with_options(max_retries=0).balance.get()).account_id == "acct_1"
        assert sum(answer.cost_nanousd for answer in answers) == vendor.debited
