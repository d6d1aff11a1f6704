"""A vendor that meters honestly and fails on demand; `serving.serve` puts it behind real HTTP."""

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np

from client.api import AsyncVendorClient, VendorClient
from shared.codecs import encode_base64, encode_octets
from shared.digests import digest_image, digest_pixels, digest_text
from shared.errors import ERROR_KINDS, TYPE_PREFIX, ErrorCode
from shared.frames import TENSOR, unpack_frames
from shared.money import format_usd
from shared.revision import split_space

KEY = "vl2v_live_abcdefghijkl_" + "s" * 43 + "crc123"
REVISION = "0123456789abcdef"
IMAGE_NANOUSD = 100_000
TEXT_NANOUSD = 10_000
BROKEN = b"no image"


class Dropped(Exception):
    """The connection ends without an answer."""


@dataclass
class StandInCharge:
    """One paid request."""

    number: int
    key: str
    fingerprint: str
    state: str
    cost: int
    images: int
    texts: int
    replays: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "id": f"chg_{self.number:04}",
            "state": self.state,
            "idempotency_key": self.key,
            "request_id": "req_x",
            "model": "toy",
            "revision": REVISION,
            "images": self.images,
            "texts": self.texts,
            "reserved_usd": format_usd(self.cost),
            "cost_usd": format_usd(self.cost),
            "created_at": "2026-11-22T09:00:00Z",
            "captured_at": datetime.now(UTC).isoformat(),
        }


@dataclass(frozen=True)
class Asked:
    """A paid request, in whatever form it came."""

    form: str
    model: str
    dtype: Any
    items: list[tuple[str, bytes, bool]]
    """Modality, digest, whether it can be embedded."""


