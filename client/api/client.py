"""The blocking client of a vendor."""

import copy
import time
from collections.abc import Callable
from typing import Self

from client.api.calls import Answer, Call, new_key
from client.api.configuration import accept, configure, draw_delay
from client.api.errors import APIConnectionError, APIStatusError
from client.api.http import Connection, Transport
from client.api.resources import Accounts, Balances, Charges, Embeddings, Images, Models, Usages
from client.api.retry import DEADLINE, MAX_RETRIES, TIMEOUT, Retry, RetryPolicy, Tries, ignore

__all__ = ["VendorClient"]


class VendorClient:
    """Buy embeddings: `client.embeddings.create(...)`, `client.images.embed(...)`.

    What is not given comes from the environment or from what `vl2v login` stored:
    - `api_key` from `VL2V_API_KEY`
    - `base_url` from `VL2V_BASE_URL`

    A failed call is tried again `max_retries` times with the same idempotency key, so that it is
    charged at most once. `timeout` is in seconds per try, `deadline` for all tries and the waits
    between them. `transport` replaces the network, `clock` and `sleep` the time, `make_key` the
    random idempotency keys; `on_retry` hears of each try that is made again. Raises MissingKeyError
    without a key, and VendorError for plain http to another machine unless `insecure` allows it.
    Safe to use from several threads.
    """

    def __init__(  # noqa: PLR0913  (one parameter a setting)
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        deadline: float = DEADLINE,
        max_retries: int = MAX_RETRIES,
        transport: Transport | None = None,
        insecure: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        make_key: Callable[[], str] = new_key,
        on_retry: Callable[[Retry], object] = ignore,
    ) -> None:
        policy = RetryPolicy(timeout, deadline, max_retries)
        self._configuration = configure(
            api_key=api_key,
            base_url=base_url,
            insecure=insecure,
            policy=policy,
            make_key=make_key,
        )
        self.base_url = self._configuration.base_url
        self._connection = Connection(self.base_url, transport=transport, clock=clock)
        self._clock = clock
        self._sleep = sleep
        self._on_retry = on_retry
        self._open_resources()

    def _open_resources(self) -> None:
        self.embeddings = Embeddings(self.send)
        self.images = Images(self.send)
        self.models = Models(self.send)
        self.balance = Balances(self.send)
        self.usage = Usages(self.send)
        self.account = Accounts(self.send)
        self.charges = Charges(self.send)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection."""
        self._connection.close()

    def with_options(
        self,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
    ) -> Self:
        """The same client over the same connections, with other limits: for one call, or many."""
        other = copy.copy(self)
        other._configuration = self._configuration.change(
            timeout=timeout, deadline=deadline, max_retries=max_retries
        )
        other._open_resources()
        return other

    def send(self, call: Call) -> tuple[Answer, int]:
        """The answer to a call and how often it was tried again. Raises VendorError."""
        call = self._configuration.prepare(call)
        tries = Tries(self._configuration.policy, began=self._clock())
        while True:
            began = self._clock()
            timeout = tries.start(began)
            try:
                answer = self._connection.send(call, self._configuration.headers, timeout)
                return accept(answer), tries.retries
            except (APIConnectionError, APIStatusError) as error:
                now = self._clock()
                delay = draw_delay(tries, error, now=now)
                if delay is None:
                    raise
                self._on_retry(Retry(error, now - began, delay))
            self._sleep(delay)
