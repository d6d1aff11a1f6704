"""What a client was set up with, the same for the blocking and the awaiting one."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from client.api.calls import Answer, Call, new_key
from client.api.errors import APIConnectionError, APIStatusError, MissingKeyError, refusal
from client.api.http import check_url
from client.api.retry import RetryPolicy, Tries
from client.settings import ClientSettings

__all__ = ["Configuration", "accept", "configure", "draw_delay"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where to, as whom, and how patiently."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    policy: RetryPolicy
    make_key: Callable[[], str]

    def change(
        self, *, timeout: float | None, deadline: float | None, max_retries: int | None
    ) -> "Configuration":
        """The same with other limits; those that are None stay."""
        given = {"timeout": timeout, "deadline": deadline, "max_retries": max_retries}
        known = {name: value for name, value in given.items() if value is not None}
        return replace(self, policy=replace(self.policy, **known))  # type: ignore[arg-type]

    def prepare(self, call: Call) -> Call:
        """The call as every try of it is sent."""
        return call.with_key(self.make_key)


def configure(
    *,
    api_key: str | None,
    base_url: str | None,
    insecure: bool | None,
    policy: RetryPolicy,
    make_key: Callable[[], str] = new_key,
) -> Configuration:
    """Resolve what was not given from the environment and the config file.

    Raises MissingKeyError without a usable key, VendorError for an address that may not be used.
    """
    settings = ClientSettings.load(api_key=api_key, base_url=base_url, insecure=insecure)
    if settings.api_key is None or not settings.api_key.get_secret_value().strip():
        raise MissingKeyError(
            "there is no API key: type `vl2v login`, set VL2V_API_KEY, or pass "
            "VendorClient(api_key=...)"
        )
    key = settings.api_key.get_secret_value().strip()
    if not key.isascii() or not key.isprintable():
        raise MissingKeyError("the API key holds characters that no key has: copy it again")
    return Configuration(
        base_url=check_url(settings.base_url, insecure=settings.insecure),
        headers={"authorization": f"Bearer {key}", "user-agent": "vl2v"},
        policy=policy,
        make_key=make_key,
    )


def accept(answer: Answer) -> Answer:
    """The answer itself. Raises APIStatusError when it is a refusal."""
    if answer.status >= 300:
        raise refusal(answer.status, answer.body, answer.headers)
    return answer


def draw_delay(
    tries: Tries, error: APIConnectionError | APIStatusError, *, now: float
) -> float | None:
    """Seconds until the next try, chance having its part; None when there is none."""
    # Jitter needs no secrecy.
    chance = random.random()  # noqa: S311
    return tries.delay_after(error, now=now, wall=time.time(), chance=chance)
