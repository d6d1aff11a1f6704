"""The processor cores that there are to compute with."""

import os

__all__ = ["count_cores"]


def count_cores() -> int:
    """Cores that this process may use: where the system does not tell, those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