@dataclass
class StandInVendor:
    """Charges each idempotency key once, replays free, refuses without credit, fails on demand."""

    credit: int = 5_000_000_000
    dimension: int = 8
    rebuy_free: bool = False
    """Off: paying twice for an item shows in the books instead of being forgiven."""
    rebuy_free_days: int = 0
    """What the model's document promises."""
    replays: int = 1000
    """How often a charge is replayed."""
    revision: str = REVISION
    octets: bool = True
    """Whether it says that it takes frames."""
    pixel_probe: str = ""
    """What it says becomes of the probe picture; without one it takes no pixels."""
    export: bytes = b""
    """What `GET /v1/account/export` answers."""
    charges: dict[str, StandInCharge] = field(default_factory=dict)
    sold: list[bytes] = field(default_factory=list)
    """Digests in the order they were charged; one that occurs twice was paid twice."""
    faults: deque[str] = field(default_factory=deque)
    """Each embedding request takes the first: drop-before, drop-after, or an error code."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    delay_ms: int = 1
    """What a refusal asks to wait."""
    before_answer: Callable[[], None] = lambda: None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def debited(self) -> int:
        return sum(charge.cost for charge in self.charges.values())

    def handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        url = urlsplit(target)
        with self.lock:
            self.requests.append((method, url.path, headers))
            if headers.get("authorization") != f"Bearer {KEY}":
                return self._refuse(ErrorCode.INVALID_API_KEY, "the key is not known")
            if url.path == "/v1/embeddings":
                return self._embed(headers["idempotency-key"], self._read_json(json.loads(body)))
            if url.path.startswith("/v1/embed/"):
                asked = self._read_octets(url.path, parse_qs(url.query), headers, body)
                return self._embed(headers["idempotency-key"], asked)
            return self._answer_get(url.path, parse_qs(url.query))

    def _answer_get(
        self, path: str, query: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], bytes]:
        if path == "/v1/models":
            return self._say({"object": "list", "data": [self.model_document()]})
        if path == "/v1/models/toy":
            return self._say(self.model_document())
        if path == "/v1/balance":
            return self._say(
                {
                    "account_id": "acct_1",
                    "credited_usd": format_usd(self.credit),
                    "debited_usd": format_usd(self.debited),
                    "held_usd": format_usd(0),
                    "credit_limit_usd": format_usd(0),
                    "available_usd": format_usd(self.credit - self.debited),
                    "as_of": "2026-11-22T09:00:00Z",
                }
            )
        if path == "/v1/account/export":
            return 200, {"content-type": "application/zip"}, self.export
        if path == "/v1/usage":
            total = format_usd(self.debited)
            row = {
                "hour": "2026-11-22T09:00:00Z",
                "key_id": "key_1",
                "model": "toy",
                "modality": "image",
                "items": len(self.sold),
                "items_free": 0,
                "items_failed": 0,
                "cost_usd": total,
            }
            return self._say(
                {"data": [row], "total_items": 1, "total_cost_usd": total, "as_of": "now"}
            )
        if path == "/v1/charges":
            wanted = query.get("idempotency_key", [None])[0]
            after, limit = query.get("after", [""])[0], int(query.get("limit", ["100"])[0])
            found = [c.document() for c in self.charges.values() if wanted in (None, c.key)]
            found = [document for document in found if document["id"] > after]
            return self._say({"data": found[:limit], "has_more": len(found) > limit})
        return self._refuse(ErrorCode.MODEL_NOT_FOUND, "there is nothing here")

    def _embed(self, key: str, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        fault = self.faults.popleft() if self.faults else ""
        if fault == "drop-before":
            raise Dropped
        if fault and fault != "drop-after":
            return self._refuse(ErrorCode(fault), "as the test demanded")
        answer = self._sell(key, asked)
        self.before_answer()
        if fault == "drop-after":
            raise Dropped
        return answer

    def _sell(self, key: str, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.model.partition("@")[2] not in ("", self.revision):
            return self._refuse(ErrorCode.REVISION_CHANGED, "the model has changed")
        items = asked.items
        fingerprint = json.dumps([asked.form, *(digest.hex() for _, digest, _ in items)])
        known = self.charges.get(key)
        if known is not None and known.fingerprint != fingerprint:
            return self._refuse(ErrorCode.IDEMPOTENCY_KEY_REUSED, "other content")
        valid = {digest: modality for modality, digest, ok in items if ok}
        if known is None:
            if not valid:
                errors = [
                    {"index": i, "code": "invalid_image", "message": "damaged"}
                    for i, _ in enumerate(items)
                ]
                return self._refuse(ErrorCode.NO_VALID_ITEM, "no item is valid", errors)
            owned = set(self.sold) if self.rebuy_free else set()
            new = {digest: modality for digest, modality in valid.items() if digest not in owned}
            images = sum(m == "image" for m in new.values())
            texts = len(new) - images
            cost = images * IMAGE_NANOUSD + texts * TEXT_NANOUSD
            if cost > self.credit - self.debited:
                return self._refuse(ErrorCode.INSUFFICIENT_CREDIT, "the credit is too low")
            self.sold += new
            known = StandInCharge(
                len(self.charges), key, fingerprint, "captured", cost, images, texts
            )
            self.charges[key] = known
            replayed = False
        else:
            replayed, new = True, {}
            known.replays += 1
            if known.replays > self.replays:
                return self._refuse(ErrorCode.REPLAY_LIMIT, "replayed too often today")
        cost = 0 if replayed else known.cost
        # The first of its kind has the price; the rest of them are free.
        extra = {
            "x-charge-id": f"chg_{known.number:04}",
            "x-cost-usd": format_usd(cost),
            "x-balance-usd": format_usd(self.credit - self.debited),
        }
        if replayed:
            extra["idempotency-replayed"] = "true"
        if asked.form != "json":
            return self._say_octets(asked, new, extra, known.images)
        document = {
            "data": [
                self._row(index, digest, ok, asked.dtype, new.pop(digest, None))
                for index, (_, digest, ok) in enumerate(items)
            ],
            "model": f"toy@{self.revision}",
            "usage": {"prompt_tokens": 0, "total_tokens": 0, "images": known.images},
            "cost_usd": format_usd(cost),
            "charge_id": f"chg_{known.number:04}",
            "space_id": split_space(self.revision)[1],
        }
        return self._say(document, extra)

    def _say_octets(
        self, asked: Asked, new: dict[bytes, str], extra: dict[str, str], images: int
    ) -> tuple[int, dict[str, str], bytes]:
        failed = {str(i): "invalid_image" for i, (_, _, ok) in enumerate(asked.items) if not ok}
        nothing = np.full(self.dimension, np.nan, dtype=np.float32)
        rows = np.stack([self.vector(digest) if ok else nothing for _, digest, ok in asked.items])
        free = [i for i, (_, d, ok) in enumerate(asked.items) if ok and not new.pop(d, None)]
        space = split_space(self.revision)[1]
        named = {
            "x-model": f"toy@{self.revision}",
            "x-dim": str(self.dimension),
            "x-usage": json.dumps({"prompt_tokens": 0, "total_tokens": 0, "images": images}),
            "x-request-id": "req_x",
            **({"x-free": json.dumps(free)} if free else {}),
            **({"x-errors": json.dumps(failed)} if failed else {}),
            **(
                {"x-error-messages": json.dumps({"damaged": [*map(int, failed)]})} if failed else {}
            ),
            **({"x-space-id": space} if space else {}),
        }
        return 200, extra | named, encode_octets(rows, asked.dtype)

    def _read_json(self, body: dict[str, Any]) -> Asked:
        return Asked(
            "json", body["model"], body["embed_dtype"], [self._read(item) for item in body["input"]]
        )

    def _read_octets(
        self, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> Asked:
        model, dtype = query["model"][0], query["dtype"][0]
        if headers["content-type"] == TENSOR:
            count, side, _, _ = map(int, headers["x-shape"].split(","))
            size = len(body) // count
            parts = [body[start : start + size] for start in range(0, len(body), size)]
            found = [("image", digest_pixels(part, side), True) for part in parts]
            return Asked("pixels", model, dtype, found)
        parts = unpack_frames(body)
        if path.endswith("text"):
            texts = [("text", digest_text(part.decode()), True) for part in parts]
            return Asked("frames", model, dtype, texts)
        images = [("image", digest_image(part), BROKEN not in part) for part in parts]
        return Asked("frames", model, dtype, images)

    def _read(self, item: dict[str, str]) -> tuple[str, bytes, bool]:
        if "text" in item:
            return "text", digest_text(item["text"]), True
        data = base64.b64decode(item["image"])
        return "image", digest_image(data), BROKEN not in data

    def _row(
        self, index: int, digest: bytes, ok: bool, dtype: Any, charged: str | None
    ) -> dict[str, Any]:
        if not ok:
            error = {"code": "invalid_image", "message": "damaged"}
            return {"index": index, "embedding": None, "cost_usd": "0.000000000", "error": error}
        vector = encode_base64(self.vector(digest), dtype)
        price = {"image": IMAGE_NANOUSD, "text": TEXT_NANOUSD, None: 0}[charged]
        return {"index": index, "embedding": vector, "cost_usd": format_usd(price)}

    def vector(self, digest: bytes) -> Any:
        raw = np.random.default_rng(list(digest)).normal(size=self.dimension)
        return (raw / np.linalg.norm(raw)).astype(np.float32)

    def model_document(self) -> dict[str, Any]:
        return {
            "id": "toy",
            "created": 0,
            "owned_by": "tests",
            "revision": self.revision,
            "dimension": self.dimension,
            "context_length": 16,
            "precision": "fp32",
            "logit_scale": 100.0,
            "preprocessing": {
                "image_size": 8,
                "resize_mode": "shortest",
                "interpolation": "bicubic",
                "mean": [0.5, 0.5, 0.5],
                "std": [0.5, 0.5, 0.5],
            },
            "octets": self.octets,
            "pixel_probe": self.pixel_probe,
            "prompt_templates": ["an icon of a {}"],
            "price_per_image_usd": format_usd(IMAGE_NANOUSD),
            "price_per_text_usd": format_usd(TEXT_NANOUSD),
            "rebuy_free_days": self.rebuy_free_days,
            "space_id": split_space(self.revision)[1],
        }

    def _say(
        self, document: dict[str, Any], extra: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        return 200, {"x-request-id": "req_x", **(extra or {})}, json.dumps(document).encode()

    def _refuse(
        self, code: ErrorCode, detail: str, errors: list[dict[str, Any]] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        kind = ERROR_KINDS[code]
        problem = {
            "type": TYPE_PREFIX + code,
            "title": kind.title,
            "status": kind.status,
            "detail": detail,
            "code": code,
            "request_id": "req_x",
            "errors": errors or [],
            "error": {"message": detail, "type": "error", "code": code},
        }
        headers = {
            "x-request-id": "req_x",
            "x-should-retry": str(kind.retryable).lower(),
            "retry-after-ms": str(self.delay_ms),
        }
        return kind.status, headers, json.dumps(problem).encode()

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            headers = dict(request.headers)
            try:
                status, extra, body = self.handle(
                    request.method, str(request.url), headers, request.read()
                )
            except Dropped as error:
                raise httpx.ReadError("connection reset") from error
            return httpx.Response(status, headers=extra, content=body)

        return httpx.MockTransport(answer)

    def client(self, **options: Any) -> VendorClient:
        return VendorClient(
            api_key=KEY, base_url="http://127.0.0.1:1", transport=self.transport(), **options
        )

    def async_client(self, **options: Any) -> AsyncVendorClient:
        return AsyncVendorClient(
            api_key=KEY, base_url="http://127.0.0.1:1", transport=self.transport(), **options
        )
