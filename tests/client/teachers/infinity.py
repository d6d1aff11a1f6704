"""A stand-in for infinity 0.0.78 with one CLIP: its routes, its JSON, its limits and its faults."""

import base64
import io
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.codecs import Vector
from tests.client.standin import Dropped

MOST_IMAGES, MOST_TEXTS = 32, 2048
Said = tuple[int, dict[str, str], bytes]


@dataclass
class StandInInfinity:
    """Answers each content with a vector of its own; `weights` decide which."""

    served: tuple[str, ...] = ("clip",)
    dimension: int = 16
    weights: int = 0
    key: str | None = None
    prefix: str = ""
    """As of `--url-prefix`."""
    noise: float = 0.0
    """Added to each number anew in every answer, as other batch sizes do in half precision."""
    poison: bytes = b""
    """Content with these bytes in it fails inside: 500 for its whole request."""
    faults: deque[int | str | None] = field(default_factory=deque)
    """Each embedding request takes the first: a status, `drop`, or `new weights`."""
    asked: list[list[str]] = field(default_factory=list)
    """The input of each embedding request."""
    hangs: bool = False
    _rng: Any = field(default_factory=lambda: np.random.default_rng(0))

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Said:
        path = urlsplit(target).path
        if not path.startswith(self.prefix):
            return _say({"detail": "Not Found"}, 404)
        path = path.removeprefix(self.prefix)
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return _say({"detail": "Unauthorized"}, 401)
        if (method, path) == ("GET", "/models"):
            return _say({"data": [self._describe(name) for name in self.served], "object": "list"})
        if (method, path) == ("POST", "/embeddings"):
            return self._embed(json.loads(body))
        return _say({"detail": "Not Found"}, 404)

    def _embed(self, body: dict[str, Any]) -> Said:
        given, image = body["input"], body.get("modality") == "image"
        self.asked.append(given)
        fault = self.faults.popleft() if self.faults else None
        if fault == "drop" or self.hangs:
            raise Dropped
        if fault == "new weights":
            self.weights += 1
        elif fault is not None:
            return _fail("InternalServerError: as the test demanded", int(fault))
        most = MOST_IMAGES if image else MOST_TEXTS
        if len(given) > most:
            return _say({"detail": [_explain_length(most, given)]}, 422)
        if len(self.served) > 1 and body["model"] not in self.served:
            return _fail(f"Invalid model: {body['model']}", 400)
        contents = [_read_uri(one) if image else one.strip().encode() for one in given]
        if image:
            for data in contents:
                problem = self._inspect(data)
                if problem:
                    return _fail(f"<class 'ImageCorruption'> -> {problem}", 400)
        if self.poison and any(self.poison in data for data in contents):
            return _fail("InternalServerError: tensor of the wrong shape", 500)
        return _say(self._answer(contents, body))

    def _inspect(self, data: bytes) -> str | None:
        """As infinity does: only the header; a broken body ends the thread that would answer."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                if min(image.size) < 3:
                    return f"An image in your request is too small for processing {image.size}."
                image.load()
        except UnidentifiedImageError as error:
            return f"error decoding data URI: {error}"
        except OSError as error:
            self.hangs = True
            raise Dropped from error
        return None

    def _answer(self, contents: list[bytes], body: dict[str, Any]) -> dict[str, Any]:
        data = [
            {"object": "embedding", "embedding": self._write(content, body), "index": index}
            for index, content in enumerate(contents)
        ]
        count = sum(map(len, contents))
        return {
            "object": "list",
            "data": data,
            "model": self.served[0],
            "usage": {"prompt_tokens": count, "total_tokens": count},
            "id": "infinity-00000000-0000-0000-0000-000000000000",
            "created": 1795666824,
        }

    def _write(self, content: bytes, body: dict[str, Any]) -> str | list[float]:
        vector = self.vector(content) + self._rng.normal(size=self.dimension) * self.noise
        if body.get("encoding_format") == "base64":
            return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
        return [float(number) for number in vector]

    def vector(self, content: bytes) -> Vector:
        """float32[d] unit, of these bytes and weights."""
        seed = [self.weights, *content]
        raw = np.random.default_rng(seed).normal(size=self.dimension)
        return (raw / np.linalg.norm(raw)).astype(np.float32)

    def _describe(self, name: str) -> dict[str, Any]:
        stats = {"queue_fraction": 0.0, "queue_absolute": 0, "results_pending": 0, "batch_size": 32}
        return {
            "id": name,
            "stats": stats,
            "object": "model",
            "owned_by": "infinity",
            "created": 1795666824,
            "backend": "torch",
            "capabilities": ["image_embed", "embed"],
        }

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            try:
                status, extra, body = self.handle(
                    request.method, str(request.url), dict(request.headers), request.read()
                )
            except Dropped as error:
                raise httpx.ReadTimeout("timed out") from error
            return httpx.Response(status, headers=extra, content=body)

        return httpx.MockTransport(answer)


def _read_uri(uri: str) -> bytes:
    head, _, data = uri.partition(",")
    assert head in {f"data:image/{kind};base64" for kind in ("png", "jpeg", "webp")}
    return base64.b64decode(data, validate=True)


def _explain_length(most: int, given: list[str]) -> dict[str, Any]:
    said = f"List should have at most {most} items after validation, not {len(given)}"
    return {"type": "too_long", "loc": ["body", "input"], "msg": said, "input": given}


def _fail(message: str, status: int) -> Said:
    inside = {"message": message, "type": None, "param": None, "code": status}
    return _say({"error": inside}, status)


def _say(document: dict[str, Any], status: int = 200) -> Said:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()
