"""Named places between reserve and answer where a test makes this process die, sleep or fail.

`VENDOR_FAILPOINTS="after_reserve=kill"` kills the process the first time it comes by. Several are
separated by commas; `name=sleep:0.5` and `name=error` are the other actions, `@3` means the third
time only and `@3+` the third and every later time. Unset, a place costs one look at a global.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from vendor_api.ledger.commands import Hold, Receipt
from vendor_api.refusal import Refusal

VARIABLE = "VENDOR_FAILPOINTS"
NAMES = (
    "before_reserve_commit",
    "after_reserve",
    "before_decode",
    "mid_forward",
    "before_capture_commit",
    "after_capture",
    "mid_body",
    "before_release_commit",
    "after_release",
)
"""In the order in which a request comes by; the last two only when it fails."""

_TERM = re.compile(r"(\w+)=(kill|error|sleep:(\d+(?:\.\d+)?))(?:@(\d+)(\+)?)?")

__all__ = [
    "NAMES",
    "VARIABLE",
    "FailpointError",
    "arm",
    "armed",
    "is_armed",
    "pause",
    "reach",
    "reach_commit",
]


class FailpointError(RuntimeError):
    """What `error` raises: a failure of the vendor's own, never an item's or a client's."""


@dataclass(slots=True)
class _Failpoint:
    action: Literal["kill", "error", "sleep"]
    seconds: float
    first: int
    ever_after: bool
    passed: int = 0
    lock: Lock = field(default_factory=Lock)

    def is_hit(self) -> bool:
        with self.lock:
            self.passed += 1
            return self.passed == self.first or (self.ever_after and self.passed > self.first)


_armed: Mapping[str, _Failpoint] | None = None


def arm(text: str | None = None) -> None:
    """Arm what `text` names, or what the environment does. Raises Refusal for what is no failpoint."""
    global _armed  # noqa: PLW0603  (the process dies as a whole, so it is armed as a whole)
    text = os.environ.get(VARIABLE, "") if text is None else text
    _armed = dict(_parse(term.strip()) for term in text.split(",") if term.strip()) or None


@contextmanager
def armed(text: str) -> Iterator[None]:
    """Armed for the length of a block, in a process that must go on."""
    arm(text)
    try:
        yield
    finally:
        arm("")


def is_armed(name: str) -> bool:
    """Whether anything is armed for this place."""
    return _armed is not None and name in _armed


def reach(name: str) -> None:
    """Do what was armed for this place; a sleep blocks the calling thread. Raises FailpointError."""
    if _armed is not None and (seconds := _hit(name)):
        time.sleep(seconds)


async def pause(name: str) -> None:
    """`reach` for the event loop: a sleep lets other requests go on."""
    if _armed is not None and (seconds := _hit(name)):
        await asyncio.sleep(seconds)


def reach_commit(outcomes: list[Any]) -> list[Any]:
    """`reach` inside a transaction that is about to be committed, by what its commands answer."""
    if _armed is None:
        return outcomes
    if any(isinstance(outcome, Hold) for outcome in outcomes):
        reach("before_reserve_commit")
    if any(isinstance(outcome, Receipt) for outcome in outcomes):
        reach("before_capture_commit")
    if any(outcome is None for outcome in outcomes):
        reach("before_release_commit")
    return outcomes


def _hit(name: str) -> float:
    """Die, raise, or say how long to sleep."""
    point = None if _armed is None else _armed.get(name)
    if point is None or not point.is_hit():
        return 0.0
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if point.action == "error":
        raise FailpointError(f"the failpoint {name} was reached")
    return point.seconds


def _parse(term: str) -> tuple[str, _Failpoint]:
    match = _TERM.fullmatch(term)
    if match is None or match[1] not in NAMES:
        raise Refusal(
            f"{VARIABLE}: {term!r} is no failpoint: write NAME=kill, NAME=error or NAME=sleep:SECONDS, "
            f"then @N or @N+ if not at the first time, with one of {', '.join(NAMES)} as NAME"
        )
    name, action, seconds, first, ever_after = match.groups()
    kind: Literal["kill", "error", "sleep"] = "sleep" if seconds else action  # type: ignore[assignment]
    # Without a count a failpoint kills at once, and fails or sleeps every time.
    point = _Failpoint(kind, float(seconds or 0), int(first or 1), bool(ever_after) or not first)
    return name, point
