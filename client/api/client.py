"""The synchronous client of a vendor."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Self

from client.api.calls import Call
from client.api.errors import APIConnectionError, APIStatusError, MissingKeyError, refusal
from client.api.http import Answer, Connection, Transport
from client.api.resources import Balances, Charges, Embeddings, Images, Models, Usages
from client.api.retry import MAX_RETRIES, next_delay, should_retry
from client.settings import ClientSettings

TIMEOUT = 120.0
"""Seconds for one try: twice what the vendor allows itself."""

__all__ = ["VendorClient"]


class VendorClient:
    """Buy embeddings: `client.embeddings.create(...)`, `client.images.embed(...)`.

    What is not given comes from the environment or from what `vl2v login` stored:
    - `api_key` from `VL2V_API_KEY`
    - `base_url` from `VL2V_BASE_URL`

    A failed call is tried again `max_retries` times with the same idempotency key, so that it is
    charged at most once. `timeout` is in seconds per try. `transport` replaces the network. Raises
    MissingKeyError without a key, and VendorError for plain http to another machine unless
    `insecure` allows it. Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = MAX_RETRIES,
        transport: Transport | None = None,
        insecure: bool | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        settings = ClientSettings.load(api_key=api_key, base_url=base_url, insecure=insecure)
        if settings.api_key is None or not settings.api_key.get_secret_value().strip():
            raise MissingKeyError(
                "there is no API key: type `vl2v login`, set VL2V_API_KEY, or pass "
                "VendorClient(api_key=...)"
            )
        key = settings.api_key.get_secret_value().strip()
        if not key.isascii() or not key.isprintable():
            raise MissingKeyError("the API key holds characters that no key has: copy it again")
        self._headers = {"authorization": f"Bearer {key}", "user-agent": "vl2v"}
        self._max_retries = max_retries
        self._sleep = sleep
        self._connection = Connection(
            settings.base_url, timeout=timeout, transport=transport, insecure=settings.insecure
        )
        self.base_url = self._connection.base_url
        self.embeddings = Embeddings(self.send)
        self.images = Images(self.embeddings)
        self.models = Models(self.send)
        self.balance = Balances(self.send)
        self.usage = Usages(self.send)
        self.charges = Charges(self.send)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection."""
        self._connection.close()

    def send(self, call: Call) -> tuple[Answer, int]:
        """The answer to a call and how often it was tried again. Raises VendorError."""
        tried = 0
        while True:
            tried += 1
            try:
                return self._try(call), tried - 1
            except (APIConnectionError, APIStatusError) as error:
                delay = self._delay(tried, error)
                if delay is None:
                    error.retries = tried - 1
                    raise
            self._sleep(delay)

    def _try(self, call: Call) -> Answer:
        answer = self._connection.send(call, self._headers)
        if answer.status >= 300:
            raise refusal(answer.status, answer.body, answer.headers)
        return answer

    def _delay(self, tried: int, error: APIConnectionError | APIStatusError) -> float | None:
        """Seconds until the next try; None when there is none."""
        if tried > self._max_retries:
            return None
        headers: Mapping[str, str] = {}
        if isinstance(error, APIStatusError):
            headers = error.headers
            if not should_retry(error.status_code, headers):
                return None
        # Jitter needs no secrecy.
        chance = random.random()  # noqa: S311
        return next_delay(tried, headers, chance=chance, now=time.time())
