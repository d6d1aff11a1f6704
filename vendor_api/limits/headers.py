"""Limits as headers: the IETF draft's structured fields, and the names that OpenAI's users know."""

from collections.abc import Iterable, Sequence

from shared import headers
from vendor_api.limits.policies import WINDOW_S, Policy, Standing

_UNITS: dict[Policy, str] = {
    "requests": "requests",
    "items": "items",
    "bytes": "content-bytes",
    "concurrency": "concurrent-requests",
}
"""`qu`. The draft defines no unit for items, and its default, requests, would be wrong."""
_FAMILIAR: tuple[Policy, ...] = ("requests", "items")

__all__ = ["write_headers"]


def write_headers(known: Sequence[Standing], violated: Sequence[Standing]) -> dict[str, str]:
    """The headers of an answer that was counted.

    On a refusal `RateLimit` names only the violated policies, its `t` the seconds until the refused
    request fits, never more than `Retry-After`; else `t` is when the whole amount is there again.
    """
    if not known:
        return {}
    written = {
        headers.RATELIMIT_POLICY: ", ".join(map(_policy, known)),
        headers.RATELIMIT: ", ".join(_state(standing) for standing in violated or known),
    }
    return written | dict(_familiar(known))


def _policy(standing: Standing) -> str:
    window = "" if standing.policy == "concurrency" else f";w={WINDOW_S}"
    scope = ';vendor-scope="process"' if standing.scope == "process" else ""
    unit = _UNITS[standing.policy]
    return f'"{standing.policy}";q={standing.limit}{window};qu="{unit}"{scope}'


def _state(standing: Standing) -> str:
    # Nobody knows when a request under way will end.
    if standing.policy == "concurrency":
        return f'"concurrency";r={standing.remaining}'
    after_us = standing.wait_us or standing.reset_us
    return f'"{standing.policy}";r={standing.remaining};t={-(-after_us // 1_000_000)}'


def _familiar(known: Iterable[Standing]) -> Iterable[tuple[str, str]]:
    for standing in known:
        if standing.policy in _FAMILIAR:
            name = standing.policy
            yield f"{headers.X_RATELIMIT}limit-{name}", str(standing.limit)
            yield f"{headers.X_RATELIMIT}remaining-{name}", str(standing.remaining)
            yield f"{headers.X_RATELIMIT}reset-{name}", f"{-(-standing.reset_us // 1000)}ms"
