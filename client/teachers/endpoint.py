"""An OpenAI-compatible server that embeds images too, as infinity does: one request, one answer."""

import base64
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from client.api import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    Input,
    InvalidAnswerError,
    NotFoundError,
    TextInput,
)
from client.api.calls import Answer, Call
from client.api.errors import refusal
from client.api.http import Connection, Transport, check_url
from client.api.retry import RetryPolicy, Tries
from shared.codecs import Vector, decode_vector
from shared.wire import Document

BUSY = frozenset({408, 429, 502, 503, 504})
"""Statuses after which the same request is sent again, a few times."""
TOO_FAST = frozenset({429, 503})
"""Of these, those that ask for patience: it ends with the policy's deadline."""
KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
REMEDIES = {
    401: "; set VL2V_TEACHER_API_KEY to a key that it takes",
    403: "; set VL2V_TEACHER_API_KEY to a key that it takes",
    404: "; check the model's name and the address: it is what stands before /embeddings",
}
SHOWN = 200
"""Characters of a server's own words: some repeat the whole request."""

__all__ = ["Endpoint"]


class _Row(Document):
    index: int
    embedding: list[float] | str


class _Embeddings(Document):
    data: list[_Row]


class _Model(Document):
    id: str


class _Models(Document):
    data: list[_Model]


class Endpoint:
    """`URL/models` and `URL/embeddings`; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        insecure: bool = False,
        policy: RetryPolicy | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Raises VendorError for plain http to another machine, unless `insecure` allows it.

        `sleep` answers true when the wait is to be cut short.
        """
        check_url(url, insecure=insecure)
        self.url = url.rstrip("/")
        self._headers = {"user-agent": "vl2v"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._policy = policy or RetryPolicy()
        self._connection = Connection(self.url, transport=transport, clock=clock)
        self._clock = clock
        self._sleep = sleep

    def list_models(self) -> list[str] | None:
        """Ids of what it serves; None when it does not say. Raises VendorError."""
        try:
            answer = self._send(Call("GET", "/models"))
        except NotFoundError:
            return None
        return [model.id for model in self._read(_Models, answer).data]

    def embed(self, model: str, items: Sequence[Input]) -> list[Vector]:
        """float32[d] of each item, all of one modality, in order. Raises VendorError."""
        answer = self._send(
            Call(
                "POST",
                "/embeddings",
                headers={"content-type": "application/json"},
                body=json.dumps(_describe(model, items)).encode(),
            )
        )
        rows = sorted(self._read(_Embeddings, answer).data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(len(items))):
            raise InvalidAnswerError(
                f"{self.url} was asked about {len(items)} items and answered {len(rows)}"
            )
        try:
            return [decode_vector(row.embedding) for row in rows]
        except ValueError as error:
            raise InvalidAnswerError(f"the answer of {self.url} cannot be read: {error}") from error

    def close(self) -> None:
        """Let go of every connection."""
        self._connection.close()

    def _send(self, call: Call) -> Answer:
        patient = replace(self._policy, max_retries=sys.maxsize)
        tries = Tries(patient, began=self._clock())
        while True:
            try:
                return self._try(call, tries.start(self._clock()))
            except (APIConnectionError, APIStatusError) as error:
                status = error.status_code if isinstance(error, APIStatusError) else None
                if status not in (None, *BUSY):
                    raise
                if status not in TOO_FAST and tries.retries >= self._policy.max_retries:
                    raise
                chance = random.random()  # noqa: S311 (jitter needs no secrecy)
                now, wall = self._clock(), time.time()
                delay = tries.delay_after(error, now=now, wall=wall, chance=chance)
                if delay is None or self._sleep(delay):
                    raise

    def _try(self, call: Call, timeout: float) -> Answer:
        try:
            answer = self._connection.send(call, self._headers, timeout)
        except APITimeoutError as error:
            raise APITimeoutError(
                f"{self.url} did not answer within {timeout:g} s: look whether it hangs, restart it, "
                "and run the same command again"
            ) from error
        except APIConnectionError as error:
            raise APIConnectionError(
                f"cannot reach {self.url}: check that it runs, and run the same command again"
            ) from error
        if answer.status >= 300:
            raise self._refuse(answer)
        return answer

    def _refuse(self, answer: Answer) -> APIStatusError:
        said = _read_words(answer.body)
        remedy = REMEDIES.get(answer.status, "")
        kind = type(refusal(answer.status, b"", answer.headers))
        return kind(
            f"{self.url} answered {answer.status}{f': {said}' if said else ''}{remedy}",
            status_code=answer.status,
            headers=answer.headers,
            problem=None,
            request_id=None,
        )

    def _read(self, kind: type[Any], answer: Answer) -> Any:
        try:
            return kind.model_validate_json(answer.body)
        except ValidationError as error:
            raise InvalidAnswerError(
                f"{self.url} does not answer as OpenAI's API does "
                f"({error.errors()[0]['msg']}): give the address before /embeddings, "
                "like http://127.0.0.1:7997"
            ) from error


def _describe(model: str, items: Sequence[Input]) -> Mapping[str, Any]:
    """OpenAI's request; for images with infinity's `modality` beside it."""
    texts = [item.text for item in items if isinstance(item, TextInput)]
    body: dict[str, Any] = {"model": model, "encoding_format": "base64"}
    if texts:
        return body | {"input": texts}
    return body | {
        "modality": "image",
        "input": [_write_uri(item.data) for item in items if not isinstance(item, TextInput)],
    }


def _write_uri(data: bytes) -> str:
    kind = next((name for start, name in KINDS.items() if data.startswith(start)), "png")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _read_words(body: bytes) -> str:
    """What a refusal says, in OpenAI's shape, FastAPI's or any other, made short."""
    try:
        document = json.loads(body)
    except ValueError:
        document = body.decode("utf-8", "replace")
    for member in ("error", "detail", 0, "message", "msg"):
        inside = isinstance(document, dict) and member in document
        first = member == 0 and isinstance(document, list) and document
        if inside or first:
            document = document[member]
    words = " ".join(str(document).split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]}…"
