"""Which answers are tried again, and when: pure functions, so that every rule can be tested.

The rules are those of the OpenAI SDK, which users know.
"""

import email.utils
import math
from collections.abc import Mapping

from shared.headers import RETRY_AFTER, RETRY_AFTER_MS, SHOULD_RETRY

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

__all__ = ["MAX_RETRIES", "next_delay", "read_retry_after", "should_retry"]


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
    try:
        date = email.utils.parsedate_to_datetime(headers[RETRY_AFTER])
        return max(0.0, date.timestamp() - now)
    except (KeyError, ValueError):
        return None
