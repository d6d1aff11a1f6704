"""Which answers are tried again, and when: pure functions, so that every rule can be tested.

The rules are those of the OpenAI SDK, which users know.
"""

import email.utils
import math
from collections.abc import Mapping
from dataclasses import dataclass

from client.api.errors import APIConnectionError, APIStatusError
from shared.headers import RETRY_AFTER, RETRY_AFTER_MS, SHOULD_RETRY

TIMEOUT = 120.0
"""Seconds for one try: twice what the vendor allows itself."""
DEADLINE = 600.0
"""Seconds for a call with all its tries and the waits between them."""
MAX_RETRIES = 2
INITIAL_DELAY = 0.5
"""Seconds before the first new try; doubled each time."""
MAX_DELAY = 8.0
"""Seconds at most, unless the vendor names its own delay."""
MAX_RETRY_AFTER = 120.0
"""Seconds: a vendor that asks for more is not waited for."""
JITTER = 0.25
"""The share of a delay that chance may take away, so that clients do not return together."""
RETRYABLE = frozenset({408, 409, 429})

__all__ = [
    "DEADLINE",
    "MAX_RETRIES",
    "TIMEOUT",
    "Retry",
    "RetryPolicy",
    "Tries",
    "ignore",
    "next_delay",
    "read_retry_after",
    "should_retry",
]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often a call is tried."""

    timeout: float = TIMEOUT
    """Seconds for one try."""
    deadline: float = DEADLINE
    """Seconds for all tries and waits together."""
    max_retries: int = MAX_RETRIES


@dataclass(frozen=True, slots=True)
class Retry:
    """A try that failed and will be made again."""

    error: APIConnectionError | APIStatusError
    took: float
    """Seconds."""
    delay: float
    """Seconds until the next try."""


def ignore(_retry: Retry) -> None:
    """What is done about a retry when nobody asked to hear of it."""


@dataclass(slots=True)
class Tries:
    """The tries of one logical call: what may happen next is decided here, by whoever sends."""

    policy: RetryPolicy
    began: float
    """Seconds of any clock that only goes forward; `now` is of the same."""
    made: int = 0

    @property
    def retries(self) -> int:
        """Tries after the first."""
        return max(0, self.made - 1)

    def start(self, now: float) -> float:
        """Count a try; the seconds it may take."""
        self.made += 1
        return max(0.001, min(self.policy.timeout, self._left(now)))

    def delay_after(
        self, error: APIConnectionError | APIStatusError, *, now: float, wall: float, chance: float
    ) -> float | None:
        """Seconds until the next try; None when there is none. Notes the retries in the error.

        `chance` is uniform in [0, 1), `wall` the Unix time in seconds.
        """
        error.retries = self.retries
        headers: Mapping[str, str] = {}
        if isinstance(error, APIStatusError):
            headers = error.headers
            if not should_retry(error.status_code, headers):
                return None
        if self.made > self.policy.max_retries:
            return None
        delay = next_delay(self.made, headers, chance=chance, now=read_date(headers, wall))
        return delay if delay is not None and delay < self._left(now) else None

    def _left(self, now: float) -> float:
        return self.began + self.policy.deadline - now


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the same request may be sent again; the vendor's own word comes first."""
    word = headers.get(SHOULD_RETRY)
    if word in ("true", "false"):
        return word == "true"
    return status in RETRYABLE or status >= 500


def next_delay(
    tried: int, headers: Mapping[str, str], *, chance: float, now: float
) -> float | None:
    """Seconds to wait after `tried` failed tries; None when the vendor asks for too long a wait.

    `chance` is uniform in [0, 1), `now` the Unix time in seconds.
    """
    asked = read_retry_after(headers, now)
    if asked is not None:
        return asked if asked <= MAX_RETRY_AFTER else None
    delay = min(INITIAL_DELAY * 2.0 ** (tried - 1), MAX_DELAY)
    return delay * (1 - JITTER * chance)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the vendor wants the request again; None when it does not say."""
    for name, scale in ((RETRY_AFTER_MS, 1000.0), (RETRY_AFTER, 1.0)):
        try:
            seconds = float(headers[name]) / scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    asked = _read_time(headers.get(RETRY_AFTER))
    return None if asked is None else max(0.0, asked - now)


def read_date(headers: Mapping[str, str], wall: float) -> float:
    """Unix time by the clock that a `Retry-After` date is of: the vendor's, if it says it."""
    said = _read_time(headers.get("date"))
    return wall if said is None else said


def _read_time(text: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None
