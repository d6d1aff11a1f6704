"""Named places where a test kills the process as `kill -9` or a power cut would.

`VL2V_FAILPOINT=stored` kills it the first time that `reach("stored")` is passed, `stored:3` the third.
"""

import os
import signal
import threading

VARIABLE = "VL2V_FAILPOINT"
PURCHASE = (
    "held",
    "planned",
    "loaded",
    "sent",
    "answered",
    "receipt",
    "stored",
    "settling",
    "settled",
)
"""In the order in which a request comes by; `held`, `stored` and `settling` lie inside a transaction.

An answer that the vendor repeats is `stored` on its own, before its `receipt` is asked for."""
RECOVERY = ("recovering", "recorded")
"""Before a request of an earlier fetch is closed; between the vendor's record of it and the journal."""
SHARING = ("narrowed",)
"""After what another run has bought was left out of a request."""
KILLED = -signal.SIGKILL
"""The exit code, as Python tells it."""

_lock = threading.Lock()
_passed: dict[str, int] = {}

__all__ = ["KILLED", "PURCHASE", "RECOVERY", "SHARING", "VARIABLE", "reach"]


def reach(name: str) -> None:
    """Do nothing, unless the environment names this place."""
    armed = os.environ.get(VARIABLE)
    if not armed:
        return
    wanted, _, count = armed.partition(":")
    with _lock:
        _passed[name] = _passed.get(name, 0) + 1
        if wanted == name and _passed[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
