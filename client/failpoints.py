"""Named places where a test ends the process as a power cut would.

`VL2V_FAILPOINT=stored` ends it the first time that `reach("stored")` is passed, `stored:3` the third.
"""

import os
import threading

VARIABLE = "VL2V_FAILPOINT"
KILLED = 137

_lock = threading.Lock()
_passed: dict[str, int] = {}

__all__ = ["KILLED", "VARIABLE", "reach"]


def reach(name: str) -> None:
    """Do nothing, unless the environment names this place."""
    armed = os.environ.get(VARIABLE)
    if not armed:
        return
    wanted, _, count = armed.partition(":")
    with _lock:
        _passed[name] = _passed.get(name, 0) + 1
        if wanted == name and _passed[name] == int(count or 1):
            os._exit(KILLED)
